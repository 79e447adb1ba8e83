"""Pages of views that have a key: rows that the database takes for equal are never on two pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.sources.kit.frames import UNREADABLE
from smartico_sync.sources.kit.positions import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.kit.positions import Label

__all__ = ["Place", "complete"]

Place = tuple[str, ...]  # the texts of a position: cursor, then key


def complete(
    found: pl.DataFrame,
    limit: int,
    relation: Relation,
    among: Callable[[Sequence[Label], Sequence[Place]], pl.DataFrame],
    may_be_equal: Callable[[Place, Place], bool],
) -> pl.DataFrame:
    """The first `limit` rows, and those whose position the database takes for the last one's: the next page passes them over.

    `found` holds one row more, where there is one: what is taken for equal stands side by side. `may_be_equal` judges by texts
    whether the edge is worth a question, and `among` asks it: a superset of the rows at a place.
    """
    if found.height <= limit:
        return found
    page, wanted = found.head(limit), labels(relation)
    places = [name for name, _ in wanted]
    last, following = (tuple(found.get_column(name)[at] for name in places) for at in (limit - 1, limit))
    if not may_be_equal(last, following):
        return page
    tied = among(wanted, [last])
    if tied.height < 2:
        return page
    # What could not be read is a column only where something could not.
    rows = set(page.columns) > set(places)
    tied = tied.select(name for name in tied.columns if name in page.columns or (rows and name == UNREADABLE))
    end = page.tail(tied.height).join(tied, on=places, how="anti", maintain_order="left")
    is_last = pl.all_horizontal(pl.col(name) == value for name, value in zip(places, last, strict=True))
    parts = [page.head(max(0, limit - tied.height)), end, tied.filter(~is_last), tied.filter(is_last)]
    return pl.concat(parts, how="diagonal_relaxed")
