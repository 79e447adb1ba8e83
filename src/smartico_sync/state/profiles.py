"""Fingerprints of the profiles that Smartico has acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import polars as pl

from smartico_sync.core import few_columns
from smartico_sync.core.few_texts import FEW
from smartico_sync.core.identity import signed
from smartico_sync.core.picked import replaced, table

if TYPE_CHECKING:
    from smartico_sync.state.statements import Statements

__all__ = ["FORGOTTEN", "forget", "known", "remember"]

FORGOTTEN = b""  # no fingerprint is equal to it
CHUNK = 20_000  # ids looked up by one statement: bounds its memory, large enough that its cost does not show


def known(connection: Statements, view_no: int, ids: pl.Series) -> pl.DataFrame:
    """Read the profiles with these ids, in no order; ids that are not known have no row."""
    there = ids if ids.len() == 1 and not ids.null_count() else ids.unique().drop_nulls()
    names = signed(there.cast(pl.UInt64))
    # Ascending, because neighbours share a database page.
    wanted = few_columns.column("whole number", sorted(names.to_list()), "id") if names.len() <= FEW else names.sort()
    found = [
        connection.known_profiles(view_no, wanted.slice(start, CHUNK))
        for start in range(0, max(1, wanted.len()), CHUNK)
    ]
    profiles = found[0] if len(found) == 1 else pl.concat(found)
    return replaced(profiles, [unsigned(profiles.get_column("id"))])


def unsigned(ids: pl.Series) -> pl.Series:
    """The ids as they are outside a database: UInt64 of the same bits."""
    if ids.len() <= FEW:
        return few_columns.column("hash", [number % (1 << 64) for number in ids.to_list()], "id")
    return ids.reinterpret(signed=False)


def remember(connection: Statements, view_no: int, profiles: pl.DataFrame) -> None:
    """Insert or replace profiles, inside the caller's transaction; of equal ids the last one stays."""
    at = profiles.get_column("cursor_at").cast(pl.Int64)
    ids = signed(profiles.get_column("id").cast(pl.UInt64))
    page = table([ids, *(profiles.get_column(name) for name in ("whole", "parts")), at])
    connection.remember_profiles(view_no, page if page.height == 1 else page.sort("id", maintain_order=True))


def forget(connection: Statements, view_no: int, what: Literal["fingerprints", "ages"]) -> None:
    """Forget what the profiles of a view held, or how old they were, inside the caller's transaction.

    Which properties had a value stays: one that has none any more is cleared all the same.
    """
    connection.settle_profiles(view_no)
    if what == "fingerprints":
        connection.execute("DELETE FROM profile WHERE view_no = ? AND cursor_at IS NULL AND parts IS NULL", (view_no,))
        connection.execute("UPDATE profile SET whole = ? WHERE view_no = ?", (FORGOTTEN, view_no))
    else:
        connection.execute("UPDATE profile SET cursor_at = NULL WHERE view_no = ?", (view_no,))
