"""`sync check`: everything is tried, nothing is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click
import polars as pl

from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option
from smartico_sync.config.load import load
from smartico_sync.config.personal import undecided_pii
from smartico_sync.core.column_changes import column_changes
from smartico_sync.core.definition import changes
from smartico_sync.core.late_commit.choice import protection
from smartico_sync.core.late_commit.view_definition import traits
from smartico_sync.core.relation import IDS
from smartico_sync.daemon.wiring import protection_of
from smartico_sync.delivery.router import Router
from smartico_sync.errors import ExitCode, SyncError
from smartico_sync.sources.registry import open_source
from smartico_sync.tracking.cursor_checks import coarse
from smartico_sync.tracking.newest_rows import newest_rows, repeated_keys
from smartico_sync.tracking.prepared_view import PreparedView, identified, prepare, prepare_known, stopped
from smartico_sync.tracking.source_checks import CheckMemory, SourceChecks
from smartico_sync.tracking.view_identity import definition_of, recorded
from smartico_sync.tracking.view_start import just_before

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from smartico_sync.config.models import Configuration, View
    from smartico_sync.core.records import ViewRow
    from smartico_sync.sources.protocol import Reading, Source

__all__ = ["check"]

NEVER_CHANGING = ("ext_brand_id", "user_ext_id", "brand", "brand_id")  # a filter by these lets no row through later
MARKS = {"fine": ("✓", "green"), "advice": ("!", "yellow"), "wrong": ("✗", "red")}


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that was tried. `code` is the exit code it stands for."""

    mark: Literal["fine", "advice", "wrong"]
    subject: str
    message: str
    hint: str = ""
    code: ExitCode = ExitCode.FINE


@click.command()
@config_option
def check(path: Path) -> int:
    """Try everything without sending: configuration, databases, columns, indexes, late commits, the API.

    Says what to change. Ends with 0 when the daemon would deliver, else with the code of the first thing that is wrong.
    """
    warnings: list[str] = []
    configuration = load(path, warnings=warnings)
    protection_of(configuration)
    results = [Result("fine", str(path), f"{len(configuration.views)} views of {len(configuration.sources)} sources")]
    results += [Result("advice", str(path), warning) for warning in warnings]
    for result in results:
        show(result)
    for name in configuration.sources:
        source = open_source(name, configuration.sources[name])
        try:
            for result in source_results(OperatorContext(path), name, source):
                show(result)
                results.append(result)
        finally:
            source.close()
    for result in api_results(configuration, path.absolute().parent):
        show(result)
        results.append(result)
    wrong = [result for result in results if result.mark == "wrong"]
    click.echo("nothing was sent" if not wrong else f"{len(wrong)} things to mend; nothing was sent")
    return wrong[0].code if wrong else ExitCode.FINE


def show(result: Result) -> None:
    """Print one result."""
    sign, colour = MARKS[result.mark]
    click.secho(f"{sign} ", fg=colour, nl=False)
    told = result.message.removeprefix(f"{result.subject}: ")
    click.echo(f"{result.subject}: {told}")
    if result.hint:
        click.echo(f"    next: {result.hint}")


def source_results(context: OperatorContext, name: str, source: Source) -> Iterator[Result]:
    """A source, then each of its views."""
    configuration = context.configuration
    try:
        facts = source.facts()
    except SyncError as error:
        yield Result("wrong", f"source {name}", error.message, error.hint, error.exit_code)
        return
    lag = "" if facts.replay_lag_ms is None else f", replay lag {facts.replay_lag_ms} ms"
    yield Result("fine", f"source {name}", f"{facts.engine} {facts.version}, {facts.role}{lag}")
    for warning in facts.warnings:
        yield Result("advice", f"source {name}", warning)
    for view in configuration.views:
        if view.source == name:
            yield from view_results(context, view, source)


def view_results(context: OperatorContext, view: View, source: Source) -> Iterator[Result]:
    """One view: columns, key, index, cursors, late commits."""
    subject = f"view {view.name}"
    try:
        prepared = prepare(context.configuration, view, source)
        row = context.known_row(view)
        if row is not None and row.head is not None:
            by_default, prepared = prepared, prepare_known(context.configuration, view, source, row)
            yield from key_results(subject, prepared.relation.key, by_default.relation.key)
            yield from change_results(context, view, source, prepared, row)
        yield Result(
            "fine",
            subject,
            f"{len(prepared.mapping.properties)} properties, key {', '.join(prepared.relation.key) or 'none'}",
        )
        if row is None and view.start_from not in ("first", "now"):
            yield from start_results(view, source, prepared)
        yield from personal_results(context.configuration, subject, prepared)
        yield from order_results(subject, prepared, source)
        for advice in prepared.advice:
            yield Result("advice", subject, advice.what, advice.hint)
        yield from late_results(subject, view, prepared)
    except SyncError as error:
        yield Result("wrong", subject, error.message, error.hint, error.exit_code)


def start_results(view: View, source: Source, prepared: PreparedView) -> Iterator[Result]:
    """Where a view begins that was never tracked. Raises ConfigError for what is no value of its cursor."""
    before = just_before(view, prepared, source)
    with source.reading(prepared.relation) as reading:
        there = before is None or reading.page(before, 1).height
    if not there:
        told = f"no row lies at or after `start_from: {view.start_from}`: nothing is sent before one does"
        yield Result(
            "advice", f"view {view.name}", told, "is it meant so? `start_from: now` begins with what comes from now on"
        )


def personal_results(configuration: Configuration, subject: str, prepared: PreparedView) -> Iterator[Result]:
    """Ask for a decision about what says who somebody is."""
    sent = {known.name: [column.name for column in known.columns] for known in prepared.mapping.properties}
    if undecided := undecided_pii(configuration, sent):
        yield Result(
            "advice",
            subject,
            f"{', '.join(undecided)} {'is' if len(undecided) == 1 else 'are'} personal and would leave in the clear",
            "decide: `pii.in_the_clear` lists what may, `pii.properties` what is to be protected (texts only: Smartico checks the "
            "type of a date), `columns: {name: null}` leaves it out",
        )


def key_results(subject: str, tracked: tuple[str, ...], by_default: tuple[str, ...]) -> Iterator[Result]:
    """Whether the view is tracked by another key than it would have by default now."""
    if tracked != by_default:
        how = f"by key {', '.join(tracked)}" if tracked else "without a key"
        yield Result(
            "advice",
            subject,
            f"it is tracked {how}, and goes on like that; {', '.join(by_default) or 'none'} would be its key by default now",
            "nothing has to be done; for the other key: a view of another name and identity, with `start_from: now`",
        )


def change_results(
    context: OperatorContext, view: View, source: Source, prepared: PreparedView, row: ViewRow
) -> Iterator[Result]:
    """Whether the view is another one than it was tracked as. Raises ViewMisconfigured where that stops it."""
    found = changes(recorded(row), definition_of(context.configuration, view, prepared.mapping))
    if stopping := [change for change in found if change.weight == "stops"]:
        raise stopped(view.name, stopping)
    yield from column_results(context, view, prepared, row)
    if found:
        with context.reading() as store, source.reading(prepared.relation) as reading:
            known = identified(prepared, row, store)
            told = SourceChecks(view, store, known, CheckMemory()).verify(reading, found)
        yield Result("advice", f"view {view.name}", told)


def column_results(context: OperatorContext, view: View, prepared: PreparedView, row: ViewRow) -> Iterator[Result]:
    """Whether the columns that are sent are others than those it was tracked with."""
    now = definition_of(context.configuration, view, prepared.mapping)
    if found := column_changes(recorded(row), now, prepared.relation):
        told, hint = f"columns of the view changed: {found.told}", found.hint(view.name, prepared.mapping.kind.role)
        mark: Literal["advice", "wrong"] = "wrong" if view.on_schema_change == "stop" else "advice"
        yield Result(mark, f"view {view.name}", told, hint, ExitCode.CONFIGURATION)


def order_results(subject: str, prepared: PreparedView, source: Source) -> Iterator[Result]:
    """Whether the poll finds its rows by an index, and whether cursors are there."""
    with source.reading(prepared.relation) as reading:
        head = reading.head()
        if head is not None:
            read_newest(reading, head)
        nulls = reading.null_cursors()
        newest = newest_rows(reading, prepared) if prepared.relation.key else pl.DataFrame()
    if error := repeated_keys(prepared, newest):
        yield Result("wrong", subject, error.message, error.hint, error.exit_code)
    if hidden := source.hidden(prepared.relation):
        yield Result(
            "advice",
            subject,
            f"some of its rows may be hidden from this user, and are never sent: {hidden}",
            "let the user see all rows: ALTER ROLE … BYPASSRLS, or a policy FOR SELECT TO the user USING (true)",
        )
    grain = coarse(newest, prepared.relation)
    if grain and prepared.choice.mechanism is not None:
        yield Result("fine", subject, f"the cursor holds whole {grain}: late rows are looked for from their end on")
    plan = source.plan(prepared.relation, None, 1000)
    if plan.uses_index is False:
        summary = (
            plan.summary or f"no index serves the cursor {prepared.relation.cursor}: each poll reads the whole table"
        )
        yield Result("advice", subject, summary, plan.advice)
    elif plan.uses_index or plan.summary:
        yield Result("fine", subject, plan.summary or f"an index serves the cursor {prepared.relation.cursor}")
    if nulls:
        yield Result(
            "advice",
            subject,
            f"{nulls} rows have a NULL {prepared.relation.cursor} and are never sent",
            "fill the cursor, or see `on_null_cursor`",
        )
    if not prepared.relation.key:
        yield Result(
            "advice", subject, "no unique key: rows of one cursor value travel together", "name it with `key:`"
        )


def late_results(subject: str, view: View, prepared: PreparedView) -> Iterator[Result]:
    """How rows that come late are found, and what in the view's definition makes them come late."""
    choice = prepared.choice
    if choice.mechanism is None:
        yield Result("advice", subject, f"late commits: none, {choice.problem or choice.why}", choice.hint)
    else:
        yield Result("fine", subject, f"late commits: {choice.mechanism}, {choice.why}")
    own = (prepared.relation.cursor, *prepared.relation.key, *NEVER_CHANGING)
    profiles = prepared.mapping.kind.role == "profile"
    by_id = prepared.relation.cursor_column.family in IDS
    for trait in traits(prepared.definition, own):
        if trait.name == "outer join" and not profiles:
            continue  # what we teach: the row is there at once
        swept = profiles and trait.name in ("inner join", "outer join", "group") and view.sweep is not None
        protected = protection(choice.mechanism) + ("; `sweep` finds and sends changed profiles" if swept else "")
        mild = (swept and trait.name != "inner join") or (
            trait.name in ("filter", "union") and not by_id and choice.mechanism in ("fence + lookback", "lookback")
        )
        yield Result("fine" if mild else "advice", subject, f"{trait.what}; {protected}", "" if mild else trait.hint)


def read_newest(reading: Reading, head: str) -> None:
    """Read the newest row and poll after it, as the daemon does; a page from the start may cost more than it shows."""
    from smartico_sync.core.pipeline import position_at  # noqa: PLC0415 - one command in many needs it

    newest = reading.keys(head, head, 1)
    if newest.height:
        position = position_at(newest, 0)
        reading.rows([position])
        reading.page(position, 1)


def api_results(configuration: Configuration, base: Path) -> Iterator[Result]:
    """Whether the API answers an empty request."""
    try:
        delivery = Router(configuration.smartico, base)
    except SyncError as error:
        yield Result("wrong", "API", error.message, error.hint, error.exit_code)
        return
    try:
        for probe in delivery.probe():
            if probe.wrong:
                yield Result("wrong", f"API {probe.name}", probe.wrong, probe.hint, ExitCode.API)
            else:
                yield Result("fine", f"API {probe.name}", f"answers in {probe.seconds * 1000:.0f} ms")
    finally:
        delivery.close(0)
