"""What one view's loop tells the board."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from smartico_sync.observe.polls import Instant, Polls
from smartico_sync.observe.view_status import (
    BackfillStatus,
    FailedBackfill,
    ReplicaStatus,
    SentProperty,
    State,
    StreamStatus,
    ViewFacts,
)
from smartico_sync.tracking.clocks import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from smartico_sync.config.models import View
    from smartico_sync.core.records import Commit, ViewRow
    from smartico_sync.core.replication import Replication
    from smartico_sync.core.view_mapping import ViewMapping
    from smartico_sync.errors import SyncError
    from smartico_sync.observe.status_board import StatusBoard
    from smartico_sync.pii.protection import Protection
    from smartico_sync.tracking.page_reader import PageReader
    from smartico_sync.tracking.prepared_view import PreparedView
    from smartico_sync.tracking.read_result import ReadResult

__all__ = ["StatusRecorder"]

SKEW_MS = 10  # by less two readings of two clocks differ anyway

N = TypeVar("N")


class StatusRecorder:
    """Records facts of one view as they happen; whoever looks at the board sees them at once. Thread-safe."""

    def __init__(self, view: View, board: StatusBoard, statement_timeout_ms: int = 0) -> None:
        self.board, self.name = board, view.name
        polls = Polls.since_now(board.clock())
        facts = ViewFacts(view.name, view.kind, view.source, view.cursor, view.every, polls, view.max_age)
        board.put(replace(facts, statement_timeout_ms=statement_timeout_ms, on_mutated=view.on_mutated))

    @property
    def status(self) -> ViewFacts:
        """What is known of the view."""
        return self.board.facts(self.name)

    def change(self, **fields: Any) -> None:
        """Replace some of the facts."""
        self.board.change(self.name, lambda facts: replace(facts, **fields))

    def known(self, row: ViewRow, parked: Mapping[int, int], dead: Mapping[int, int], parked_since_ms: int) -> None:
        """What the state knows of the view, which has not begun yet."""
        self._stands(row, watermark=row.watermark.cursor if row.watermark else "")
        self.letters(parked, dead, parked_since_ms)

    def _stands(self, row: ViewRow, **more: Any) -> None:
        """So far it is, by the state."""
        self.board.change(
            self.name,
            lambda facts: replace(
                facts,
                head=row.head.cursor if row.head else "",
                counts=dict(row.counts),
                polls=replace(facts.polls, rows=row.counts.get("read", 0)),
                **more,
            ),
        )

    def opens(self) -> None:
        """The source is about to describe the view."""
        self._poll(lambda polls, now: polls.opening(now))

    def opened(self, prepared: PreparedView, row: ViewRow, protection: Protection) -> None:
        """The view is described and its state is read. `protection`: of the personal data among what it sends."""
        self._stands(
            row,
            watermark=row.watermark.cursor if row.watermark else "",
            late_commit=f"{prepared.choice.mechanism or 'none'}: {prepared.choice.why}",
            warnings=(prepared.choice.problem,) if prepared.choice.problem else (),
            server_role=prepared.server_role,
            properties=_properties(prepared.mapping, protection),
        )

    def subscribed(self, row: ViewRow, how: str) -> None:
        """A view of messages begins, from what the state says. `how`: what keeps them from being lost."""
        self._stands(row, late_commit=how)

    def learnt(self, mapping: ViewMapping, protection: Protection) -> None:
        """What is sent of a message, as far as its columns are known."""
        self.change(properties=_properties(mapping, protection))

    def streaming(self, stream: StreamStatus, warnings: tuple[str, ...], advice: tuple[str, ...] = ()) -> None:
        """So much waits at the broker."""
        self.change(stream=stream, warnings=(*warnings, *advice), advice=advice)

    def poll_began(self) -> None:
        """A poll begins; it ends with `caught_up` or `failed`."""
        self._poll(lambda polls, now: polls.poll_began(now))

    def reading_began(self) -> Instant:
        """The poll asks the source for its next page: rows that become visible from now on are for the next one."""
        now = self.board.clock()
        self.board.change_polls(self.name, lambda polls, _: polls.reading_began(now))
        return now

    def waits_for_api(self, problem: SyncError | None, oldest_s: float) -> None:
        """Pages wait for the API, the oldest for so many seconds; the API has that problem (None: none that is known).

        To be said again while it lasts.
        """
        error = None if problem is None else (problem.message, problem.hint)
        ms = round(oldest_s * 1000)
        self._poll(lambda polls, now: polls.waits_for_api(error, now, Instant(now.wall_ms - ms, now.steady_ms - ms)))

    def caught_up(self, reading: Instant) -> None:
        """Everything that a reading found is committed, and it left nothing behind; it began at that moment."""
        now = self.board.clock()
        self.board.change_polls(
            self.name, lambda polls, facts: polls.caught_up_at(reading, facts.counts.get("read", 0), now)
        )

    def found_nothing(self, began: Instant) -> None:
        """A poll that began at that moment found nothing, and has ended."""
        now = self.board.clock()
        self.board.change_polls(
            self.name, lambda polls, facts: polls.found_nothing(began, facts.counts.get("read", 0), now)
        )

    def failed(self, error: SyncError, state: State) -> None:
        """The poll ended in an error, which leaves the view in that state."""
        self._poll(lambda polls, now: polls.failed(state, error.message, error.hint, now))

    def behind(self) -> None:
        """A page is committed, and the poll goes on to the next."""
        now = self.board.clock()
        self.board.change_polls(self.name, lambda polls, facts: polls.behind(facts.counts.get("read", 0), now))

    def read(self, read: ReadResult, late: PageReader) -> None:
        """A reading brought something, or nothing."""
        tie = min(1, read.page.height)
        if read.page.height > 1:
            cursors = read.page.get_column("@cursor")
            tie = int((cursors == cursors[-1]).sum())
        now = self.board.clock()
        self.board.change_polls(self.name, lambda polls, _: polls.got_on(now))
        seen, ahead, skew_ms = late.seen(read.read_time), len(late.ahead), read.read_time.clock_ms - now.wall_ms

        def changed(facts: ViewFacts) -> ViewFacts:
            moved = abs(skew_ms - facts.skew_ms) >= SKEW_MS
            if seen == facts.late and ahead == facts.ahead and tie <= facts.largest_tie and not moved:
                return facts
            largest = max(facts.largest_tie, tie)
            return replace(facts, late=seen, ahead=ahead, largest_tie=largest, skew_ms=skew_ms)

        self.board.change_facts(self.name, changed)

    def committed(self, commit: Commit) -> None:
        """A commit was written. A page of a backfill is none of the polls'."""
        now = self.board.clock()
        self.board.change(
            self.name,
            lambda facts: replace(
                facts,
                counts=_sum(facts.counts, commit.counts),
                given_up=_sum(facts.given_up, Counter(each.code for each in commit.dead_letters)),
                put_off=_sum(facts.put_off, Counter(each.code for each in commit.parked)),
                head=commit.head.cursor if commit.head else facts.head,
                watermark=commit.watermark.cursor if commit.watermark else facts.watermark,
                polls=facts.polls if commit.step else facts.polls.got_on(now),
            ),
        )

    def letters(self, parked: Mapping[int, int], dead: Mapping[int, int], parked_since_ms: int) -> None:
        """So many rows wait, the longest since then, and were given up, by reason code."""
        self.change(parked=dict(parked), dead=dict(dead), parked_since_ms=parked_since_ms)

    def recent(self, rows: int, refused: int) -> None:
        """Of the last rows so many were given up."""
        self.change(recent_rows=rows, recent_refused=refused)

    def replicates(self, replication: Replication) -> None:
        """How the source's server stands in its replication."""
        now = self.board.clock()
        status = ReplicaStatus(replication.state, replication.lag_ms, replication.now_ms, replication.hint, now)
        self.change(replica=status)

    def inspected(self, *, null_cursors: int, warnings: tuple[str, ...], advice: tuple[str, ...]) -> None:
        """What was looked at beside the polls; some of the warnings are no more than advice."""
        self.change(null_cursors=null_cursors, warnings=warnings, advice=advice)

    def broken(self, invalid: Mapping[str, int]) -> None:
        """So many values broke a rule of the catalogue, by property."""
        if invalid:
            self.board.change(self.name, lambda facts: replace(facts, invalid=_sum(facts.invalid, invalid)))

    def left_out(self, values: Mapping[str, int]) -> None:
        """So many values did not go because the API refused their property."""
        if values:
            self.board.change(self.name, lambda facts: replace(facts, left_out=_sum(facts.left_out, values)))

    def stale(self, profiles: int) -> None:
        """So many profiles were not sent because a newer one was."""
        if profiles:
            self.board.change(self.name, lambda facts: replace(facts, stale=facts.stale + profiles))

    def mutated(self, rows: int) -> None:
        """So many delivered rows were found changed."""
        if rows:
            self.board.change(self.name, lambda facts: replace(facts, mutated=facts.mutated + rows))

    def unknown_duplicates(self, rows: int) -> None:
        """So many rows were duplicates to the API, though this state never sent them."""
        self.board.change(self.name, lambda facts: replace(facts, unknown_duplicates=facts.unknown_duplicates + rows))

    def repeated_profiles(self, rows: int) -> None:
        """So many rows of a page share the player with another one."""
        self.board.change(self.name, lambda facts: replace(facts, repeated_profiles=facts.repeated_profiles + rows))

    def uncompared(self, rows: int) -> None:
        """So many rows were duplicates to the API, and the source was not asked whether another row has their key."""
        self.board.change(
            self.name, lambda facts: replace(facts, uncompared_duplicates=facts.uncompared_duplicates + rows)
        )

    def compared(self, missing: int, differing: int, looked: int) -> None:
        """The source was compared: so many rows are not in the ledger, so many of the profiles looked at are not as they were sent."""
        self.change(missing=missing, differing=differing, looked=looked, compared_ms=now_ms())

    def backfilled(self, backfill: BackfillStatus | None) -> None:
        """So far the view's history has come; None when none is being sent."""
        self.change(backfill=backfill)

    def backfill_failed(self, failed: FailedBackfill | None) -> None:
        """The view's newest backfill was given up; None when it was not, or another one was asked for since."""
        self.change(failed_backfill=failed)

    def _poll(self, changed: Callable[[Polls, Instant], Polls]) -> None:
        """Let something happen to the polls now."""
        now = self.board.clock()
        self.board.change_polls(self.name, lambda polls, _: changed(polls, now))


def _properties(mapping: ViewMapping, protection: Protection) -> tuple[SentProperty, ...]:
    """What is sent of a row, in the mapping's order, then the columns that are sent nowhere."""
    sent = [
        SentProperty(
            known.name,
            tuple(dict.fromkeys(column.name for column in known.columns)),
            known.target,
            protection.mode if known.name in protection.properties else "",
        )
        for known in mapping.properties
    ]
    return (*sent, *(SentProperty("", (column.name,)) for column in mapping.unmapped))


def _sum(first: Mapping[N, int], second: Mapping[N, int]) -> dict[N, int]:
    """Both counts by name; what leaves a stage again is counted below zero, so nothing may be dropped."""
    return {name: first.get(name, 0) + second.get(name, 0) for name in (*first, *second)}
