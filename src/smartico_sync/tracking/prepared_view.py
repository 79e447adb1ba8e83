"""What must be known before a view's first poll: its columns, its key, its mapping, how its late rows are found."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.catalogue.engines import ENGINES
from smartico_sync.catalogue.kinds import kind
from smartico_sync.config.personal import says_who, unprotected_pii
from smartico_sync.core.late_commit.choice import Choice, choose
from smartico_sync.core.late_commit.missing_ids import whole
from smartico_sync.core.late_commit.view_definition import UNKNOWN, ViewDefinition, traits
from smartico_sync.core.mapping import keys_of
from smartico_sync.core.misfits import near
from smartico_sync.core.pipeline import PipelineOptions
from smartico_sync.core.planning import plan
from smartico_sync.core.relation import IDS, Relation
from smartico_sync.errors import ConfigError, ViewBroken, ViewMisconfigured
from smartico_sync.tracking.cursor_checks import Advice, cursor_advice, zone_advice
from smartico_sync.tracking.late_rows import whole_numbers
from smartico_sync.tracking.mapping_options import options
from smartico_sync.tracking.view_identity import kept_key, recorded, where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.config.models import Configuration, View
    from smartico_sync.core.definition import Change
    from smartico_sync.core.records import ViewRow
    from smartico_sync.core.relation import Family
    from smartico_sync.core.view_mapping import ViewMapping
    from smartico_sync.sources.protocol import Source
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.prepared_stream import PreparedStream

__all__ = [
    "PreparedView",
    "identified",
    "pipeline_options",
    "planned",
    "prepare",
    "prepare_known",
    "relation_of",
    "stopped",
    "under_secret",
]

SAMPLED = 200  # ids, the oldest: enough to tell steps from blocks
NEWEST_IDS = 1_000  # what repeats does so among the newest ids
FEW = 5  # ids say nothing


class PreparedView(Struct, frozen=True):
    """A view, ready to poll."""

    relation: Relation
    mapping: ViewMapping
    choice: Choice
    definition: ViewDefinition = UNKNOWN
    advice: tuple[Advice, ...] = ()
    server_role: str = "unknown"


def relation_of(view: View, timezone: str) -> Relation:
    """The relation as configured, not described yet."""
    return Relation(view.name, view.cursor, (), view.relation, view.query, timezone, cursor_is=view.cursor_is)


def planned(configuration: Configuration, view: View, source: Source) -> ViewMapping:
    """Describe the relation and plan its mapping, whose misfits say what keeps it from being of this kind.

    Raises ViewBroken where a column of the key is missing, and what the source raises.
    """
    described = source.describe(relation_of(view, view.timezone or configuration.sources[view.source].timezone))
    chosen = options(view, configuration.pii)
    key = keys_of(kind(view.kind), view.key, described.columns, chosen.type_column, chosen.columns)
    there = [column.name for column in described.columns]
    if missing := [name for name in view.key or () if name not in there]:
        raise ViewBroken(
            f"view {view.name}: {where(view)} has no column {missing[0]}, which `key:` names",
            hint=f"name with `key:` the columns that make a row unique, or write `key: []` for none; it has {near(missing[0], there)}",
        )
    relation = replace(described, key=tuple(name for name in key if name in there))  # a misfit tells the others
    names = (column.name for column in relation.columns)
    blind = frozenset(name for name in names if says_who(configuration.pii, view, name))
    return plan(view.name, kind(view.kind), relation, replace(chosen, blind=blind))


def prepare(configuration: Configuration, view: View, source: Source) -> PreparedView:
    """Describe the relation and plan its mapping.

    Raises ViewBroken when the relation cannot be this kind, ConfigError when personal data would leave unprotected or
    the late-commit policy cannot work here, ViewMisconfigured when the cursor does not hold what it is taken for, and what
    the source raises.
    """
    mapping = planned(configuration, view, source)
    relation = mapping.relation
    if mapping.misfits:
        place = "" if where(view) == view.name else f"{where(view)}: "
        first, others = mapping.misfits[0], len(mapping.misfits) - 1
        raise ViewBroken(
            f"view {view.name}: {place}{first.what}{f' (and {others} more)' if others else ''}",
            hint=f"{first.hint}{'; smartico-sync check names the others' if others else ''}",
        )
    if open_names := unprotected_pii(configuration, view, [known.name for known in mapping.properties]):
        raise ConfigError(
            f"view {view.name}: {', '.join(open_names)} would leave in the clear",
            hint="add the property to `pii.properties`, or leave the column out with `columns: {name: null}`",
        )
    facts = source.recent_facts()
    family: Family = "instant" if relation.epoch else relation.cursor_column.family
    definition = source.definition(relation)
    no_fence = facts.no_fence(family) or definition.unfenced
    asked = family in IDS and (no_fence or view.late_commit == "gaps")
    shared = shared_ids(source, relation, definition) if asked else ""
    choice = choose(view.late_commit, family, ENGINES[source.engine].ids, no_fence, shared)
    if choice.problem and view.late_commit != "auto":
        raise ConfigError(f"view {view.name}: {choice.problem}", hint=choice.hint)
    if definition.blocks and not (family in IDS and in_blocks(source, relation, definition.step)):
        definition = replace(definition, blocks="")
    if definition.blocks:
        told = f"ids come in blocks ({definition.blocks}), so missing ones are asked for again for a day"
        choice = replace(choice, ids="in blocks", why=f"{choice.why}; {told}")
    advice = (
        *cursor_advice(view, source, relation),
        *(() if view.timezone else zone_advice(configuration.sources[view.source], relation, facts)),
    )
    return PreparedView(relation, mapping, choice, definition, advice, facts.role)


def pipeline_options(
    configuration: Configuration, view: View, prepared: PreparedView | PreparedStream
) -> PipelineOptions:
    """How the view's rows become events."""
    return PipelineOptions(
        mapping=prepared.mapping,
        secret=prepared.mapping.options.secret,
        payload=view.payload,
        on_invalid=view.on_invalid,
        future_ms=view.future_tolerance,
        on_refused_property=view.on_refused_property,
        park_ms=configuration.smartico.park,
        ahead_ms=view.future_tolerance,
    )


def in_blocks(source: Source, relation: Relation, step: int) -> bool:
    """Whether ids lie closer than the steps of their sequence: where they do not, several masters take turns."""
    if not step:
        return True
    with source.reading(relation) as reading:
        head = reading.head()
        ids = reading.keys(None, head, SAMPLED).get_column("@cursor").unique() if head is not None else None
    if ids is None or ids.len() < FEW or not whole_numbers(ids):
        return True
    return math.gcd(*whole(ids).sort().diff().drop_nulls().to_list()) % step != 0


def shared_ids(source: Source, relation: Relation, definition: ViewDefinition) -> str:
    """Why a row may come late though its id is not missing, or long after; empty where each has its own, in order."""
    if definition.unfenced:
        return "rows of another server, or of a refresh, come in no order of their ids"
    if any(trait.name in ("union", "group") for trait in traits(definition, ())):
        return "the view is a UNION or has groups, so several rows may have one id"
    with source.reading(relation) as reading:
        head = reading.head()
        if head is None:
            return ""
        low = str(int(head) - NEWEST_IDS) if head.isdecimal() and int(head) > NEWEST_IDS else None
        repeated = reading.keys(low, head, NEWEST_IDS).get_column("@cursor").is_duplicated().any()
    return "several rows have one id" if repeated else ""


def prepare_known(configuration: Configuration, view: View, source: Source, row: ViewRow | None) -> PreparedView:
    """Prepare a view as the state knows it: where `key:` is not configured, under the key that it was first tracked by.

    A view that is given a further column, which would be its key by default, goes on as it was. Raises what `prepare` raises.
    """
    prepared = prepare(configuration, view, source)
    key = kept_key(view, row)
    if key is None or key == prepared.relation.key or any(prepared.relation.column(name) is None for name in key):
        return prepared
    return prepare(configuration, view.model_copy(update={"key": key}), source)


def under_secret(prepared: PreparedView, store: Store) -> PreparedView:
    """The prepared view, able to name rows as the ledger does."""
    chosen = replace(prepared.mapping.options, secret=store.secret)
    return replace(prepared, mapping=prepared.mapping.with_options(chosen))


def stopped(view: str, found: Sequence[Change]) -> ViewMisconfigured:
    """Say that a view is another one than it was tracked as, what follows from it, and what comes next."""
    before = " ".join(f"{change.name}={change.before}" for change in found)
    now = " ".join(f"{change.name}={change.now}" for change in found)
    return ViewMisconfigured(
        f"view {view} was tracked as {before} and is now {now}: {found[0].consequence}",
        hint=f"set {found[0].option} again as it was; or {found[0].way_out.format(view=view)}",
    )


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
        content_columns=recorded(row).content,
        generation=row.generation,
        secret=store.secret,
    )
    return replace(prepared, mapping=prepared.mapping.with_options(chosen))
