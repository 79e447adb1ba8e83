"""`smartico-sync log-level`: how much a running daemon writes down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from smartico_sync.cli.durations import seconds_of
from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo, print_json
from smartico_sync.daemon import asking
from smartico_sync.errors import ConfigError
from smartico_sync.observe.logs import LEVELS

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["log_level"]


@click.command("log-level")
@click.argument("level", type=click.Choice(LEVELS), required=False)
@click.option("--for", "duration", default=None, help="Go back to info after this long, as 10m.")
@config_option
@json_option
def log_level(level: str | None, duration: str | None, path: Path, as_json: bool) -> None:
    """Have the running daemon write down more, or less, without a restart; without LEVEL say what it is.

    With debug each page that was read, each request and each answer has a line, with numbers that lead from one to the other.
    """
    context = OperatorContext(path, secrets="passed over")
    seconds = seconds_of(duration)
    if seconds is not None and level is None:
        raise click.UsageError("--for needs a level: smartico-sync log-level debug --for 10m")
    if not asking.listens(context.state.path):
        raise ConfigError(f"no daemon works with {context.state}", hint=f"smartico-sync run --config {path}")
    found = asking.ask(context.state.path, "log-level", {"level": level, "seconds": seconds})
    if as_json:
        print_json(found)
    else:
        echo(f"{found['level']}" + (f", was {found['before']}" if level else ""))
