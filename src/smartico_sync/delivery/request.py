"""One request on its way: its events, whose receipt it belongs to, and what became of it so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from smartico_sync.core.batches import Batch, encode
from smartico_sync.core.events import BRAND, EID, PLAYER, USER, Events

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    import polars as pl

    from smartico_sync.delivery.pending_receipt import PendingReceipt

__all__ = ["Request"]


@dataclass(eq=False, slots=True)
class Request:
    """One request. `waits` counts the earlier ones that hold a player of this one, which are `followers` of those.

    `attempts` had no usable answer, `silences` of the latest none at all. `over`: it will not be sent again. `trip`: whether
    its events may have been with the API before.
    """

    batch: Batch
    pending: PendingReceipt
    players: frozenset[int]
    waits: int = 0
    followers: list[Request] = field(default_factory=list)
    attempts: int = 0
    silences: int = 0
    trip: Literal["first", "again"] = "first"
    over: bool = False

    @classmethod
    def of(cls, batch: Batch, pending: PendingReceipt) -> Request:
        """A request that nobody has sent yet."""
        return cls(batch, pending, frozenset(batch.events.frame.get_column(PLAYER).to_list()))

    @property
    def frame(self) -> pl.DataFrame:
        """The events."""
        return self.batch.events.frame

    @property
    def brands(self) -> set[str]:
        """Whose events these are."""
        return set(self.frame.get_column(BRAND).unique().to_list())

    @property
    def eids(self) -> Sequence[str]:
        """The ids, made when somebody looks."""
        return LazyTexts(self.frame, EID)

    @property
    def users(self) -> Sequence[str]:
        """The players' names, made when somebody looks."""
        return LazyTexts(self.frame, USER)

    def batches(self, frames: Iterable[pl.DataFrame]) -> list[Batch]:
        """Parts of the request as requests of their own."""
        parts = [Events(frame, self.batch.events.raw) for frame in frames]
        return [Batch(encode(part), part) for part in parts]

    def halves(self) -> list[Batch]:
        """The request divided in the middle."""
        half = self.frame.height // 2
        return self.batches([self.frame.slice(0, half), self.frame.slice(half)])

    def apart(self, places: Collection[int]) -> tuple[list[int], list[int]]:
        """The first and the second half of each player's events among these places, so that in the end each is alone."""
        of_player: dict[str, list[int]] = {}
        users = self.frame.get_column(USER)
        for place in sorted(places):
            of_player.setdefault(users[place], []).append(place)
        first = {place for listed in of_player.values() for place in listed[: (len(listed) + 1) // 2]}
        return sorted(first), sorted(set(places) - first)


class LazyTexts(list[str]):
    """A column as a sequence of texts that is made only when somebody looks: on success nobody does."""

    def __init__(self, frame: pl.DataFrame, column: str) -> None:
        super().__init__()
        self.frame, self.column = frame, column

    def __iter__(self) -> Iterator[str]:
        return iter(self.frame.get_column(self.column).to_list())

    def __len__(self) -> int:
        return self.frame.height
