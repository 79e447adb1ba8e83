"""`sync preview`: the exact request body for some rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import orjson

from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option
from smartico_sync.cli.output import echo, echo_lines
from smartico_sync.core.batches import encode
from smartico_sync.core.diff import NOTHING_KNOWN, diff
from smartico_sync.core.mapping import events
from smartico_sync.core.pipeline import PipelineOptions, held_against_rules, without_automation
from smartico_sync.daemon.wiring import protection_of
from smartico_sync.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["preview"]


@click.command()
@click.argument("name", metavar="VIEW")
@config_option
@click.option("--limit", type=click.IntRange(1, 1000), default=3, show_default=True, help="How many rows.")
def preview(name: str, path: Path, limit: int) -> int:
    """Show the exact request body for the first rows of VIEW, PII protected. Nothing is sent, nothing moves."""
    context = OperatorContext(path)
    configuration, view = context.configuration, context.view(name)
    with context.source(view) as (source, prepared), source.reading(prepared.relation) as reading:
        page, now_ms = reading.page(None, limit), reading.clock_ms
    mapped = events(prepared.mapping, page)
    options = PipelineOptions(prepared.mapping, b"", view.payload, view.on_invalid, view.future_tolerance, park_ms=0)
    sent, rejects, _ = held_against_rules(mapped, options, now_ms)
    if prepared.mapping.kind.role == "profile":
        sent = diff(sent, NOTHING_KNOWN, prepared.mapping.options.secret, "full").events
    protected = protection_of(configuration).apply(sent)
    body = encode(without_automation(protected) if view.skip_cjm == "always" else protected)
    echo_lines(
        orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
        if not sent.raw
        else body.decode().replace('},{"eid"', '},\n {"eid"')
    )
    for row, key, reason in rejects.iter_rows():
        echo(f"row {row + 1} (key {key}) would be a dead letter: {reason}", err=True)
    return ExitCode.FINE
