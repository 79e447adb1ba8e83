"""`smartico-sync preview`: the exact request body for some rows, and where each value of it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import orjson
from msgspec import Struct, to_builtins

from smartico_sync.cli.findings import Finding, show, wrapped
from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo, echo_lines, secho
from smartico_sync.cli.pretty_json import indented
from smartico_sync.core.batches import encode
from smartico_sync.core.column_uses import unfilled
from smartico_sync.core.diff import nothing_known
from smartico_sync.core.events import EID, KEY, POSITION
from smartico_sync.core.mapping import events
from smartico_sync.core.pipeline import prepare, without_automation
from smartico_sync.core.provenance import Settings, explained
from smartico_sync.daemon.wiring import protection_of
from smartico_sync.delivery.router import aliases_of, under_aliases
from smartico_sync.errors import ConfigError, ExitCode
from smartico_sync.tracking.clocks import now_ms as clock
from smartico_sync.tracking.newest_rows import repeated_keys
from smartico_sync.tracking.prepared_view import pipeline_options
from smartico_sync.tracking.stream_inspection import SAMPLE, sampled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import polars as pl

    from smartico_sync.config.models import View
    from smartico_sync.core.events import Events
    from smartico_sync.core.pipeline import PreparedBatch
    from smartico_sync.core.provenance import Explanation
    from smartico_sync.tracking.prepared_stream import PreparedStream
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["preview"]


class Preview(Struct, frozen=True):
    """Some rows of a view on their way: `page` as read, `batch` as prepared, `sent` as it leaves.

    `quiet`: the setting by which the events start no automations; empty where they may.
    """

    view: View
    prepared: PreparedView | PreparedStream
    page: pl.DataFrame
    batch: PreparedBatch
    sent: Events
    quiet: str


@click.command()
@click.argument("name", metavar="VIEW")
@config_option
@click.option("--limit", type=click.IntRange(1, 1000), default=3, show_default=True, help="How many rows.")
@click.option("--explain", is_flag=True, help="Say of each value where it comes from.")
@json_option
def preview(name: str, path: Path, limit: int, explain: bool, as_json: bool) -> int:
    """Show the exact request body for the first rows of VIEW, PII protected. Nothing is sent, nothing moves."""
    context = OperatorContext(path)
    made = previewed(context, context.view(name), limit)
    body = encode(made.sent).decode()
    findings = list(odd(made))
    if as_json:
        told = {
            "body": orjson.Fragment(body),
            "findings": [finding.told() for finding in findings],
            **({"explained": [to_builtins(each) for each in explanations(context, made)]} if explain else {}),
        }
        echo_lines(indented(orjson.dumps(told).decode()))
        return ExitCode.FINE
    echo_lines(indented(body))
    if explain:
        keys = dict(made.sent.frame.select(POSITION, KEY).iter_rows())
        for number, each in enumerate(explanations(context, made), 1):
            show_explanation(number, each, keys[each.row])
    for finding in findings:
        show(finding, err=True)
    return ExitCode.FINE


def previewed(context: OperatorContext, view: View, limit: int) -> Preview:
    """Read, map and protect the first rows, or the newest messages, as the daemon does."""
    configuration = context.configuration
    prepared: PreparedView | PreparedStream
    if context.is_broker(view):
        prepared, page, now_ms = newest_messages(context, view, limit)
    else:
        with context.source(view) as (source, prepared), source.reading(prepared.relation) as reading:
            page, now_ms = reading.page(None, limit), reading.clock_ms
    batch = prepare(page, pipeline_options(configuration, view, prepared), lambda _: nothing_known(), now_ms)
    sent = protection_of(configuration).apply(batch.send)
    row = context.known_row(view)
    first_load = row is None or row.level_ms == 0
    quiet = view.skip_cjm == "always" or (view.skip_cjm == "first_load" and first_load)
    if quiet:
        sent = without_automation(sent)
    sent = under_aliases(sent, aliases_of(configuration.smartico))
    return Preview(view, prepared, page, batch, sent, f"`skip_cjm: {view.skip_cjm}`" if quiet else "")


def newest_messages(context: OperatorContext, view: View, limit: int) -> tuple[PreparedStream, pl.DataFrame, int]:
    """The newest messages of a view as rows, the view as it is mapped, and now; what is skipped is said."""
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
            hint=f"smartico-sync run shows what becomes of them; smartico-sync dead-letters list --view {view.name} what was given up",
        )
    if not messages:
        click.echo("there is no message to show", err=True)
    return some.prepared, some.rows.tail(limit), clock()


def odd(made: Preview) -> Iterator[Finding]:
    """What a person should know of these events: rows that are none, ids that are not ids, and what a state would change."""
    subject, mapping = f"view {made.view.name}", made.prepared.mapping
    for row, key, reason, _ in made.batch.rejects.iter_rows():
        yield Finding("advice", subject, f"row {row + 1} (key {key}) would be a dead letter: {reason}")
    frame, clash = made.sent.frame, repeated_keys(made.prepared.mapping, made.page)
    for eid, rows in same_ids(frame):
        told = ", ".join(str(row + 1) for row in rows)
        yield Finding(
            "wrong", subject, f"rows {told} have one event id, {eid}: the API takes the first and drops the others",
            clash.hint if clash else "the rows are the same in all columns: nothing is lost",
        )  # fmt: skip
    for name in unfilled(mapping):
        yield Finding(
            "wrong", subject, f"events have no {name}, which {made.view.kind} needs: `columns:` leaves its column out",
            f"take that column out of `columns:`, or let another become it: `columns: {{YOUR_COLUMN: {name}}}`",
        )  # fmt: skip
    if not mapping.options.secret and (mapping.kind.role == "profile" or not mapping.relation.key):
        yield Finding(
            "advice", subject, "the eids are examples: without a state there is no secret yet, and these are made with it",
            "smartico-sync run makes the state; from then on they are exact",
        )  # fmt: skip


def same_ids(frame: pl.DataFrame) -> Iterator[tuple[str, list[int]]]:
    """Event ids that several rows have."""
    again = frame.filter(frame.get_column(EID).is_duplicated())
    for eid in again.get_column(EID).unique(maintain_order=True):
        yield eid, again.filter(again.get_column(EID) == eid).get_column(POSITION).to_list()


def explanations(context: OperatorContext, made: Preview) -> tuple[Explanation, ...]:
    """Where each value comes from, with what happens to it at the end."""
    pii, mapping = context.configuration.pii, made.prepared.mapping
    protected = pii.properties if pii.mode == "encrypt" else ()
    return explained(
        mapping,
        made.page,
        events(mapping, made.page).events,
        made.sent,
        Settings(
            constants={"skip_cjm": made.quiet} if made.quiet else {},
            protected=dict.fromkeys(protected, f"protected by {pii.encryptor}"),
            dropped=frozenset(pii.properties if pii.mode == "drop" else ()),
            aliases=aliases_of(context.configuration.smartico),
        ),
    )


def show_explanation(number: int, each: Explanation, key: str) -> None:
    """Print for a person."""
    echo()
    secho(wrapped(f"event {number}, of row {each.row + 1} (key {key})", "", "  "), bold=True)
    longest = max(len(part.name) for part in (*each.envelope, *each.payload))
    for part in (*each.envelope, *each.payload):
        indent = "  " if part in each.envelope else "    "
        start = f"{indent}{part.name:<{longest + 4 - len(indent)}}  "
        echo_lines(
            wrapped(part.how if part.origin == "column" else f"{part.origin}: {part.how}", start, " " * len(start))
        )
    for lost in each.left_out:
        start = f"    {lost.column:<{longest}}  "
        echo_lines(wrapped(f"left out: {lost.why}", start, " " * len(start)))
