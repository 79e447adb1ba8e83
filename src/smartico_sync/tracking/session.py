"""A view at work: all that is made by preparing it, until its source, its state or its configuration asks to begin anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from msgspec import Struct, field

from smartico_sync.core.column_changes import column_changes, with_columns
from smartico_sync.core.definition import changes, stopping
from smartico_sync.core.mapping import told_by_difference, told_whole
from smartico_sync.core.tracing import UNTRACED
from smartico_sync.errors import ViewMisconfigured
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.fingerprints import Fingerprints
from smartico_sync.tracking.key_watch import KeyWatch
from smartico_sync.tracking.known_relation import refuse_known_relation
from smartico_sync.tracking.memory_budget import MemoryBudget
from smartico_sync.tracking.page_reader import PageReader
from smartico_sync.tracking.prepared_view import identified, pipeline_options, prepare_known, stopped, under_secret
from smartico_sync.tracking.replica_time import ReplicaTime
from smartico_sync.tracking.source_checks import SourceChecks
from smartico_sync.tracking.view_identity import definition_of, recorded, redefine, replaced, row_of
from smartico_sync.tracking.view_start import ask_start

if TYPE_CHECKING:
    from smartico_sync.config.models import Configuration, View
    from smartico_sync.core.definition import Change
    from smartico_sync.core.pipeline import PipelineOptions
    from smartico_sync.core.records import ViewRow
    from smartico_sync.core.tracing import Tracer
    from smartico_sync.delivery.protocol import Delivery
    from smartico_sync.pii.protection import Protection
    from smartico_sync.sources.protocol import Source
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.prepared_view import PreparedView
    from smartico_sync.tracking.source_checks import CheckMemory
    from smartico_sync.tracking.status_recorder import StatusRecorder

__all__ = ["Equipment", "Session", "open_session"]

log = structlog.get_logger()


class Equipment(Struct, frozen=True):
    """What a view needs to work, for as long as the process lives. `memory` is shared by all views, `replica` by those of one source."""

    configuration: Configuration
    view: View
    source: Source
    store: Store
    delivery: Delivery
    protection: Protection
    recorder: StatusRecorder
    memory: MemoryBudget = field(default_factory=MemoryBudget)
    tracer: Tracer = UNTRACED
    replica: ReplicaTime = field(default_factory=ReplicaTime)


class Session(Struct, frozen=True):
    """The bundle that the view's own loop works with, and nobody else touches but in a turn of that loop."""

    equipment: Equipment
    prepared: PreparedView
    row: ViewRow
    options: PipelineOptions
    reader: PageReader
    checks: SourceChecks
    fingerprints: Fingerprints
    keys: KeyWatch


def open_session(equipment: Equipment, memory: CheckMemory) -> Session:
    """Describe the view, take up where the state says, and make sure that the source is still the same.

    What a view reads now that it did not read before is remembered once it has proved to be the same. Raises what
    `prepared_view.open_view` raises, ViewMisconfigured when it is not, and ViewRegressed when the source went back in time.
    """
    view, store = equipment.view, equipment.store
    prepared, row, changed = open_view(equipment.configuration, view, equipment.source, store)
    checks = SourceChecks(view, store, prepared, memory)
    with equipment.source.reading(prepared.relation) as reading:
        told = checks.verify(reading, changed) if changed else ""
        checks.compare_anchors(reading, row.head, row.watermark)
        memory.servers.setdefault(reading.server, reading.clock_ms)
    if told:
        log.warning("view.changed", view=view.name, reason=told)
        row = redefine(equipment.configuration, view, prepared.mapping, store, row)
    row = compare_columns(equipment, prepared, row, memory)
    reader = PageReader(view, prepared, store, row, memory.scans, memory.width)
    return Session(
        equipment,
        prepared,
        row,
        pipeline_options(equipment.configuration, view, prepared),
        reader,
        checks,
        Fingerprints(
            store, view.name, view.payload, told_by_difference(prepared.mapping), told_whole(prepared.mapping)
        ),
        KeyWatch(view, prepared.mapping, equipment.source, store, reader, row.sent_ms, equipment.recorder),
    )


def compare_columns(equipment: Equipment, prepared: PreparedView, row: ViewRow, memory: CheckMemory) -> ViewRow:
    """Have told what changed in the columns that are sent, with the checks' other warnings, until a person says that it is right.

    What changes nothing that is sent is written down. Raises ViewMisconfigured where the policy says to stop.
    """
    view, before = equipment.view, recorded(row)
    now = definition_of(equipment.configuration, view, prepared.mapping)
    found = column_changes(before, now, prepared.relation)
    if not found or row.head is None:
        if memory.columns:
            memory.columns, memory.next_ms = "", 0
        accepted = with_columns(before, now)
        return row if accepted == before else equipment.store.redefine(view.name, accepted.text())
    reason, hint = f"columns of the view changed: {found.told}", found.hint(view.name, prepared.mapping.kind.role)
    if view.on_schema_change == "stop":
        raise ViewMisconfigured(f"view {view.name}: {reason}", hint=hint)
    if memory.columns != reason:
        memory.columns, memory.hint, memory.next_ms = reason, hint, 0
    return row


def open_view(
    configuration: Configuration, view: View, source: Source, store: Store
) -> tuple[PreparedView, ViewRow, tuple[Change, ...]]:
    """Prepare the view and read its row in the state; what it reads now that it did not read before has to be verified.

    At the very first start the source is asked where the view begins, and then one transaction registers it there. Raises
    what `prepare` and `ask_start` raise, and ViewMisconfigured when the view is another one than it was tracked as.
    """
    row = row_of(configuration, view, store)
    prepared = prepare_known(configuration, view, source, row)
    defined = definition_of(configuration, view, prepared.mapping)
    if row is None or not row.placed:
        if row is None:
            refuse_known_relation(configuration, view, under_secret(prepared, store), source, store)
        asked = view.model_copy(update={"start_from": store.start_of(view.name) or view.start_from})
        start = ask_start(asked, under_secret(prepared, store), source)
        row = store.begin(
            view.name, defined.text(), start.started_from, now_ms(), start.commit, identity=view.identity or ""
        )
        return identified(prepared, row, store), row, ()
    found = changes(recorded(row), defined)
    if row.blank and found:
        row, found = store.redefine(view.name, defined.text()), ()
    at_start = row.head is None
    if lasting := stopping(found, "anew" if at_start else "kept"):
        raise stopped(view.name, lasting)
    if at_start and found:
        row = store.redefine(view.name, replaced(recorded(row), defined).text())
    return identified(prepared, row, store), row, tuple(each for each in found if each.weight == "to verify")
