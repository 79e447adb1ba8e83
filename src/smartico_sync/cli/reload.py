"""`smartico-sync reload`: a changed views.yaml, taken up by the running daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo, print_json
from smartico_sync.daemon import asking
from smartico_sync.daemon.reload import RESTART
from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["reload"]


@click.command()
@config_option
@json_option
def reload(path: Path, as_json: bool) -> None:
    """Have the running daemon read its views.yaml again: views that are new, gone or changed; nothing is lost, nothing sent twice.

    A file that cannot be used is refused, and the one at work goes on. `state:`, `state_key_file:`, `cluster:` and `health:` need a
    restart, and so does a variable of the environment that is not from `secrets.env`. SIGHUP does the same.
    """
    context = OperatorContext(path)
    if not asking.listens(context.state.path):
        raise ConfigError(
            f"no daemon works with {context.state}",
            hint=f"smartico-sync run --config {path}; where one runs already, `state:` was changed: set it back, or restart that one",
        )
    found = asking.ask(context.state.path, "reload", {})
    if as_json:
        print_json(found)
        return
    restart, variables = found.pop("restart", []), found.pop("variables", [])
    told = [f"{what}: {', '.join(names)}" for what, names in found.items() if names]
    echo("; ".join(told) if told else "nothing differs from what is at work")
    for name in restart:
        echo(f"`{name}:` is taken up at the next restart only: {RESTART}")
    if variables:
        names = ", ".join(variables)
        echo(
            f"the daemon's environment has other values of {names} than secrets.env, and goes before it; a service reads that at its start: {RESTART}"
        )
