"""`smartico-sync reconcile`: the source against what was acknowledged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct, to_builtins
from msgspec.structs import replace

from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo, print_json, secho
from smartico_sync.cli.rewind_messages import time_of
from smartico_sync.cli.unread_rows import COUNTED, unread, work_on
from smartico_sync.core.printable import printable
from smartico_sync.core.reason_codes import UNACKNOWLEDGED
from smartico_sync.errors import ConfigError, ExitCode, SourceCancelled, SourceError, ViewHalted
from smartico_sync.observe.finding import NEXT
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.compared_span import span
from smartico_sync.tracking.prepared_view import pipeline_options
from smartico_sync.tracking.profile_comparison import ProfileComparison
from smartico_sync.tracking.reconciliation import Depth, Reconciliation, Unit, compare, units
from smartico_sync.tracking.stream_inspection import compare_stream, sampled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from smartico_sync.config.models import View
    from smartico_sync.core.position import Position
    from smartico_sync.core.records import ViewRow
    from smartico_sync.sources.protocol import Source
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["reconcile"]

SHOWN = 20  # runs of rows, and buckets, that are printed; --json has all
REASON = "not as it was acknowledged, found by a comparison"


@click.command()
@click.option("--view", "names", multiple=True, metavar="VIEW", help="Only this view; repeatable. Else all of them.")
@click.option("--from", "low", metavar="TIME|ID", help="Begin here; else a day before the end.")
@click.option(
    "--to",
    "high",
    metavar="TIME|ID",
    help="End here; else at the watermark, above which nothing is closed; at the head where no daemon runs.",
)
@click.option(
    "--counts", is_flag=True, help="Compare keys only where counts differ, and in the last three buckets: quicker."
)
@click.option("--send", is_flag=True, help="Have the missing rows read again and sent.")
@config_option
@json_option
def reconcile(
    names: tuple[str, ...], low: str | None, high: str | None, counts: bool, send: bool, path: Path, as_json: bool
) -> ExitCode:
    """Compare the keys that the source holds, bucket by bucket, with the ledger of acknowledged rows, and list what differs.

    Profiles must also hold what was sent. Reads the source beside a running daemon, an hour at a time (3.6 million ids). Rows
    behind the compared ones are counted where no daemon is about to read them. Ends with 0 when nothing is missing or the
    missing rows are sent, and none is unread, else with 6; with 2 or 3 where a view could not be compared.
    """
    context = OperatorContext(path)
    views = [context.view(name) for name in names] or [
        view for view in context.configuration.views if not context.is_broker(view) or context.can_replay(view)
    ]
    compared: list[tuple[View, Found]] = []
    failed: list[ConfigError | SourceError | ViewHalted] = []
    for view in views:
        try:
            found = found_of(context, view, low, high, "counts" if counts else "keys")
        except (ConfigError, SourceError, ViewHalted) as error:
            failed.append(error)
            found = Found(None, f"not compared: {error.message}{NEXT}{error.hint}")
        compared.append((view, found))
    once = [view.name for view in context.configuration.views if view not in views and not names]
    for name in [] if as_json else once:
        echo(f"· {name}: not compared: a queue gives each message once; smartico-sync dead-letters list --view {name}")
    if failed and len(failed) == len(views):
        raise failed[0]
    if as_json:
        print_json([told(view, found) for view, found in compared])
    missing, left = 0, sum(found.unread for _, found in compared)
    for view, found in compared:
        if not as_json:
            show(view, found)
        comparison = found.comparison
        if comparison is None or not comparison.missing_rows + comparison.unlike_rows:
            continue
        missing += comparison.missing_rows + comparison.unlike_rows
        if send:
            rows = [[position.cursor, *position.key] for position in (*comparison.missing, *comparison.unlike)]
            context.call("enqueue", view=view.name, rows=rows, code=UNACKNOWLEDGED, reason=REASON)
            echo(f"{view.name}: {len(rows)} rows are queued; the daemon sends them at its next poll", err=as_json)
    if missing and not send and not as_json:
        echo("next: smartico-sync reconcile --send has them read again and sent")
    if failed:
        return failed[0].exit_code
    return ExitCode.DEAD_LETTERS if left or (missing and not send) else ExitCode.FINE


class Found(Struct, frozen=True):
    """What is known of one view: a `comparison`, or the `reason` why there is none, and what no comparison counts.

    `given_up` rows are dead letters, `waiting` ones are tried again, `dropped` ones were let go by hand, and `without_cursor`
    ones are never sent; None where they cannot be counted. `unread` rows stand behind what was read, and nobody is about to read them.
    """

    comparison: Reconciliation | None
    reason: str = ""
    given_up: int = 0
    waiting: int = 0
    dropped: int = 0
    without_cursor: int | None = 0
    unread: int = 0


def found_of(context: OperatorContext, view: View, low: str | None, high: str | None, depth: Depth) -> Found:
    """Compare one view. ConfigError for ends that are the wrong way round."""
    if context.is_broker(view):
        return messages_compared(context, view, low, high)
    with context.reading() as store, context.source(view) as (source, prepared):
        first, last = (None if text is None else units(prepared, text) for text in (low, high))
        if first is not None and last is not None and first >= last:
            raise ConfigError(f"--from {low} is not before --to {high}", hint="name the earlier end with --from")
        row = store.view(view.name)
        at = work_on(context, view)
        behind = 0 if at == "work" or last is not None else unread(source, prepared, view, row)
        if row is None:
            return Found(None, "it was never tracked; next: smartico-sync run", unread=behind)
        if row.watermark is None or at == "rest":
            # Nothing is on its way, or it is a first load: all of it can be compared.
            row = replace(row, watermark=row.head)
        over = span(prepared, source, store, row, first, last)
        profiles = None
        if prepared.mapping.kind.role == "profile" and depth == "keys":
            options = pipeline_options(context.configuration, view, prepared)
            profiles = ProfileComparison(view.name, options, store)
        comparison, reason = None, why_nothing(row)
        if over is not None:
            comparison = compare(prepared, source, store, view.name, over, depth=depth, profiles=profiles)
            reason = ""
        given_up, waiting = (
            sum(counts.get(view.name, {}).values()) for counts in (store.dead_letter_counts(), store.parked_counts())
        )
        dropped = row.counts.get("dropped", 0)
        return Found(comparison, reason, given_up, waiting, dropped, nulls(view, source, prepared), behind)


def why_nothing(row: ViewRow) -> str:
    """Why nothing of a view can be compared."""
    if row.watermark is None and any(row.counts.get(name, 0) for name in ("delivered", "duplicate")):
        return "what was delivered is dated ahead of the clock, or has no cursor: it is compared when its time has come"
    if row.watermark is None:
        return "nothing was delivered yet; next: smartico-sync status"
    return f"nothing of that lies at or below its watermark, {printable(row.watermark.cursor)}"


def messages_compared(context: OperatorContext, view: View, low: str | None, high: str | None) -> Found:
    """Compare a time of one view's messages; nothing is closed where none was dealt with yet."""
    context.replayable(view, "reconcile")
    with context.reading() as store, context.broker(view) as (stream, feed):
        row = store.view(view.name)
        if row is None or row.head is None:
            return Found(None, "nothing was delivered yet; next: smartico-sync status")
        prepared = sampled(context.configuration, view, [], row, store).prepared
        ends = [None if text is None else time_of(text) for text in (low, high)]
        comparison = compare_stream(prepared, stream, feed, store, ends[0], ends[1] or now_ms())
        given_up, waiting = (
            sum(counts.get(view.name, {}).values()) for counts in (store.dead_letter_counts(), store.parked_counts())
        )
        return Found(comparison, "", given_up, waiting, row.counts.get("dropped", 0))


def nulls(view: View, source: Source, prepared: PreparedView) -> int | None:
    """How many rows have no place in the order, and are not sent either; None where counting them takes too long."""
    if view.on_null_cursor == "send":
        return 0
    try:
        with source.reading(prepared.relation) as reading:
            return reading.null_cursors()
    except SourceCancelled:
        return None


def told(view: View, found: Found) -> dict[str, Any]:
    """A comparison for a program."""
    counts = to_builtins(found)
    return {"view": view.name, "compared": counts.pop("comparison"), **counts}


def show(view: View, found: Found) -> None:
    """A comparison for a person."""
    show_comparison(view.name, found)
    aside = {"dead letters": found.given_up, "waiting": found.waiting, "dropped by hand": found.dropped}
    if any(aside.values()):
        listed = ", ".join(f"{count:,} {what}" for what, count in aside.items() if count)
        echo(f"    accounted for, and not accepted: {listed}; next: smartico-sync dead-letters list")
    if found.unread:
        count = f"more than {COUNTED:,}" if found.unread > COUNTED else f"{found.unread:,}"
        secho(
            f"✗ {view.name}: {count} rows are not read yet, and nothing is known of them; next: smartico-sync status",
            fg="red",
        )
    if found.without_cursor is None:
        echo(f"! {view.name}: rows with a NULL {view.cursor} could not be counted: that took too long")
    elif found.without_cursor:
        secho(
            f"! {view.name}: {found.without_cursor:,} rows have a NULL {view.cursor} or key and are never sent: fill it, or see "
            "on_null_cursor",
            fg="yellow",
        )


def show_comparison(name: str, found: Found) -> None:
    """What the comparison found."""
    comparison = found.comparison
    if comparison is None:
        echo(f"{name}: {found.reason}")
        return
    over = comparison.span
    between = f"{edge(over.low, comparison.unit)} to {edge(over.high, comparison.unit)}"
    if not comparison.differing and not comparison.unlike_rows:
        word = "accounted for" if found.given_up + found.waiting + found.dropped else "acknowledged"
        said = f"all {word}"
        if comparison.counted:
            by_key = comparison.source - comparison.counted
            said = f"{by_key:,} compared by key: {said}; {comparison.counted:,} by count alone: as many as were {word}"
        mark, color = ("!", "yellow") if found.unread else ("✓", "green")
        secho(f"{mark} {name}: {comparison.source:,} rows from {between}, {said}", fg=color)
        return
    secho(f"✗ {name}: from {between}", fg="red")
    if comparison.unlike_rows:
        echo(
            f"    {comparison.unlike_rows:,} profiles hold something else than was sent, and their cursor did not move"
        )
        for position in comparison.unlike[:SHOWN]:
            echo(f"    changed: {', '.join(position.key)} at {position.cursor}")
    for bucket in comparison.differing[:SHOWN]:
        pruned = "; the keys are pruned, so none can be named" if bucket.keys == "pruned" else ""
        echo(
            f"    {edge(bucket.low, comparison.unit)}: source {bucket.source:,}, ledger {bucket.ledger:,}: "
            f"{bucket.missing:,} never acknowledged, {bucket.extra:,} gone from the source{pruned}"
        )
    runs = list(ranges(comparison.missing))
    for run in runs[:SHOWN]:
        echo(f"    missing: {named(run)}")
    left = comparison.missing_rows - sum(len(run) for run in runs[:SHOWN])
    if left:
        echo(f"    … {left:,} more; --json lists them")


def ranges(missing: Sequence[Position]) -> Iterator[list[Position]]:
    """Missing rows in runs: of whole numbers that follow one another, else of rows that share a cursor."""
    run: list[Position] = []
    for position in missing:
        if run and not follows(run[-1], position):
            yield run
            run = []
        run.append(position)
    if run:
        yield run


def follows(before: Position, after: Position) -> bool:
    """Whether a row belongs to the run that ends with the one before it."""
    (one, *_), (other, *_) = before.key or (before.cursor,), after.key or (after.cursor,)
    if one.isascii() and one.isdigit() and other.isascii() and other.isdigit():
        return before.key[1:] == after.key[1:] and int(other) == int(one) + 1
    return before.cursor == after.cursor


def named(run: Sequence[Position]) -> str:
    """A run for a person: its first and last key, how many rows, and where."""
    first, last = (printable(", ".join(each.key) or "a row") for each in (run[0], run[-1]))
    at = printable(run[0].cursor)
    if len(run) == 1:
        return f"{first} at {at}"
    until = "" if run[-1].cursor == run[0].cursor else f" to {printable(run[-1].cursor)}"
    return f"{first} to {last}, {len(run):,} rows, at {at}{until}"


def edge(value: int, unit: Unit) -> str:
    """An end of a span."""
    return str(value) if unit == "id" else datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
