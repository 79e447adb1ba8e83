"""The ledger of acknowledged rows: the keys of a page in one blob, and counts that outlive them.

A page's blob holds n keys of 8 bytes in ascending order, then n offsets of the cursor above the page's lowest, in the
same order and of 0, 1, 2, 4 or 8 bytes each, whatever the widest needs; all little-endian. Counts per bucket stay when
the keys are pruned.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, cast

import polars as pl
from msgspec import Struct

from smartico_sync.core.few_texts import FEW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smartico_sync.state.statements import Inserted, Statements

__all__ = [
    "BUCKET_MS",
    "Page",
    "acknowledged_at",
    "append",
    "between",
    "count_buckets",
    "count_keys",
    "keys_of",
    "lowest",
    "pack",
    "prune",
    "remove_from",
    "since",
    "unpack",
]

BUCKET_MS = 3_600_000  # counts are kept per hour of a timestamp cursor, per 3.6 million ids of an id cursor
# The first that 64 bits can say: what lies before is counted as polars wraps it.
FIRST_BUCKET_MS = -(1 << 63) // BUCKET_MS * BUCKET_MS + BUCKET_MS
PRUNE_PAGES = 256  # pages dropped in one transaction: a few milliseconds, so that commits hardly wait
READ_PAGES = 64  # pages read under the store's lock at a time

LETTERS = {1: "B", 2: "H", 4: "I", 8: "Q"}  # of `struct`, for offsets of so many bytes


# Functions, so that commands which have no tables need not import polars.
@cache
def offset_types() -> dict[int, type[pl.DataType]]:
    """Of offsets of so many bytes."""
    return {1: pl.UInt8, 2: pl.UInt16, 4: pl.UInt32, 8: pl.UInt64}


@cache
def schema() -> pl.Schema:
    """Of a page's rows."""
    return pl.Schema({"key": pl.UInt64, "cursor_ms": pl.Int64})


@cache
def counts_schema() -> pl.Schema:
    """Of counts by bucket."""
    return pl.Schema({"bucket": pl.Int64, "n": pl.Int64})


class Page(Struct, frozen=True):
    """The keys of one acknowledged page, packed."""

    low_ms: int
    high_ms: int
    n: int
    blob: bytes


def pack(rows: pl.DataFrame) -> Page | None:
    """Pack a frame [key UInt64, cursor_ms Int64] without nulls; None when it is empty."""
    if rows.is_empty():
        return None
    rows = rows if rows.height == 1 else rows.sort("key")
    cursors = rows.get_column("cursor_ms")
    low, high = bounds(cursors)
    width = width_of(high - low)
    blob = little("Q", rows.get_column("key").to_list())
    if width:
        # Unsigned and wrapping, because the difference of two Int64 may need all 64 bits.
        offsets = cursors.reinterpret(signed=False) - pl.Series([low % (1 << 64)], dtype=pl.UInt64)
        blob += little(LETTERS[width], offsets.to_list())
    return Page(low, high, rows.height, blob)


def unpack(page: Page) -> pl.DataFrame:
    """Return the frame [key UInt64, cursor_ms Int64] of a page, in ascending order of keys."""
    keys = numbers(page.blob[: 8 * page.n], pl.UInt64, page.n).alias("key")
    width = (len(page.blob) - 8 * page.n) // page.n
    if width == 0:
        return pl.DataFrame([keys, pl.Series("cursor_ms", [page.low_ms], pl.Int64).new_from_index(0, page.n)])
    offsets = numbers(page.blob[8 * page.n :], offset_types()[width], page.n).cast(pl.UInt64)
    cursors = (offsets + pl.Series([page.low_ms % (1 << 64)], dtype=pl.UInt64)).reinterpret(signed=True)
    return pl.DataFrame([keys, cursors.alias("cursor_ms")])


def keys_of(pages: Sequence[Page]) -> pl.Series:
    """Return the keys (UInt64) of pages, of each in ascending order; there is one page at least."""
    return numbers(b"".join(page.blob[: 8 * page.n] for page in pages), pl.UInt64, sum(page.n for page in pages))


def count_buckets(cursors: pl.Series, bucket: int = BUCKET_MS) -> pl.DataFrame:
    """Count [bucket Int64 (its lowest cursor), n Int64], ascending; buckets of negative cursors are floored too."""
    if cursors.is_empty():
        return pl.DataFrame(schema=counts_schema())
    floors = (cursors.rename("bucket") // bucket) * bucket
    return floors.to_frame().group_by("bucket").agg(n=pl.len().cast(pl.Int64)).sort("bucket")


def counted(cursors: pl.Series) -> list[tuple[int, int]]:
    """The same as rows."""
    if cursors.is_empty():
        return []
    low, high = (each // BUCKET_MS for each in bounds(cursors))
    if low == high:  # nearly every page: grouping costs more than packing it
        return [(low * BUCKET_MS, cursors.len())]
    return count_buckets(cursors).rows()


def append(connection: Statements, view_no: int, at_ms: int, rows: pl.DataFrame) -> Inserted | None:
    """Add a page inside the caller's transaction; its number is its sequence number. None when there is nothing to keep."""
    page, counts = few(rows) if rows.height <= FEW else many(rows)
    if page is None:
        return None
    inserted = connection.insert(
        "INSERT INTO ledger (view_no, at_ms, low_ms, high_ms, n, keys) VALUES (?, ?, ?, ?, ?, ?)",
        (view_no, at_ms, page.low_ms, page.high_ms, page.n, page.blob),
        "seq",
    )
    add_counts(connection, view_no, counts)
    return inserted


def many(rows: pl.DataFrame) -> tuple[Page | None, list[tuple[int, int]]]:
    """Rows packed, without those that have no cursor, and their counts by bucket."""
    if rows.schema != schema() or rows.get_column("key").null_count() or rows.get_column("cursor_ms").null_count():
        rows = rows.select(pl.col("key").cast(pl.UInt64), pl.col("cursor_ms").cast(pl.Int64)).drop_nulls()
    return pack(rows), counted(rows.get_column("cursor_ms"))


def few(rows: pl.DataFrame) -> tuple[Page | None, list[tuple[int, int]]]:
    """What `many` makes of a handful of rows, which are looked at one by one: each call of polars costs more."""
    keys, cursors = rows.get_column("key"), rows.get_column("cursor_ms")
    if keys.dtype != pl.UInt64 or cursors.dtype != pl.Int64:
        return many(rows)
    there = sorted(pair for pair in zip(keys.to_list(), cursors.to_list(), strict=True) if None not in pair)
    if not there:
        return None, []
    moments = [cursor for _, cursor in there]
    low, high = min(moments), max(moments)
    if low < FIRST_BUCKET_MS:
        return many(rows)
    width = width_of(high - low)
    blob = little("Q", [key for key, _ in there])
    if width:
        blob += little(LETTERS[width], [moment - low for moment in moments])
    return Page(low, high, len(there), blob), sorted(Counter(each // BUCKET_MS * BUCKET_MS for each in moments).items())


def add_counts(connection: Statements, view_no: int, counts: Sequence[tuple[int, int]]) -> None:
    """Add rows [bucket, n] to the counts, inside the caller's transaction."""
    connection.executemany(
        "INSERT INTO ledger_count (view_no, bucket, n) VALUES (?, ?, ?) "
        "ON CONFLICT (view_no, bucket) DO UPDATE SET n = ledger_count.n + excluded.n",
        [(view_no, bucket, n) for bucket, n in counts],
    )


def since(connection: Statements, view_no: int, seq: int) -> list[tuple[int, Page]]:
    """Read the next pages after a sequence number, at most READ_PAGES."""
    found = connection.execute(
        "SELECT seq, low_ms, high_ms, n, keys FROM ledger WHERE view_no = ? AND seq > ? ORDER BY seq LIMIT ?",
        (view_no, seq, READ_PAGES),
    )
    return [(row[0], Page(*row[1:])) for row in found]


def newest(connection: Statements, view_no: int) -> int:
    """Return the newest sequence number of a view, 0 without any."""
    found = connection.execute(
        "SELECT seq FROM ledger WHERE view_no = ? ORDER BY seq DESC LIMIT 1", (view_no,)
    ).fetchone()
    return int(found[0]) if found else 0


def lowest(connection: Statements, view_no: int, at_ms: int) -> int | None:
    """Return the lowest cursor among the pages delivered since; None without any."""
    (low,) = connection.execute(
        "SELECT min(low_ms) FROM ledger WHERE view_no = ? AND at_ms >= ?", (view_no, at_ms)
    ).fetchone()
    return None if low is None else int(low)


def between(connection: Statements, view_no: int, low_ms: int, high_ms: int) -> Iterator[pl.DataFrame]:
    """Yield the rows with low_ms <= cursor < high_ms, a frame per page."""
    # The page numbers come from the index alone; the blobs are read one by one.
    found = connection.execute(
        "SELECT seq FROM ledger INDEXED BY ledger_range WHERE view_no = ? AND high_ms >= ? AND low_ms < ?",
        (view_no, low_ms, high_ms),
    ).fetchall()
    for (seq,) in found:
        row = connection.execute("SELECT low_ms, high_ms, n, keys FROM ledger WHERE seq = ?", (seq,)).fetchone()
        page = Page(*row)
        rows = unpack(page)
        if page.low_ms < low_ms or page.high_ms >= high_ms:
            rows = rows.filter(pl.col("cursor_ms").is_between(low_ms, high_ms, closed="left"))
        yield rows


def holds(connection: Statements, view_no: int, cursor_ms: int) -> bool:
    """Tell whether a row of that cursor is kept."""
    found = connection.execute(
        "SELECT seq, low_ms, high_ms FROM ledger INDEXED BY ledger_range WHERE view_no = ? AND high_ms >= ? AND low_ms <= ?",
        (view_no, cursor_ms, cursor_ms),
    ).fetchall()
    if any(cursor_ms in ends for _, *ends in found):  # a page has rows of both
        return True
    return any(rows.height for rows in between(connection, view_no, cursor_ms, cursor_ms + 1)) if found else False


def acknowledged_at(connection: Statements, view_no: int, cursor_ms: int, key: int) -> int | None:
    """Return when (epoch ms) the row of that key and cursor was acknowledged last; None where no key is kept."""
    found = connection.execute(
        "SELECT seq, at_ms FROM ledger INDEXED BY ledger_range WHERE view_no = ? AND high_ms >= ? AND low_ms <= ?",
        (view_no, cursor_ms, cursor_ms),
    ).fetchall()
    for seq, at_ms in sorted(found, reverse=True):
        row = connection.execute("SELECT low_ms, high_ms, n, keys FROM ledger WHERE seq = ?", (seq,)).fetchone()
        if unpack(Page(*row)).filter(key=key, cursor_ms=cursor_ms).height:
            return int(at_ms)
    return None


def count_keys(connection: Statements, view_no: int, low_ms: int, high_ms: int, bucket: int) -> pl.DataFrame:
    """Count [bucket, n] from what is kept: whole hours from the counts, anything finer from the keys."""
    if low_ms % BUCKET_MS == high_ms % BUCKET_MS == bucket % BUCKET_MS == 0:
        kept = connection.execute(
            "SELECT bucket, n FROM ledger_count WHERE view_no = ? AND bucket >= ? AND bucket < ?",
            (view_no, low_ms, high_ms),
        ).fetchall()
        counts = pl.DataFrame(kept, schema=counts_schema(), orient="row")
    else:
        pages = between(connection, view_no, low_ms, high_ms)
        counts = pl.DataFrame(schema=counts_schema())
        while some := list(islice(pages, READ_PAGES)):
            counts.extend(count_buckets(pl.concat(some).get_column("cursor_ms"), bucket))
    coarse = counts.group_by((pl.col("bucket") // bucket) * bucket).agg(pl.col("n").sum())
    return coarse.filter(pl.col("n") != 0).sort("bucket")


def prune(connection: Statements, view_no: int, before_ms: int, through_seq: int | None) -> int:
    """Drop the keys of the oldest pages acknowledged before that time, at most PRUNE_PAGES; how many were dropped.

    `through_seq`: pages behind it stay, however old they are.
    """
    oldest = connection.execute(
        "SELECT seq, at_ms FROM ledger INDEXED BY ledger_seq WHERE view_no = ? ORDER BY seq LIMIT ?",
        (view_no, PRUNE_PAGES),
    )
    due = [(seq,) for seq, at_ms in oldest if at_ms < before_ms and (through_seq is None or seq <= through_seq)]
    connection.executemany("DELETE FROM ledger WHERE seq = ?", due)
    return len(due)


def remove_from(connection: Statements, view_no: int, low_ms: int | None) -> None:
    """Forget every row from a cursor on (all of them for None), keys and counts, inside the caller's transaction."""
    if low_ms is None:
        connection.execute("DELETE FROM ledger WHERE view_no = ?", (view_no,))
        connection.execute("DELETE FROM ledger_count WHERE view_no = ?", (view_no,))
        return
    hour = low_ms // BUCKET_MS * BUCKET_MS
    straddling = connection.execute(
        "SELECT seq, low_ms, high_ms, n, keys FROM ledger INDEXED BY ledger_range "
        "WHERE view_no = ? AND high_ms >= ? AND low_ms < ?",
        (view_no, low_ms, low_ms),
    ).fetchall()
    # The hour that is cut keeps what was counted before the cut, also where its keys are pruned.
    cut = [rows.get_column("cursor_ms") for rows in between(connection, view_no, low_ms, hour + BUCKET_MS)]
    for cursors in cut:
        add_counts(connection, view_no, [(bucket, -n) for bucket, n in counted(cursors)])
    first_whole = hour if hour == low_ms else hour + BUCKET_MS
    connection.execute("DELETE FROM ledger_count WHERE view_no = ? AND bucket >= ?", (view_no, first_whole))
    connection.execute("DELETE FROM ledger WHERE view_no = ? AND low_ms >= ?", (view_no, low_ms))
    for seq, *fields in straddling:
        kept = pack(unpack(Page(*fields)).filter(pl.col("cursor_ms") < low_ms))
        if kept is not None:  # always: its lowest stays
            connection.execute(
                "UPDATE ledger SET low_ms = ?, high_ms = ?, n = ?, keys = ? WHERE seq = ?",
                (kept.low_ms, kept.high_ms, kept.n, kept.blob, seq),
            )


def little(code: str, values: list[int]) -> bytes:
    """Write integers as little-endian bytes."""
    packed = array(code, values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def numbers(blob: bytes, dtype: type[pl.DataType], n: int) -> pl.Series:
    """Read little-endian integers from bytes, without a Python object per number."""
    return pl.Series([blob]).bin.reinterpret(dtype=pl.Array(dtype, n), endianness="little").explode()


def width_of(span: int) -> int:
    """How many bytes each offset up to this one takes."""
    return next(width for width in (0, 1, 2, 4, 8) if span < 1 << 8 * width)


def bounds(cursors: pl.Series) -> tuple[int, int]:
    """Return the lowest and the highest of integers; there is one."""
    return cast("tuple[int, int]", (cursors.min(), cursors.max()))
