"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["config_option", "json_option"]

config_option = click.option(
    "--config",
    "-c",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="SYNC_CONFIG",
    default=Path("views.yaml"),
    show_default=True,
    help="The configuration; also from $SYNC_CONFIG.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
