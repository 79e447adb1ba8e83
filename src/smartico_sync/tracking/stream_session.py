"""A view of messages at work: what it has learnt of them, and how they become events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from msgspec import Struct, field
from msgspec.structs import replace

from smartico_sync.core.definition import changes, stopping
from smartico_sync.core.mapping import told_by_difference, told_whole
from smartico_sync.core.messages.frames import frame_of
from smartico_sync.core.messages.rows import PLACE_KEY, learnt, mixed
from smartico_sync.core.pipeline import PipelineOptions
from smartico_sync.core.tracing import UNTRACED
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.fingerprints import Fingerprints
from smartico_sync.tracking.memory_budget import MemoryBudget
from smartico_sync.tracking.prepared_stream import columns_in, columns_out, prepare_stream
from smartico_sync.tracking.prepared_view import stopped
from smartico_sync.tracking.view_identity import definition_of, recorded, replaced, row_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import polars as pl

    from smartico_sync.config.models import Configuration, View
    from smartico_sync.core.messages.rows import Table
    from smartico_sync.core.records import ViewRow
    from smartico_sync.core.relation import Family
    from smartico_sync.core.tracing import Tracer
    from smartico_sync.core.view_mapping import ViewMapping
    from smartico_sync.delivery.protocol import Delivery
    from smartico_sync.pii.protection import Protection
    from smartico_sync.sources.stream import Stream
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.prepared_stream import PreparedStream
    from smartico_sync.tracking.status_recorder import StatusRecorder

__all__ = ["StreamEquipment", "StreamSession", "known_stream", "open_stream_session", "settled_key"]

NO_EVENTS = ("read", "skipped", "dead_lettered")  # counts of messages that may have had no key

log = structlog.get_logger()


class StreamEquipment(Struct, frozen=True):
    """What a view of messages needs to work, for as long as the process lives."""

    configuration: Configuration
    view: View
    stream: Stream
    store: Store
    delivery: Delivery
    protection: Protection
    recorder: StatusRecorder
    memory: MemoryBudget = field(default_factory=MemoryBudget)
    tracer: Tracer = UNTRACED


class StreamSession(Struct, frozen=True):
    """What the loop of a view of messages works with. A further column makes another one, with the same fingerprints."""

    equipment: StreamEquipment
    prepared: PreparedStream
    row: ViewRow
    options: PipelineOptions
    fingerprints: Fingerprints

    def learning(self, table: Table) -> StreamSession:
        """The session that knows every column of some messages; this one where they bring nothing new.

        What messages are made of is settled by the first of them that brings a key: from then on it stays. Raises what
        `prepare_stream` raises.
        """
        if not self.is_new(table):
            return self
        found = learnt(table, self.prepared.learnt)
        equipment, relation = self.equipment, self.prepared.relation
        before = settled(self.row) or brought(relation.key, self.prepared.learnt)
        prepared = prepare_stream(equipment.configuration, equipment.view, found, relation.key if before else None)
        row, store = self.row, equipment.store
        first = not before and brought(prepared.relation.key, found)
        text = definition_of(equipment.configuration, equipment.view, prepared.mapping).text() if first else None
        if store.owner is not None:
            name = equipment.view.name
            store.learn(name, lambda known: columns_out({**columns_in(known), **found}), text, row.definition)
            row = store.row(name)
        elif text is not None:
            row = store.redefine(equipment.view.name, text)
        prepared = known_stream(prepared, row, equipment.store)
        log.info("view.columns", view=equipment.view.name, columns=len(found))
        if names := as_texts(prepared.mapping, mixed(table, self.prepared.learnt)):
            log.warning(
                "view.mixed",
                view=equipment.view.name,
                columns=names,
                hint="`columns: {NAME: {type: …}}` says what it is: what is not, is left out then, and counted",
            )
        equipment.recorder.learnt(prepared.mapping, equipment.protection)
        return replace(self, prepared=prepared, row=row, options=replace(self.options, mapping=prepared.mapping))

    def is_new(self, table: Table) -> bool:
        """Whether some messages bring columns that nobody has learnt yet."""
        return learnt(table, self.prepared.learnt) != self.prepared.learnt

    def rows(self, table: Table) -> pl.DataFrame:
        """The rows of some messages."""
        return frame_of(table, self.prepared.relation, self.prepared.absence, now_ms())

    @property
    def memory(self) -> str:
        """What the state is to remember of the columns."""
        return columns_out(self.prepared.learnt)


def as_texts(mapping: ViewMapping, columns: Collection[str]) -> list[str]:
    """Which of these columns leave as what they are, and so as texts: neither the catalogue nor the view says their type."""
    found = {each.name for known in mapping.properties if known.target == "any" for each in known.columns}
    return sorted(found.intersection(columns))


def open_stream_session(equipment: StreamEquipment) -> StreamSession:
    """Take a view up where the state says, or register it at its first start.

    Raises ViewMisconfigured when it is another one than it was tracked as, and what `prepare_stream` raises.
    """
    configuration, view, store = equipment.configuration, equipment.view, equipment.store
    row = row_of(configuration, view, store)
    known = columns_in(row.late) if row is not None else {}
    key = settled_key(view, row)
    prepared = prepare_stream(configuration, view, known, key)
    defined = definition_of(configuration, view, prepared.mapping)
    if row is None:
        # A view of messages is placed lane by lane, by its subscription.
        row = store.begin(view.name, defined.text(), "first", now_ms(), identity=view.identity or "")
    elif found := changes(recorded(row), defined):
        if not settled(row):
            row = store.redefine(view.name, defined.text())
        elif lasting := stopping(found):
            raise stopped(view.name, lasting)
        else:
            log.warning("view.changed", view=view.name, reason=", ".join(f"{each.option} changed" for each in found))
            row = store.redefine(view.name, replaced(recorded(row), defined).text())
    prepared = known_stream(prepared, row, store)
    equipment.recorder.learnt(prepared.mapping, equipment.protection)
    options = PipelineOptions(
        mapping=prepared.mapping,
        secret=store.secret,
        payload=view.payload,
        on_invalid=view.on_invalid,
        future_ms=view.future_tolerance,
        on_refused_property=view.on_refused_property,
        park_ms=configuration.smartico.park,
        ahead_ms=view.future_tolerance,
    )
    sets = told_by_difference(prepared.mapping), told_whole(prepared.mapping)
    return StreamSession(equipment, prepared, row, options, Fingerprints(store, view.name, view.payload, *sets))


def settled(row: ViewRow) -> bool:
    """Whether it is known what messages are made of: by the first that brought a key, which another member may have read.

    Not by what could not be read, or was something else: it must not choose the key of all that comes behind it.
    """
    events = any(count for what, count in row.counts.items() if what not in NO_EVENTS)
    return events or brought(recorded(row).key, columns_in(row.late))


def brought(key: tuple[str, ...], columns: Mapping[str, Family]) -> bool:
    """Whether messages have brought all that a key is made of."""
    return bool(columns) and columns.keys() >= {*key} - {*PLACE_KEY}


def settled_key(view: View, row: ViewRow | None) -> tuple[str, ...] | None:
    """The key that messages are known by already, where the configuration does not name one; None where it is to be found."""
    return recorded(row).key if row is not None and view.key is None and settled(row) else None


def known_stream(prepared: PreparedStream, row: ViewRow, store: Store) -> PreparedStream:
    """The prepared view whose event ids are those of the state."""
    chosen = replace(
        prepared.mapping.options,
        identity=row.identity,
        id_columns=recorded(row).identity,
        generation=row.generation,
        secret=store.secret,
    )
    return replace(prepared, mapping=prepared.mapping.with_options(chosen))
