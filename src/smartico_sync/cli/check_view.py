"""What `smartico-sync check` tries of one view: its columns, its newest rows, its key, index and cursors, and how late rows are found."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from smartico_sync.catalogue.kinds import kind
from smartico_sync.cli.check_report import ViewReport
from smartico_sync.cli.findings import Finding, Mark, failed
from smartico_sync.cli.mapping_findings import mapping_findings, misfit_findings, personal_findings
from smartico_sync.cli.row_findings import moment_findings, row_findings
from smartico_sync.config.personal import looks_identifying
from smartico_sync.core.column_changes import column_changes
from smartico_sync.core.definition import changes, stopping
from smartico_sync.core.late_commit.choice import protection
from smartico_sync.core.late_commit.view_definition import traits
from smartico_sync.core.pipeline import position_at
from smartico_sync.core.relation import IDS
from smartico_sync.core.survey import survey
from smartico_sync.errors import ExitCode, StateError, SyncError
from smartico_sync.tracking.cursor_checks import coarse
from smartico_sync.tracking.known_relation import refuse_known_relation
from smartico_sync.tracking.memory_budget import PAGE_BYTES
from smartico_sync.tracking.newest_rows import NEWEST, repeated_keys
from smartico_sync.tracking.prepared_view import (
    identified,
    pipeline_options,
    planned,
    prepare,
    prepare_known,
    stopped,
    under_secret,
)
from smartico_sync.tracking.row_width import RowWidth, until_it_fits
from smartico_sync.tracking.source_checks import CheckMemory, SourceChecks
from smartico_sync.tracking.view_identity import definition_of, recorded
from smartico_sync.tracking.view_start import just_before

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from smartico_sync.cli.operator_context import OperatorContext
    from smartico_sync.config.models import View
    from smartico_sync.core.records import ViewRow
    from smartico_sync.core.survey import Survey
    from smartico_sync.core.view_mapping import ViewMapping
    from smartico_sync.sources.protocol import Reading, Source
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["check_view"]

NEVER_CHANGING = ("ext_brand_id", "user_ext_id", "brand", "brand_id")  # a filter by these lets no row through later
FROM_START = 1000  # rows of the poll that is explained


def check_view(context: OperatorContext, view: View, source: Source) -> Iterator[Finding | ViewReport]:
    """One view: its report first, once there is one, then what was found."""
    configuration, subject = context.configuration, f"view {view.name}"
    mapping: ViewMapping | None = None
    try:
        mapping = planned(configuration, view, source)
        if mapping.misfits:
            yield ViewReport(view, configuration.pii, mapping)
            yield from misfit_findings(subject, view, mapping)
            return
        prepared = prepare(configuration, view, source)
        row = context.known_row(view)
        by_default = prepared
        if row is not None and not row.blank:
            prepared = prepare_known(configuration, view, source, row)
        elif row is None:
            refuse_if_known(context, view, source, prepared)
    except SyncError as error:
        if mapping is not None:
            yield ViewReport(view, configuration.pii, mapping)
            yield from personal_findings(configuration, subject, mapping)
        yield failed(subject, error)
        return
    try:
        width = RowWidth()
        head, nulls, newest, clock_ms = until_it_fits(width, partial(read_newest, source, prepared, width))
        found = discreet(prepared.mapping, survey(newest, pipeline_options(configuration, view, prepared), clock_ms))
        yield ViewReport(view, configuration.pii, prepared.mapping, found, head)
        if row is not None and not row.blank:
            yield from key_findings(subject, prepared.relation.key, by_default.relation.key)
            yield from change_findings(context, view, source, prepared, row)
        properties, key = len(prepared.mapping.properties), ", ".join(prepared.relation.key) or "none"
        yield Finding("fine", subject, f"{properties} properties, key {key}")
        if row is None and view.start_from not in ("first", "now"):
            yield from start_findings(subject, view, source, prepared)
        yield from hidden_findings(subject, source, prepared)
        yield from mapping_findings(configuration, subject, view, prepared.mapping)
        yield from row_findings(subject, view, prepared.mapping, found)
        yield from moment_findings(subject, prepared.mapping, found)
        yield from order_findings(subject, prepared, source, newest, nulls)
        for advice in prepared.advice:
            yield Finding("advice", subject, advice.what, advice.hint)
        yield from late_findings(subject, view, prepared)
    except SyncError as error:
        yield failed(subject, error)


def refuse_if_known(context: OperatorContext, view: View, source: Source, prepared: PreparedView) -> None:
    """Make sure that a view that is new to the state would not send what was sent before. Raises ViewMisconfigured."""
    with suppress(StateError), context.reading() as store:
        if not any(row.identity == (view.identity or view.name) for row in store.views()):
            refuse_known_relation(context.configuration, view, under_secret(prepared, store), source, store)


def discreet(mapping: ViewMapping, found: Survey) -> Survey:
    """The same without the values of columns that probably say who somebody is."""
    if looks_identifying(mapping.options.type_column):
        found = replace(found, roleless=())
    if any(looks_identifying(name) for name in mapping.relation.key):
        found = replace(found, refused=tuple(replace(each, keys=()) for each in found.refused))
    return found


def key_findings(subject: str, tracked: tuple[str, ...], by_default: tuple[str, ...]) -> Iterator[Finding]:
    """Whether the view is tracked by another key than it would have by default now."""
    if tracked != by_default:
        how = f"by key {', '.join(tracked)}" if tracked else "without a key"
        yield Finding(
            "advice",
            subject,
            f"it is tracked {how}, and goes on like that; {', '.join(by_default) or 'none'} would be its key by default now",
            "nothing has to be done; for the other key: a view of another name and identity, with `start_from: now`",
        )


def change_findings(
    context: OperatorContext, view: View, source: Source, prepared: PreparedView, row: ViewRow
) -> Iterator[Finding]:
    """Whether the view is another one than it was tracked as. Raises ViewMisconfigured where that stops it."""
    found = changes(recorded(row), definition_of(context.configuration, view, prepared.mapping))
    if lasting := stopping(found, "anew" if row.head is None else "kept"):
        raise stopped(view.name, lasting)
    found = tuple(each for each in found if each.weight == "to verify")
    yield from column_findings(context, view, prepared, row)
    if found:
        with context.reading() as store, source.reading(prepared.relation) as reading:
            known = identified(prepared, row, store)
            told = SourceChecks(view, store, known, CheckMemory()).verify(reading, found)
        yield Finding("advice", f"view {view.name}", told)


def column_findings(context: OperatorContext, view: View, prepared: PreparedView, row: ViewRow) -> Iterator[Finding]:
    """Whether the columns that are sent are others than those it was tracked with."""
    now = definition_of(context.configuration, view, prepared.mapping)
    if found := column_changes(recorded(row), now, prepared.relation):
        told, hint = f"columns of the view changed: {found.told}", found.hint(view.name, prepared.mapping.kind.role)
        mark: Mark = "wrong" if view.on_schema_change == "stop" else "advice"
        yield Finding(mark, f"view {view.name}", told, hint, ExitCode.CONFIGURATION)


def start_findings(subject: str, view: View, source: Source, prepared: PreparedView) -> Iterator[Finding]:
    """Where a view begins that was never tracked. Raises ConfigError for what is no value of its cursor."""
    before = just_before(view, prepared, source)
    with source.reading(prepared.relation) as reading:
        there = before is None or reading.page(before, 1).height
    if not there:
        told = f"no row lies at or after `start_from: {view.start_from}`: nothing is sent before one does"
        yield Finding("advice", subject, told, "is it meant so? `start_from: now` begins with what comes from now on")


def hidden_findings(subject: str, source: Source, prepared: PreparedView) -> Iterator[Finding]:
    """Whether the user sees all rows."""
    if hidden := source.hidden(prepared.relation):
        yield Finding(
            "advice",
            subject,
            f"some of its rows may be hidden from this user, and are never sent: {hidden}",
            "let the user see all rows: ALTER ROLE … BYPASSRLS, or a policy FOR SELECT TO the user USING (true)",
        )


def order_findings(
    subject: str, prepared: PreparedView, source: Source, newest: pl.DataFrame, nulls: int
) -> Iterator[Finding]:
    """Whether rows are told apart, the poll finds them by an index, and cursors are there."""
    if error := repeated_keys(prepared.mapping, newest):
        yield failed(subject, error)
    grain = coarse(newest, prepared.relation)
    if grain and prepared.choice.mechanism is not None:
        yield Finding("fine", subject, f"the cursor holds whole {grain}: late rows are looked for from their end on")
    plan = source.plan(prepared.relation, None, FROM_START)
    if plan.uses_index is False:
        summary = (
            plan.summary or f"no index serves the cursor {prepared.relation.cursor}: each poll reads the whole table"
        )
        yield Finding("advice", subject, summary, plan.advice)
    elif plan.uses_index or plan.summary:
        yield Finding("fine", subject, plan.summary or f"an index serves the cursor {prepared.relation.cursor}")
    if nulls:
        names = dict.fromkeys((prepared.relation.cursor, *prepared.relation.key))
        yield Finding(
            "advice",
            subject,
            f"{nulls} rows have a NULL in {' or '.join(names)} and are never sent",
            "fill it in the view; for rows without a cursor see `on_null_cursor`",
        )
    if not prepared.relation.key:
        yield Finding(
            "advice", subject, "no unique key: rows of one cursor value travel together", "name it with `key:`"
        )


def late_findings(subject: str, view: View, prepared: PreparedView) -> Iterator[Finding]:
    """How rows that come late are found, and what in the view's definition makes them come late."""
    choice = prepared.choice
    if choice.mechanism is None:
        yield Finding("advice", subject, f"late commits: none, {choice.problem or choice.why}", choice.hint)
    else:
        doubtful = choice.promise == "in doubt"
        hint = "choose a time as cursor, or `late_commit: lookback`; smartico-sync reconcile finds what slips through"
        told = f"late commits: {choice.mechanism}, {choice.why}"
        yield Finding("advice" if doubtful else "fine", subject, told, hint if doubtful else "")
    own = (prepared.relation.cursor, *prepared.relation.key, *NEVER_CHANGING)
    profiles = kind(view.kind).role == "profile"
    by_id = prepared.relation.cursor_column.family in IDS
    for trait in traits(prepared.definition, own):
        if trait.name == "outer join" and not profiles:
            continue  # what we teach: the row is there at once
        swept = profiles and trait.name in ("inner join", "outer join", "group") and view.sweep is not None
        protected = protection(choice.mechanism) + ("; `sweep` finds and sends changed profiles" if swept else "")
        mild = (swept and trait.name != "inner join") or (
            trait.name in ("filter", "union") and not by_id and choice.mechanism in ("fence + lookback", "lookback")
        )
        yield Finding("fine" if mild else "advice", subject, f"{trait.what}; {protected}", "" if mild else trait.hint)


def read_newest(source: Source, prepared: PreparedView, width: RowWidth) -> tuple[str | None, int, pl.DataFrame, int]:
    """The head, how many rows have no place in the order, the newest rows, and the source's clock."""
    with source.reading(prepared.relation) as reading:
        head, nulls = reading.head(), reading.null_cursors()
        newest = reading.newest(width.fitting(NEWEST, PAGE_BYTES))
        if head is not None:
            read_again(reading, newest)
        return head, nulls, newest, reading.clock_ms


def read_again(reading: Reading, newest: pl.DataFrame) -> None:
    """Read the newest row and poll after it, as the daemon does; a page from the start may cost more than it shows."""
    if newest.height:
        position = position_at(newest, newest.height - 1)
        reading.rows([position])
        reading.page(position, 1)
