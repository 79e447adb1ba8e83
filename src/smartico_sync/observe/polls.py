"""What is known of one view's polls: facts with the moment they became true, and how each thing that happens changes them."""

from __future__ import annotations

import time
from typing import Literal, Self

from msgspec import Struct
from msgspec.structs import replace

__all__ = ["Instant", "Outcome", "Polls", "State", "Trouble", "WaitsFor"]

State = Literal["starting", "live", "behind", "degraded", "halted", "regressed"]
Outcome = Literal["none", "caught_up", "behind"]
WaitsFor = Literal["", "source", "api"]

TREND = 60  # points of the sparkline


class Instant(Struct, frozen=True):
    """One moment by both clocks of this machine, in ms.

    `wall_ms` (since the epoch) is for records and people. `steady_ms` never jumps and is for ages: a wall clock that is
    set back would make a view that stands still look fresh.
    """

    wall_ms: int
    steady_ms: int

    @classmethod
    def now(cls) -> Self:
        """This moment."""
        return cls(time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000)

    def ms_since(self, earlier: Instant) -> int:
        """How much later this is, by the steady clock; never below 0."""
        return max(0, self.steady_ms - earlier.steady_ms)


class Trouble(Struct, frozen=True):
    """Why a view does not go on, and what to do next. `since`: from when on it has not gone well without a break.

    `cause`: a poll that ended in an error, or the API that takes nothing from the poll under way.
    """

    state: State
    message: str
    hint: str
    cause: Literal["poll", "api"]
    since: Instant


class Rate(Struct, frozen=True):
    """So many rows were read in the `span_ms` before `at`."""

    rows: int
    span_ms: int
    at: Instant

    def per_second(self, now: Instant) -> float:
        """Rows a second; it fades while nothing more comes."""
        return self.rows * 1000 / max(1, self.span_ms, now.ms_since(self.at))


class Polls(Struct, frozen=True):
    """The facts. Nothing in here is an age: what depends on the time of looking is in `view_status.derived`.

    `since`: the view is tracked since then. `seen`: its last sign of life. `moved`: when a poll last began, got on or ended.
    `began`: the poll that is under way, None between polls. `reading`: when its last reading began. `ended`: the last poll
    that did. `succeeded`: when all that had been read was last committed. `caught_up`: when the last poll that left
    nothing behind began its last reading; every row that the source showed then has been dealt with. `unanswered`: since
    when the API has owed an answer to the oldest page, None when it owes none. `outcome`: what the last success found. `rows`: the view's count of rows at the last success; `rate` and `trend` are from one to the next.
    """

    since: Instant
    seen: Instant
    moved: Instant
    began: Instant | None = None
    reading: Instant | None = None
    ended: Instant | None = None
    succeeded: Instant | None = None
    caught_up: Instant | None = None
    unanswered: Instant | None = None
    outcome: Outcome = "none"
    waits_for: WaitsFor = ""
    trouble: Trouble | None = None
    rows: int = 0
    rate: Rate | None = None
    trend: tuple[float, ...] = ()

    @classmethod
    def since_now(cls, now: Instant) -> Self:
        """A view of which nothing has happened yet."""
        return cls(now, now, now)

    def opening(self, now: Instant) -> Self:
        """The view is looked at before its first poll, or its next one after trouble: the source describes it."""
        return replace(self, seen=now, waits_for="source")

    def poll_began(self, now: Instant) -> Self:
        """A poll begins. The first thing it does is to ask the source."""
        return replace(self, seen=now, moved=now, began=now, reading=now, waits_for="source")

    def reading_began(self, now: Instant) -> Self:
        """The poll asks the source for its next page."""
        return replace(self, seen=now, reading=now, waits_for="source")

    def got_on(self, now: Instant) -> Self:
        """The poll read or committed something, or learnt that there is nothing."""
        return replace(self, seen=now, moved=now, waits_for="")

    def waits_for_api(self, error: tuple[str, str] | None, now: Instant, unanswered: Instant | None = None) -> Self:
        """Pages wait for the API, the oldest since `unanswered`. `error`: message and hint of what keeps the API from taking events, None when nothing is known to."""
        trouble = self.trouble
        if error is not None:
            trouble = Trouble("degraded", *error, "api", trouble.since if trouble else now)
        elif trouble is not None and trouble.cause == "api":
            trouble = None
        return replace(self, seen=now, waits_for="api", trouble=trouble, unanswered=unanswered or now)

    def behind(self, rows: int, now: Instant) -> Self:
        """A page is committed, and the poll goes on to the next. `rows`: read since the first start."""
        return replace(self.marked(rows, now), outcome="behind", waits_for="")

    def caught_up_at(self, reading: Instant, rows: int, now: Instant) -> Self:
        """Everything that a reading found is committed, and there was nothing behind it. It began at `reading`.

        A later poll may be under way already: polls do not wait for receipts.
        """
        before = self.caught_up
        newest = reading if before is None or reading.steady_ms >= before.steady_ms else before
        done = replace(self.marked(rows, now), outcome="caught_up", caught_up=newest, unanswered=None, waits_for="")
        if self.reading is not None and self.reading.steady_ms > reading.steady_ms:
            return done
        return replace(done, ended=now, began=None, reading=None)

    def found_nothing(self, began: Instant, rows: int, now: Instant) -> Self:
        """A whole poll that began at that moment and found nothing, while no other was under way."""
        return replace(self.marked(rows, now), outcome="caught_up", caught_up=began, ended=now, waits_for="")

    def failed(self, state: State, message: str, hint: str, now: Instant) -> Self:
        """The poll ended in an error."""
        trouble = Trouble(state, message, hint, "poll", self.trouble.since if self.trouble else now)
        ended = replace(self, seen=now, moved=now, ended=now, began=None, reading=None)
        return replace(ended, unanswered=None, waits_for="", trouble=trouble)

    @property
    def under_way(self) -> Instant | None:
        """Since when a poll, or the wait for an answer to one, has been going on; None when none is."""
        moments = [moment for moment in (self.began, self.unanswered) if moment is not None]
        return min(moments, key=lambda moment: moment.steady_ms) if moments else None

    @property
    def got_on_last(self) -> Instant:
        """When things last got on. While the API owes an answer, only a commit is progress: polls alone deliver nothing."""
        if self.unanswered is None:
            return self.moved
        committed = self.succeeded or self.since
        stuck = max(self.unanswered, committed, key=lambda moment: moment.steady_ms)
        return min(self.moved, stuck, key=lambda moment: moment.steady_ms)

    def marked(self, rows: int, now: Instant) -> Self:
        """All that was read is committed; what there was of trouble is over."""
        rate = Rate(max(0, rows - self.rows), now.ms_since(self.succeeded or self.since), now)
        trend = (*self.trend, rate.per_second(now))[-TREND:]
        return replace(self, seen=now, moved=now, succeeded=now, trouble=None, rows=rows, rate=rate, trend=trend)
