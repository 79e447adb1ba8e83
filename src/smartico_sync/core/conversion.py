"""A column of the source as a property on the wire: one expression that converts, and null where it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

if TYPE_CHECKING:
    from smartico_sync.catalogue.properties import PropertyType
    from smartico_sync.core.relation import Family

__all__ = ["Conversion", "conversion", "epoch_ms", "natural"]

# A JSON number, as databases print decimals; what else looks like a number is not carried.
NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
PADDED = r"^(-?)0+([0-9])"  # leading zeros are no JSON
TRUE = ("true", "t", "1", "y", "yes")
FALSE = ("false", "f", "0", "n", "no")

Form = Literal["value", "json"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """`expr` yields the wire value, null where the value cannot be one (or was null); `form` json: it is JSON text."""

    expr: pl.Expr
    form: Form = "value"


def natural(family: Family) -> PropertyType:
    """What a custom property becomes, by the family of its column."""
    kinds: dict[Family, PropertyType] = {
        "integer": "number", "decimal": "number", "float": "number", "boolean": "boolean", "timestamp": "date",
        "instant": "date", "date": "date", "json": "any", "array": "any",
    }  # fmt: skip
    return kinds.get(family, "string")


def conversion(name: str, family: Family, target: PropertyType) -> Conversion:
    """How the column `name` of that family becomes a property of type `target`."""
    column = pl.col(name)
    if target == "string":
        return Conversion(text(column, family))
    if target == "date":
        return Conversion(epoch_ms(column, family))
    if target == "boolean":
        return Conversion(boolean(column, family))
    if target in ("number", "integer"):
        return number(column, family, target)
    if family in ("json", "array"):
        return Conversion(column, "json")
    if target == "array":
        return Conversion(pl.when(column.cast(pl.String).str.starts_with("[")).then(column.cast(pl.String)), "json")
    return conversion(name, family, natural(family))


def text(column: pl.Expr, family: Family) -> pl.Expr:
    """Any value as text; moments as ISO 8601."""
    if family in ("timestamp", "instant"):
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
    return column.cast(pl.String, strict=False)


def epoch_ms(column: pl.Expr, family: Family) -> pl.Expr:
    """Epoch milliseconds UTC; whole numbers are taken for milliseconds already, texts are read as ISO 8601."""
    if family in ("timestamp", "instant"):
        return column.dt.epoch("ms")
    if family == "date":
        return column.cast(pl.Datetime("ms")).dt.epoch("ms")
    if family in ("integer", "decimal"):
        return column.cast(pl.Int64, strict=False)
    texts = column.cast(pl.String, strict=False).str.replace(" ", "T", literal=True)
    zoned = texts.str.replace("Z$", "+00:00").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", strict=False, time_unit="us")
    naive = texts.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us")
    day = texts.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    return pl.coalesce(zoned.dt.replace_time_zone(None), naive, day).dt.epoch("ms")


def boolean(column: pl.Expr, family: Family) -> pl.Expr:
    """True and false as databases write them."""
    if family == "boolean":
        return column
    words = column.cast(pl.String, strict=False).str.to_lowercase()
    return pl.when(words.is_in(TRUE)).then(pl.lit(value=True)).when(words.is_in(FALSE)).then(pl.lit(value=False))


def number(column: pl.Expr, family: Family, target: PropertyType) -> Conversion:
    """An exact JSON number: decimals as their own text, never through a float."""
    if family == "boolean":
        return Conversion(column.cast(pl.Int64))
    if family == "float" and target == "number":
        return Conversion(pl.when(column.is_finite()).then(column))
    texts = column.cast(pl.String, strict=False)
    plain = texts.str.replace(PADDED, "${1}${2}") if family == "text" else texts
    valid = pl.when(plain.str.contains(NUMBER)).then(plain)
    if target == "integer":
        return Conversion(valid.str.replace(r"\.0+$", "").cast(pl.Int64, strict=False))
    return Conversion(column) if family == "integer" else Conversion(valid, "json")
