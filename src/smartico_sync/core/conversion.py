"""A column of the source as a property on the wire: what it becomes, and what its values may be on a second look.

Most columns hold what their property wants, so the first look is the cheap one. Only where it leaves something null that
the source has not, the second one is taken: it knows the many ways in which people and programs write the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import polars as pl
from msgspec import Struct

from smartico_sync.core import arrays, moments

if TYPE_CHECKING:
    from smartico_sync.catalogue.properties import PropertyType
    from smartico_sync.core.relation import Column, Family

__all__ = ["CODED", "PLAIN", "Conversion", "Form", "Hints", "blank", "conversion", "form_of", "id_text", "natural"]

# A JSON number, as databases print decimals; what else looks like a number is not carried.
NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
# How people and other programs write numbers: a plus sign, leading zeros, nothing before or after the point.
SIGNED, PADDED, BARE, OPEN = r"^\+", r"^(-?)0+([0-9])", r"^(-?)\.([0-9])", r"([0-9])\.($|[eE])"
TRUE = ("true", "t", "1", "y", "yes", "on")
FALSE = ("false", "f", "0", "n", "no", "off")
NO_FRACTION = r"^(-?[0-9]+)\.0*$"
# The types of MySQL in which a boolean and a code look alike.
CODED = ("tinyint", "bit")
WHOLE_BELOW = 2.0**127  # floats that are whole numbers of 128 bits

Form = Literal["value", "json"]


class Hints(Struct, frozen=True):
    """What is known of a column beside its type. `timezone` is that of wall clocks in text.

    `day`: the property is a calendar date. `identifier`: it names something, so 7.00 is 7. `needed`: no event
    can do without it, so an empty text is no value. `split`: what stands between
    the items of a text that is an array, `items` what they become. `scale`: how many of the last digits stand behind the decimal point.
    """

    timezone: str = "UTC"
    day: bool = False
    identifier: bool = False
    needed: bool = False
    split: str = ""
    items: arrays.Items = "as they are"
    scale: int = 0


PLAIN = Hints()


class Conversion(Struct, frozen=True):
    """How a value is made: `expr` yields it, null where it cannot be made at first sight; `again` on a second look.

    `given` tells where the source has a value at all: empty text and zero dates are none, where the property is no text or
    is needed.
    `form` json: the value is JSON text (String) that goes to the wire as it stands.
    """

    expr: pl.Expr
    again: pl.Expr
    given: pl.Expr
    form: Form = "value"


def natural(family: Family) -> PropertyType:
    """What a custom property becomes, by the family of its column."""
    kinds: dict[Family, PropertyType] = {
        "integer": "number", "decimal": "number", "float": "number", "boolean": "boolean", "timestamp": "date",
        "instant": "date", "date": "date", "json": "any", "array": "any",
    }  # fmt: skip
    return kinds.get(family, "string")


def form_of(column: Column, target: PropertyType, dtype: pl.DataType, hints: Hints) -> Form:
    """The form of the value that `conversion` makes, which needs no expression to be known."""
    family = column.family
    if target == "any" and family not in ("json", "array"):
        if family == "boolean" and column.type.startswith(CODED):
            return "json"
        target = natural(family)
    if dtype == pl.String and family in ("integer", "boolean"):
        family = "decimal"
    if target in ("number", "integer"):
        written = target == "number" and family not in ("integer", "boolean", "float")
        return "json" if written or hints.scale else "value"
    return "json" if target in ("array", "any") else "value"


def conversion(column: Column, target: PropertyType, dtype: pl.DataType, hints: Hints = PLAIN) -> Conversion:
    """How a column becomes a property of type `target`.

    `dtype` is that of the frame's column: one of whole numbers or booleans is String where its values are more than that.
    """
    if target == "any" and column.family not in ("json", "array"):
        if column.family == "boolean" and column.type.startswith(CODED):
            return coded(column.name)
        target = natural(column.family)
    values, family = pl.col(column.name), column.family
    if dtype == pl.String and family in ("integer", "boolean"):
        family = "decimal"
    if hints.scale and target in ("number", "integer"):
        return scaled(values, family, hints.scale)
    given = values.is_not_null()
    match target:
        case "string":
            made = text(values, family, hints, column.type)
            if hints.needed and dtype == pl.String:
                given &= ~blank(values)
                made = pl.when(given).then(made)
            return Conversion(made, made, given)
        case "date":
            filled = given & ~blank(values) & ~moments.no_date(values) if dtype == pl.String else given
            make, retry = (
                (moments.day_ms, moments.day_ms_again) if hints.day else (moments.epoch_ms, moments.epoch_ms_again)
            )
            first = make(values, family, hints.timezone)
            again = pl.coalesce(first, retry(values, hints.timezone)) if dtype == pl.String else first
            return Conversion(first, again, filled)
        case "boolean":
            return Conversion(
                boolean(values, family), truth(values), given & ~blank(values) if dtype == pl.String else given
            )
        case "number" | "integer":
            if column.prints == "JSON numbers":
                return vouched(values, target)
            return number(values, family, target, dtype)
        case "array":
            return array(values, family, hints)
    return document(values)


def blank(values: pl.Expr) -> pl.Expr:
    """Whether a text is empty, or holds spaces only."""
    return values.cast(pl.String).str.strip_chars() == ""


def coded(name: str) -> Conversion:
    """A custom property of a type that holds flags and codes alike: 0 and 1 are false and true, other numbers themselves."""
    words = pl.col(name).cast(pl.String)
    made = words.replace({"0": "false", "1": "true"})
    return Conversion(made, made, words.is_not_null(), "json")


def array(values: pl.Expr, family: Family, hints: Hints) -> Conversion:
    """A set of names, always in the same order. JSON's own null counts as NULL."""
    texts = values.cast(pl.String)
    made = texts.map_batches(lambda found: arrays.names(found, hints.split, hints.items), return_dtype=pl.String)
    if family == "json":  # there `{}` is an object, and no empty array of PostgreSQL, which would take all names away
        made = pl.when(~texts.str.starts_with("{")).then(made)
    filled = texts.is_not_null() & ~texts.str.strip_chars().is_in(["", "null"])
    return Conversion(made, made, filled, "json")


def document(values: pl.Expr) -> Conversion:
    """JSON text, checked: one broken document would spoil the whole request. JSON's own null counts as NULL."""
    texts = values.cast(pl.String).str.strip_chars(" \t\r\n")
    made = pl.when(texts.str.json_path_match("$").is_not_null()).then(texts)
    return Conversion(made, made, (texts != "null").fill_null(value=False), "json")


def text(values: pl.Expr, family: Family, hints: Hints, declared: str) -> pl.Expr:
    """Any value as text; moments as ISO 8601."""
    if family in ("timestamp", "instant"):
        return values.dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
    if family == "boolean" and declared.startswith(CODED):
        return values.cast(pl.Int8).cast(pl.String)
    if family == "float" or (hints.identifier and family == "decimal"):
        return id_text(values, family)
    return values.cast(pl.String, strict=False)


def id_text(values: pl.Expr, family: Family) -> pl.Expr:
    """A name as text; a whole number has neither a point nor an exponent nor zeros before it, however the database stores it."""
    plain = values.cast(pl.String, strict=False)
    if family == "float":
        whole = (values == values.round()) & (values.abs() < WHOLE_BELOW)
        return pl.when(whole).then(values.cast(pl.Int128, strict=False).cast(pl.String)).otherwise(plain)
    return plain.str.replace(NO_FRACTION, "${1}").str.replace(PADDED, "${1}${2}") if family == "decimal" else plain


def boolean(values: pl.Expr, family: Family) -> pl.Expr:
    """True and false as databases write them."""
    if family == "boolean":
        return values
    return truth_of(values.cast(pl.String, strict=False).str.to_lowercase())


def truth(values: pl.Expr) -> pl.Expr:
    """True and false as people write them, on a second look: among spaces, or as a number with decimals."""
    return truth_of(
        values.cast(pl.String, strict=False)
        .str.strip_chars()
        .str.to_lowercase()
        .str.replace(NO_FRACTION, "${1}")
        .str.replace(PADDED, "${1}${2}")
    )


def truth_of(words: pl.Expr) -> pl.Expr:
    """Words in small letters as booleans."""
    return pl.when(words.is_in(TRUE)).then(pl.lit(value=True)).when(words.is_in(FALSE)).then(pl.lit(value=False))


def vouched(values: pl.Expr, target: PropertyType) -> Conversion:
    """What `number` makes of decimals that are JSON numbers, or NULL, without a look at them."""
    given = values.is_not_null()
    if target == "number":
        return Conversion(values, values, given, "json")
    whole = without_fraction(values)
    return Conversion(whole, whole, given)


def without_fraction(texts: pl.Expr) -> pl.Expr:
    """JSON numbers as integers, null where they are none."""
    return texts.str.replace(r"\.0+$", "").cast(pl.Int64, strict=False)


def number(values: pl.Expr, family: Family, target: PropertyType, dtype: pl.DataType) -> Conversion:
    """An exact JSON number: decimals as their own text, never through a float."""
    given = values.is_not_null()
    if family == "integer":
        return Conversion(values, values, given)
    if family == "boolean":
        return Conversion(values.cast(pl.Int64), values.cast(pl.Int64), given)
    if family == "float":
        finite = pl.when(values.is_finite()).then(values)
        if target == "integer":
            finite = pl.when(values == values.round()).then(values.cast(pl.Int64, strict=False))
        return Conversion(finite, finite, given)
    texts = values.cast(pl.String, strict=False)
    plain = tidy(texts) if family == "text" else texts
    again = tidy(texts.str.strip_chars())
    first, second = (pl.when(each.str.contains(NUMBER)).then(each) for each in (plain, again))
    filled = given & ~blank(values) if dtype == pl.String else given
    if target == "integer":
        return Conversion(without_fraction(first), without_fraction(second), filled)
    return Conversion(first, second, filled, "json")


def tidy(texts: pl.Expr) -> pl.Expr:
    """The same number as JSON writes it: `+1`, `007`, `.5` and `5.` become `1`, `7`, `0.5` and `5`."""
    plain = texts.str.replace(SIGNED, "").str.replace(BARE, "${1}0.${2}").str.replace(OPEN, "${1}${2}")
    return plain.str.replace(PADDED, "${1}${2}")


def scaled(values: pl.Expr, family: Family, scale: int) -> Conversion:
    """A number whose last `scale` digits stand behind the decimal point, exact: 1250 by 2 is 12.50."""
    texts = id_text(values, family).str.strip_chars()
    plain = tidy(texts)
    parts = plain.str.extract_groups(r"^(-?)([0-9]+)(?:\.([0-9]+))?$")
    sign, whole, fraction = (parts.struct.field(name) for name in ("1", "2", "3"))
    padded = whole.str.zfill(scale + 1)
    made = pl.concat_str(
        sign,
        padded.str.slice(0, padded.str.len_chars() - scale),
        pl.lit("."),
        padded.str.slice(-scale),
        fraction.fill_null(""),
    )
    return Conversion(made, made, values.is_not_null() & (texts != ""), "json")
