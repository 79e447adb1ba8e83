"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["config_option", "json_option"]

HERE = Path("views.yaml")
INSTALLED = Path("/etc/smartico-sync/views.yaml")  # where the systemd unit and the image have it


def configuration_there() -> Path:
    """The configuration that is meant where none is named."""
    return INSTALLED if not HERE.exists() and INSTALLED.exists() else HERE


config_option = click.option(
    "--config",
    "-c",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="SYNC_CONFIG",
    default=configuration_there,
    show_default=f"{HERE}, else {INSTALLED}",
    help="The configuration; also from $SYNC_CONFIG.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
