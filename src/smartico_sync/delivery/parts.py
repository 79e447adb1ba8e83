"""What is in a request, and how its events are told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.events import BRAND, USER

if TYPE_CHECKING:
    from collections.abc import Collection

    import polars as pl

    from smartico_sync.core.batches import Batch
    from smartico_sync.core.events import Events

__all__ = ["LazyTexts", "brands_of", "halves"]


def halves(events: Events, vague: Collection[int]) -> tuple[list[int], list[int]]:
    """The first and the second half of each player's events among these places, so that in the end each is alone."""
    of_player: dict[str, list[int]] = {}
    users = events.frame.get_column(USER)
    for place in sorted(vague):
        of_player.setdefault(users[place], []).append(place)
    first = {place for places in of_player.values() for place in places[: (len(places) + 1) // 2]}
    return sorted(first), sorted(set(vague) - first)


def brands_of(batch: Batch) -> set[str]:
    """The brands in a request."""
    return set(batch.events.frame.get_column(BRAND).unique().to_list())


class LazyTexts(list[str]):
    """A column as a sequence of texts that is made only when somebody looks: on success nobody does."""

    def __init__(self, frame: pl.DataFrame, column: str) -> None:
        super().__init__()
        self.frame, self.column = frame, column

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - an iterator of texts
        return iter(self.frame.get_column(self.column).to_list())

    def __len__(self) -> int:
        return self.frame.height
