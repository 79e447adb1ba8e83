"""`smartico-sync trace`: what became of one row."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import click

from smartico_sync.cli.dead_letters import moment
from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import TEXT, config_option, json_option
from smartico_sync.cli.output import echo, print_json
from smartico_sync.core.cursor_time import cursor_ms
from smartico_sync.core.events import DATE, EID, POSITION, TYPE
from smartico_sync.core.ledger_keys import ledger_keys
from smartico_sync.core.mapping import events
from smartico_sync.core.messages.message import split_place
from smartico_sync.core.printable import printable
from smartico_sync.daemon.operations import BEGIN_VIEW
from smartico_sync.errors import ConfigError, ExitCode, PositionUnfit
from smartico_sync.state.ledger import BUCKET_MS
from smartico_sync.tracking.prepared_view import pipeline_options
from smartico_sync.tracking.profile_comparison import ProfileComparison
from smartico_sync.tracking.stream_inspection import rows_of_key, sampled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import polars as pl

    from smartico_sync.config.models import View
    from smartico_sync.core.relation import Relation
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.prepared_stream import PreparedStream
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["trace"]

LEFT_OUT = "it is left out by `where:`, or as a type that is ignored"
TIME = "a time, such as 2026-01-31 12:00:00"
# What the columns of a key can hold, by family: how a person writes it, and what reads it.
FITS: dict[str, tuple[str, Callable[[str], object]]] = {
    "integer": ("a whole number", int),
    "decimal": ("a number", Decimal),
    "float": ("a number", float),
    "uuid": ("a UUID, such as 3f2504e0-4f89-11d3-9a0c-0305e82c3301", UUID),
    "timestamp": (TIME, datetime.fromisoformat),
    "instant": (f"{TIME}+00:00", datetime.fromisoformat),
    "date": ("a date, such as 2026-01-31", date.fromisoformat),
}


@click.command()
@click.argument("name", metavar="VIEW")
@click.argument("key", metavar="KEY…", nargs=-1, required=True, type=TEXT)
@config_option
@json_option
def trace(name: str, key: tuple[str, ...], path: Path, as_json: bool) -> ExitCode:
    """Say what became of the row of VIEW with this KEY: in the source, acknowledged and when, waiting, or given up, and its event id.

    Ends with 0 when it is accounted for, with 3 when it is nowhere (not in the source, not waiting, not given up), else with 6.
    """
    context = OperatorContext(path)
    view = context.view(name)
    with context.reading() as store:
        row = store.view(name)
        dropped = row.counts.get("dropped", 0) if row is not None else 0
        if context.is_broker(view):
            found = messages_of(context, view, store, key)
        else:
            found = rows_in_source(context, view, store, key)
        keys = {key, *(tuple(each["key"]) for each in found)}
        undelivered = [
            {
                "stage": stage,
                "since": moment(each.at_ms),
                "code": each.code,
                "reason": each.reason,
                "eid": each.row.eid,
                "cursor": each.row.position.cursor,
            }
            for stage, some in (("given up", store.all_dead_letters()), ("waiting", store.parked(name, 2**62, 100_000)))
            for each in some
            if each.row.view == name and each.row.position is not None and each.row.position.key in keys
        ]
    if as_json:
        # `letters` is what `undelivered` was called first, and stays.
        print_json({"view": name, "key": list(key), "rows": found, "undelivered": undelivered, "letters": undelivered})
    else:
        show(name, key, found, undelivered, dropped)
    if not found and not undelivered:
        return ExitCode.SOURCE
    settled = {each["cursor"] for each in undelivered}
    lost = [
        each
        for each in found
        if each["keys"] == "kept"
        and each["cursor"] is not None
        and each["cursor"] not in settled
        and (each["changed"] or not (each["acknowledged"] or each["there_at_start"]))
    ]
    return ExitCode.DEAD_LETTERS if lost else ExitCode.FINE


def as_typed(relation: Relation, key: tuple[str, ...]) -> tuple[str, ...]:
    """A key as a person wrote it, each value in the form that every database reads. ConfigError for one that its column cannot hold."""
    values = []
    for name, value in zip(relation.key, key, strict=True):
        column = relation.column(name)
        expected, read = FITS.get(column.family if column else "other", ("", str))
        try:
            fit = read(value)
        except (ValueError, ArithmeticError):
            raise ConfigError(
                f"{printable(value)!r} is no {name}: the column's type is {column.type if column else ''}",
                hint=f"write {expected}",
            ) from None
        if isinstance(fit, datetime) and fit.tzinfo and column and column.family == "timestamp":
            fit = fit.astimezone(ZoneInfo(relation.timezone)).replace(tzinfo=None)
        values.append(str(fit))
    return tuple(values)


def rows_in_source(context: OperatorContext, view: View, store: Store, key: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of a key as database and state know them."""
    row = store.view(view.name)
    with context.source(view) as (source, prepared):
        check_key(prepared.relation, key)
        typed = as_typed(prepared.relation, key)
        try:
            with source.reading(prepared.relation) as reading:
                rows = reading.by_key([key])
                if not rows.height:
                    rows = reading.by_written_key(typed)
                clock_ms = reading.clock_ms
        except PositionUnfit:
            raise unfit(prepared.relation, key) from None
        found = [told(store, prepared, rows, place) for place in range(rows.height)]
        if prepared.mapping.kind.role == "profile" and row is not None:
            options = pipeline_options(context.configuration, view, prepared)
            changed = ProfileComparison(view.name, options, store).unlike(rows, clock_ms)
            for each in found:
                each["changed"] = any(position.cursor == each["cursor"] for position in changed)
    return found


def unfit(relation: Relation, key: tuple[str, ...]) -> ConfigError:
    """No row of the view can have this key."""
    columns = [column for name in relation.key if (column := relation.column(name)) is not None]
    types = ", ".join(f"{column.name} {column.type}" for column in columns)
    return ConfigError(
        f"{printable(' '.join(key))!r} is no key of {relation.name}: {types}", hint="write what that type can hold"
    )


def check_key(relation: Relation, key: tuple[str, ...]) -> None:
    """Raise ConfigError for a key of another length than the view's."""
    if len(key) != len(relation.key):
        raise ConfigError(
            f"the key of {relation.name} is {', '.join(relation.key) or 'none'}",
            hint=f"smartico-sync trace {relation.name} " + " ".join(relation.key).upper(),
        )


def messages_of(context: OperatorContext, view: View, store: Store, key: tuple[str, ...]) -> list[dict[str, Any]]:
    """The messages of a key as broker and state know them."""
    row = store.view(view.name)
    if row is None:
        raise ConfigError(f"view {view.name} was never tracked", hint=BEGIN_VIEW)
    again: Literal["replay", "never"] = "replay" if context.can_replay(view) else "never"
    with context.broker(view) as (stream, feed):
        prepared = sampled(context.configuration, view, [], row, store).prepared
        check_key(prepared.relation, key)
        rows, held = rows_of_key(prepared, stream, feed, store, key, again)
    found = [told(store, prepared, rows, place) for place in range(rows.height)]
    lanes = store.lanes(view.name)
    for each in found:
        lane, offset = split_place(each["cursor"])
        if lane not in lanes or offset >= lanes[lane].next:
            each["keys"] = "not read yet"
    if held and not found:
        times = ", ".join(moment(ms) for ms in held)
        told_of = {
            "acknowledged": True,
            "acknowledged_at": times,
            "changed": False,
            "keys": "kept",
            "there_at_start": False,
            "event_type": "",
            "eid": "",
        }
        found = [{"key": list(key), "cursor": "", **told_of, "problem": ""}]
    return found


def told(store: Store, prepared: PreparedView | PreparedStream, rows: pl.DataFrame, row: int) -> dict[str, Any]:
    """One row as source and state know it."""
    one = rows.slice(row, 1)
    view = prepared.relation.name
    at = cursor_ms(one.get_column(prepared.relation.cursor), prepared.relation.cursor_is)[0]
    number = ledger_keys(prepared.mapping, one)[0]
    when = None if at is None else store.acknowledged_at(view, at, number)
    bucket = at // BUCKET_MS * BUCKET_MS if at is not None else 0
    counted = store.ledger_counts(view, bucket, bucket + BUCKET_MS).get_column("n").sum() if at is not None else 0
    pruned = when is None and store.ledger_between(view, bucket, bucket + BUCKET_MS).height < counted
    there = when is not None and number in store.there_at_start(view).to_list()
    # The ledger has what is delivered in order; what went out of it is remembered apart, until the order comes to it.
    apart = store.sent_without(view) if one.get_column("@cursor")[0] is None else store.ahead(view)
    early = when is None and apart is not None and number in apart.to_list()
    mapped = events(prepared.mapping, one)
    event = mapped.events.frame.select(EID, TYPE, DATE, POSITION).to_dicts()
    return {
        "key": [one.get_column(f"@key.{part}")[0] for part in range(len(prepared.relation.key))],
        "cursor": one.get_column("@cursor")[0],
        "acknowledged": early or (when is not None and not there),
        "acknowledged_at": "" if when is None or there else moment(when),
        "changed": False,
        "keys": "pruned" if pruned else "kept",
        "there_at_start": there,
        "event_type": event[0][TYPE] if event else "",
        # A profile's final id also depends on what it holds.
        "eid": event[0][EID] if event and prepared.mapping.kind.role != "profile" else "",
        "problem": "" if event else LEFT_OUT if mapped.skipped else mapped.rejects.get_column("reason")[0],
    }


def show(
    name: str, key: tuple[str, ...], found: list[dict[str, Any]], undelivered: list[dict[str, Any]], dropped: int
) -> None:
    """For a person. `dropped`: so many dead letters of the view were dropped by hand; nobody knows any more which."""
    called = printable(f"{name} {' '.join(key)}")
    settled = {each["cursor"] for each in undelivered}
    if not found:
        echo(f"{called}: the source has no such row")
    for row in found:
        if row["cursor"] is None:
            sent = ", and acknowledged" if row["acknowledged"] else ""
            echo(f"{called}: in the source, without a cursor{sent}: see `on_null_cursor`")
            continue
        itself = printable(f"{name} {' '.join(row['key'])}")
        if row["cursor"]:
            event = f"{row['event_type']} {row['eid']}".rstrip()
            echo(f"{itself}: in the source at {printable(row['cursor'])}{', ' if event else ''}{event}")
        else:
            echo(f"{itself}: a message that the broker does not show any more")
        when = f"at {row['acknowledged_at']}" if row["acknowledged_at"] else "before its time, which is still to come"
        said = f"acknowledged {when}" if row["acknowledged"] else "not acknowledged"
        if not row["acknowledged"] and row["keys"] == "pruned":
            said += ", or longer ago than the ledger keeps keys"
        if row["changed"]:
            said = "acknowledged, and it holds something else now: it changed without moving its cursor"
        if row["acknowledged"] and (row["problem"] or dropped) and row["cursor"] not in settled:
            said += ", or given up and dropped by hand"
        if row["cursor"] in settled:
            said = "read, and not accepted"
        if row["acknowledged"] and row["problem"] == LEFT_OUT:
            said = "read, and not sent"
        if row["there_at_start"]:
            said = "there when the view began, and not sent by it, unless by a backfill (see `start_from`)"
        echo(f"    {said}{': ' + row['problem'] if row['problem'] else ''}")
    for each in undelivered:
        echo(f"    {each['stage']}: {each['reason']} (code {each['code']}), since {each['since']}")
