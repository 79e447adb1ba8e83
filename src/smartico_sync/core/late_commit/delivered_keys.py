"""What was delivered above the watermark, as 64-bit keys: what a rescan subtracts."""

from __future__ import annotations

import operator
from bisect import bisect_left
from functools import reduce
from typing import TYPE_CHECKING

import polars as pl
from msgspec import Struct, field
from msgspec.structs import replace

from smartico_sync.core import few_columns
from smartico_sync.core.few_texts import FEW

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DeliveredKeys"]

CHUNK = 1_048_576  # keys: chunks are merged up to here, and forgotten only as a whole
ALIKE = 8  # chunks of like size: more are merged, so that there are few to search and each key moves a few times only
# Keys of commits of a handful each, which no query need be started for: copied with every such commit, some microseconds.
RECENT = 256
# A binary search of one key costs about what five cost to be put into a hash set: few keys are searched for, many hashed.
SEARCH = 5


class Chunk(Struct, frozen=True):
    """Sorted keys of ledger sequences up to `seq`."""

    seq: int
    keys: pl.Series


class DeliveredKeys(Struct, frozen=True):
    """A set of UInt64 keys of delivered rows; 8 bytes a key. Frozen: every method returns a new one.

    A key that is unknown is a row that was not delivered above the watermark, up to a collision of 64-bit hashes: with a
    million keys known and a million asked for about one in twenty million.
    """

    chunks: tuple[Chunk, ...] = field(default=())
    held: tuple[pl.Series, ...] = field(default=())
    """Keys that are never forgotten: one part, sorted, or none."""
    recent: Mapping[int, int] = field(default_factory=dict)
    """Keys that came after those of the chunks, a handful at a time, each with its sequence."""

    def __len__(self) -> int:
        """Return how many keys are kept, those included that a merged chunk keeps longer than needed."""
        return sum(part.len() for part in self.older) + len(self.recent)

    @property
    def older(self) -> list[pl.Series]:
        """Return all keys but the recent ones, each part sorted."""
        return [*(chunk.keys for chunk in self.chunks), *self.held]

    @property
    def parts(self) -> list[pl.Series]:
        """Return all keys, each part sorted."""
        recent = [few_columns.column("hash", sorted(self.recent))] if self.recent else []
        return [*self.older, *recent]

    def append(self, seq: int, keys: pl.Series) -> DeliveredKeys:
        """Add the keys that a commit put into the ledger. `seq` never falls."""
        if not keys.len():
            return self
        keys = keys if keys.dtype == pl.UInt64 else keys.cast(pl.UInt64)
        if keys.len() <= FEW and len(self.recent) < RECENT:
            return replace(self, recent={**self.recent, **dict.fromkeys(keys.to_list(), seq)})
        if self.recent:
            keys = pl.concat([keys, few_columns.column("hash", list(self.recent))])
        chunks = [*self.chunks, Chunk(seq, keys.sort())]
        some = alike([chunk.keys.len() for chunk in chunks])
        if some > ALIKE:
            chunks[-some:] = [Chunk(seq, pl.concat([chunk.keys for chunk in chunks[-some:]]).sort())]
        return replace(self, chunks=tuple(chunks), recent={})

    def hold(self, keys: pl.Series | None) -> DeliveredKeys:
        """Add keys that are never forgotten: rows beyond the head, sent before their time. None for none."""
        if keys is None or not keys.len():
            return self
        more = pl.concat([*self.held, keys.cast(pl.UInt64)])
        return replace(self, held=(more if more.len() == 1 else more.unique().sort(),))

    def forget(self, seq: int) -> DeliveredKeys:
        """Drop what only ledger sequences up to `seq` brought; now, or later when it shares a chunk with newer keys."""
        known = self
        if self.chunks and self.chunks[0].seq <= seq:
            known = replace(known, chunks=tuple(chunk for chunk in self.chunks if chunk.seq > seq))
        if self.recent and next(iter(self.recent.values())) <= seq:
            known = replace(known, recent={key: of for key, of in self.recent.items() if of > seq})
        return known

    def all_known(self, keys: Iterable[int]) -> bool:
        """Return whether all of a handful of keys are known."""
        return all(key in self.recent or self.is_older(key) for key in keys)

    def is_older(self, key: int) -> bool:
        """Return whether a key is known, and not for a recent one."""
        return any(holds(part, key) for part in self.older)

    def unseen(self, keys: pl.Series) -> pl.Series:
        """Return a Boolean Series, as long as `keys`: true where the key is not known."""
        wanted = keys if keys.dtype == pl.UInt64 else keys.cast(pl.UInt64)
        if wanted.len() <= FEW:
            new = [key not in self.recent and not self.is_older(key) for key in wanted.to_list()]
            return few_columns.column("truth", new)
        parts = [part for part in self.parts if part.len()]
        small = [part for part in parts if part.len() < wanted.len() * SEARCH]
        # Small ones are hashed as one; what they make together is not sorted, and must not be searched.
        masks = [wanted.is_in(pl.concat(small).implode())] if small else []
        masks += [found(part, wanted) for part in parts if part.len() >= wanted.len() * SEARCH]
        known = reduce(operator.or_, masks) if masks else None
        return pl.repeat(value=True, n=wanted.len(), dtype=pl.Boolean, eager=True) if known is None else ~known

    def same(self, rows: pl.Series, bits: int) -> pl.Series:
        """Return a Boolean Series: true where a key is known that is this one but for its lowest bits, which are 0 in `rows`."""
        low = (1 << bits) - 1
        if rows.len() <= FEW:
            recent = {key - (key & low) for key in self.recent}
            older = self.older
            there = [row in recent or any(holds_alike(part, row, low) for part in older) for row in rows.to_list()]
            return few_columns.column("truth", there)
        wanted = rows.cast(pl.UInt64)
        met = pl.repeat(value=False, n=wanted.len(), dtype=pl.Boolean, eager=True)
        for chunk in self.parts:
            if not chunk.len():
                continue
            if wanted.len() * SEARCH > chunk.len():
                met = met | wanted.is_in((chunk - (chunk & low)).implode())
            else:
                nearest = chunk.gather(chunk.search_sorted(wanted).clip(upper_bound=chunk.len() - 1))
                met = met | ((nearest - (nearest & low)) == wanted)
        return met


def alike(sizes: list[int]) -> int:
    """How many of the last chunks, of these sizes, may be merged: none is more than twice as long as all that follow it."""
    together = sizes[-1]
    for some, size in enumerate(reversed(sizes[:-1]), start=1):
        if size > 2 * together or together + size > CHUNK:
            return some
        together += size
    return len(sizes)


def holds(chunk: pl.Series, key: int) -> bool:
    """Whether a sorted chunk holds a key."""
    place = bisect_left(chunk, key)
    return place < chunk.len() and chunk[place] == key


def holds_alike(chunk: pl.Series, row: int, low: int) -> bool:
    """Whether a sorted chunk holds a key that is this one but for its lowest bits, which are 0 in the row and 1 in `low`."""
    place = bisect_left(chunk, row)
    if place == chunk.len():
        return False
    nearest = int(chunk[place])
    return nearest - (nearest & low) == row


def found(chunk: pl.Series, wanted: pl.Series) -> pl.Series:
    """Return which of the keys are in a sorted chunk."""
    if wanted.len() * SEARCH > chunk.len():
        return wanted.is_in(chunk.implode())
    place = chunk.search_sorted(wanted).clip(upper_bound=chunk.len() - 1)
    return chunk.gather(place) == wanted
