"""`smartico-sync cluster`: which machine works with which views, and letting another one have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import TEXT, WORD, config_option, json_option
from smartico_sync.cli.output import echo, print_json
from smartico_sync.errors import ConfigError
from smartico_sync.observe.cluster_status import lane_lines
from smartico_sync.state.place import ServerPlace

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["cluster"]


@click.group()
def cluster() -> None:
    """Several machines with one state in PostgreSQL: each works with its share of the groups of views, the others stand by."""


@cluster.command()
@config_option
@json_option
def show(path: Path, as_json: bool) -> None:
    """Say which member works with which group of views, since when, until when it is left to it without a word, and who stands by."""
    place = shared(OperatorContext(path))
    seen = place.seen()
    holders, members, lanes = seen.holders, seen.members, seen.lanes
    if as_json:
        groups = [to_builtins(each) | {"member_id": str(each.member_id or "")} for each in holders]
        there = [to_builtins(each) | {"resting": sorted(each.resting)} for each in members]
        print_json({"groups": groups, "members": there, "partitions": [to_builtins(each) for each in lanes]})
        return
    for each in holders:
        if each.shares:
            if each.live:
                echo(
                    f"topics of {each.shares}: {each.member} since {each.since}; {each.left_s:.1f} s of its lease are left"
                )
            continue
        moved = f"; it is to go to {each.wanted}" if each.wanted and each.wanted != each.member else ""
        if each.live:
            echo(f"{each.name}: {each.member} since {each.since}; {each.left_s:.1f} s of its lease are left{moved}")
        else:
            echo(f"{each.name}: nobody; {each.member} was the last{moved}")
    for line in lane_lines((each.view, each.lane, each.member) for each in lanes):
        echo(line)
    busy = {str(each.member_id) for each in holders if each.live}
    for member in members:
        if member.id not in busy:
            echo(f"{member.name} stands by")
    if not holders:
        echo("nobody works with the state, and nobody ever did")


@cluster.command()
@click.argument("group", default="", type=TEXT)
@config_option
def release(path: Path, group: str) -> None:
    """Have the member of this machine end the views of GROUP, or of all its groups, so that another one takes over. It goes on when none does."""
    context = OperatorContext(path)
    shared(context)
    context.call("release", group=group)
    echo("released: another member takes over; this one stands by")


@cluster.command()
@click.argument("group", type=WORD)
@click.argument("member", type=WORD)
@config_option
def move(path: Path, group: str, member: str) -> None:
    """Have MEMBER work with GROUP from now on, whoever does so now. It stays there until it is moved again, or the member is gone; the other groups are evened out."""
    shared(OperatorContext(path)).want(group, member)
    echo(
        f"{member} is to work with {group}: the member that does so now ends its page first; see smartico-sync cluster show"
    )


def shared(context: OperatorContext) -> ServerPlace:
    """The state, where several members can share it. ConfigError where it is a file."""
    if not isinstance(context.state, ServerPlace):
        raise ConfigError(
            f"the state {context.state} is a file: one machine works with it",
            hint="`smartico-sync state move` puts it into a server that several machines share",
        )
    return context.state
