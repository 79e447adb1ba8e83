"""What must be known before a view's first poll: its columns, its key, its mapping, how its late rows are found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smartico_sync.catalogue.engines import ENGINES
from smartico_sync.catalogue.kinds import kind
from smartico_sync.config.personal import holds_personal, unprotected_pii
from smartico_sync.core.late_commit.choice import Choice, choose
from smartico_sync.core.late_commit.mechanism import TIMES
from smartico_sync.core.mapping import Options, ViewMapping, keys_of, plan
from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ConfigError, ViewBroken, ViewMisconfigured
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.view_identity import definition_of, recorded, refuse_known_relation, row_of, where

if TYPE_CHECKING:
    from smartico_sync.config.models import Configuration, View
    from smartico_sync.core.definition import Definition
    from smartico_sync.core.records import ViewRow
    from smartico_sync.sources.protocol import Source
    from smartico_sync.state.store import Store

__all__ = ["PreparedView", "identified", "open_view", "options", "prepare", "relation_of"]


@dataclass(frozen=True, slots=True)
class PreparedView:
    """A view, ready to poll."""

    relation: Relation
    mapping: ViewMapping
    choice: Choice


def relation_of(view: View, timezone: str) -> Relation:
    """The relation as configured, not described yet."""
    return Relation(view.name, view.cursor, (), view.relation, view.query, timezone)


def options(view: View) -> Options:
    """The mapping's options as configured."""
    roles = {view.type.bet: "bet", view.type.win: "win"} if view.type else {}
    return Options(
        columns=view.columns,
        type_column=view.type.column if view.type else "",
        roles=roles,
        event_type=view.event_type or "",
        event_date=view.event_date or "",
        brand=view.brand or "",
        on_null=view.on_null,
    )


def prepare(configuration: Configuration, view: View, source: Source) -> PreparedView:
    """Describe the relation and plan its mapping.

    Raises ViewBroken when the relation cannot be this kind, ConfigError when personal data would leave unprotected or
    the late-commit policy cannot work here, and what the source raises.
    """
    described = source.describe(relation_of(view, configuration.sources[view.source].timezone))
    chosen = options(view)
    key = keys_of(kind(view.kind), view.key, described.columns, chosen.type_column)
    relation = replace(described, key=key)
    if missing := [name for name in key if relation.column(name) is None]:
        raise ViewBroken(
            f"view {view.name}: {where(view)} has no column {missing[0]}, which key: names",
            hint="name the columns that make a row unique with key:, or key: [] for none",
        )
    names = (column.name for column in relation.columns)
    blind = frozenset(name for name in names if holds_personal(configuration.pii, view, name))
    mapping = plan(view.name, kind(view.kind), relation, replace(chosen, blind=blind))
    if mapping.problems:
        more = f" (and {len(mapping.problems) - 1} more)" if len(mapping.problems) > 1 else ""
        raise ViewBroken(
            f"view {view.name}: {where(view)}: {mapping.problems[0]}{more}",
            hint="sync check --config … lists what is missing",
        )
    if open_names := unprotected_pii(configuration, view, [known.name for known in mapping.properties]):
        raise ConfigError(
            f"view {view.name}: {', '.join(open_names)} would leave in the clear",
            hint="add the property to pii.properties, or leave the column out with columns: {name: null}",
        )
    choice = choose(view.late_commit, relation.cursor_column.family, ENGINES[source.engine].ids, source.facts().fence)
    if choice.problem and view.late_commit != "auto":
        raise ConfigError(f"view {view.name}: {choice.problem}", hint=choice.hint)
    return PreparedView(relation, mapping, choice)


def open_view(configuration: Configuration, view: View, source: Source, store: Store) -> tuple[PreparedView, ViewRow]:
    """Prepare the view and read its row in the state, made at the very first start.

    Raises what `prepare` raises, and ViewMisconfigured when the view was tracked under another cursor or key.
    """
    prepared = prepare(configuration, view, source)
    row = row_of(configuration, view, store)
    defined = definition_of(configuration, view, prepared.mapping)
    if row is None:
        refuse_known_relation(configuration, view, defined, store)
        start_from = store.start_of(view.name) or view.start_from
        view = view.model_copy(update={"start_from": start_from})
        row = store.begin(view.name, defined.text(), start_from, now_ms(), identity=view.identity or "")
        start = first_position(view, prepared, source)
        if start is not None:
            store.commit(Commit(view.name, now_ms(), head=start, watermark=start))
            row = replace(row, head=start, watermark=start)
    elif told(recorded(row)) != told(defined):
        if row.head is not None:
            raise ViewMisconfigured(
                f"view {view.name} was tracked as {told(recorded(row))} and is now {told(defined)}: its watermark means nothing",
                hint="set the old cursor and key again; or give what comes from now on to a view of another name and identity, "
                "with start_from: now",
            )
        row = store.redefine(view.name, defined.text())
    return identified(prepared, row, store), row


def identified(prepared: PreparedView, row: ViewRow, store: Store) -> PreparedView:
    """The prepared view whose event ids are those of the state. Raises ViewMisconfigured when a column of theirs is gone."""
    id_columns = recorded(row).identity
    if gone := [name for name in id_columns if prepared.relation.column(name) is None]:
        raise ViewMisconfigured(
            f"view {prepared.relation.name}: its event ids are made of column {gone[0]}, which it has no more",
            hint=f"let the view have {gone[0]} again; without it the same rows would be sent under new ids",
        )
    chosen = replace(
        prepared.mapping.options,
        identity=row.identity,
        id_columns=id_columns,
        generation=row.generation,
        secret=store.secret,
    )
    return replace(prepared, mapping=replace(prepared.mapping, options=chosen))


def first_position(view: View, prepared: PreparedView, source: Source) -> Position | None:
    """Where the first start begins: None at the first row."""
    if view.start_from == "first":
        return None
    if view.start_from != "now":
        return Position(view.start_from)
    dated = prepared.relation.cursor_column.family in TIMES
    with source.reading(prepared.relation) as reading:
        bound = reading.moment(reading.clock_ms + view.future_tolerance) if dated else None
        head = reading.head(bound)
    return Position(head) if head is not None else None


def told(defined: Definition) -> str:
    """What decides event ids and the meaning of the watermark, for people."""
    return f"{defined.kind} cursor={defined.cursor} key={','.join(defined.key)}"
