"""`sync reconcile`: the source against what was acknowledged."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from smartico_sync.cli.operator_context import OperatorContext, print_json
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.printable import printable
from smartico_sync.core.reason_codes import UNACKNOWLEDGED
from smartico_sync.errors import ConfigError, ExitCode
from smartico_sync.tracking.reconciliation import Depth, Reconciliation, Unit, compare, span, units

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from smartico_sync.config.models import View
    from smartico_sync.core.position import Position
    from smartico_sync.core.records import ViewRow

__all__ = ["reconcile"]

SHOWN = 20  # runs of rows, and buckets, that are printed; --json has all
REASON = "never acknowledged, found by a comparison"


@click.command()
@click.option("--view", "names", multiple=True, metavar="VIEW", help="Only this view; repeatable. Else all of them.")
@click.option("--from", "low", metavar="TIME|ID", help="Begin here; else a day before the end.")
@click.option(
    "--to",
    "high",
    metavar="TIME|ID",
    help="End here; else at the watermark, above which nothing is closed; at the head where there is none yet.",
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

    Reads the source beside a running daemon, an hour at a time (3.6 million ids). Ends with 0 when nothing is missing or
    the missing rows are sent, else with 6.
    """
    context = OperatorContext(path)
    views = [context.view(name) for name in names] or list(context.configuration.views)
    compared = [(view, comparison_of(context, view, low, high, "counts" if counts else "keys")) for view in views]
    if as_json:
        print_json([told(view, comparison) for view, comparison in compared])
    missing = 0
    for view, comparison in compared:
        if not as_json:
            show(view.name, comparison)
        if isinstance(comparison, str) or not comparison.missing_rows:
            continue
        missing += comparison.missing_rows
        if send:
            rows = [[position.cursor, *position.key] for position in comparison.missing]
            context.call("enqueue", view=view.name, rows=rows, code=UNACKNOWLEDGED, reason=REASON)
            click.echo(f"{view.name}: {len(rows)} rows are queued; the daemon sends them at its next poll", err=as_json)
    if missing and not send and not as_json:
        click.echo("next: sync reconcile --send has them read again and sent")
    return ExitCode.DEAD_LETTERS if missing and not send else ExitCode.FINE


def comparison_of(
    context: OperatorContext, view: View, low: str | None, high: str | None, depth: Depth
) -> Reconciliation | str:
    """Compare one view; the reason where nothing can be compared. ConfigError for ends that are the wrong way round."""
    with context.reading() as store, context.source(view) as (source, prepared):
        first, last = (None if text is None else units(prepared, text) for text in (low, high))
        if first is not None and last is not None and first >= last:
            raise ConfigError(f"--from {low} is not before --to {high}", hint="name the earlier end with --from")
        row = store.view(view.name)
        if row is not None and row.watermark is None:
            row = replace(row, watermark=row.head)  # after `run --once`, or in a first load: all of it can be compared
        over = None if row is None else span(prepared, store, row, first, last)
        if over is None:
            return why_nothing(row)
        return compare(prepared, source, store, view.name, over, depth=depth)


def why_nothing(row: ViewRow | None) -> str:
    """Why nothing of a view can be compared."""
    if row is None:
        return "it was never tracked; next: sync run"
    if row.head is None:
        return "nothing was delivered yet; next: sync status"
    top = row.watermark or row.head
    return f"nothing of that lies at or below its watermark, {printable(top.cursor)}"


def told(view: View, comparison: Reconciliation | str) -> dict[str, Any]:
    """A comparison for a program."""
    if isinstance(comparison, str):
        return {"view": view.name, "compared": None, "reason": comparison}
    return {"view": view.name, "compared": asdict(comparison)}


def show(name: str, comparison: Reconciliation | str) -> None:
    """A comparison for a person."""
    if isinstance(comparison, str):
        click.echo(f"{name}: {comparison}")
        return
    over = comparison.span
    between = f"{edge(over.low, comparison.unit)} to {edge(over.high, comparison.unit)}"
    if not comparison.differing:
        click.secho(f"✓ {name}: {comparison.source:,} rows from {between}, all acknowledged", fg="green")
        return
    click.secho(f"✗ {name}: from {between}", fg="red")
    for bucket in comparison.differing[:SHOWN]:
        pruned = "; the keys are pruned, so none can be named" if bucket.keys == "pruned" else ""
        click.echo(
            f"    {edge(bucket.low, comparison.unit)}: source {bucket.source:,}, ledger {bucket.ledger:,}: "
            f"{bucket.missing:,} never acknowledged, {bucket.extra:,} gone from the source{pruned}"
        )
    runs = list(ranges(comparison.missing))
    for run in runs[:SHOWN]:
        click.echo(f"    missing: {named(run)}")
    left = comparison.missing_rows - sum(len(run) for run in runs[:SHOWN])
    if left:
        click.echo(f"    … {left:,} more; --json lists them")


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
