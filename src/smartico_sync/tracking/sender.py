"""Rows that a reading brought become events on their way, and from their receipt comes the commit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

import polars as pl
import structlog
from msgspec.structs import replace
from structlog.contextvars import bound_contextvars

from smartico_sync.core.batches import weight
from smartico_sync.core.pipeline import ledger_of, position_at
from smartico_sync.core.reason_codes import UNACKNOWLEDGED
from smartico_sync.core.tracing import UNTRACED, ends_with, within
from smartico_sync.core.uniqueness import profiles_that_repeat
from smartico_sync.observe.view_findings import REPEATED_PROFILES
from smartico_sync.state.ahead import NOWHERE_MS
from smartico_sync.tracking import redelivery
from smartico_sync.tracking.anchor_lookup import highest
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.event_sender import EventSender
from smartico_sync.tracking.key_watch import with_duplicates
from smartico_sync.tracking.pages_in_flight import Sent
from smartico_sync.tracking.read_result import READINGS, ReadResult

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from smartico_sync.core.late_commit.mechanism import ReadTime
    from smartico_sync.core.pipeline import PreparedBatch
    from smartico_sync.core.records import ParkedRow, Receipt, ViewRow
    from smartico_sync.core.tracing import Span
    from smartico_sync.delivery.protocol import Requests
    from smartico_sync.tracking.session import Equipment, Session
    from smartico_sync.tracking.view_parts import Working

__all__ = ["Sender"]


log = structlog.get_logger()


class Sender(EventSender):
    """Sends what is read from a database. `page` and `retries` may run in the loop's worker."""

    def __init__(self, equipment: Equipment) -> None:
        super().__init__(equipment)
        self._equipment = equipment
        self._profiles: Literal["one row each", "several rows"] = "one row each"
        self._read_ms = 0  # the highest clock of the source at which rows were read
        # Keys that a comparison asked for and that arrived, each with the newest reading until then.
        self._asked: dict[int, int] = {}

    def begin(self, row: ViewRow) -> None:
        """As of every view."""
        super().begin(row)
        self._asked.clear()

    def newest(self, session: Working, rows: pl.DataFrame, batch: PreparedBatch) -> frozenset[int]:
        """Which rows (by `@row`) that seem old are the newest that the source holds of their players.

        That can be told where a player is the key: of a row that was dated back, or by a clock that is behind, there is no newer one.
        But a replica that is further back than what was read before has yet to hear of the newer one.
        """
        mapping = session.prepared.mapping
        if not redelivery.keyed_by_player(mapping):
            return frozenset()
        row = self._equipment.store.view(self._name)
        head = row.head if row is not None else None
        read_ms = max(self._read_ms, (row.sent_ms or 0) if row is not None and mapping.relation.dated else 0)
        with self._equipment.source.reading(mapping.relation) as reading:
            if head is not None and reading.clock_ms < read_ms and highest(reading, head, None) != "at head or above":
                return frozenset()
            return redelivery.newest(reading, mapping, rows, batch.quiet, self._equipment.memory.width(self._name))

    def page(self, session: Session, read: ReadResult, span: Span = UNTRACED, requests: Requests = "spread") -> Sent:
        """Map, diff, protect and queue what one reading brought; the span of its poll ends with its commit."""
        began = time.monotonic()
        with bound_contextvars(page=read.number), within(span):
            batch, moved, sent_ms = self._made(session, read)
            receipt = self.queue(session, batch, requests=requests, sent_ms=sent_ms)
        span.past("prepare", time.monotonic() - began, events=len(batch.send))
        ends_with(span, receipt, "failed")
        size, rows = weight(batch.send), batch.rows
        batch, read = batch.without_payload(), read.without_payload(session.prepared.mapping.relation.cursor)

        def settle(receipt: Receipt) -> None:
            began = time.monotonic()
            with within(span):
                self._commit_page(session, read, batch, receipt, moved)
            span.past("commit", time.monotonic() - began)
            span.end()

        return Sent(receipt, settle, size, rows)

    def _made(self, session: Session, read: ReadResult) -> tuple[PreparedBatch, int, int | None]:
        """The events of what one reading brought, how many of its rows stood elsewhere before, and how far rows are sent then."""
        page = read.page if read.repeated is None else read.page.filter(~read.repeated)
        parts = [part for part in (read.late, read.extra, read.again, page) if part is not None]
        rows = parts[0] if len(parts) == 1 else pl.concat(parts, how="diagonal_relaxed")
        mapping, clock_ms = session.prepared.mapping, read.read_time.clock_ms
        self._read_ms = max(self._read_ms, clock_ms)
        self._repeated(profiles_that_repeat(mapping, read.page))
        batch = self.prepare(session, rows, clock_ms)
        repeated, moved = read.page.height - page.height, 0
        if looked := session.keys.look(rows, batch.ledger.get_column("key")):
            repeated, moved = repeated + int(looked.left_out.sum()), looked.moved
            rows, anew = rows.filter(~looked.left_out), looked.anew.filter(~looked.left_out)
            batch = self.prepare(session, rows, clock_ms, anew=anew, instead_of=batch)
        sent_ms = session.keys.sending(rows, batch.ledger, read.ahead)
        if repeated or read.extra is not None or read.again is not None:
            # What was sent before is in the ledger too; rows out of the order enter it when their time comes.
            ordered = [ledger_of(part, mapping) for part in (read.late, read.page) if part is not None]
            batch = replace(batch, ledger=pl.concat(ordered), repeated=repeated)
        return batch, moved, sent_ms

    def _repeated(self, profiles: int) -> None:
        """So many rows of a page stand for a player that has another one there: which of them Smartico keeps is left to the order."""
        if not profiles:
            return
        if self._profiles == "one row each":
            log.warning("view.repeated_profiles", view=self._name, rows=profiles, hint=REPEATED_PROFILES)
        self._profiles = "several rows"
        self._equipment.recorder.repeated_profiles(profiles)

    def _commit_page(
        self, session: Session, read: ReadResult, batch: PreparedBatch, receipt: Receipt, moved: int
    ) -> None:
        """Write all that the page changes in one transaction. `moved`: rows that stood elsewhere before."""
        equipment, reader = self._equipment, session.reader
        explained = session.keys.answered(receipt)
        again = self._undelivered and (read.again is not None or session.keys.may_be_known(batch.ledger))
        commit = self.outcome(session, batch, receipt, "again" if again else "first")
        commit = with_duplicates(commit, explained, equipment.view.on_mutated)
        if self._asked:
            self._asked = {key: newest for key, newest in self._asked.items() if newest > read.number}
            commit = replace(commit, ledger=without(commit.ledger, self._asked))
        if read.extra is not None:
            extra = ledger_of(read.extra, session.prepared.mapping)
            if read.ahead is None:  # rows without a cursor
                extra = extra.with_columns(cursor_ms=pl.lit(NOWHERE_MS, pl.Int64))
            commit = replace(commit, ahead=extra)
        head = position_at(read.page, read.page.height - 1) if read.page.height else None
        after = reader.after(read, head)
        watermark = after.watermark.position if after and after.watermark else (None if after else head)
        commit = replace(commit, head=head, watermark=watermark, late=after.dump(read.read_time) if after else None)
        news = batch.rows or batch.repeated or head or watermark != reader.watermark
        seq = equipment.store.commit(commit) if news else 0
        reader.adopt(after, read, seq, batch.ledger.get_column("key"), watermark)
        log.debug("commit", view=self._name, page=read.number, **commit.counts)
        session.keys.settled()
        equipment.recorder.mutated(moved + len(explained.moved))
        self._unknown(explained.unknown)
        equipment.recorder.read(read, reader)
        self.committed(session, batch, commit)

    def found_nothing(self, session: Session, read: ReadResult) -> Literal["settled", "to be committed"]:
        """Of a reading without rows, behind which nothing is on its way: settle it here, unless the watermark moves by it."""
        reader = session.reader
        if read.rescanned:
            after = reader.after(read, None)
            watermark = after.watermark.position if after and after.watermark else None
            if watermark != reader.watermark:
                return "to be committed"
            reader.adopt(after, read, 0, pl.Series(dtype=pl.UInt64), watermark)
            self._equipment.recorder.read(read, reader)
        return "settled"

    def without_cursor(self, session: Session, read_time: ReadTime, rows: pl.DataFrame) -> Sent:
        """Queue rows that have no place in the order."""
        sent = self.page(session, ReadResult(read_time, rows.clear(), extra=rows))

        def settle(receipt: Receipt) -> None:
            sent.settle(receipt)
            session.checks.sent(rows)

        return Sent(sent.receipt, settle, sent.size, sent.rows)

    def retries(self, session: Session, parked: Sequence[ParkedRow]) -> Sent:
        """Read parked rows again, where they are now, and queue them."""
        with self._equipment.source.reading(session.prepared.relation) as reading:
            found, clock_ms = (
                redelivery.find(reading, session.prepared.mapping, parked, self._head),
                reading.clock_ms,
            )
        self._equipment.memory.width(self._name).saw(found.rows)
        batch = self.prepare(session, found.rows, clock_ms, anew=found.anew, found=found)
        keys = batch.ledger.get_column("key")

        def settle(receipt: Receipt) -> None:
            known = sorted(receipt.known_before)
            new = [row for row in known if found.retried.found[row].code == UNACKNOWLEDGED]
            # What was refused, and is a duplicate now, was never accepted where another row has its id.
            session.keys.compare(found.rows, known)
            explained = session.keys.explain(found.rows, keys, new)
            commit = self.built(session, batch, receipt, found.retried)
            commit = with_duplicates(commit, replace(explained, moved=()), "ignore")
            asked = {keys[row] for row, each in enumerate(found.retried.found) if each.code == UNACKNOWLEDGED}
            commit = replace(commit, ledger=without(commit.ledger, self._counted(commit.ledger, asked)))
            self.somebody_is_known(commit)
            seq = self._equipment.store.commit(commit)
            if seq and commit.ledger is not None:
                session.reader.also(seq, commit.ledger.get_column("key"))
            if asked:  # a page on its way may hold these rows, too, found late
                self._asked |= dict.fromkeys(asked, next(READINGS))
            self._unknown(explained.unknown)
            self.committed(session, batch, commit)
            more = (commit.resolved or commit.dead_letters) and self._equipment.store.parked(self._name, now_ms(), 1)
            self._retries = "to go on" if more else "none"

        return Sent(self.queue(session, batch), settle, found.rows.estimated_size() + weight(batch.send))

    def _counted(self, rows: pl.DataFrame | None, asked: Collection[int]) -> list[int]:
        """Of the keys that a comparison asked for those that the ledger holds: the row was found late meanwhile."""
        if rows is None or not asked:
            return []
        there = rows.drop_nulls().filter(pl.col("key").is_in(pl.Series(list(asked), dtype=pl.UInt64).implode()))
        store, name = self._equipment.store, self._name
        return [key for key, at in there.select("key", "cursor_ms").iter_rows() if store.acknowledged_at(name, at, key)]


def without(rows: pl.DataFrame | None, keys: Collection[int]) -> pl.DataFrame | None:
    """What enters the ledger, but for these keys."""
    if rows is None or not keys:
        return rows
    return rows.filter(~pl.col("key").is_in(pl.Series(list(keys), dtype=pl.UInt64).implode()))
