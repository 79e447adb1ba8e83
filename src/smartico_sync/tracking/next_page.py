"""The next page of a view, up to where rows are dated ahead of the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from smartico_sync.core.cursor_time import latest_ms

if TYPE_CHECKING:
    import polars as pl

    from smartico_sync.config.models import View
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.protocol import Reading

__all__ = ["next_page"]


def next_page(
    reading: Reading, view: View, relation: Relation, after: Position | None, limit: int, bound: str | None
) -> tuple[pl.DataFrame, Literal["ahead", "not known"]]:
    """The next page, up to the bound, and whether rows lie beyond. One that came when the reading was opened came without."""
    first = reading.first
    if bound is None or first is None or (first.after, first.limit) != (after, limit):
        return reading.page(after, limit, bound), "not known"
    page = reading.page(after, limit)
    if not page.height:
        return page, "not known"
    last = page.get_column(view.cursor).tail(1)
    if not last.null_count() and latest_ms(last, relation) < reading.clock_ms + view.future_tolerance:
        return page, "not known"
    return reading.page(after, limit, bound), "ahead"
