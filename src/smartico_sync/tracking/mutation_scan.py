"""Delivered transactions are read again for a while, because rows that never should change sometimes do."""

from __future__ import annotations

import math
from collections import deque
from functools import cache
from itertools import groupby, islice
from typing import TYPE_CHECKING

import polars as pl
from msgspec import Struct, field

from smartico_sync.core.ledger_keys import key_columns
from smartico_sync.core.pipeline import position_at
from smartico_sync.sources.protocol import Digest, Scan
from smartico_sync.tracking.clocks import steady_ms
from smartico_sync.tracking.memory_budget import PAGE_BYTES
from smartico_sync.tracking.quiet import CHEAP_MS, Again
from smartico_sync.tracking.replica_time import PAUSES
from smartico_sync.tracking.row_width import RowWidth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from smartico_sync.core.position import Position
    from smartico_sync.core.view_mapping import ViewMapping
    from smartico_sync.sources.protocol import Reading

__all__ = ["MutationScan"]

SLICE_ROWS = 1_000  # read again at once: some milliseconds
MOST_ROWS = 500_000  # remembered: 8 MB a view
PAUSE_MS = 1_000
UNREAD_BYTES = 1_000_000  # of pages that wait for that: wide ones do not
AT_ONCE = 256  # rows of small pages that are hashed together: a query for each costs more than all else about it
FEW_SLICES = 10  # of more the loop itself reads one after the other
ROUND_MS = 10_000  # from one round over all that is remembered to the next: a replica has other readers


@cache
def no_contents() -> pl.DataFrame:
    """The contents of no page."""
    return pl.DataFrame(schema={"key": pl.UInt64, "content": pl.UInt64})


class Delivered(Struct):
    """One page: everything after `after` up to `last`, so many `rows`. `contents`: [key UInt64, content UInt64], a row each.

    `digest`: what the source said of them when they were read; None where it was not asked, or they are others by now.
    """

    after: Position | None
    last: Position
    rows: int
    at_ms: int
    digest: Digest | None = None
    contents: pl.DataFrame = field(default_factory=no_contents)


Slice = tuple["Position | None", "Position"]  # behind the first and up to the second


class MutationScan:
    """Remembers what rows held when they were delivered, for `window_ms`, and compares slice by slice, round and round.

    `charged` says what a look that took so many ms is charged with, see ReplicaTime.

    The hashes of contents are this process's own: after a restart only what is delivered from then on is compared.
    """

    def __init__(
        self, mapping: ViewMapping, window_ms: int, charged: Callable[[int], int] = lambda took_ms: took_ms
    ) -> None:
        told = {column.name for known in mapping.properties for column in known.columns}
        self.mapping, self.charged = mapping, charged
        self.columns = sorted(told | ({"ext_brand_id", "user_ext_id"} & {c.name for c in mapping.relation.columns}))
        self.window_ms = window_ms
        self.pages: deque[Delivered] = deque()
        self.unread: list[tuple[Delivered, pl.DataFrame]] = []  # pages whose contents are still to be hashed
        self.unchanged: dict[Slice, Digest | None] = {}  # slices in which nothing had changed; None: not asked for yet
        self.rows = 0
        self.next_ms = 0
        self.cost_ms = 0  # with which the last slice was charged
        self.turn = 0

    def remember(
        self, after: Position | None, last: Position, page: pl.DataFrame, digest: Digest | None = None
    ) -> None:
        """Add a page that was delivered, with the digest of it that the same reading told."""
        self.pages.append(Delivered(after, last, page.height, steady_ms(), digest))
        self.unread.append((self.pages[-1], page))
        waiting = [rows for _, rows in self.unread]
        if sum(rows.height for rows in waiting) >= AT_ONCE or page.estimated_size() * len(waiting) >= UNREAD_BYTES:
            self.read()
        self.rows += page.height
        self.forget()

    def forget(self) -> None:
        """Let go of what is too old, or too much."""
        while self.pages and (self.rows > MOST_ROWS or self.pages[0].at_ms < steady_ms() - self.window_ms):
            self.rows -= self.pages.popleft().rows
            self.turn = max(0, self.turn - 1)
            self.unchanged.clear()

    def read(self) -> None:
        """Hash what pages hold that came since the last time: those of equal columns all at once."""
        for _, some in groupby(self.unread, key=lambda each: each[1].schema):
            pages, frames = zip(*some, strict=True)
            contents, start = self.contents(pl.concat(frames)), 0
            for page in pages:
                page.contents, start = contents.slice(start, page.rows), start + page.rows
        self.unread.clear()

    def contents(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What rows hold, hashed, by where they stand."""
        keys, held = rows.select(sorted(key_columns(rows))), rows.select(self.columns)
        return pl.DataFrame({"key": keys.hash_rows(), "content": held.hash_rows()})

    @property
    def due_ms(self) -> float:
        """When (steady) a slice may be read."""
        return self.next_ms if self.pages else math.inf

    @property
    def due(self) -> bool:
        """Whether a slice may be read now."""
        return steady_ms() >= self.due_ms

    def again(self) -> tuple[float, list[Again]]:
        """When (steady) a slice is to be read, and until then the slices in which nothing has changed if their digests have not."""
        self.forget()
        slices: list[Slice] = []
        digests: list[Digest | None] = []
        turn = 0
        while turn < len(self.pages) and len(slices) < FEW_SLICES:
            some = self.slice_from(turn)
            slices.append((some[0].after, some[-1].last))
            digests.append(self.expected(some))
            turn += len(some)
        if turn < len(self.pages) or None in digests or self.cost_ms > CHEAP_MS:
            return self.due_ms, []
        pause = max(PAUSE_MS, self.cost_ms * PAUSES["delivered rows"])
        every = max(ROUND_MS, pause) + pause * (len(slices) - 1)
        return math.inf, [
            Again(Scan("rows", after, last.cursor), digest, self.next_ms + number * pause, every, self.cost_ms)
            for number, ((after, last), digest) in enumerate(zip(slices, digests, strict=True))
            if digest is not None
        ]

    def changed(self, reading: Reading, width: RowWidth | None = None) -> pl.DataFrame | None:
        """Read the next slice again; the rows that hold something else than they did, None when there are none.

        Each change is told once. `width`: how wide the rows are, so that no more of them are held at once than fit.
        """
        began = steady_ms()
        some = self.slice()
        found = [self.differing(some, rows) for rows in self.unless_unchanged(reading, some, width or RowWidth())]
        pause = PAUSE_MS if self.turn < len(self.pages) else ROUND_MS
        self.cost_ms = self.charged(steady_ms() - began)
        self.next_ms = steady_ms() + max(pause, self.cost_ms * PAUSES["delivered rows"])
        differing = [rows for rows in found if rows is not None]
        return pl.concat(differing, how="diagonal_relaxed") if differing else None

    def expected(self, some: list[Delivered]) -> Digest | None:
        """The digest of a slice in which nothing has changed; None where it is not known."""
        place = (some[0].after, some[-1].last)
        return self.unchanged[place] if place in self.unchanged else together([page.digest for page in some])

    def unless_unchanged(self, reading: Reading, some: list[Delivered], width: RowWidth) -> Iterator[pl.DataFrame]:
        """The rows of a slice as they are now; none where the source says that they are those in which nothing had changed.

        It is asked where that can be told: from the second time on, and at once where it told so when the pages were read.
        """
        place, high = (some[0].after, some[-1].last), some[-1].last.cursor
        expected = self.expected(some)
        digest = (
            reading.digest("rows", some[0].after, high) if expected is not None or place in self.unchanged else None
        )
        if digest is not None and digest == expected:
            return
        if len(self.unchanged) > len(self.pages):
            self.unchanged.clear()
        self.unchanged[place] = digest
        after, left = some[0].after, 2 * sum(page.rows for page in some) + SLICE_ROWS
        while left > 0:
            limit = width.fitting(left, PAGE_BYTES)
            rows = reading.page(after, limit, high)
            width.saw(rows)
            if rows.height:
                yield rows
            if rows.height < limit:
                return
            after, left = position_at(rows, rows.height - 1), left - rows.height

    def differing(self, some: list[Delivered], rows: pl.DataFrame) -> pl.DataFrame | None:
        """Those that hold something else than when they were delivered."""
        self.read()
        known = pl.concat([page.contents for page in some]).unique("key", keep="last")
        now = self.contents(rows)
        before = now.join(known, on="key", how="left", maintain_order="left").get_column("content_right")
        differs = (now.get_column("content") != before).fill_null(value=False)
        if not differs.any():
            return None
        self.unchanged.clear()
        newest = now.filter(differs)
        for page in some:
            page.contents, page.digest = page.contents.update(newest, on="key"), None
        return rows.filter(differs)

    def slice(self) -> list[Delivered]:
        """The pages whose turn it is, neighbours, as many as make a slice."""
        turn = self.turn if self.turn < len(self.pages) else 0
        some = self.slice_from(turn)
        self.turn = turn + len(some)
        return some

    def slice_from(self, turn: int) -> list[Delivered]:
        """The pages of a slice that begins with that page."""
        some: list[Delivered] = []
        rows = 0
        for page in islice(self.pages, turn, None):
            if rows >= SLICE_ROWS:
                break
            some.append(page)
            rows += page.rows
        return some


def together(digests: list[Digest | None]) -> Digest | None:
    """The digest of what follows one another; None where one is not known."""
    known = [digest for digest in digests if digest is not None]
    if len(known) < len(digests):
        return None
    return Digest(sum(digest.rows for digest in known), str(sum(int(digest.sum) for digest in known)))
