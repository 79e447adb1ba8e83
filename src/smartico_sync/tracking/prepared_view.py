"""What must be known before a view's first poll: its columns, its key, its mapping, how its late rows are found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smartico_sync.catalogue.engines import ENGINES
from smartico_sync.catalogue.kinds import kind
from smartico_sync.config.personal import holds_personal, unprotected_pii
from smartico_sync.core.conversion import Hints
from smartico_sync.core.folding import ALL
from smartico_sync.core.late_commit.choice import Choice, choose
from smartico_sync.core.late_commit.mechanism import TIMES
from smartico_sync.core.mapping import Options, ViewMapping, keys_of
from smartico_sync.core.planning import plan
from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ConfigError, ViewBroken, ViewMisconfigured
from smartico_sync.tracking.clocks import now_ms

if TYPE_CHECKING:
    from smartico_sync.config.models import Configuration, Pii, View
    from smartico_sync.core.records import ViewRow
    from smartico_sync.sources.protocol import Source
    from smartico_sync.state.store import Store

__all__ = ["PreparedView", "definition", "identified", "open_view", "options", "prepare", "relation_of"]


@dataclass(frozen=True, slots=True)
class PreparedView:
    """A view, ready to poll."""

    relation: Relation
    mapping: ViewMapping
    choice: Choice


def relation_of(view: View, timezone: str) -> Relation:
    """The relation as configured, not described yet."""
    return Relation(view.name, view.cursor, (), view.relation, view.query, timezone)


def options(view: View, pii: Pii) -> Options:
    """The mapping's options as configured."""
    rules = {column: rule for column, rule in view.columns.items() if rule}
    plain = {view.targets[column] or column for column, rule in rules.items() if rule.fold == "off"}
    return Options(
        columns=view.targets,
        hints={column: Hints(split=rule.split or "", scale=rule.scale) for column, rule in rules.items()},
        types={column: rule.type for column, rule in rules.items() if rule.type},
        type_column=view.type.column if view.type else "",
        roles={value: role for role, values in view.type.roles.items() for value in values} if view.type else {},
        other=view.type.other if view.type else "dead_letter",
        where=view.where,
        unmapped=view.unmapped or "",
        unfolded=frozenset({ALL} if view.fold == "off" else plain),
        unreadable="dead_letter" if view.on_invalid == "dead_letter" else "omit",
        arrays=view.arrays,
        clears=cleared(view, pii),
        event_type=view.event_type or "",
        event_date=view.event_date or "",
        brand=view.brand or "",
    )


def cleared(view: View, pii: Pii) -> frozenset[str]:
    """The properties that are cleared when they became NULL: who is anonymised in the source is so at Smartico too."""
    if kind(view.kind).role != "profile" or view.on_null == "omit":
        return frozenset()
    return frozenset({ALL} if view.on_null == "clear" else {*pii.properties, *pii.in_the_clear})


def prepare(configuration: Configuration, view: View, source: Source) -> PreparedView:
    """Describe the relation and plan its mapping.

    Raises ViewBroken when the relation cannot be this kind, ConfigError when personal data would leave unprotected or
    the late-commit policy cannot work here, and what the source raises.
    """
    described = source.describe(relation_of(view, view.timezone or configuration.sources[view.source].timezone))
    chosen = options(view, configuration.pii)
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
    row = store.view(view.name)
    if row is None:
        row = store.begin(view.name, definition(prepared), view.start_from, now_ms())
        start = first_position(view, prepared, source)
        if start is not None:
            store.commit(Commit(view.name, now_ms(), head=start, watermark=start))
            row = replace(row, head=start, watermark=start)
    elif row.definition != definition(prepared):
        raise ViewMisconfigured(
            f"view {view.name} was tracked as {row.definition} and is now {definition(prepared)}: its watermark means nothing",
            hint="give the view a new name, or set the old cursor and key again",
        )
    return identified(prepared, row, store), row


def identified(prepared: PreparedView, row: ViewRow, store: Store) -> PreparedView:
    """The prepared view whose event ids are those of the state."""
    chosen = replace(prepared.mapping.options, generation=row.generation, secret=store.secret)
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


def where(view: View) -> str:
    """The relation as a person calls it."""
    return view.relation or "its query"


def definition(prepared: PreparedView) -> str:
    """What decides event ids and the meaning of the watermark, as text."""
    return f"{prepared.mapping.kind.name} cursor={prepared.relation.cursor} key={','.join(prepared.relation.key)}"
