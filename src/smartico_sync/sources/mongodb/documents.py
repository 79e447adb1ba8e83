"""Raw BSON documents: where each value of a field lies, found for thousands of documents at once.

PyMongo makes a Python object of every value, which takes five to eight times as long as this. PyMongoArrow is nearly as fast,
but turns NaN into NULL, cuts the fraction off a double among integers and rounds integers among doubles, all in silence.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import bson
import numpy as np
import polars as pl
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Positions = NDArray[np.int64]
    Kinds = NDArray[np.uint8]

__all__ = ["ABSENT", "CODEC", "DOUBLE", "MISPLACED", "Documents", "Values", "among"]

DOUBLE, TEXT, DOCUMENT, ARRAY, BINARY, UNDEFINED, NULL, PATTERN = 1, 2, 3, 4, 5, 6, 10, 11
MISPLACED = 200  # none of BSON's: what should hold the field is no document
NOTHING = (0, UNDEFINED, NULL)  # 0: the field is missing
SMALLEST = 5  # bytes of a document: its length and the final zero
_LENGTH = struct.Struct("<i")
PADDING = b"\0" * 16  # so that words may be read across the end
AT_ONCE = 4_096  # documents walked through together: they stay in the processor's cache

# What a value of each type takes, and what it takes beside the length that it begins with; -1: no such type.
FIXED = np.full(256, -1, dtype=np.int64)
for kind, size in {
    1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 127: 0, 255: 0,
}.items():  # fmt: skip
    FIXED[kind] = size
BESIDE = np.full(256, -1, dtype=np.int64)
for kind, size in {TEXT: 4, DOCUMENT: 0, ARRAY: 0, BINARY: 5, 12: 16, 13: 4, 14: 4, 15: 0}.items():
    BESIDE[kind] = size


def among(kinds: Iterable[int]) -> NDArray[np.bool_]:
    """For each type whether it is one of these: a table to look up by `table[values.kinds]`."""
    table = np.zeros(256, np.bool_)
    table[list(kinds)] = True
    return table


ABSENT = among(NOTHING)
INSIDE = among((*NOTHING, DOCUMENT))
CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    uuid_representation=UuidRepresentation.STANDARD,
)


class Values(Struct, frozen=True):
    """One field of all documents: the BSON type of each value (see NOTHING and MISPLACED), and where it begins."""

    kinds: Kinds
    at: Positions


class Documents:
    """Documents as the server sent them, one behind the other. ValueError when they are no BSON."""

    def __init__(self, batches: Iterable[bytes]) -> None:
        self.data = b"".join([*batches, PADDING])
        self.end = len(self.data) - len(PADDING)
        self.bytes = np.frombuffer(self.data, np.uint8)
        self._words = np.ndarray((self.end + 8,), "<u8", self.data, 0, (1,))
        self._wholes = np.ndarray((self.end + 8,), "<i8", self.data, 0, (1,))
        self._lengths = np.ndarray((self.end + 8,), "<i4", self.data, 0, (1,))
        self._ends: Positions | None = None
        self._whole: pl.Expr | None = None
        self.starts = np.array(self._starts(), np.int64)

    def __len__(self) -> int:
        return len(self.starts)

    def _starts(self) -> list[int]:
        read, data, at, end = _LENGTH.unpack_from, self.data, 0, self.end
        starts = []
        while at < end:
            starts.append(at)
            (size,) = read(data, at)
            if size < SMALLEST:
                raise ValueError("no document")
            at += size
        if at != end:
            raise ValueError("half a document")
        return starts

    def fields(self, paths: Sequence[tuple[str, ...]]) -> list[Values]:
        """The values at these paths of names, in that order."""
        try:
            return self._fields(self.starts, paths)
        except IndexError:
            raise ValueError("a value ends behind the data") from None

    def _fields(self, starts: Positions, paths: Sequence[tuple[str, ...]]) -> list[Values]:
        names = list(dict.fromkeys(path[0] for path in paths))
        found = dict(zip(names, self._top(starts, [name.encode() for name in names]), strict=True))
        answers = dict.fromkeys(paths, Values(np.empty(0, np.uint8), np.empty(0, np.int64)))
        for name, values in found.items():
            inner = [path[1:] for path in paths if path[0] == name and len(path) > 1]
            if (name,) in answers:
                answers[name,] = values
            if not inner:
                continue
            rows = np.flatnonzero(values.kinds == DOCUMENT)
            misplaced = ~INSIDE[values.kinds]
            for path, part in zip(inner, self._fields(values.at[rows], inner), strict=True):
                kinds, at = np.zeros(len(starts), np.uint8), np.zeros(len(starts), np.int64)
                kinds[rows], at[rows] = part.kinds, part.at
                kinds[misplaced] = MISPLACED
                answers[name, *path] = Values(kinds, at)
        return [answers[path] for path in paths]

    def _top(self, starts: Positions, names: Sequence[bytes]) -> list[Values]:
        """The fields of these names, of the documents that begin there."""
        count = len(starts)
        kinds = [np.zeros(count, np.uint8) for _ in names]
        at = [np.zeros(count, np.int64) for _ in names]
        for low in range(0, count, AT_ONCE):
            part = slice(low, low + AT_ONCE)
            self._walk(starts[part], names, [each[part] for each in kinds], [each[part] for each in at])
        return [Values(*pair) for pair in zip(kinds, at, strict=True)]

    def _walk(
        self, starts: Positions, names: Sequence[bytes], kinds: Sequence[Kinds], places: Sequence[Positions]
    ) -> None:
        """Step from field to field, all documents that are at a field of the same name together.

        Documents tend to hold their fields in one order, so that one round over the names is mostly enough.
        """
        rows, at = np.arange(len(starts)), starts + 4
        while True:
            left = self.bytes[at] != 0
            if not left.all():
                rows, at = rows[left], at[left]
            if not rows.size:
                return
            stood = True
            for name, kind, place in zip(names, kinds, places, strict=True):
                here = self._called(at, name)
                if not here.any():
                    continue
                which = slice(None) if here.all() else np.flatnonzero(here)
                types = self.bytes[at[which]]
                # Behind the end of a document stands the next one's length, which may look like a name.
                if not types.all():
                    which = np.flatnonzero(here & (self.bytes[at] != 0))
                    types = self.bytes[at[which]]
                value = at[which] + len(name) + 2
                kind[rows[which]], place[rows[which]] = types, value
                at[which] = self._behind(value, types)
                stood = stood and not types.size
            if stood:  # at fields that nobody asked for
                at = self._behind(self._name_ends(at + 1) + 1, self.bytes[at])

    def _called(self, at: Positions, name: bytes) -> NDArray[np.bool_]:
        """Whether the field there has that name, compared eight bytes at a time."""
        wanted = name + b"\0"
        same: NDArray[np.bool_] = np.ones(len(at), np.bool_)
        for low in range(0, len(wanted), 8):
            part = wanted[low : low + 8]
            # A name that ends before the data does is already found to differ, wherever this looks.
            word = self._words[np.minimum(at + (1 + low), self.end)]
            if len(part) < 8:
                word &= np.uint64((1 << 8 * len(part)) - 1)
            same &= word == np.uint64(int.from_bytes(part, "little"))
            if not same.any():
                break
        return same

    def _name_ends(self, at: Positions) -> Positions:
        if self._ends is None:
            self._ends = np.flatnonzero(self.bytes == 0)
        ends: Positions = self._ends[np.searchsorted(self._ends, at)]
        return ends

    def _behind(self, at: Positions, kinds: Kinds) -> Positions:
        """Where the values end that begin there. ValueError for types that BSON does not have."""
        if not kinds.size:
            return at
        first = kinds[0]
        if (kinds == first).all() and FIXED[first] >= 0:
            behind: Positions = at + FIXED[first]
            return behind
        steps = FIXED[kinds]
        counted = BESIDE[kinds] >= 0
        lengths = self._lengths[at[counted]]
        if (lengths < 0).any():
            raise ValueError("a length below zero")
        steps[counted] = BESIDE[kinds[counted]] + lengths
        for row in np.flatnonzero(kinds == PATTERN):
            steps[row] = self.data.index(b"\0", self.data.index(b"\0", at[row]) + 1) + 1 - at[row]
        if (steps < 0).any():
            raise ValueError("a type that BSON does not have")
        return at + steps

    def wholes(self, at: Positions) -> Positions:
        """The 64-bit integers (and dates) that begin there."""
        found: Positions = self._wholes[at]
        return found

    def halves(self, at: Positions) -> Positions:
        """The 32-bit integers that begin there."""
        whole: Positions = self._lengths[at].astype(np.int64)
        return whole

    def doubles(self, at: Positions) -> NDArray[np.float64]:
        """The doubles that begin there."""
        return self._words[at].view(np.float64)

    def slices(self, at: Positions, lengths: Positions | int) -> pl.Series:
        """The bytes that begin there, as Binary."""
        frame = pl.DataFrame(
            {"at": at, "length": lengths if isinstance(lengths, np.ndarray) else np.full(len(at), lengths)}
        )
        if self._whole is None:
            self._whole = pl.lit(pl.Series([self.data], dtype=pl.Binary))
        return frame.select(self._whole.bin.slice(pl.col("at"), pl.col("length"))).to_series().alias("")

    def texts(self, at: Positions) -> pl.Series:
        """The bytes of the texts that begin there, as Binary."""
        return self.slices(at + 4, self.halves(at) - 1)

    def lengths(self, at: Positions) -> Positions:
        """The lengths that texts and binary values begin with."""
        return self.halves(at)

    def objects(self, values: Values, rows: Positions) -> list[Any]:
        """The values of these rows as PyMongo makes them; UnicodeDecodeError's place is taken by the error itself."""
        at, kinds = values.at[rows], values.kinds[rows]
        ends = self._behind(at, kinds)
        return [
            self._object(kind, self.data[low:high])
            for kind, low, high in zip(kinds.tolist(), at.tolist(), ends.tolist(), strict=True)
        ]

    def _object(self, kind: int, value: bytes) -> Any:
        field = bytes([kind]) + b"\0" + value
        try:
            return bson.decode(struct.pack("<i", len(field) + 5) + field + b"\0", CODEC)[""]
        except (bson.errors.InvalidBSON, UnicodeDecodeError) as error:
            return error
