"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["TEXT", "WORD", "config_option", "json_option"]


class Text(click.ParamType[str]):
    """What a database is asked for, in characters that it can hold; `shortest`: how many of them there must be."""

    name = "text"

    def __init__(self, shortest: int) -> None:
        self.shortest = shortest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text."""
        text = str(value)
        if len(text.strip()) < self.shortest:
            self.fail("it is empty", param, ctx)
        if any("\ud800" <= character <= "\udfff" for character in text):
            self.fail("its bytes are no text in UTF-8", param, ctx)
        return text


TEXT, WORD = Text(0), Text(1)

HERE = Path("views.yaml")
INSTALLED = Path("/etc/smartico-sync/views.yaml")  # where the systemd unit and the image have it


def configuration_there() -> Path:
    """The configuration that is meant where none is named."""
    return INSTALLED if not HERE.exists() and INSTALLED.exists() else HERE


config_option = click.option(
    "--config",
    "-c",
    "path",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),  # who may not read it is told what to type
    envvar="SYNC_CONFIG",
    default=configuration_there,
    show_default=f"{HERE}, else {INSTALLED}",
    help="The configuration; also from $SYNC_CONFIG.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
