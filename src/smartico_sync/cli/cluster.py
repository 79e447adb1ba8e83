"""`smartico-sync cluster`: which machine works with the state, and letting another one have it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo, print_json
from smartico_sync.errors import ConfigError
from smartico_sync.state.place import ServerPlace

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["cluster"]


@click.group()
def cluster() -> None:
    """Several machines with one state in PostgreSQL: one works, the others stand by."""


@cluster.command()
@config_option
@json_option
def show(path: Path, as_json: bool) -> None:
    """Say which member works with the state, since when, and until when it is left to it without a word."""
    context = OperatorContext(path)
    holders = shared(context).holders()
    if as_json:
        print_json([asdict(each) for each in holders])
        return
    for each in holders:
        if each.live:
            echo(f"{each.name}: {each.member} since {each.since}; {each.left_s:.1f} s of its lease are left")
        else:
            echo(f"{each.name}: nobody; {each.member} was the last")
    if not holders:
        echo("nobody works with the state, and nobody ever did")


@cluster.command()
@config_option
def release(path: Path) -> None:
    """Have the member of this machine end its views and stand by, so that another one takes over. It goes on when none does."""
    context = OperatorContext(path)
    shared(context)
    context.call("release")
    echo("released: another member takes over; this one stands by")


def shared(context: OperatorContext) -> ServerPlace:
    """The state, where several members can share it. ConfigError where it is a file."""
    if not isinstance(context.state, ServerPlace):
        raise ConfigError(
            f"the state {context.state} is a file: one machine works with it",
            hint="`smartico-sync state move` puts it into a server that several machines share",
        )
    return context.state
