"""`sync preview`: the exact request body for some rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import orjson

from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option
from smartico_sync.core.batches import encode
from smartico_sync.core.diff import NOTHING_KNOWN, diff
from smartico_sync.core.mapping import events
from smartico_sync.core.pipeline import PipelineOptions, held_against_rules, without_automation
from smartico_sync.daemon.wiring import protection_of
from smartico_sync.errors import ConfigError, ExitCode
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.stream_inspection import SAMPLE, sampled

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from smartico_sync.config.models import View
    from smartico_sync.core.view_mapping import ViewMapping

__all__ = ["preview"]


@click.command()
@click.argument("name", metavar="VIEW")
@config_option
@click.option("--limit", type=click.IntRange(1, 1000), default=3, show_default=True, help="How many rows.")
def preview(name: str, path: Path, limit: int) -> int:
    """Show the exact request body for the first rows of VIEW, or its newest messages, PII protected. Nothing is sent, nothing moves."""
    context = OperatorContext(path)
    configuration, view = context.configuration, context.view(name)
    if context.is_broker(view):
        mapping, page, clock_ms = newest_messages(context, view, limit)
    else:
        with context.source(view) as (source, prepared), source.reading(prepared.relation) as reading:
            mapping, page, clock_ms = prepared.mapping, reading.page(None, limit), reading.clock_ms
    mapped = events(mapping, page)
    options = PipelineOptions(mapping, b"", view.payload, view.on_invalid, view.future_tolerance, park_ms=0)
    sent, rejects, _ = held_against_rules(mapped, options, clock_ms)
    if mapping.kind.role == "profile":
        sent = diff(sent, NOTHING_KNOWN, mapping.options.secret, "full").events
    protected = protection_of(configuration).apply(sent)
    body = encode(without_automation(protected) if view.skip_cjm == "always" else protected)
    click.echo(
        orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
        if not sent.raw
        else body.decode().replace('},{"eid"', '},\n {"eid"')
    )
    for row, key, reason in rejects.iter_rows():
        click.echo(f"row {row + 1} (key {key}) would be a dead letter: {reason}", err=True)
    return ExitCode.FINE


def newest_messages(context: OperatorContext, view: View, limit: int) -> tuple[ViewMapping, pl.DataFrame, int]:
    """The newest messages of a view as rows, its mapping, and now; what is skipped is said."""
    with context.broker(view) as (stream, feed):
        messages = stream.sample(feed, max(limit, SAMPLE))
    row = context.known_row(view)
    if row is None:
        some = sampled(context.configuration, view, messages)
    else:
        with context.reading() as store:
            some = sampled(context.configuration, view, messages, row, store)
    for reason, count in some.table.skipped.items():
        click.echo(f"{count} of the newest messages are skipped: {reason}", err=True)
    if not messages and not context.can_replay(view):
        raise ConfigError(
            f"view {view.name}: the broker shows no message: a queue gives each of them once, and only a stream can be looked into",
            hint=f"sync run shows what becomes of them; sync dead-letters list --view {view.name} what was given up",
        )
    if not messages:
        click.echo("there is no message to show", err=True)
    return some.prepared.mapping, some.rows.tail(limit), now_ms()
