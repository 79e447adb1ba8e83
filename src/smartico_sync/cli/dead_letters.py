"""`smartico-sync dead-letters`: rows that were given up, why, and what to do with them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from smartico_sync.cli.consent import consent, yes_option
from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo, print_json
from smartico_sync.core.printable import printable
from smartico_sync.errors import ConfigError, ExitCode
from smartico_sync.observe.finding import NEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from smartico_sync.core.records import DeadLetter

__all__ = ["dead_letters", "moment"]

MANY = 1_000  # dead letters that are tried again in one go, which takes a busy daemon a second or two


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


all_option = click.option("--all", "everything", is_flag=True, help="All of them, when no other filter is given.")


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
        there = any(store.dead_letter_counts().values())
    every = matching(context, chosen)
    found = every[:limit]
    if as_json:
        print_json([told(dead_letter) for dead_letter in found])
        return
    for line in counted(every):
        echo(line)
    for dead_letter in found:
        row = dead_letter.row
        echo(
            f"{dead_letter.id:>8}  {moment(dead_letter.at_ms)}  {row.view:<16} {printable(row.key):<24} {dead_letter.code:>6}  "
            f"{printable(dead_letter.reason)}"
        )
    if len(every) > limit:
        echo(f"… {len(every) - limit:,} more; --limit shows more of them")
    if found:
        echo(
            "next: smartico-sync dead-letters show --id N, retry or drop; smartico-sync trace VIEW KEY looks at the row itself"
        )
    else:
        echo("no dead letters fit" if there else "no dead letters")


def counted(found: Sequence[DeadLetter]) -> list[str]:
    """How many of each code, a line for each view."""
    codes: dict[str, Counter[int]] = {}
    for each in found:
        codes.setdefault(each.row.view, Counter())[each.code] += 1
    return [
        f"{view}: " + ", ".join(f"{n:,} with code {code}" for code, n in sorted(counts.items()))
        for view, counts in codes.items()
    ]


@dead_letters.command()
@filters
@all_option
@config_option
@json_option
def show(everything: bool, path: Path, as_json: bool, **chosen: Any) -> None:
    """Show all that is known of dead letters."""
    some_are_chosen(chosen, everything)
    found = [told(dead_letter) for dead_letter in matching(OperatorContext(path), chosen)]
    if as_json:
        print_json(found)
        return
    for fields in found:
        for name, value in fields.items():
            echo(f"{name.replace('_', ' '):<12}{printable(str(value))}")
        echo()
    if not found:
        echo("no dead letters fit")


@dead_letters.command()
@filters
@all_option
@config_option
def retry(everything: bool, path: Path, **chosen: Any) -> ExitCode:
    """Read the rows again, where they are now, and send them at the next poll. Works while the daemon runs.

    Those of a view that is not configured stay dead letters: nobody reads its rows.
    """
    context = OperatorContext(path)
    some_are_chosen(chosen, everything)
    configured = {view.name for view in context.configuration.views}
    every = matching(context, chosen)
    found = [each for each in every if each.row.view in configured]
    left = [each for each in every if each.row.view not in configured]
    if left:
        stay = f"{dead(len(left))} cannot be tried again, because {path} has not their view: {'; '.join(counted(left))}"
        hint = (
            "write the view into it again, then: smartico-sync reload; or let them go: smartico-sync dead-letters drop"
        )
        if not found:
            raise ConfigError(stay, hint=hint)
        echo(f"{stay}{NEXT}{hint}", err=True)
    change(context, "retry", found, "tried again at the next poll of their view")
    return ExitCode.DEAD_LETTERS if left else ExitCode.FINE


@dead_letters.command()
@filters
@all_option
@yes_option
@config_option
def drop(everything: bool, yes: bool, path: Path, **chosen: Any) -> None:
    """Forget dead letters for good: their rows are never sent. Asks first, and says how many of which."""
    context = OperatorContext(path)
    some_are_chosen(chosen, everything)
    found = matching(context, chosen)
    if found:
        consent(f"drop {dead(len(found))} for good", yes, *counted(found), "their rows are never sent")
    change(context, "drop", found, "dropped")


def some_are_chosen(chosen: Mapping[str, Any], everything: bool) -> None:
    """Raise ConfigError where nobody said which dead letters are meant."""
    if not everything and all(value in (None, ()) for value in chosen.values()):
        raise ConfigError("which ones?", hint="choose with --view, --code, --key or --id, or --all")


def change(context: OperatorContext, name: str, found: Sequence[DeadLetter], said: str) -> None:
    """Do something with dead letters; many are tried again in portions, so that one sees how far it is. A drop is done whole."""
    size = MANY if name == "retry" else max(1, len(found))
    done = 0
    if len(found) > size:
        echo(f"{dead(len(found))}: this may take a while", err=True)
    for start in range(0, len(found), size):
        portion = found[start : start + size]
        done += context.call(name, counted(portion), ids=[each.id for each in portion])
        if start + size < len(found):
            echo(f"{start + size:,} of {dead(len(found))}", err=True)
    echo(f"{dead(done)} {'is' if done == 1 else 'are'} {said}" if found else "no dead letters fit: nothing is done")


def dead(count: int) -> str:
    """So many of them."""
    return f"{count:,} dead letter{'s' * (count != 1)}"


def matching(context: OperatorContext, chosen: dict[str, Any]) -> list[DeadLetter]:
    """The dead letters that fit the filters. ConfigError when one is asked for by its id or key that is not there."""
    with context.reading() as store:
        if chosen["name"] is not None and store.view(chosen["name"]) is None:
            context.view(chosen["name"])
        found = [
            dead_letter
            for dead_letter in store.all_dead_letters()
            if chosen["name"] in (None, dead_letter.row.view)
            and chosen["code"] in (None, dead_letter.code)
            and chosen["key"] in (None, dead_letter.row.key)
            and (not chosen["ids"] or dead_letter.id in chosen["ids"])
        ]
    lost = sorted({*chosen["ids"]} - {each.id for each in found})
    if lost:
        fit = " that fits" if any(chosen[name] is not None for name in ("name", "code", "key")) else ""
        raise ConfigError(
            f"there is no dead letter {', '.join(map(str, lost))}{fit}; nothing was done",
            hint="smartico-sync dead-letters list",
        )
    if chosen["key"] is not None and not found:
        raise ConfigError(
            f"there is no dead letter of the key {printable(chosen['key'])}", hint="smartico-sync dead-letters list"
        )
    return found


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
