"""The table of profiles: a tree in the order of their ids, read and written in that order, because neighbours share a leaf."""

from __future__ import annotations

from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import polars as pl

from smartico_sync.core import few_columns
from smartico_sync.core.picked import table

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from smartico_sync.core.few_columns import Held

__all__ = ["complete", "framed", "nothing", "read", "upsert"]

HOLDS: dict[str, Held] = {"id": "whole number", "whole": "bytes", "parts": "bytes", "cursor_at": "whole number"}
GROUP = 256  # profiles written by one statement: after each the thread queues for Python's lock, with the state in its hands


@cache
def nothing() -> pl.DataFrame:
    """No profiles. A function, so that commands which have no tables need not import polars."""
    return pl.DataFrame(schema={"id": pl.Int64, "whole": pl.Binary, "parts": pl.Binary, "cursor_at": pl.Int64})


def read(connection: sqlite3.Connection, view_no: int, ids: pl.Series) -> pl.DataFrame:
    """Read the profiles with these ids (Int64, ascending): [id Int64, whole, parts, cursor_at], in no order."""
    return nothing() if ids.is_empty() else framed(read_few(connection, view_no, ids.to_list()))


def read_few(connection: sqlite3.Connection, view_no: int, ids: Sequence[int]) -> list[tuple[Any, ...]]:
    """The same as rows."""
    numbers = ",".join(map(str, ids))
    return connection.execute(
        "SELECT p.id, p.whole, p.parts, p.cursor_at FROM json_each(?) AS wanted "
        "CROSS JOIN profile AS p ON p.view_no = ? AND p.id = wanted.value",
        (f"[{numbers}]", view_no),
    ).fetchall()


def framed(rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    """Rows (id, whole, parts, cursor_at) as columns."""
    columns = zip(*rows, strict=True) if rows else ((), (), (), ())
    return table(
        few_columns.column(holds, values, name) for (name, holds), values in zip(HOLDS.items(), columns, strict=True)
    )


def upsert(connection: sqlite3.Connection, view_no: int, profiles: pl.DataFrame) -> None:
    """Write profiles into the tree, inside the caller's transaction; ascending ids, because neighbours share a leaf."""
    columns = [bindable(profiles.get_column(name)) for name in HOLDS if name in profiles.columns]
    parts, width = "?" if "parts" in profiles.columns else "NULL", len(columns)
    values, whole_groups = [*chain.from_iterable(zip(*columns, strict=True))], profiles.height // GROUP * GROUP * width
    for some, size in ((values[:whole_groups], GROUP), (values[whole_groups:], 1)):
        # The number of a view is a constant of the statement: binding it for every row costs a tenth of the speed.
        rows = ", ".join([f"({view_no:d}, ?, ?, {parts}, ?)"] * size)
        connection.executemany(
            f"INSERT INTO profile (view_no, id, whole, parts, cursor_at) VALUES {rows} "  # noqa: S608 - integers and marks
            "ON CONFLICT (view_no, id) DO UPDATE SET whole = excluded.whole, parts = excluded.parts, cursor_at = excluded.cursor_at",
            (some[at : at + size * width] for at in range(0, len(some), size * width)),
        )


def bindable(column: pl.Series) -> Sequence[Any]:
    """The values as Python's sqlite3 takes them quickest: of immutable bytes it asks each time who adapts them."""
    values = column.to_list()
    if column.dtype != pl.Binary:
        return values
    return [None if value is None else bytearray(value) for value in values]


def complete(page: pl.DataFrame) -> pl.DataFrame:
    """Profiles with every column."""
    return (
        page
        if "parts" in page.columns
        else page.select("id", "whole", pl.lit(None, pl.Binary).alias("parts"), "cursor_at")
    )
