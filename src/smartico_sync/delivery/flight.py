"""Requests that go in one body, each behind those that it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from smartico_sync.core.verdicts import Verdict
    from smartico_sync.delivery.request import Request

__all__ = ["Company", "body_of", "verdicts_of"]

Each = TypeVar("Each")


class Company:
    """Who may go with a request that starts: at most `most_events` events and `most_bytes` bytes altogether.

    Whose events are refused until their player is known go with none that may make him known: a later one would be accepted then.
    An event that may go once more without a property must not be overtaken meanwhile.
    """

    def __init__(self, request: Request, most_events: int, most_bytes: int) -> None:
        self.request, self.most_events, self.most_bytes = request, most_events, most_bytes
        self.members = {request}
        self.most = request.company
        self.events, self.size = request.frame.height, len(request.batch.body)

    def welcomes(self, other: Request) -> bool:
        """Whether another one may go in the same body."""
        mine, its = self.request.pending, other.pending
        return (
            len(self.members) < min(self.most, other.company)
            and self.events + other.frame.height <= self.most_events
            and self.size + len(other.batch.body) <= self.most_bytes
            and its.priority == mine.priority
            and (its.holds is None) == (mine.holds is None)
            and not (its.optional or mine.optional or its.over)
        )

    def behind(self) -> Iterator[Request]:
        """Those that wait for what goes, and for nothing else."""
        waiting = [follower for each in self.request.flight for follower in each.followers]
        for each in waiting:  # what is behind those that go along is looked at, too
            if each.place != "gone" and each.ahead <= self.members and self.welcomes(each):
                yield each
                waiting += each.followers

    def add(self, other: Request) -> None:
        """Have another one go, too."""
        other.place, other.pace = "gone", "usual"
        self.request.companions.append(other)
        self.members.add(other)
        self.most = min(self.most, other.company)
        self.events, self.size = self.events + other.frame.height, self.size + len(other.batch.body)


def body_of(flight: Sequence[Request]) -> bytes:
    """The JSON array of all their events."""
    if len(flight) == 1:
        return flight[0].batch.body
    return b"[" + b",".join(each.batch.body[1:-1] for each in flight) + b"]"


def verdicts_of(flight: Sequence[Request], verdict: Verdict) -> Iterator[tuple[Request, Verdict]]:
    """What was said of each."""
    start = 0
    for each in flight:
        end = start + each.frame.height
        yield (
            each,
            replace(
                verdict,
                refused=told(verdict.refused, start, end),
                duplicates=placed(verdict.duplicates, start, end),
                brands=placed(verdict.brands, start, end),
                vague=placed(verdict.vague, start, end),
                blurred=placed(verdict.blurred, start, end),
            ),
        )
        start = end


def told(by_place: Mapping[int, Each], start: int, end: int) -> dict[int, Each]:
    """What was said of these places, counted from the first of them."""
    return {place - start: each for place, each in by_place.items() if start <= place < end}


def placed(places: Collection[int], start: int, end: int) -> frozenset[int]:
    """Those of the places, counted from the first of them."""
    return frozenset(place - start for place in places if start <= place < end)
