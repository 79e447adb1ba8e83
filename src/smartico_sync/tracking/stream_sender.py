"""Messages become events on their way, and from their receipt comes the commit: of the state first, then of the broker."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future
from itertools import groupby
from operator import lt
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.core.batches import weight
from smartico_sync.core.events import POSITION
from smartico_sync.core.messages.kept import packed, unpacked
from smartico_sync.core.messages.message import place_of, split_place
from smartico_sync.core.messages.rows import SKIPS, read
from smartico_sync.core.outbox import packed as packed_page
from smartico_sync.core.outcome import Retried
from smartico_sync.core.pipeline import positions_of
from smartico_sync.core.position import Position
from smartico_sync.core.records import LaneStep, Receipt
from smartico_sync.tracking import redelivery
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.event_sender import EventSender
from smartico_sync.tracking.pages_in_flight import Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from smartico_sync.core.events import Events
    from smartico_sync.core.messages.message import Message, Messages
    from smartico_sync.core.messages.rows import Table
    from smartico_sync.core.outbox import OutboxPage
    from smartico_sync.core.pipeline import PreparedBatch
    from smartico_sync.core.records import Commit, ParkedRow, ViewRow
    from smartico_sync.sources.stream import Keep, Page, Subscription
    from smartico_sync.state.stored_lanes import Claimed
    from smartico_sync.tracking.stream_session import StreamEquipment, StreamSession

__all__ = ["StreamSender", "Taken", "counted", "fresh"]

NO_RECEIPT = Receipt(0, 0, (), 0, 0)


class Taken(Struct, frozen=True, eq=False):
    """Messages that were taken and read. `steps`: how far each lane is once they are dealt with.

    `waiting`: by lane, how many they are, and when the first was written (epoch ms, 0 where nobody says).
    """

    page: Page
    table: Table
    steps: tuple[LaneStep, ...]
    waiting: Mapping[str, tuple[int, int]]


def counted(messages: Messages, lanes: int) -> dict[str, tuple[int, int]]:
    """How many messages there are of each of so many lanes, and when the first was written."""
    if lanes == 1:
        return {messages.lanes[0]: (len(messages), messages.times_ms[0])}
    first: dict[str, int] = {}
    counts: Counter[str] = Counter()
    for lane, time_ms in zip(messages.lanes, messages.times_ms, strict=True):
        counts[lane] += 1
        first.setdefault(lane, time_ms)
    return {lane: (count, first[lane]) for lane, count in counts.items()}


def fresh(page: Page, reached: Mapping[str, LaneStep]) -> tuple[Messages, tuple[LaneStep, ...]]:
    """The messages that were not taken before, and how far each lane is behind them. An offset that repeats is legal."""
    messages = page.messages
    after = {lane: reached[lane].next if lane in reached else -1 for lane in set(messages.lanes)}
    new: list[bool] = []
    place = 0
    for lane, run in groupby(messages.lanes):  # a broker hands over many of a lane together
        length = sum(1 for _ in run)
        offsets = messages.offsets[place : place + length]
        place += length
        if offsets[0] >= after[lane] and all(map(lt, offsets, offsets[1:])):
            new += [True] * length
            after[lane] = offsets[-1] + 1
            continue
        for offset in offsets:
            new.append(offset >= after[lane])
            after[lane] = max(after[lane], offset + 1)
    kept = messages.chosen(new)
    after = {lane: at + 1 for lane, at in kept.last.items()}
    return kept, tuple(
        LaneStep(lane, reached[lane].next if lane in reached else None, at, page.epochs.get(lane, ""))
        for lane, at in after.items()
    )


class StreamSender(EventSender):
    """Sends what is taken from a broker. `page` and `retries` may run in the loop's worker."""

    def __init__(self, equipment: StreamEquipment) -> None:
        super().__init__(equipment)
        self._equipment = equipment
        self.skipped: Counter[str] = Counter(dict.fromkeys(SKIPS, 0))
        self.open: list[Taken] = []  # what is on its way, the first first
        self._keep: dict[str, Keep] = {}
        self._undelivered_to: dict[str, int] = {}  # by lane, up to where messages wait or were given up

    def begin(self, row: ViewRow) -> None:
        """As of every view; messages that wait, or were given up, are read again where a lane was put back before them."""
        super().begin(row)
        self._undelivered_to = {}
        for each in self._tools.store.undelivered(self._name) if self._undelivered else ():
            lane, offset = split_place(each.row.position.cursor) if each.row.position else ("", -1)
            self._undelivered_to[lane] = max(offset, self._undelivered_to.get(lane, -1))

    def page(self, session: StreamSession, taken: Taken, subscription: Subscription) -> Sent:
        """Map, diff, protect and queue messages."""
        rows = session.rows(taken.table)
        batch = self.prepare(session, rows, now_ms())

        def settle(receipt: Receipt) -> None:
            commit = self.outcome(session, batch, receipt, "again" if self._may_be_known(taken) else "first")
            commit = self.with_lanes(commit, taken, session)
            self._keep.update(taken.page.keep)
            commit = replace(commit, bodies=kept(commit, taken.table.messages, taken.page.keep))
            self._equipment.store.commit(commit)
            self._hand_over(commit, subscription)
            waiting = frozenset(each.row.position.cursor for each in commit.parked if each.row.position)
            subscription.commit(taken.page, waiting)
            if taken in self.open:
                self.open.remove(taken)
            self.skipped.update(taken.table.skipped)
            self.committed(session, batch, commit)

        return Sent(self.queue(session, batch, old=taken.table.snapshot), settle, weight(batch.send))

    def _may_be_known(self, taken: Taken) -> bool:
        """Whether some of these messages may wait, or have been given up, since before."""
        known = self._undelivered_to
        if not self._undelivered or not known:
            return False
        messages = taken.page.messages
        return any(offset <= known.get(lane, -1) for lane, offset in zip(messages.lanes, messages.offsets, strict=True))

    def claimed(self, claimed: Claimed) -> None:
        """Lanes were given that members share: what is known of them, and whether it may be compared with."""
        self._first_load = claimed.first_load
        if claimed.left == "badly":
            self._trust = "doubted"

    def unsettled(self) -> list[OutboxPage]:
        """As of every view; lanes that are given come beside others, of which something is on its way from here."""
        if self._equipment.store.owner is None:
            return super().unsettled()
        own = self._going_again.union(*self._outbox.values())
        return [page for page in super().unsettled() if page.id not in own]

    def _written_ahead(
        self, batch: PreparedBatch, events: Events, profiles: pl.DataFrame, sent_ms: int | None
    ) -> tuple[int, ...]:
        """As of every view; where members share lanes, a page for each, which goes to another member with it."""
        store = self._equipment.store
        if store.owner is None:
            return super()._written_ahead(batch, events, profiles, sent_ms)
        return tuple(store.keep_outbox_of_lanes(self._name, by_lane(batch, events, profiles)))

    def with_lanes(self, commit: Commit, taken: Taken, session: StreamSession) -> Commit:
        """The commit with how far the lanes are, and with the messages that became no rows."""
        skipped = sum(taken.table.skipped.values())
        counts = Counter(commit.counts)
        counts.update({"read": skipped, "skipped": skipped})
        last = taken.steps[-1]
        # The head is only shown, and says that there was a message: `lanes` is what counts.
        head = Position(f"{last.lane}@{last.next - 1}")
        return replace(
            commit,
            lanes=taken.steps,
            head=head,
            late=session.memory,
            counts={name: n for name, n in counts.items() if n},
        )

    def retries(
        self,
        session: StreamSession,
        parked: Sequence[ParkedRow],
        subscription: Subscription,
        learn: Callable[[Table], None],
    ) -> Sent:
        """Read parked messages again, and queue them; those that bring new columns once the loop has been given them to `learn`."""
        places = [each.row.position.cursor for each in parked if each.row.position is not None]
        there = subscription.again(places)
        given = {place_of(message) for message in there}
        held = self._equipment.store.bodies(self._name, [place for place in places if place not in given])
        table = read([*there, *map(unpacked, held)], session.prepared.layout)
        if session.is_new(table):  # what could not be read taught nothing, and now it can
            return self._taught(lambda: learn(table))
        found = found_again(session, table, parked)
        batch = self.prepare(session, found.rows, now_ms(), found=found)

        def settle(receipt: Receipt) -> None:
            commit = self.built(session, batch, receipt, found.retried)
            lanes = frozenset(split_place(place)[0] for place in places)
            commit = replace(commit, bodies=kept(commit, there, self._keep), held=lanes, late=session.memory)
            self.somebody_is_known(commit)
            self._equipment.store.commit(commit)
            self._hand_over(commit, subscription)
            over = {*commit.resolved, *(each.id for each in commit.dead_letters)}
            subscription.settled(
                each.row.position.cursor for each in parked if each.id in over and each.row.position is not None
            )
            self.committed(session, batch, commit)
            more = (commit.resolved or commit.dead_letters) and self._equipment.store.parked(self._name, now_ms(), 1)
            self._retries = "to go on" if more else "none"

        return Sent(self.queue(session, batch), settle, weight(batch.send))

    def _taught(self, learn: Callable[[], None]) -> Sent:
        """In place of a try: nothing is sent, and the loop learns and tries again, behind what is on its way."""

        def settle(_: Receipt) -> None:
            learn()
            self._retries = "to go on"

        nothing: Future[Receipt] = Future()
        nothing.set_result(NO_RECEIPT)
        return Sent(nothing, settle)

    def look_again(self) -> None:
        """What waits is not what it was."""
        self._tell_undelivered()

    def _hand_over(self, commit: Commit, subscription: Subscription) -> None:
        """Let the broker have what is given up, where the view says so."""
        if commit.dead_letters and self._equipment.view.dead_letters == "broker":
            subscription.give_up([each.row.position.cursor for each in commit.dead_letters if each.row.position])


def by_lane(batch: PreparedBatch, events: Events, profiles: pl.DataFrame) -> dict[str, bytes]:
    """Events and what to remember of them, packed by the lane that each came from."""
    lanes = batch.places.get_column("@cursor").str.replace("@[0-9]+$", "")
    of_event, of_profile = (lanes.gather(frame.get_column(POSITION)) for frame in (events.frame, profiles))
    return {
        lane: packed_page(
            replace(events, frame=events.frame.filter(of_event == lane)), profiles.filter(of_profile == lane)
        )
        for lane in of_event.unique().sort()
    }


def kept(commit: Commit, messages: Sequence[Message], keep: Mapping[str, Keep]) -> dict[str, bytes]:
    """The messages that the state has to keep with a commit, by place."""
    if not keep or not (commit.dead_letters or commit.parked):
        return {}
    given_up = {each.row.position.cursor for each in commit.dead_letters if each.row.position}
    waiting = {each.row.position.cursor for each in commit.parked if each.row.position}
    named = {"given up": given_up, "undelivered": given_up | waiting}
    return {
        place: packed(message)
        for message in messages
        if message.lane in keep and (place := place_of(message)) in named[keep[message.lane]]
    }


def same(parked: Position, at: Mapping[str, tuple[int, Position]]) -> int | None:
    """The row of the message that is parked; None where its place is empty, or another's.

    One whose key could not be read, before or now, may be the same: the view was mended, or it is now that it is wrong.
    """
    row, found = at.get(parked.cursor, (None, parked))
    return row if found.key == parked.key or not all(parked.key) or not all(found.key) else None


def found_again(session: StreamSession, table: Table, parked: Sequence[ParkedRow]) -> redelivery.Found:
    """The rows of parked rows as the broker still has them, in the order in which these are due.

    A topic that was made again has other messages at their places: one with another key is none of theirs.
    """
    rows = session.rows(table)
    at = dict(zip(map(place_of, table.messages), enumerate(positions_of(rows)), strict=True))
    places = [None if each.row.position is None else same(each.row.position, at) for each in parked]
    there = [place for place in places if place is not None]
    found = tuple(each for each, place in zip(parked, places, strict=True) if place is not None)
    gone = tuple(each for each, place in zip(parked, places, strict=True) if place is None)
    rows = rows[there] if there else rows.clear()
    return redelivery.Found(rows, Retried(found, gone), redelivery.nothing_anew(len(found)))
