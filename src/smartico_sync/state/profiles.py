"""Fingerprints of the profiles that Smartico has acknowledged: a tree, and in front of it a log of what came last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import polars as pl

from smartico_sync.state.profile_log import append

if TYPE_CHECKING:
    import sqlite3

    from smartico_sync.state.profile_log import ProfileLog

__all__ = ["SCHEMA", "erase", "forget", "known", "remember"]

SCHEMA = {"id": pl.UInt64, "whole": pl.Binary, "parts": pl.Binary, "cursor_at": pl.Int64}
FORGOTTEN = b""  # no fingerprint is equal to it
CHUNK = 20_000  # ids looked up by one statement: bounds its memory, large enough that its cost does not show


def known(connection: sqlite3.Connection, log: ProfileLog, view_no: int, ids: pl.Series) -> pl.DataFrame:
    """Read the profiles with these ids, in no order; ids that are not known have no row."""
    wanted = signed(ids).drop_nulls().unique().sort()  # ascending: neighbours share a database page
    logged = log.known(connection, view_no, wanted)
    if logged.height:
        wanted = wanted.filter(~wanted.is_in(logged.get_column("id").implode()))
    rows = []
    for start in range(0, wanted.len(), CHUNK):
        numbers = ",".join(map(str, wanted.slice(start, CHUNK).to_list()))
        rows += connection.execute(
            "SELECT p.id, p.whole, p.parts, p.cursor_at FROM json_each(?) AS wanted "
            "CROSS JOIN profile AS p ON p.view_no = ? AND p.id = wanted.value",
            (f"[{numbers}]", view_no),
        ).fetchall()
    found, whole, parts, cursor_at = zip(*rows, strict=True) if rows else ((), (), (), ())
    moved = pl.DataFrame(
        [
            pl.Series("id", found, dtype=pl.Int64),
            pl.Series("whole", whole, dtype=pl.Binary),
            pl.Series("parts", parts, dtype=pl.Binary),
            pl.Series("cursor_at", cursor_at, dtype=pl.Int64),
        ]
    )
    return pl.concat([moved, logged]).with_columns(pl.col("id").reinterpret(signed=False))


def remember(connection: sqlite3.Connection, view_no: int, profiles: pl.DataFrame) -> None:
    """Insert or replace profiles, inside the caller's transaction; of equal ids the last one stays."""
    page = profiles.select(signed(profiles.get_column("id")), "whole", "parts", pl.col("cursor_at").cast(pl.Int64))
    append(connection, view_no, page.with_columns(pl.col("whole", "parts").cast(pl.Binary)))


def erase(connection: sqlite3.Connection, log: ProfileLog, view_no: int, number: int) -> int:
    """Delete the profile with this id (signed), inside the caller's transaction; how many there were."""
    moved = connection.execute("DELETE FROM profile WHERE view_no = ? AND id = ?", (view_no, number)).rowcount
    return max(moved, int(log.erase(connection, view_no, number)))


def forget(
    connection: sqlite3.Connection, log: ProfileLog, view_no: int, what: Literal["fingerprints", "ages"]
) -> None:
    """Forget what the profiles of a view held, or how old they were, inside the caller's transaction."""
    log.empty(connection, view_no)
    if what == "fingerprints":
        connection.execute("DELETE FROM profile WHERE view_no = ? AND cursor_at IS NULL", (view_no,))
        connection.execute("UPDATE profile SET whole = ?, parts = NULL WHERE view_no = ?", (FORGOTTEN, view_no))
    else:
        connection.execute("UPDATE profile SET cursor_at = NULL WHERE view_no = ?", (view_no,))


def signed(ids: pl.Series) -> pl.Series:
    """Reinterpret UInt64 as Int64: SQLite's integers are signed; equal bits, equal ids."""
    return ids.cast(pl.UInt64).reinterpret(signed=True)
