"""Values found in raw documents to typed columns and to texts of positions, a whole column at a time where it is uniform."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import polars as pl
from bson import Decimal128
from bson.binary import Binary

from smartico_sync.core.zones import UTC
from smartico_sync.sources.kit.frames import dtype, finite, with_reasons
from smartico_sync.sources.kit.values import CONVERTERS
from smartico_sync.sources.mongodb.decimals import decimal_texts
from smartico_sync.sources.mongodb.documents import ABSENT, DOUBLE, MISPLACED, among
from smartico_sync.sources.mongodb.types import UUID_SUBTYPE, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from smartico_sync.core.relation import Column
    from smartico_sync.sources.mongodb.documents import Documents, Positions, Values
    from smartico_sync.sources.mongodb.types import Bracket

    Mask = NDArray[np.bool_]

__all__ = ["columns", "position_texts"]

INT, LONG = 16, 18
WHOLE, SCRIPTED = among((INT, LONG)), among((INT, DOUBLE))  # JavaScript writes its numbers as either
YEARS_MS = (-62_135_596_800_000, 253_402_300_799_999)  # the years 1 to 9999
ISO = "%Y-%m-%d %H:%M:%S%.3fZ"
UUID_BYTES = 16
UUID_PARTS = ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))


def columns(documents: Documents, described: Sequence[Column], found: Sequence[Values]) -> pl.DataFrame:
    """The columns and, where some value does not fit, `@unreadable`."""
    series, unfit = [], []
    for column, values in zip(described, found, strict=True):
        there = ~ABSENT[values.kinds]
        built = _column(documents, column, values, np.flatnonzero(there)).alias(column.name)
        series.append(built)
        if built.null_count() != len(values.kinds) - int(there.sum()):
            unfit.append((column, built.is_null() & pl.Series(there)))
    return with_reasons(pl.DataFrame(series), unfit)


def position_texts(documents: Documents, bracket: Bracket, values: Values) -> pl.Series:
    """The texts of positions; null where the value is of another bracket."""
    rows = np.flatnonzero(among(bracket.kinds)[values.kinds])
    at, kinds = values.at[rows], values.kinds[rows]
    texts = _position_texts(documents, at, _only(kinds))
    if texts is None:
        objects = documents.objects(values, rows)
        told = [None if isinstance(value, Exception) else text_of(value) for value in objects]
        texts = pl.Series(told, dtype=pl.String)
    return _spread(texts, rows, len(values.kinds))


def _only(kinds: NDArray[np.uint8]) -> int:
    """The type that all have, or 0."""
    return int(kinds[0]) if kinds.size and bool((kinds == kinds[0]).all()) else 0


def _position_texts(documents: Documents, at: Positions, kind: int) -> pl.Series | None:
    match kind:
        case 7:
            return documents.slices(at, 12).bin.encode("hex")
        case 2:
            return documents.texts(at).cast(pl.String, strict=False)
        case 16:
            return pl.Series(documents.halves(at)).cast(pl.String)
        case 18:
            return pl.Series(documents.wholes(at)).cast(pl.String)
        case 9 if not _strange(ms := documents.wholes(at)).any():
            return pl.Series(ms).cast(pl.Datetime("ms")).dt.strftime(ISO)
        case 5:
            return _uuids(documents, at)
    return None


def _strange(ms: Positions) -> Mask:
    """Dates that no calendar of ours has."""
    return (ms < YEARS_MS[0]) | (ms > YEARS_MS[1])


def _column(documents: Documents, column: Column, values: Values, rows: Positions) -> pl.Series:
    if not rows.size:
        return pl.Series([None] * len(values.kinds), dtype=dtype(column.family))
    at, kinds = values.at[rows], values.kinds[rows]
    built = _at_once(documents, column.family, at, kinds)
    if built is None:
        built = pl.Series(_one_by_one(documents, column.family, values, rows), dtype=dtype(column.family))
    return _spread(built, rows, len(values.kinds))


def _spread(found: pl.Series, rows: Positions, height: int) -> pl.Series:
    """Values in their rows, null in all others."""
    if len(found) == height:
        return found
    order = np.full(height, len(found), np.int64)
    order[rows] = np.arange(len(rows))
    return found.extend_constant(None, 1).gather(pl.Series(order))


def _at_once(documents: Documents, family: str, at: Positions, kinds: NDArray[np.uint8]) -> pl.Series | None:
    """The whole column; None when it must be looked at value by value."""
    kind = _only(kinds)
    match family, kind:
        case "integer", 16:
            return pl.Series(documents.halves(at))
        case "integer", 18:
            return pl.Series(documents.wholes(at))
        case "integer", _ if WHOLE[kinds].all():
            return pl.Series(np.where(kinds == INT, documents.halves(at), documents.wholes(at)))
        case "float", 1:
            return finite(pl.Series(documents.doubles(at)))
        case "float", _ if SCRIPTED[kinds].all():
            return finite(pl.Series(np.where(kinds == INT, documents.halves(at), documents.doubles(at))))
        case "decimal", 19:
            return decimal_texts(documents.wholes(at), documents.wholes(at + 8))
        case "decimal", 16 | 18:
            return pl.Series(documents.halves(at) if kind == INT else documents.wholes(at)).cast(pl.String)
        case "boolean", 8:
            return pl.Series(documents.bytes[at] != 0)
        case "instant", 9:
            ms = documents.wholes(at)
            times = pl.Series(ms).cast(pl.Datetime("ms", "UTC"))
            unfit = _strange(ms)
            return (times.set(pl.Series(unfit), None) if unfit.any() else times).cast(dtype("instant"))
        case "uuid", 5:
            return _uuids(documents, at)
        case "binary", 5:
            subtypes = documents.bytes[at + 4]
            return None if (subtypes == 2).any() else documents.slices(at + 5, documents.lengths(at))
        case "text", 2 | 7:
            return _position_texts(documents, at, kind)
    return None


def _uuids(documents: Documents, at: Positions) -> pl.Series | None:
    """UUIDs in their usual form; None where there is other binary data."""
    if (documents.bytes[at + 4] != UUID_SUBTYPE).any() or (documents.lengths(at) != UUID_BYTES).any():
        return None
    digits = pl.DataFrame({"hex": documents.slices(at + 5, UUID_BYTES).bin.encode("hex")})
    parts = [pl.col("hex").str.slice(low, size) for low, size in UUID_PARTS]
    return digits.select(pl.concat_str(parts, separator="-")).to_series()


def _one_by_one(documents: Documents, family: str, values: Values, rows: Positions) -> list[Any]:
    """Each value converted, or None where that would lose something."""
    misplaced = values.kinds[rows] == MISPLACED
    objects = iter(documents.objects(values, rows[~misplaced]))
    return [None if elsewhere else _fit(family, next(objects)) for elsewhere in misplaced.tolist()]


def _fit(family: str, value: Any) -> Any:
    if isinstance(value, Exception):
        return None
    convert = CONVERTERS.get(family)
    try:
        if convert is None:
            return _json(value) if family in ("json", "array") and not isinstance(value, str) else _text(value)
        plain = value.to_decimal() if isinstance(value, Decimal128) else value
        fit = convert(plain, UTC)
    except (ValueError, TypeError, OverflowError, ArithmeticError):
        return None
    if family == "float" and isinstance(plain, Decimal | int) and Decimal(repr(fit)) != plain:
        return None
    return fit if family != "integer" or -(2**63) <= fit < 2**63 else None


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return _json(value)
    text = str(value.to_decimal()) if isinstance(value, Decimal128) else text_of(value)
    text.encode()
    return text


def _json(value: Any) -> str:
    """JSON, in which decimals, identifiers and all else that JSON lacks are texts."""
    return orjson.dumps(value, default=_inner, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()


def _inner(value: Any) -> str:
    if isinstance(value, dt.datetime):
        return text_of(value).replace(" ", "T")
    if isinstance(value, Binary | bytes | uuid.UUID):
        return text_of(value).partition(":")[2] or text_of(value)
    return _text(value)
