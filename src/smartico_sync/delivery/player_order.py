"""A player's events keep their order: a request starts only when no earlier unfinished one holds any of its players."""

from __future__ import annotations

import heapq
from collections import deque
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from smartico_sync.core.events import PLAYER
from smartico_sync.delivery.request import Pace, Request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from smartico_sync.core.batches import Batch
    from smartico_sync.delivery.protocol import Priority

__all__ = ["PlayerOrder"]

LEAST_FREE = 0.5  # of a request that waits for one which is pausing: a few events had better wait, too, for each part is a request
LIVE_TURNS = 4  # of five requests, when a backfill waits too


class PlayerOrder:
    """The order in which requests may start. Not thread-safe: the destination holds its lock around every call.

    Views take turns, so that one view's backlog does not starve another; a backfill has a turn in five while there is
    something live. `now` and `until` are seconds of a steady clock.
    """

    def __init__(self) -> None:
        self.tails: dict[int, Request] = {}  # the last unfinished request of each player, but for those of backlogs
        # The unfinished ones of backlogs; of two that share a player the later one behind.
        self.backlogs: list[Request] = []
        self.ready: dict[Priority, dict[str, deque[Request]]] = {"live": {}, "backfill": {}}
        self.postponed: list[tuple[float, int, Request]] = []
        self.numbers = count()
        self.startable = 0
        self.turn = 0

    def add(self, request: Request) -> None:
        """Queue a request behind the unfinished ones that may share a player with it."""
        request.ahead = {*self.tails_before(request), *self.backlogs_before(request)}
        for earlier in request.ahead:
            earlier.followers[request] = None
        if request.backlog:
            self.backlogs.append(request)
        else:
            self.tails.update(dict.fromkeys(request.players, request))
        self.look_at(request)

    def tails_before(self, request: Request) -> set[Request]:
        """The last one of each of its players that belongs to no backlog."""
        if not self.tails:
            return set()
        return {tail for tail in map(self.tails.get, request.players) if tail is not None}

    def backlogs_before(self, request: Request) -> set[Request]:
        """Those of backlogs that it has to wait for: the last one of each of its players, at least."""
        found = set[Request]()
        left: set[int] | None = None  # of whom the last one is not found yet
        for earlier in reversed(self.backlogs):
            shared = request.compared(earlier)
            if shared == "assumed":
                found.add(earlier)
            elif shared == "perhaps":
                left = set(request.players) if left is None else left
                if theirs := left & earlier.players:
                    found.add(earlier)
                    left -= theirs
        return found

    def look_at(self, request: Request) -> None:
        """Offer a request, if all or some of it may start; tell those behind it where all of it waits for what is stuck.

        It is divided when its turn comes: what it waits for may be over by then.
        """
        waiting = [request]
        while waiting:
            each = waiting.pop()
            if each.place != "waiting" or any(earlier.pace == "usual" for earlier in each.ahead):
                continue
            if not each.ahead or self.worth_dividing(each, self.held(each)):
                self.offer(each)
                continue
            pace = pace_behind(each)
            if each.pace != pace:
                each.pace = pace
                waiting += each.followers

    def worth_dividing(self, request: Request, held: AbstractSet[int]) -> bool:
        """Whether enough of it need not wait, as the events of the `held` players have to."""
        players = request.frame.get_column(PLAYER)
        if held.isdisjoint(request.players):
            return True
        free = sum(player not in held for player in players.to_list())
        return free > (0 if pace_behind(request) == "stuck" else players.len() * LEAST_FREE)

    def held(self, request: Request) -> set[int]:
        """Its players for whom it has to wait. What is ahead and has none of them is not ahead any more."""
        held = set[int]()
        for earlier in list(request.ahead):
            if theirs := earlier.players & request.players:
                held |= theirs
            else:
                del earlier.followers[request]
                request.ahead.discard(earlier)
        return held

    def offer(self, request: Request) -> None:
        """Make a request ready to start, in its view's queue."""
        request.place = "offered"
        self.startable += 1
        self.ready[request.pending.priority].setdefault(request.pending.view, deque()).append(request)

    def offers(self, view: str) -> bool:
        """Whether something of a view may start."""
        return any(view in queues for queues in self.ready.values())

    def back(self, request: Request) -> None:
        """What is left of a request, or all of it, goes again when nothing is ahead of it."""
        request.place, request.pace = "waiting", "usual"
        self.look_at(request)

    def again(self, request: Request) -> None:
        """Put back a request that was taken but could not start."""
        request.place = "offered"
        self.startable += 1
        self.ready[request.pending.priority].setdefault(request.pending.view, deque()).appendleft(request)

    def postpone(self, request: Request, until: float) -> None:
        """Make a request ready to start then; until then its players wait."""
        request.place = "gone"
        heapq.heappush(self.postponed, (until, next(self.numbers), request))

    def release(self, now: float) -> None:
        """Offer what has been postponed for long enough."""
        while self.postponed and self.postponed[0][0] <= now:
            self.offer(heapq.heappop(self.postponed)[2])

    @property
    def next_release(self) -> float | None:
        """When the next postponed request may start; None when there is none."""
        return self.postponed[0][0] if self.postponed else None

    def take(self) -> Request | None:
        """The next request that may start, or what may of it."""
        while (request := self.next_offered()) is not None:
            if not request.ahead or self.set_apart(request):
                return request
        return None

    def next_offered(self) -> Request | None:
        """Views in turn, live ones first but never alone."""
        self.turn += 1
        order: tuple[Priority, ...] = ("live", "backfill")
        if self.turn % (LIVE_TURNS + 1) == 0:
            order = ("backfill", "live")
        for priority in order:
            queues = self.ready[priority]
            while queues:
                view, queue = next(iter(queues.items()))
                request = queue.popleft()
                del queues[view]
                if queue:
                    queues[view] = queue  # to the end of the round
                self.startable -= 1
                if request.place == "offered":  # it may have gone with another
                    request.place = "gone"
                    return request
        return None

    def finish(self, request: Request) -> None:
        """Let those behind the request go, but for what it would still wait for itself."""
        request.over = True
        if request.backlog:
            with suppress(ValueError):  # all was forgotten meanwhile
                self.backlogs.remove(request)
        else:
            tails = self.tails
            for player in request.players:
                if tails.get(player) is request:
                    del tails[player]
        for earlier in request.ahead:
            del earlier.followers[request]
            if not earlier.backlog:
                self.tails.update(
                    {player: earlier for player in earlier.players & request.players if player not in self.tails}
                )
            for follower in request.followers:
                earlier.followers[follower] = None
                follower.ahead.add(earlier)
        for follower in list(request.followers):
            self.detach(request, follower)

    def detach(self, request: Request, follower: Request) -> None:
        """Let one that is behind the request wait for it no longer."""
        del request.followers[follower]
        follower.ahead.discard(request)
        if not follower.ahead:
            self.going(follower)
        self.look_at(follower)

    def stuck(self, request: Request, pace: Pace = "stuck") -> None:
        """A request takes long: let those behind it go, all but the events of its own players."""
        for each in request.flight:
            each.pace = pace
        for follower in [follower for each in request.flight for follower in each.followers]:
            self.look_at(follower)

    def going(self, request: Request) -> None:
        """A request is not stuck, or not any more, and so are those behind it that waited for no other one that is.

        They go undivided soon.
        """
        waiting = [request]
        request.pace = "usual"
        while waiting:
            for each in waiting.pop().followers:
                if each.pace != "usual" and all(earlier.pace == "usual" for earlier in each.ahead):
                    each.pace = "usual"
                    waiting.append(each)

    def set_apart(self, request: Request) -> bool:
        """Divide a request behind stuck ones: what has to wait for those, and all others, which may go before. Whether there are any now."""
        request.place = "waiting"
        if request.pending.over or any(earlier.pace == "usual" for earlier in request.ahead):
            return False
        held = self.held(request)
        if not self.worth_dividing(request, held):
            self.look_at(request)
            return False
        if not held:
            request.place = "gone"
            return True
        parted = request.parted(held)
        if parted is None:
            return False
        request.place = "gone"
        apart = self.part(request, held, *parted)
        apart.pace = pace_behind(apart)
        for follower in list(apart.followers):
            self.look_at(follower)
        return True

    def part(self, request: Request, players: AbstractSet[int], theirs: Batch, others: Batch) -> Request:
        """Take the events of some players out of a request, as one of their own. Each waits for what holds its own players only."""
        apart = Request(
            theirs, request.pending, request.players & players, attempts=request.attempts, silences=request.silences,
            sent_at=request.sent_at, failed_at=request.failed_at, trip=request.trip, others=request.others,
            backlog=request.backlog, company=request.company, extent="part",
        )  # fmt: skip
        request.extent = "part"
        request.batch, request.their_players = others, request.players - players
        for earlier in list(request.ahead):
            if not earlier.players.isdisjoint(apart.players):
                earlier.followers[apart] = None
                apart.ahead.add(earlier)
            if earlier.players.isdisjoint(request.players):
                earlier.followers.pop(request, None)
                request.ahead.discard(earlier)
        for follower in list(request.followers):
            if not follower.players.isdisjoint(apart.players):
                apart.followers[follower] = None
                follower.ahead.add(apart)
            if follower.players.isdisjoint(request.players):
                self.detach(request, follower)
        self.take_over(request, apart)
        return apart

    def take_over(self, request: Request, later: Request) -> None:
        """Part of a request is one of its own now, of `later.players` the last where the whole was."""
        if not request.backlog:
            self.tails.update((player, later) for player in later.players if self.tails.get(player) is request)
        elif request in self.backlogs:
            self.backlogs.insert(self.backlogs.index(request) + 1, later)

    def single_out(self, request: Request) -> None:
        """Leave one player's events in a request that may start; what else it held goes next."""
        first = request.frame.get_column(PLAYER)[0]
        parted = request.parted({first})
        if parted is not None:
            mine, others = parted
            self.again(self.part(request, request.players - {first}, others, mine))

    def scatter(self, request: Request, pieces: int) -> int:
        """Divide a request that may start by player into so many at most, which may all start; how many there are beside it.

        Their pauses begin anew: that the whole failed so often tells little of a part, and each would fail as often again.
        """
        players = sorted(set(request.frame.get_column(PLAYER).to_list()))
        size = -(-len(players) // pieces)
        made = 0
        for start in range(size, len(players), size):
            group = frozenset(players[start : start + size])
            parted = request.parted(group)
            if parted is not None:
                apart = self.part(request, group, *parted)
                apart.attempts = request.attempts = 0
                self.offer(apart)
                made += 1
        return made

    def halve(self, request: Request) -> None:
        """Divide a request that will go again: by player, so that no half waits for the other; one player's by its events."""
        if not self.scatter(request, 2):
            self.cut(request, request.halves())

    def cut(self, request: Request, batches: Sequence[Batch]) -> None:
        """Divide a request into several, each behind the one before: they may share players. The first is the caller's to offer."""
        first, *rest = batches
        for batch in reversed(rest):
            # Whoever waited for the whole waits for the last part.
            later = Request(
                batch,
                request.pending,
                request.players,
                {request},
                request.followers,
                trip="again",
                backlog=request.backlog,
                company=request.company,
            )
            for follower in later.followers:
                follower.ahead.discard(request)
                follower.ahead.add(later)
            request.followers = {later: None}
            self.take_over(request, later)
        request.batch, request.trip = first, "again"

    def abandoned(self) -> list[Request]:
        """Take out the waiting requests whose receipt is resolved already: nobody waits for them."""
        found = [request for _, _, request in self.postponed if request.pending.over]
        self.postponed = [entry for entry in self.postponed if not entry[2].pending.over]
        heapq.heapify(self.postponed)
        for queues in self.ready.values():
            for view, queue in list(queues.items()):
                over = [each for each in queue if each.place == "offered" and each.pending.over and not each.ahead]
                self.startable -= len(over)
                found += over
                if len(over) == len(queue):
                    del queues[view]
                elif over:
                    queues[view] = deque(each for each in queue if each not in over)
        return found

    def clear(self) -> None:
        """Forget everything."""
        self.tails.clear()
        self.backlogs.clear()
        self.ready = {"live": {}, "backfill": {}}
        self.postponed.clear()
        self.startable = 0


def pace_behind(request: Request) -> Pace:
    """Of a request that waits for none that goes as usual."""
    return "stuck" if any(earlier.pace == "stuck" for earlier in request.ahead) else "pausing"
