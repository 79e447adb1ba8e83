"""The partitions that a member has now: how far each was taken, which were read to their end, and which have to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from smartico_sync.core.messages.message import NO_MESSAGES
from smartico_sync.sources.kafka import assignment
from smartico_sync.sources.stream import Lag

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from smartico_sync.core.records import LaneStep
    from smartico_sync.sources.stream import Feed

__all__ = ["Lanes"]

BEYOND = 5  # looks at which a position lies behind the end: the first may be before the broker's first answer


class Lanes:
    """Asks nobody: where a lane ends is told by whoever calls, as `end`, below 0 before it is known."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.next: dict[str, int] = {}
        self.flow: Literal["on", "paused"] = "on"
        self.waiting = NO_MESSAGES  # what came while nothing was wanted
        self._given: Literal["not yet", "once"] = "not yet"
        self._times: dict[str, int] = {}
        self._ended: set[str] = set()
        self.passed: dict[str, tuple[int, int]] = {}  # from behind its last message to its end, where that is further
        self._heard_of: set[str] = set()  # those of which something came since they were given
        self._added: set[str] = set()  # new in their topic, until those that were there are read to their end
        self._suspects: dict[str, int] = {}
        # Lanes of other members, and how far these have to be before what was added may come.
        self._awaited: dict[str, int] = {}
        self._later: dict[str, LaneStep] = {}  # what was added, until it is begun

    def give(self, steps: Sequence[LaneStep], known: Collection[str], how: Literal["all", "more"]) -> None:
        """The group gives lanes, in place of those before (`all`) or beside them. `known`: lanes that the state knew before."""
        self._given = "once"
        if how == "all":
            self.next.clear()
        given = {step.lane for step in steps}
        self.next |= {step.lane: step.next for step in steps}
        self._ended -= given
        self.passed = {lane: span for lane, span in self.passed.items() if lane in self.next and lane not in given}
        self._heard_of -= given
        self._added |= given.difference(known)
        if self._added >= self.next.keys() and not self._awaited:  # nobody is there whom they would have to wait for
            self._added -= self.next.keys()
        self.let_come()

    def wait_for(self, others: Mapping[str, int], added: Sequence[LaneStep]) -> None:
        """What was added waits until lanes of other members are so far, too."""
        self._awaited = dict(others)
        self._later = {step.lane: step for step in added}

    @property
    def waits_for_others(self) -> bool:
        """Whether it is of interest how far others are."""
        return bool(self._awaited)

    def others_are(self, known: Mapping[str, LaneStep]) -> set[str]:
        """How far all lanes are by the state. Returns those that waited for it."""
        self._awaited = {lane: end for lane, end in self._awaited.items() if lane in known and known[lane].next < end}
        return self.let_come()

    def begun(self, freed: Collection[str]) -> list[LaneStep]:
        """Where lanes begin that wait no more."""
        return [self._later.pop(lane) for lane in sorted(freed) if lane in self._later]

    def forget(self, names: Collection[str]) -> None:
        """The group takes lanes. One that waited does so again when it comes back."""
        self.next = {lane: at for lane, at in self.next.items() if lane not in names}
        self._ended.difference_update(names)
        self.passed = {lane: span for lane, span in self.passed.items() if lane not in names}
        self.waiting = self.waiting.chosen([lane not in names for lane in self.waiting.lanes])

    @property
    def stopped(self) -> set[str]:
        """Lanes of which nothing is to come: all in a pause, else those that wait for others."""
        return set(self.next) if self.flow == "paused" else self._added & self.next.keys()

    @property
    def added(self) -> set[str]:
        """Lanes that wait for others."""
        return self._added & self.next.keys()

    def took(self, lane: str, offset: int, moment_ms: int) -> None:
        """A message came."""
        self._ended.discard(lane)
        self.passed.pop(lane, None)
        self.next[lane], self._times[lane] = offset + 1, moment_ms
        self._heard_of.add(lane)

    def end(self, lane: str, at: int) -> set[str]:
        """A lane is read to its end, which is `at`. Returns those that waited for it."""
        if lane in self.next:
            self._ended.add(lane)
            if at > self.next[lane]:
                since, _ = self.passed.get(lane, (self.next[lane], at))
                self.next[lane], self.passed[lane] = at, (since, at)
        return self.let_come()

    def let_come(self) -> set[str]:
        """Lanes that wait no more: a player may have moved to them, and what the others hold of him is read."""
        waiting = self._added & self.next.keys()
        if not waiting or self._awaited or not self._ended >= self.next.keys() - waiting:
            return set()
        self._added -= waiting
        return waiting

    def level(self, end: Callable[[str], int]) -> bool:
        """Whether every lane's end was seen, and nothing has come since."""
        if self._given == "not yet" or self.waiting or self._added & self.next.keys():
            return False
        return all(
            lane in self._ended or (lane in self._heard_of and 0 <= end(lane) <= at) for lane, at in self.next.items()
        )

    def lags(self, end: Callable[[str], int]) -> tuple[Lag, ...]:
        """What waits in each. Raises ViewRegressed for one that ends before what was read."""
        return tuple(Lag(lane, self._left(lane, end(lane)), self._times.get(lane, 0)) for lane in sorted(self.next))

    def _left(self, lane: str, end: int) -> int:
        at = self.next[lane]
        if end < 0 or lane in self._ended:
            self._suspects.pop(lane, None)
            return 0 if end <= at else end - at
        if end < at:
            self._suspects[lane] = self._suspects.get(lane, 0) + 1
            if self._suspects[lane] >= BEYOND:
                raise assignment.beyond(self._feed, lane, at, end)
            return 0
        self._suspects.pop(lane, None)
        return end - at

    def topics(self) -> set[str]:
        """The topics that they belong to."""
        return {lane.rpartition("/")[0] for lane in self.next}
