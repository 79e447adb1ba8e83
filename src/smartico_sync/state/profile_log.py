"""The log in front of the tree of profiles: pages as they came, moved over a slice at a time.

Ids are keyed hashes, so a page of profiles touches a leaf of the tree for nearly each of them once the tree has grown. The
log takes the page in one piece, in the transaction of its commit; later, thousands that are neighbours in the tree go over
together. What the log holds goes before what the tree holds until it is deleted from the log, which is after it is in the
tree: to be stopped anywhere loses nothing and doubles nothing. Only the file counts: what is in memory is read from it,
and may be dropped at any time.
"""

from __future__ import annotations

import io
import sqlite3
import zlib
from bisect import bisect_left
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from msgspec import Struct, field

from smartico_sync.core.few_texts import FEW
from smartico_sync.core.picked import picked, replaced
from smartico_sync.state.profile_tree import complete, framed, nothing, read, read_few, upsert

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["SLICE", "DamagedLog", "ProfileLog"]

TOGETHER = 4  # rows of the log of like size that are made one, so that a page of one profile hardly ever rewrites any
PIECE = 4_096  # profiles in one row of the log at most: some 150 KB, read and deleted as a whole
SLICE = 2_048  # profiles moved in one transaction: some 6 ms of work, for which others may wait
MERGED = 16 * SLICE  # profiles merged from all runs at once: looking into each run costs as much as hundreds of them
SLICE_ROWS = 16  # rows of the log deleted in one transaction: 2 MB
RUN = 131_072  # profiles sorted as one in memory: merging two takes less than a commit may
RUNS = 8  # of any size: a look into each costs less than merging two with every page
SHARE = 16  # the log may take this part of the file: some ten profiles then go to one leaf of the tree, or more
# In memory, and on the disk: a quarter of a million profiles then hardly ever go to the tree, however often they are touched,
# and what is there is read at a start in a tenth of a second.
LEAST_BYTES = 16 * 1024 * 1024
MOST_BYTES = 64 * 1024 * 1024  # while it is moved as much may come besides

NOTHING_WRITTEN: Mapping[bytes, pl.DataFrame] = {}
SECURE_DELETE = ("OFF", "ON", "FAST")  # SQLite answers with the number, and takes the word


class DamagedLog(sqlite3.DatabaseError):
    """A row of the log is not what was written: the file is damaged, though SQLite does not notice."""


class Held(Struct):
    """What memory holds of a view's log: runs, each in ascending order of its ids; a later run goes before an earlier one.

    `fresh` is what came after row `through` of the log, up to row `loaded`, and takes `fresh_bytes` of memory, and at most
    `written_bytes` of the log; `moving` is what came before, took `moving_bytes` as `size` counts, and is in the tree up to the
    id `after`; `next` is what goes there next.
    """

    loaded: int = 0
    through: int = 0
    after: int | None = None
    moving: list[pl.DataFrame] = field(default_factory=list)
    next: pl.DataFrame = field(default_factory=nothing)
    fresh: list[pl.DataFrame] = field(default_factory=list)
    fresh_bytes: int = 0
    written_bytes: int = 0
    moving_bytes: int = 0

    @property
    def size(self) -> int:
        """What came since the last move, in bytes: of a profile that came often memory holds one state, and the log each."""
        return max(self.fresh_bytes, self.written_bytes)

    def add(self, page: pl.DataFrame) -> None:
        """Take what came last; small runs are merged, so that there are few."""
        self.fresh.append(page)
        if len(self.fresh) > RUNS:
            self._merge()
        self.fresh_bytes = int(sum(run.estimated_size() for run in self.fresh))

    def _merge(self) -> None:
        while len(self.fresh) > 1:
            before, last = self.fresh[-2:]
            if before.height > 2 * last.height or before.height + last.height > RUN:
                return
            self.fresh[-2:] = [newest([before, last])]

    def begin(self) -> None:
        """Let all there is be moved from now on."""
        self.through, self.after, self.moving, self.fresh = self.loaded, None, self.fresh, []
        self.moving_bytes = self.size
        self.fresh_bytes = self.written_bytes = 0


class ProfileLog:
    """The log of one connection. One thread at a time."""

    def __init__(self) -> None:
        self._views: dict[int, Held] = {}
        self._behind: set[int] = set()  # views whose log has rows that memory lacks
        self._written: dict[int, dict[bytes, pl.DataFrame]] = {}  # what was written last, by view and by its bytes
        self._version = -1
        self._room = 0  # bytes that the log may grow by at least until anything has to be moved

    def append(self, connection: sqlite3.Connection, view_no: int, page: pl.DataFrame) -> None:
        """Add profiles [id Int64, whole, parts, cursor_at] inside the caller's transaction; of equal ids the last one stays."""
        self._behind.add(view_no)
        self._written[view_no] = written = append(connection, view_no, page)
        self._room -= sum(len(blob) + int(piece.estimated_size()) for blob, piece in written.items())

    def known(self, connection: sqlite3.Connection, view_no: int, ids: pl.Series) -> pl.DataFrame:
        """Return the profiles among `ids` (Int64, ascending), as they came last; in no order."""
        if ids.len() <= FEW:
            numbers = ids.to_list()
            found = self.few(connection, view_no, numbers)
            rest = [number for number in numbers if number not in found]
            return framed([*found.values(), *(read_few(connection, view_no, rest) if rest else [])])
        logged = self.logged(connection, view_no, ids)
        if logged.height:
            ids = ids.filter(~ids.is_in(logged.get_column("id").implode()))
        return pl.concat([read(connection, view_no, ids), logged])

    def every(self, connection: sqlite3.Connection, some: int) -> Iterator[list[tuple[Any, ...]]]:
        """Yield all profiles of all views, (view_no, id, whole, parts, cursor_at), so many at a time."""
        cursor = connection.execute("SELECT view_no, id, whole, parts, cursor_at FROM profile")
        while rows := cursor.fetchmany(some):
            for view_no in {row[0] for row in rows}:
                moved = framed([row[1:] for row in rows if row[0] == view_no])
                newer = self.logged(connection, view_no, moved.get_column("id"))
                yield numbered(view_no, newest([moved, newer]))
        for (view_no,) in connection.execute("SELECT DISTINCT view_no FROM profile_log").fetchall():
            held = self._held(connection, view_no)
            for logged in newest([*held.moving, *held.fresh]).iter_slices(some):
                moved = read(connection, view_no, logged.get_column("id"))
                yield numbered(view_no, complete(logged.join(moved, on="id", how="anti")))

    def logged(self, connection: sqlite3.Connection, view_no: int, ids: pl.Series) -> pl.DataFrame:
        """Return the profiles among `ids` (Int64, ascending) that are in the log, as they came last; in no order."""
        held = self._held(connection, view_no)
        wanted, found = ids.alias("id").to_frame(), []
        for run in (*reversed(held.fresh), *reversed(held.moving)):
            hits = run.join(wanted, on="id", how="inner")
            if hits.height:
                found.append(complete(hits))
                wanted = wanted.join(hits, on="id", how="anti", maintain_order="left").set_sorted("id")
        return pl.concat(found) if found else nothing()

    def few(self, connection: sqlite3.Connection, view_no: int, ids: Sequence[int]) -> dict[int, tuple[Any, ...]]:
        """Return what `logged` does of a handful of ids, by id: searched one by one, as a query would cost more."""
        held = self._held(connection, view_no)
        runs = [(run, run.get_column("id")) for run in (*reversed(held.fresh), *reversed(held.moving))]
        found: dict[int, tuple[Any, ...]] = {}
        for number in ids:
            for run, there in runs:
                place = bisect_left(there, number)
                if place < run.height and there[place] == number:
                    (found[number],) = rows_of(run.slice(place, 1))
                    break
        return found

    def fill(self, connection: sqlite3.Connection, view_no: int) -> Literal["little", "enough", "too much"]:
        """Whether the log has outgrown its share of the file, with what was written to this view's; or even to twice that, with what is being moved."""
        self._held(connection, view_no)
        fresh = sum(held.size for held in self._views.values())
        moving = sum(held.moving_bytes for held in self._views.values())
        self._room = LEAST_BYTES - fresh
        if self._room > 0:
            return "little"
        share = capacity(connection)
        return "little" if fresh < share else "enough" if fresh + moving < 2 * share else "too much"

    def move(self, connection: sqlite3.Connection) -> Literal["more", "nothing"]:
        """Move a slice, inside the caller's transaction, if one is due; if that fails, the caller calls `drop`.

        A move is due once the log has outgrown its share of the file; then it goes on until all that was there is moved.
        """
        views = self._views
        under_way = [no for no, held in views.items() if held.through]
        if not under_way:
            if sum(held.size for held in views.values()) < capacity(connection):
                return "nothing"
            under_way = [max(views, key=lambda no: views[no].size)]
            views[under_way[0]].begin()
        move(connection, under_way[0], views[under_way[0]])
        return "more"

    def empty(self, connection: sqlite3.Connection, view_no: int) -> None:
        """Move all there is of a view, inside the caller's transaction."""
        held = self._held(connection, view_no)
        upsert(connection, view_no, newest([*held.moving, *held.fresh]))
        with overwriting(connection):
            connection.execute("DELETE FROM profile_log WHERE view_no = ?", (view_no,))
        self.drop()

    def erase(self, connection: sqlite3.Connection, view_no: int, number: int) -> bool:
        """Delete the profile with this id wherever it is in the log, inside the caller's transaction; whether it was there."""
        with_it = [(seq, page) for seq, _, page in pages(connection, view_no, 0) if number in page.get_column("id")]
        for seq, page in with_it:
            connection.execute(
                "UPDATE profile_log SET n = ?, sum = ?, page = ? WHERE seq = ?",
                (*packed(page.filter(pl.col("id") != number)), seq),
            )
        self.drop()
        return bool(with_it)

    def drop(self) -> None:
        """Forget what is in memory: it is read again, and a move that was under way begins again."""
        self._views = {}
        self._room = 0

    @property
    def has_room(self) -> bool:
        """Whether `fill` would say "little"."""
        return self._room > 0

    def _held(self, connection: sqlite3.Connection, view_no: int) -> Held:
        """What memory holds of a view, as the file has it now."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:  # another process has written
            self.drop()
            self._version = version
        held = self._views.get(view_no)
        if held is None:
            held = self._views[view_no] = Held()
            self._room = 0  # what comes now was there before, and is none of what was added
        elif view_no not in self._behind:
            return held
        some: list[pl.DataFrame] = []
        loaded = held.loaded
        written = self._written.pop(view_no, NOTHING_WRITTEN)
        for loaded, size, page in pages(connection, view_no, held.loaded, written):  # noqa: B007 - the last one counts
            held.written_bytes += size
            if some and sum(each.height for each in some) + page.height > RUN:
                held.add(newest(some))
                some = []
            some.append(page)
        if some:
            held.add(newest(some) if len(some) > 1 else some[0])
        held.loaded = loaded
        self._behind.discard(view_no)
        return held


def append(connection: sqlite3.Connection, view_no: int, page: pl.DataFrame) -> dict[bytes, pl.DataFrame]:
    """Add profiles to the log; its new rows, by the bytes that they were written as.

    Small rows at the end of the log are taken into the new one once there are some of its size, so that there are few however
    small the pages are.
    """
    if page.schema != nothing().schema:
        page = page.with_columns(pl.col("whole", "parts").cast(pl.Binary))
    page = newest([page]) if page.height > 1 else slim(page)
    last = connection.execute(
        "SELECT seq, n FROM profile_log WHERE view_no = ? ORDER BY seq DESC LIMIT ?",
        (view_no, TOGETHER * PIECE.bit_length()),
    ).fetchall()
    if absorbed := like(page.height, [held for _, held in last]):
        first = last[absorbed - 1][0]
        page = newest([*(before for *_, before in pages(connection, view_no, first - 1)), page])
        with overwriting(connection):
            connection.execute("DELETE FROM profile_log WHERE view_no = ? AND seq >= ?", (view_no, first))
    written = {packed(piece): piece for piece in page.iter_slices(PIECE)}
    connection.executemany(
        "INSERT INTO profile_log (view_no, n, sum, page) VALUES (?, ?, ?, ?)",
        [(view_no, *row) for row in written],
    )
    return {blob: piece for (_, _, blob), piece in written.items()}


def like(n: int, sizes: Sequence[int]) -> int:
    """How many rows of the log a new one of `n` profiles takes in, of rows of these sizes from the newest on.

    Those that are no larger than it, if there are as many as are made one; then it is larger itself, and it is asked again.
    """
    absorbed = 0
    while True:
        some = sizes[absorbed : absorbed + TOGETHER - 1]
        if len(some) < TOGETHER - 1 or max(some) > n or n + sum(some) > PIECE:
            return absorbed
        absorbed, n = absorbed + len(some), n + sum(some)


def move(connection: sqlite3.Connection, view_no: int, held: Held) -> None:
    """Write the next profiles into the tree in its order, or delete from the log what is all moved: the oldest first."""
    if held.next.is_empty():
        held.next = following(held.moving, held.after)
    if held.next.height:
        piece, held.next = held.next.head(SLICE), held.next.slice(SLICE)
        upsert(connection, view_no, piece)
        held.after = int(piece.item(-1, "id"))
        return
    held.moving, held.moving_bytes = [], 0
    with overwriting(connection):
        deleted = connection.execute(
            "DELETE FROM profile_log WHERE seq IN "
            "(SELECT seq FROM profile_log WHERE view_no = ? AND seq <= ? ORDER BY seq LIMIT ?)",
            (view_no, held.through, SLICE_ROWS),
        )
    if deleted.rowcount < SLICE_ROWS:
        held.through = 0


@contextmanager
def overwriting(connection: sqlite3.Connection) -> Iterator[None]:
    """Let what is deleted leave no bytes: who is erased later could not be found there."""
    (before,) = connection.execute("PRAGMA secure_delete").fetchone()
    connection.execute("PRAGMA secure_delete = ON").fetchall()
    try:
        yield
    finally:
        connection.execute(f"PRAGMA secure_delete = {SECURE_DELETE[before]}").fetchall()


def numbered(view_no: int, profiles: pl.DataFrame) -> list[tuple[Any, ...]]:
    """Profiles as rows, with the number of their view before each."""
    return [(view_no, *row) for row in complete(profiles).iter_rows()]


def pages(
    connection: sqlite3.Connection, view_no: int, seq: int, known: Mapping[bytes, pl.DataFrame] = NOTHING_WRITTEN
) -> Iterator[tuple[int, int, pl.DataFrame]]:
    """Yield the pages of a view's log after a sequence number, in order, each after its own and its bytes. Raises DamagedLog.

    `known`: what some bytes are, which need not be unpacked.
    """
    found = connection.execute(
        "SELECT seq, n, sum, page FROM profile_log WHERE view_no = ? AND seq > ? ORDER BY seq", (view_no, seq)
    )
    for number, n, check, blob in found:
        there = known.get(blob)
        yield number, len(blob), unpacked(number, n, check, blob) if there is None else there


def capacity(connection: sqlite3.Connection) -> int:
    """How much memory the log may take."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return min(max(LEAST_BYTES, int(pages * size) // SHARE), MOST_BYTES)


def packed(page: pl.DataFrame) -> tuple[int, int, bytes]:
    """Profiles as a row of the log: how many, a checksum, and the columns as an Arrow stream, a column of nulls left out."""
    stream = io.BytesIO()
    slim(page).write_ipc_stream(stream, compression="lz4", compat_level=pl.CompatLevel.newest())
    blob = stream.getvalue()
    return page.height, zlib.crc32(blob), blob


def unpacked(seq: int, n: int, check: int, blob: bytes) -> pl.DataFrame:
    """The profiles in a row of the log, ascending by id. Raises DamagedLog."""
    if zlib.crc32(blob) != check:
        raise DamagedLog(f"row {seq} of the log of profiles")
    page = pl.read_ipc_stream(blob)
    if page.height != n:
        raise DamagedLog(f"row {seq} of the log of profiles")
    return replaced(page, [page.get_column("id").set_sorted()])


def newest(runs: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Merge runs into one, ascending by id; of equal ids the last one of the last run stays."""
    if sum(run.height for run in runs) <= FEW:
        last = {row[0]: row for run in runs for row in rows_of(run)}
        page = framed([last[number] for number in sorted(last)])
        return slim(replaced(page, [page.get_column("id").set_sorted()]))
    merged = pl.concat([complete(run) for run in runs] or [nothing()]).sort("id", maintain_order=True)
    ids = merged.get_column("id")
    return slim(merged.filter(ids.ne_missing(ids.shift(-1)))).set_sorted("id")


def rows_of(page: pl.DataFrame) -> list[tuple[Any, ...]]:
    """A handful of profiles as rows with every column."""
    rows = page.rows()
    return rows if "parts" in page.columns else [(number, whole, None, at) for number, whole, at in rows]


def following(runs: Sequence[pl.DataFrame], after: int | None) -> pl.DataFrame:
    """What comes next after an id in all runs together, MERGED at most; nothing at their end."""
    left = [run if after is None else run.slice(place(run, after)) for run in runs]
    left = [run for run in left if run.height]
    each = MERGED // max(1, len(left))
    ends = [int(run.item(each - 1, "id")) for run in left if run.height > each]
    if ends:
        end = min(ends)
        left = [run.head(place(run, end)) for run in left]
    return newest(left)


def place(run: pl.DataFrame, number: int) -> int:
    """How many of a run have this id or a smaller one."""
    return int(run.get_column("id").search_sorted(number, side="right"))


def slim(page: pl.DataFrame) -> pl.DataFrame:
    """Profiles without a column that holds nothing."""
    empty = "parts" in page.columns and page.get_column("parts").null_count() == page.height
    return picked(page, (name for name in page.columns if name != "parts")) if empty else page
