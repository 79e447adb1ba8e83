"""BSON's types: their families, the brackets in which MongoDB compares, and texts of positions that become the same value again."""

from __future__ import annotations

import datetime as dt
import math
import re
import uuid
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bson import Decimal128, Int64, ObjectId, Timestamp
from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from msgspec import Struct

from smartico_sync.core.zones import UTC
from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.values import epoch_ms

if TYPE_CHECKING:
    from collections.abc import Collection

    from smartico_sync.core.relation import Column, Family

__all__ = [
    "BRACKETS",
    "SCHEMA_TYPES",
    "WORDS",
    "Bracket",
    "bracket_of",
    "equal",
    "family_of",
    "stored",
    "text_of",
    "word_of",
]

# MongoDB's own words, by the number of the type.
WORDS = {
    1: "double", 2: "string", 3: "object", 4: "array", 5: "binData", 7: "objectId", 8: "bool", 9: "date", 11: "regex",
    13: "javascript", 14: "symbol", 16: "int", 17: "timestamp", 18: "long", 19: "decimal", 127: "maxKey", 255: "minKey",
}  # fmt: skip
# `uuid` is ours: binData of subtype 4. The JSON words are those of $jsonSchema's `type`.
SCHEMA_TYPES = {
    **{word: word for word in WORDS.values()},
    "number": "decimal", "boolean": "bool", "uuid": "uuid",
}  # fmt: skip
NUMBERS = ("int", "long", "double", "decimal")
FAMILIES: dict[str, Family] = {
    "double": "float", "string": "text", "symbol": "text", "object": "json", "array": "array", "binData": "binary",
    "uuid": "uuid", "objectId": "text", "bool": "boolean", "date": "instant", "int": "integer", "long": "integer",
    "decimal": "decimal",
}  # fmt: skip
WHOLE = re.compile(r"-?\d+")
TAGGED = "m"  # ends the text of a decimal fraction, which no double equals
UUID_SUBTYPE = 4


class Bracket(Struct, frozen=True):
    """The types that compare with each other; `$gt` and its like never match a value of another bracket.

    `floor` is below or at every value of it but NaN, which no comparison ever finds again. `kinds`: BSON's numbers.
    """

    name: str
    kinds: tuple[int, ...]
    floor: Any


BRACKETS = {
    bracket.name: bracket
    for bracket in (
        Bracket("number", (1, 16, 18, 19), -math.inf),
        Bracket("string", (2, 14), ""),
        Bracket("binData", (5,), Binary(b"")),
        Bracket("objectId", (7,), ObjectId("0" * 24)),
        Bracket("bool", (8,), False),
        Bracket("date", (9,), DatetimeMS(-(2**63))),
        Bracket("timestamp", (17,), Timestamp(0, 0)),
    )
}
BRACKET_OF = dict.fromkeys(NUMBERS, "number") | {"symbol": "string", "uuid": "binData"}


def word_of(kind: int, subtype: int = 0) -> str:
    """The word for a type; null and missing have none."""
    if kind == 5 and subtype == UUID_SUBTYPE:
        return "uuid"
    return WORDS.get(kind, "")


def family_of(words: Collection[str]) -> Family:
    """The family of a field that holds these types, so that each value fits it without loss.

    Doubles beside 32-bit integers are what JavaScript makes of a number, and stay floats; beside anything finer numbers become
    exact texts. Types that have nothing in common become text, or JSON where one of them is a document.
    """
    kinds = set(words)
    if len(kinds) == 1:
        return FAMILIES.get(next(iter(kinds)), "other")
    if kinds and kinds <= {"int", "long"}:
        return "integer"
    if kinds and kinds <= {"int", "double"}:
        return "float"
    if kinds and kinds <= set(NUMBERS):
        return "decimal"
    if kinds & {"object", "array"}:
        return "json"
    return "text" if kinds else "other"


def bracket_of(column: Column) -> Bracket | None:
    """The bracket of a cursor or a key: that of the type which the column's own name for its type begins with."""
    first = column.type.partition(",")[0]
    return BRACKETS.get(BRACKET_OF.get(first, first))


def text_of(value: Any) -> str:
    """A value as the text of a position; `stored` makes the same value of it, or one that MongoDB holds for equal."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 2**63 else repr(value)
        case Decimal128():
            number = value.to_decimal()
            whole = number.is_finite() and number == number.to_integral_value() and abs(number) < 2**63
            return str(int(number)) if whole else f"{value}{TAGGED}"
        case dt.datetime():
            wall = value.astimezone(dt.UTC).replace(tzinfo=None)
            return wall.isoformat(sep=" ", timespec="milliseconds") + "Z"
        case DatetimeMS():
            return str(int(value))  # outside the years 1 to 9999
        case Timestamp():
            return f"{value.time}.{value.inc}"
        case uuid.UUID():
            return str(value)
        case Binary():
            return f"{value.subtype}:{value.hex()}"
        case bytes():
            return f"0:{value.hex()}"
    return str(value)


def stored(bracket: Bracket, text: str) -> Any:
    """The value that a position's text stands for, in its bracket. ConfigError when it is none (somebody typed it)."""
    with suppress(ValueError, ArithmeticError, TypeError):
        match bracket.name:
            case "string":
                return text
            case "number":
                return number(text)
            case "date":
                return DatetimeMS(int(text) if WHOLE.fullmatch(text) else epoch_ms(text, UTC))
            case "objectId" if ObjectId.is_valid(text):
                return ObjectId(text)
            case "bool" if text in ("true", "false"):
                return text == "true"
            case "timestamp":
                seconds, _, order = text.partition(".")
                return Timestamp(int(seconds), int(order or 0))
            case "binData" if ":" in text:
                subtype, _, digits = text.partition(":")
                return Binary(bytes.fromhex(digits), int(subtype))
            case "binData":
                return Binary.from_uuid(uuid.UUID(text))
    raise ConfigError(
        f"a position is no {bracket.name}",
        hint="write it as `smartico-sync watermark show` does, or as the field holds it",
    )


def number(text: str) -> Any:
    """The number that a text stands for, as the type that holds it exactly."""
    if WHOLE.fullmatch(text):
        whole = int(text)
        if -(2**63) <= whole < 2**63:
            return Int64(whole)
        return Decimal128(text)
    return Decimal128(text.removesuffix(TAGGED)) if text.endswith(TAGGED) else float(text)


def equal(bracket: Bracket | None, one: str, other: str) -> bool:
    """Whether MongoDB takes two positions' texts for one value: 1, 1.0 and a decimal 1.00 are."""
    if one == other or bracket is None or bracket.name != "number":
        return one == other
    values = [number(text) for text in (one, other)]
    first, second = (Decimal(value) if not isinstance(value, Decimal128) else value.to_decimal() for value in values)
    return first == second
