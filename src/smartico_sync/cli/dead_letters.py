"""`smartico-sync dead-letters`: rows that were given up, why, and what to do with them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from smartico_sync.cli.operator_context import OperatorContext, print_json
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo
from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from smartico_sync.core.records import DeadLetter

__all__ = ["dead_letters", "moment"]


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which dead letters a command is about."""
    for option in (
        click.option("--id", "ids", type=int, multiple=True, help="Only this one; repeatable."),
        click.option("--key", help="Only the row of this key."),
        click.option("--code", type=int, help="Only this reason code; the API's are positive."),
        click.option("--view", "name", metavar="VIEW", help="Only this view."),
    ):
        command = option(command)
    return command


@click.group("dead-letters")
def dead_letters() -> None:
    """Rows that were given up: list them, try them again, or let them go. They hold no personal data, only where the row is."""


@dead_letters.command("list")
@filters
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many.")
@config_option
@json_option
def list_(limit: int, path: Path, as_json: bool, **chosen: Any) -> None:
    """List dead letters, the oldest first, after their counts by reason."""
    context = OperatorContext(path)
    with context.reading() as store:
        counts = store.dead_letter_counts()
        found = matching(context, chosen)[:limit]
    if as_json:
        print_json([told(dead_letter) for dead_letter in found])
        return
    for view, codes in counts.items():
        if chosen["name"] in (None, view):
            echo(f"{view}: " + ", ".join(f"{n:,} with code {code}" for code, n in codes.items()))
    for dead_letter in found:
        row = dead_letter.row
        echo(
            f"{dead_letter.id:>8}  {moment(dead_letter.at_ms)}  {row.view:<16} {row.key:<24} {dead_letter.code:>6}  "
            f"{dead_letter.reason}"
        )
    if not found:
        echo("no dead letters")
    else:
        echo(
            "next: smartico-sync dead-letters show --id N, retry or drop; smartico-sync trace VIEW KEY looks at the row itself"
        )


@dead_letters.command()
@filters
@config_option
@json_option
def show(path: Path, as_json: bool, **chosen: Any) -> None:
    """Show all that is known of dead letters."""
    found = [told(dead_letter) for dead_letter in matching(OperatorContext(path), chosen)]
    if as_json:
        print_json(found)
        return
    for fields in found:
        for name, value in fields.items():
            echo(f"{name.replace('_', ' '):<12}{value}")
        echo()


@dead_letters.command()
@filters
@click.option("--all", "everything", is_flag=True, help="All of them, when no other filter is given.")
@config_option
def retry(everything: bool, path: Path, **chosen: Any) -> None:
    """Read the rows again, where they are now, and send them at the next poll. Works while the daemon runs."""
    change(OperatorContext(path), "retry", chosen, everything, "are tried again at the next poll of their view")


@dead_letters.command()
@filters
@click.option("--all", "everything", is_flag=True, help="All of them, when no other filter is given.")
@config_option
def drop(everything: bool, path: Path, **chosen: Any) -> None:
    """Forget dead letters for good: their rows are never sent."""
    change(OperatorContext(path), "drop", chosen, everything, "are dropped")


def change(context: OperatorContext, name: str, chosen: dict[str, Any], everything: bool, said: str) -> None:
    """Do something with the dead letters that were chosen."""
    if not everything and all(value in (None, ()) for value in chosen.values()):
        raise ConfigError("which ones?", hint="choose with --view, --code, --key or --id, or --all")
    ids = [dead_letter.id for dead_letter in matching(context, chosen)]
    done = context.call(name, ids=ids) if ids else 0
    echo(f"{done} dead letters {said}")


def matching(context: OperatorContext, chosen: dict[str, Any]) -> list[DeadLetter]:
    """The dead letters that fit the filters."""
    if chosen["name"] is not None:
        context.view(chosen["name"])
    with context.reading() as store:
        return [
            dead_letter
            for dead_letter in store.all_dead_letters()
            if chosen["name"] in (None, dead_letter.row.view)
            and chosen["code"] in (None, dead_letter.code)
            and chosen["key"] in (None, dead_letter.row.key)
            and (not chosen["ids"] or dead_letter.id in chosen["ids"])
        ]


def told(dead_letter: DeadLetter) -> dict[str, Any]:
    """A dead letter for people and programs."""
    row = dead_letter.row
    return {
        "id": dead_letter.id,
        "view": row.view,
        "key": row.key,
        "cursor": row.position.cursor if row.position else "",
        "event_type": row.event_type,
        "eid": row.eid,
        "code": dead_letter.code,
        "reason": dead_letter.reason,
        "hash": row.fingerprint,
        "since": moment(dead_letter.at_ms),
    }


def moment(ms: int) -> str:
    """A moment for people."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
