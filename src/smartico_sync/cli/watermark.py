"""`smartico-sync watermark`: how far each view is, and putting one back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from smartico_sync.catalogue.kinds import kind
from smartico_sync.cli.consent import consent, yes_option
from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo, print_json, secho
from smartico_sync.cli.rewind_consequences import counted_twice, lies_ahead, passed_over, read_again
from smartico_sync.cli.rewind_messages import lanes_from, read_once_more, skipped_over
from smartico_sync.core.column_changes import column_changes, with_columns
from smartico_sync.core.definition import ACCEPT, changes, stopping
from smartico_sync.errors import ConfigError, ViewMisconfigured
from smartico_sync.tracking.prepared_view import stopped
from smartico_sync.tracking.reconciliation import is_time
from smartico_sync.tracking.view_identity import definition_of, recorded, replaced
from smartico_sync.tracking.written_cursors import cursor_at, written

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from smartico_sync.config.models import View
    from smartico_sync.core.position import Position
    from smartico_sync.core.records import ViewRow
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["watermark"]

FOR_PROGRAMS = {"view", "definition"}  # the view stands above; what it was tracked as is long, and in the JSON


@click.group()
def watermark() -> None:
    """How far each view is, and putting one back."""


@watermark.command()
@click.argument("names", metavar="[VIEW]…", nargs=-1)
@config_option
@json_option
def show(names: tuple[str, ...], path: Path, as_json: bool) -> None:
    """Show head and watermark of the views: rows up to the head were delivered, below the watermark none can appear any more."""
    context = OperatorContext(path)
    for name in names:
        context.view(name)
    with context.reading() as store:
        order = {view.name: place for place, view in enumerate(context.configuration.views)}
        rows = [row for row in store.views() if not names or row.view in names]
        rows.sort(key=lambda row: (order.get(row.view, len(order)), row.view))
        found = [told(row, {step.lane: step.next for step in store.lanes(row.view).values()}) for row in rows]
    if as_json:
        print_json(found)
        return
    for each in found:
        secho(each["view"], bold=True)
        for name, value in each.items():
            if name not in FOR_PROGRAMS:
                echo(f"  {name.replace('_', ' '):<14}{listed(value) if isinstance(value, dict) else value}")


def told(row: ViewRow, lanes: dict[str, int]) -> dict[str, Any]:
    """A view's row for people and programs; of messages `lanes`: the next offset of each."""
    return {
        "view": row.view,
        "head": text(row.head),
        "watermark": text(row.watermark),
        "started_from": row.started_from,
        "identity": row.identity,
        "definition": row.definition,
        "generation": row.generation,
        "counts": dict(row.counts),
        **({"lanes": lanes} if lanes else {}),
    }


def listed(numbers: Mapping[str, int]) -> str:
    """What was counted, the whole first; offsets by their lanes."""
    whole_first = sorted(numbers.items(), key=lambda item: item[0] != "read")
    return ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in whole_first)


def text(position: Position | None) -> str:
    """A position in one line."""
    return "nothing yet" if position is None else " / ".join((position.cursor, *position.key))


@watermark.command()
@click.argument("name", metavar="NEW")
@click.option("--from", "source", required=True, metavar="OLD", help="The view's former name.")
@config_option
def adopt(name: str, source: str, path: Path) -> None:
    """Let the renamed view NEW go on where OLD stands: with its place, its event ids and all else the state knows of it.

    Works while the daemon runs.
    """
    context = OperatorContext(path)
    view = context.view(name)
    if any(each.name == source for each in context.configuration.views):
        raise ConfigError(
            f"view {source} is still configured",
            hint=f"take view {source} out of {path}, or leave {name} to begin anew",
        )
    identity = context.call("adopt", view=name, source=source, identity=view.identity)
    echo(f"view {name} goes on where {source} stands, under its identity {identity}")


@watermark.command()
@click.argument("name", metavar="VIEW")
@click.option(
    "--to",
    required=True,
    metavar="first|CURSOR",
    help="first, an id, or a time such as 2026-01-31T12:00:00; of messages also offsets, such as bets/0@120,bets/1@98.",
)
@click.option("--resend-profiles", is_flag=True, help="Send every profile again, also an unchanged one.")
@click.option(
    "--new-ids",
    is_flag=True,
    help="Begin event ids anew: for a source that gives out its own ids again after a restore. Rows sent before and read "
    "again count twice then.",
)
@yes_option
@config_option
def rewind(name: str, to: str, resend_profiles: bool, new_ids: bool, yes: bool, path: Path) -> None:
    """Put VIEW back, or forward: it goes on after CURSOR. What is sent again has the same event ids, and counts once.

    Works while the daemon runs. Asks where rows would never be sent, or would count twice; says how many.
    """
    context = OperatorContext(path)
    view = context.view(name)
    row = context.tracked(name)
    warnings: list[str] = []
    position: list[str] | None = None
    from_ms: int | None = None
    definition: str | None = None
    lanes_at: dict[str, int] | None = None
    ahead = False
    if resend_profiles and kind(view.kind).role != "profile":
        raise ConfigError(
            f"--resend-profiles is for views of profiles, and {name} is of kind {view.kind}",
            hint="leave it out: rows of other kinds are all sent again, under the same event ids",
        )
    if context.is_broker(view):
        if not context.can_replay(view):
            only_streams(context, view)
        with context.reading() as store:
            known_lanes = {lane: step.next for lane, step in store.lanes(name).items()}
        lanes_at, from_ms = lanes_from(context, view, to, known_lanes)
        warnings += skipped_over(name, known_lanes, lanes_at)
        plan = read_once_more(name, known_lanes, lanes_at)
    elif to != "first":
        with context.source(view) as (source, prepared):
            from_ms = written(prepared, to)
            definition = new_definition(context, view, prepared)
            with source.reading(prepared.relation) as reading:
                position = [cursor_at(reading, prepared, to)]
                known = row if definition is None else None
                warnings += passed_over(reading, prepared, known, position[0])
            ahead = lies_ahead(prepared, known, position[0])
            if not is_time(prepared):
                from_ms += 1
    place = position[0] if position else "its start"
    if lanes_at is not None:
        place = ", ".join(f"{lane}@{at}" for lane, at in sorted(lanes_at.items()))
    with context.reading() as store:
        if lanes_at is None:
            plan = read_again(store, row, place, from_ms, ahead)
        if new_ids:
            warnings.append(counted_twice(store, name, from_ms))
    if not new_ids:
        echo(plan)
    if warnings:
        consent(f"let view {name} go on {'at' if lanes_at is not None else 'after'} {place}", yes, *warnings)
    fingerprints: Literal["keep", "forget"] = "forget" if resend_profiles else "keep"
    ids: Literal["same", "new"] = "new" if new_ids else "same"
    context.call(
        "rewind",
        [f"from {text(row.head)} to {place}", *warnings],
        view=name,
        position=position,
        from_ms=from_ms,
        fingerprints=fingerprints,
        ids=ids,
        definition=definition,
        lanes_at=lanes_at,
    )
    if lanes_at is not None:
        echo(f"view {name} goes on at {place}")
        return
    echo(f"view {name} goes on after {place}; it stood at {text(row.head)}")


def only_streams(context: OperatorContext, view: View) -> None:
    """Raise ConfigError where a queue of the view gives each message once."""
    try:
        with context.broker(view) as (stream, feed):
            stream.ends(feed)
    except ViewMisconfigured:
        context.replayable(view, "watermark rewind")


def new_definition(context: OperatorContext, view: View, prepared: PreparedView) -> str | None:
    """What the view is to be tracked as from now on; None where it is what it was, or is not tracked yet.

    Raises ViewMisconfigured where rows that are read again would have other event ids.
    """
    row = context.known_row(view)
    if row is None:
        return None
    before, now = recorded(row), definition_of(context.configuration, view, prepared.mapping)
    found = changes(before, now)
    if not row.blank and (lasting := stopping(found, "anew")):
        raise stopped(view.name, lasting)
    return replaced(before, now).text() if found else None


@watermark.command()
@click.argument("name", metavar="VIEW")
@config_option
def accept(name: str, path: Path) -> None:
    """Let VIEW go on where it is, as it is now: with another brand, event type, relation, query, database or columns.

    Nothing is sent again. Rows that are read again later, after a rewind or a restart in the middle of a page, get event ids
    made of the new brand or type, and count once more. Another cursor, key or kind cannot be accepted.
    """
    context = OperatorContext(path)
    view = context.view(name)
    if context.is_broker(view):
        raise ConfigError(
            f"view {name}: a view of messages goes on by itself as it is configured now, unless it means other events",
            hint="nothing; smartico-sync status says whether it is halted",
        )
    with context.source(view) as (_, prepared):
        row = context.tracked(name)
        before, now = recorded(row), definition_of(context.configuration, view, prepared.mapping)
        found = changes(before, now)
        columns = column_changes(before, now, prepared.relation)
        if lasting := [change for change in stopping(found) if change.way_out != ACCEPT]:
            raise stopped(name, lasting)
    if not found and not columns:
        echo(f"view {name} is what it was tracked as")
        return
    rows: Literal["recognised", "forgotten"] = "forgotten" if found else "recognised"
    accepted = with_columns(replaced(before, now), now)
    context.call("accept", view=name, definition=accepted.text(), rows=rows)
    told = [f"{change.option} is {change.now} and was {change.before}" for change in found]
    echo(f"view {name} goes on where it is: {', '.join([*told, *([columns.told] if columns else [])])}")
