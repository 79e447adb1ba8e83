"""JSON whose numbers stay as they were written: the digits of an amount are never changed by a float.

msgspec reads it: a number with a point or an exponent is given as its own text, whole numbers of any length as they are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ABSENT", "LONGEST", "Number", "Undecodable", "as_json", "as_text", "decode", "object_of", "objects_of", "unbounded",
]  # fmt: skip

BOM = b"\xef\xbb\xbf"
# What a body begins with that is something else than JSON.
OTHER_FORMATS = (
    (b"\x00\x00", "it begins as Avro or Protobuf of a schema registry does, and is not JSON"),
    (b"\x1f\x8b", "it is compressed by itself with gzip, and is not JSON"),
    (b"\xff\xfe", "it is text in UTF-16, and not JSON in UTF-8"),
    (b"\xfe\xff", "it is text in UTF-16, and not JSON in UTF-8"),
)
WHOLE_BITS = 63  # what msgspec writes itself
WIDEST = 1023  # bits of a whole number that is one of 64 bits with an exponent
LONGEST = 300  # digits; a number without an exponent that has fewer is one of 64 bits


class Number(str):
    """A number with a point or an exponent, as it was written."""

    __slots__ = ()


class Absent:
    """The type of ABSENT."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()  # a path that leads nowhere; null is a value


class Undecodable(ValueError):
    """A message that cannot be read; its text says why without a value of it."""


# A type in place of a function: it is called for each number, and costs a tenth.
_decoder = msgspec.json.Decoder(float_hook=Number)


def decode(body: bytes) -> Any:
    """What a body holds. Undecodable where it is no JSON, or no UTF-8."""
    try:
        return _decoder.decode(body[3:] if body[:3] == BOM else body)
    except msgspec.DecodeError as error:
        other = next((what for begins, what in OTHER_FORMATS if body.startswith(begins)), None)
        raise Undecodable(other or said(error)) from None
    except RecursionError:
        raise Undecodable("its JSON is nested too deeply") from None
    except (UnicodeDecodeError, ValueError):
        raise Undecodable("it is not JSON in UTF-8") from None


def said(error: msgspec.DecodeError) -> str:
    """What is wrong, by its place alone."""
    text = str(error)
    if "out of range" in text:
        return "it holds a number beyond all bounds"
    place = text[text.rfind("(") :] if text.endswith(")") else ""
    return f"it is not JSON: malformed {place}" if place else "it is not JSON: cut off"


def object_of(body: bytes) -> dict[str, Any]:
    """The object that a body holds. Undecodable where it is no object."""
    found = decode(body)
    if not isinstance(found, dict):
        raise Undecodable("it is no JSON object")
    return found


def objects_of(bodies: Iterable[bytes]) -> list[dict[str, Any]] | None:
    """What bodies hold, without a step of ours for each, which costs half; None where any of them has to be looked at by itself."""
    try:
        objects: list[dict[str, Any]] = [*map(_decoder.decode, bodies)]
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        return None
    return objects if set(map(type, objects)) == {dict} else None


def unbounded(value: Any) -> bool:
    """Whether a value is, or holds, a number that no program could hold."""
    if isinstance(value, Number):
        return ("e" in value or "E" in value or len(value) > LONGEST) and math.isinf(float(value))
    if isinstance(value, int):
        return value.bit_length() > WIDEST
    if isinstance(value, dict):
        return any(map(unbounded, value.values()))
    return isinstance(value, list) and any(map(unbounded, value))


def as_text(value: Any) -> str | None:
    """A value as text: a number as it was written, an object or a list as JSON."""
    if value is None or value is ABSENT:
        return None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else as_json(value)


def as_json(value: Any) -> str:
    """A value as JSON text, its numbers as they were written."""
    return msgspec.json.encode(raw(value)).decode()


def raw(value: Any) -> Any:
    """The same with numbers that are written as they are."""
    if isinstance(value, dict):
        return {name: raw(item) for name, item in value.items()}
    if isinstance(value, list):
        return [raw(item) for item in value]
    if isinstance(value, Number):
        return msgspec.Raw(value.encode())
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > WHOLE_BITS:
        return msgspec.Raw(str(value).encode())
    return value
