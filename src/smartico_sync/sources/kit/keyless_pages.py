"""Pages of views that have no key: never half a cursor value (watermark rule 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.sources.kit.frames import CURSOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["complete"]

GROWTH = 2  # a page of one cursor value is read again twice as large, until that value ends


def itself(cursor: str) -> Iterable[str]:
    """Where two cursors are equal if their texts are."""
    return (cursor,)


def complete(
    fetch: Callable[[int], pl.DataFrame], limit: int, equal_to: Callable[[str], Iterable[str]] = itself
) -> pl.DataFrame:
    """The page `fetch(limit)` cut back to whole groups of equal cursors, or grown until its only group is whole.

    `fetch(n)` reads the first n rows in cursor order of one snapshot, so that a second call sees the same rows. `equal_to` tells
    all texts of cursors that the database takes for equal to one: the next page passes them all over.
    """
    while True:
        page = fetch(limit)
        if page.height < limit:
            return page
        last = page[CURSOR][-1]
        whole = page.filter(~pl.col(CURSOR).is_in(list(equal_to(last))))
        if whole.height:
            return whole
        limit *= GROWTH
