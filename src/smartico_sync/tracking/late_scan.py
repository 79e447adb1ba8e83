"""Rows that became visible late, below the head: the keys are read first, and rows only for what is unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import polars as pl
from msgspec import Struct

from smartico_sync.core.late_commit.mechanism import AskIds, KeyScan
from smartico_sync.core.ledger_keys import few_keys, key_columns, ledger_keys
from smartico_sync.core.position import Position
from smartico_sync.sources.protocol import KeysAsked
from smartico_sync.tracking.memory_budget import PAGE_BYTES
from smartico_sync.tracking.row_width import ROWS_AT_ONCE, portions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smartico_sync.core.late_commit.delivered_keys import DeliveredKeys
    from smartico_sync.core.view_mapping import ViewMapping
    from smartico_sync.sources.protocol import Digest, Reading
    from smartico_sync.tracking.row_width import RowWidth

__all__ = ["Found", "FoundNothing", "find", "find_again", "handfuls", "rows_at", "tied"]

SCAN_ROWS = 50_000  # keys read at once: a megabyte or two
MOST_ROWS = 50_000  # that one scan brings: a bulk load that commits late is read in parts


class Found(Struct, frozen=True):
    """The rows of a scan that are not known, in order of their keys, or None; `looked`: how many keys were looked at.

    `behind`: where it was cut short, the position behind which there may be more. `keys`: whether they alone tell one row from
    another.
    """

    rows: pl.DataFrame | None
    looked: int
    behind: Position | None = None
    keys: Literal["distinct", "not distinct"] = "not distinct"


class FoundNothing(Struct, frozen=True):
    """A scan in which every key was known, each of another row; `digest` of these keys, None where it was not asked for."""

    scan: KeyScan
    digest: Digest | None = None

    def covers(self, scan: KeyScan) -> bool:
        """Whether another scan looks at the same range."""
        return (scan.after, scan.high, scan.key) == (self.scan.after, self.scan.high, self.scan.key)


def find_again(
    reading: Reading,
    mapping: ViewMapping,
    scan: KeyScan,
    known: DeliveredKeys,
    before: FoundNothing | None,
    page: Sequence[pl.DataFrame] = (),
    at_once: int = SCAN_ROWS,
    width: RowWidth | None = None,
) -> tuple[Found, FoundNothing | None]:
    """As `find`, and what to give to the next call, for as long as nothing that is known is forgotten but below the scan.

    Where the keys are those in which nothing was found before, nothing is to be found now: the source says so with one row. It is
    asked from the second scan of a range on, for where rows come all the time each scan has a range of its own, and where keys are
    read in parts, `at_once`, since more of them took too long, it is not asked: it would say it of all of them.
    """
    digest = reading.digest("keys", scan.after, scan.high) if told_by_digest(scan, before, at_once) else None
    if digest is not None and before is not None and digest == before.digest:
        return Found(None, digest.rows, keys="distinct"), before
    found = find(reading, mapping, scan, known, page=page, at_once=at_once, width=width)
    nothing = found.rows is None and found.keys == "distinct"
    return found, FoundNothing(scan, digest) if nothing else None


def told_by_digest(scan: KeyScan, before: FoundNothing | None, at_once: int = SCAN_ROWS) -> bool:
    """Whether the source is asked for a digest of the keys rather than for all of them."""
    return before is not None and before.covers(scan) and at_once == SCAN_ROWS


def find(
    reading: Reading,
    mapping: ViewMapping,
    scan: KeyScan | AskIds,
    known: DeliveredKeys,
    most: int | None = None,
    page: Sequence[pl.DataFrame] = (),
    at_once: int = SCAN_ROWS,
    width: RowWidth | None = None,
) -> Found:
    """Look for what is not known, up to `most` rows, or few more; MOST_ROWS for None. Keys are read so many `at_once`.

    The rows of this reading's own page are known too: they are given as `page`, and weigh as what is found does. `width`: how
    wide the view's rows are; a reading that finds them wider raises RowsTooWide. The rows of a keyless view are told apart by
    what they hold, so all of them are read.
    """
    most, looked, size = most or MOST_ROWS, 0, sum(rows.estimated_size() for rows in page)
    frames: list[pl.DataFrame] = []
    distinct = bool(mapping.relation.key)
    asked = missing_keys(reading, scan, width) if isinstance(scan, AskIds) else window_keys(reading, scan, at_once)
    for batch in asked:
        looked += batch.height
        few = few_keys(mapping, batch)
        if few is not None and len(set(few)) == len(few) and known.all_known(few):
            continue  # nearly every scan of a view to which a row comes now and then
        for rows in page:
            known = known.hold(ledger_keys(mapping, rows))
        page = ()
        names = ledger_keys(mapping, batch) if mapping.relation.key else None
        distinct = distinct and names is not None and names.n_unique() == names.len()
        for keys, rows in unseen(reading, mapping, batch, names, known, width):
            frames.append(rows)
            size += rows.estimated_size()
            if size >= PAGE_BYTES or sum(frame.height for frame in frames) >= most:
                return Found(joined(frames), looked, positions_of(keys.tail(1))[0])
    return Found(joined(frames), looked, keys="distinct" if distinct else "not distinct")


def joined(frames: list[pl.DataFrame]) -> pl.DataFrame | None:
    """The rows of all; None for no row."""
    found = [frame for frame in frames if frame.height]
    return pl.concat(found, how="diagonal_relaxed") if found else None


def unseen(
    reading: Reading,
    mapping: ViewMapping,
    keys: pl.DataFrame,
    names: pl.Series | None,
    known: DeliveredKeys,
    width: RowWidth | None = None,
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Some of these keys at a time, with the rows behind them that are not known. `names`: in the ledger, None of a keyless view.

    Before them the rows of which one is known and another stands in its very place.
    """
    if names is not None:
        unknown = known.unseen(names)
        new = keys.filter(unknown) if unknown.any() else keys.clear()  # nearly always all are known
        if (both := tied(reading, mapping, keys, names, width)) is not None:
            yield keys.head(1), both
            new = new.join(both, on=key_columns(keys), how="anti", maintain_order="left")
        for part in handfuls(new, width):
            yield part, rows_at(reading, part, width)
        return
    for part in handfuls(keys, width):
        rows = rows_at(reading, part, width)
        yield part, rows.filter(known.unseen(ledger_keys(mapping, rows))) if rows.height else rows


def handfuls(keys: pl.DataFrame, width: RowWidth | None) -> Iterator[pl.DataFrame]:
    """Keys, as many at a time as rows fit that are as wide as those before."""
    for places in portions(range(keys.height), width, ROWS_AT_ONCE):
        yield keys.slice(places[0], len(places))


def tied(
    reading: Reading, mapping: ViewMapping, keys: pl.DataFrame, names: pl.Series, width: RowWidth | None = None
) -> pl.DataFrame | None:
    """The rows that share cursor and key with one that differs; None when there are none. Profiles are not compared."""
    if mapping.kind.role == "profile":
        return None
    if names.n_unique() == names.len():
        return None
    again = names.is_duplicated()
    rows = rows_at(reading, keys.filter(again), width)
    places = key_columns(rows)
    distinct = rows.unique([*places, *(name for name in mapping.content if name in rows.columns)], maintain_order=True)
    both = distinct.filter(distinct.select(places).is_duplicated())
    return both if both.height else None


def rows_at(reading: Reading, keys: pl.DataFrame, width: RowWidth | None = None) -> pl.DataFrame:
    """The rows at the positions of these keys, each row once."""
    found: list[pl.DataFrame] = []
    for some in portions(list(dict.fromkeys(positions_of(keys))), width, ROWS_AT_ONCE):
        rows = reading.rows(some)
        if rows.height:
            found.append(rows)
        if width is not None:
            width.saw(rows)
    return pl.concat(found, how="diagonal_relaxed") if found else keys.clear()


def window_keys(reading: Reading, scan: KeyScan, at_once: int = SCAN_ROWS) -> Iterator[pl.DataFrame]:
    """All keys of the window, a batch at a time."""
    asked = scan_keys(scan, at_once)
    after = asked.after
    while True:
        batch = reading.keys(asked.low, asked.high, asked.limit, after)
        covered = scan.covered(batch)
        yield covered
        if batch.height < asked.limit or covered.height < batch.height:
            return
        after = positions_of(batch.tail(1))[0]


def scan_keys(scan: KeyScan, at_once: int = SCAN_ROWS) -> KeysAsked:
    """The first batch that a scan asks for."""
    return KeysAsked(scan.low, scan.high, at_once, scan.after)


def missing_keys(reading: Reading, scan: AskIds, width: RowWidth | None = None) -> Iterator[pl.DataFrame]:
    """Keys that exist by now among ids and ranges of ids that were missing."""
    ids = sorted(scan.ids)
    for some in portions(ids, width, ROWS_AT_ONCE):
        rows = reading.by_cursor([str(value) for value in some])
        yield rows.select(key_columns(rows))
    for low, high in scan.ranges:
        yield from window_keys(reading, KeyScan(Position(str(low - 1)), str(high), "recent", scan.number))


def positions_of(frame: pl.DataFrame) -> list[Position]:
    """The positions of a frame's rows."""
    return [Position(cursor, tuple(key)) for cursor, *key in frame.select(key_columns(frame)).iter_rows()]
