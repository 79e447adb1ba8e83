"""A player's events keep their order: a request starts only when no earlier unfinished one holds any of its players."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from smartico_sync.core.batches import Batch, encode
from smartico_sync.core.events import Events

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from smartico_sync.delivery.pending_receipt import PendingReceipt

__all__ = ["PlayerOrder", "Request"]

LIVE_TURNS = 4  # of five requests, when a backfill waits too


@dataclass(eq=False, slots=True)
class Request:
    """One request on its way.

    `waits` counts the earlier requests that hold a player of this one, `silences` the times that no answer came in time.
    `trip`: whether its events may have been with the API before.
    """

    batch: Batch
    pending: PendingReceipt
    players: frozenset[int]
    waits: int = 0
    followers: list[Request] = field(default_factory=list)
    attempts: int = 0
    silences: int = 0
    trip: Literal["first", "again"] = "first"


class PlayerOrder:
    """The order in which requests may start. Not thread-safe: the destination holds its lock around every call.

    Views take turns, so that one view's backlog does not starve another; a backfill has a turn in five while there is
    something live.
    """

    def __init__(self) -> None:
        self.tails: dict[int, Request] = {}
        self.ready: dict[str, dict[str, deque[Request]]] = {"live": {}, "backfill": {}}
        self.startable = 0
        self.turn = 0

    def add(self, request: Request) -> None:
        """Queue a request behind the unfinished ones that share a player with it."""
        before = {tail for tail in map(self.tails.get, request.players) if tail is not None}
        for tail in before:
            tail.followers.append(request)
        request.waits = len(before)
        self.tails.update(dict.fromkeys(request.players, request))
        if not request.waits:
            self.offer(request)

    def offer(self, request: Request) -> None:
        """Make a request ready to start, in its view's queue."""
        self.startable += 1
        self.ready[request.pending.priority].setdefault(request.pending.view, deque()).append(request)

    def again(self, request: Request) -> None:
        """Put back a request that was taken but could not start."""
        self.startable += 1
        self.ready[request.pending.priority].setdefault(request.pending.view, deque()).appendleft(request)

    def take(self) -> Request | None:
        """The next request: views in turn, live ones first but never alone."""
        self.turn += 1
        order = ("backfill", "live") if self.turn % (LIVE_TURNS + 1) == 0 else ("live", "backfill")
        for priority in order:
            queues = self.ready[priority]
            if queues:
                view, queue = next(iter(queues.items()))
                request = queue.popleft()
                del queues[view]
                if queue:
                    queues[view] = queue  # to the end of the round
                self.startable -= 1
                return request
        return None

    def finish(self, request: Request) -> None:
        """Let those behind the request go."""
        tails = self.tails
        for player in request.players:
            if tails.get(player) is request:
                del tails[player]
        for follower in request.followers:
            follower.waits -= 1
            if not follower.waits:
                self.offer(follower)

    def cut(self, request: Request, frames: Sequence[pl.DataFrame]) -> None:
        """Divide a request into several, each behind the one before: they may share players. The first is the caller's to offer."""
        first, *rest = (Events(frame, request.batch.events.raw) for frame in frames)
        for events in reversed(rest):
            # Whoever waited for the whole waits for the last part.
            later = Request(Batch(encode(events), events), request.pending, request.players, waits=1, trip="again")
            later.followers, request.followers = request.followers, [later]
            for player in request.players:
                if self.tails.get(player) is request:
                    self.tails[player] = later
        request.batch, request.trip = Batch(encode(first), first), "again"

    def halve(self, request: Request) -> None:
        """Divide a request in the middle, see `cut`."""
        frame = request.batch.events.frame
        half = frame.height // 2
        self.cut(request, [frame.slice(0, half), frame.slice(half)])

    def all(self) -> Iterator[Request]:
        """Take out every request that could start, one after the other."""
        for queues in self.ready.values():
            waiting = [request for queue in queues.values() for request in queue]
            queues.clear()
            self.startable -= len(waiting)
            yield from waiting

    def clear(self) -> None:
        """Forget everything."""
        self.tails.clear()
        self.ready = {"live": {}, "backfill": {}}
        self.startable = 0
