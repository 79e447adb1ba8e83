"""A column of the source as a property on the wire: one expression that converts, and null where it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

if TYPE_CHECKING:
    from smartico_sync.catalogue.properties import PropertyType
    from smartico_sync.core.relation import Family

__all__ = ["Conversion", "Form", "conversion", "epoch_ms", "natural"]

# A JSON number, as databases print decimals; what else looks like a number is not carried.
NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
# How people and other programs write numbers: a plus sign, leading zeros, nothing before or after the point.
SIGNED, PADDED, BARE, OPEN = r"^\+", r"^(-?)0+([0-9])", r"^(-?)\.([0-9])", r"([0-9])\.($|[eE])"
TRUE = ("true", "t", "1", "y", "yes")
FALSE = ("false", "f", "0", "n", "no")

Form = Literal["value", "json"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a value is made: `expr` yields it, null where it cannot be made or `given` is not true.

    `form` json: the value is JSON text (String) that goes to the wire as it stands.
    """

    expr: pl.Expr
    given: pl.Expr
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
    given = column.is_not_null()
    if target == "string":
        return Conversion(text(column, family), given)
    if target == "date":
        return Conversion(epoch_ms(column, family), given)
    if target == "boolean":
        return Conversion(boolean(column, family), given)
    if target in ("number", "integer"):
        expr, form = number(column, family, target)
        return Conversion(expr, given, form)
    if target == "array" or family in ("json", "array"):
        return document(column, target)
    return conversion(name, family, natural(family))


def document(column: pl.Expr, target: PropertyType) -> Conversion:
    """JSON text, checked: one broken document would spoil the whole request. JSON's own null counts as NULL."""
    texts = column.cast(pl.String).str.strip_chars(" \t\r\n")
    valid = texts.str.json_path_match("$").is_not_null()
    if target == "array":
        valid &= texts.str.starts_with("[")
    return Conversion(pl.when(valid).then(texts), texts != "null", "json")


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


def number(column: pl.Expr, family: Family, target: PropertyType) -> tuple[pl.Expr, Form]:
    """An exact JSON number: decimals as their own text, never through a float."""
    if family == "integer":
        return column, "value"
    if family == "boolean":
        return column.cast(pl.Int64), "value"
    if family == "float" and target == "number":
        return pl.when(column.is_finite()).then(column), "value"
    texts = column.cast(pl.String, strict=False)
    plain = tidy(texts) if family == "text" else texts
    valid = pl.when(plain.str.contains(NUMBER)).then(plain)
    if target == "integer":
        return valid.str.replace(r"\.0+$", "").cast(pl.Int64, strict=False), "value"
    return valid, "json"


def tidy(texts: pl.Expr) -> pl.Expr:
    """The same number as JSON writes it: `+1`, `007`, `.5` and `5.` become `1`, `7`, `0.5` and `5`."""
    plain = texts.str.replace(SIGNED, "").str.replace(BARE, "${1}0.${2}").str.replace(OPEN, "${1}${2}")
    return plain.str.replace(PADDED, "${1}${2}")
