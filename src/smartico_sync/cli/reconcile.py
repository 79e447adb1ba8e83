"""`sync reconcile`: the source against what was acknowledged."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from smartico_sync.cli.operator_context import OperatorContext, print_json
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo, secho
from smartico_sync.core.reason_codes import UNACKNOWLEDGED
from smartico_sync.errors import ExitCode
from smartico_sync.tracking.reconciliation import Depth, Reconciliation, Unit, compare, span, units

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.config.models import View

__all__ = ["reconcile"]

SHOWN = 20  # rows and buckets that are printed; --json has all
REASON = "never acknowledged, found by a comparison"


@click.command()
@click.option("--view", "names", multiple=True, metavar="VIEW", help="Only this view; repeatable. Else all of them.")
@click.option("--from", "low", metavar="TIME|ID", help="Begin here; else a day before the end.")
@click.option("--to", "high", metavar="TIME|ID", help="End here; else at the watermark, above which nothing is closed.")
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
        if comparison is None or not comparison.missing_rows:
            continue
        missing += comparison.missing_rows
        if send:
            rows = [[position.cursor, *position.key] for position in comparison.missing]
            context.call("enqueue", view=view.name, rows=rows, code=UNACKNOWLEDGED, reason=REASON)
            echo(f"{view.name}: {len(rows)} rows are queued; the daemon sends them at its next poll", err=as_json)
    if missing and not send and not as_json:
        echo("next: sync reconcile --send has them read again and sent")
    return ExitCode.DEAD_LETTERS if missing and not send else ExitCode.FINE


def comparison_of(
    context: OperatorContext, view: View, low: str | None, high: str | None, depth: Depth
) -> Reconciliation | None:
    """Compare one view; None when nothing is closed yet."""
    with context.reading() as store, context.source(view) as (source, prepared):
        row = store.view(view.name)
        if row is None:
            return None
        ends = [None if text is None else units(prepared, text) for text in (low, high)]
        over = span(prepared, store, row, *ends)
        return None if over is None else compare(prepared, source, store, view.name, over, depth=depth)


def told(view: View, comparison: Reconciliation | None) -> dict[str, Any]:
    """A comparison for a program."""
    return {"view": view.name, "compared": None if comparison is None else asdict(comparison)}


def show(name: str, comparison: Reconciliation | None) -> None:
    """A comparison for a person."""
    if comparison is None:
        echo(f"{name}: nothing is closed yet")
        return
    over = comparison.span
    between = f"{edge(over.low, comparison.unit)} to {edge(over.high, comparison.unit)}"
    if not comparison.differing:
        secho(f"✓ {name}: {comparison.source:,} rows from {between}, all acknowledged", fg="green")
        return
    secho(f"✗ {name}: from {between}", fg="red")
    for bucket in comparison.differing[:SHOWN]:
        pruned = "; the keys are pruned, so none can be named" if bucket.keys == "pruned" else ""
        echo(
            f"    {edge(bucket.low, comparison.unit)}: source {bucket.source:,}, ledger {bucket.ledger:,}: "
            f"{bucket.missing:,} never acknowledged, {bucket.extra:,} gone from the source{pruned}"
        )
    for position in comparison.missing[:SHOWN]:
        echo(f"    missing: {', '.join(position.key) or 'a row'} at {position.cursor}")
    if comparison.missing_rows > SHOWN:
        echo(f"    … {comparison.missing_rows - SHOWN:,} more; --json lists them")


def edge(value: int, unit: Unit) -> str:
    """An end of a span."""
    return str(value) if unit == "id" else datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
