"""What travels in Oracle's protocol: columns, values and errors, as python-oracledb's thin mode reads and writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

FAILURE = 4  # the message that ends an answer, whether well or not
# What DbType calls the types: number on the wire, and character set form.
WIRE = {
    "VARCHAR2": (1, 1), "NVARCHAR2": (1, 2), "CHAR": (96, 1), "NCHAR": (96, 2), "NUMBER": (2, 0), "DATE": (12, 0),
    "TIMESTAMP": (180, 0), "TIMESTAMP WITH TIME ZONE": (181, 0), "TIMESTAMP WITH LOCAL TIME ZONE": (231, 0), "RAW": (23, 0),
    "CLOB": (112, 1), "BLOB": (113, 0), "BINARY_DOUBLE": (101, 0), "BINARY_FLOAT": (100, 0), "LONG": (8, 1), "ROWID": (11, 0),
    "BFILE": (114, 0), "INTERVAL DAY TO SECOND": (183, 0), "INTERVAL YEAR TO MONTH": (182, 0),
}  # fmt: skip
NAMES = {number_form: name for name, number_form in WIRE.items()}
LOBS = ("CLOB", "BLOB")


@dataclass(frozen=True)
class Field:
    """A column of an answer."""

    name: str
    kind: str = "VARCHAR2"
    precision: int = 0
    scale: int = 0


@dataclass(frozen=True)
class Answer:
    """What a statement gives: columns and rows, or Oracle's error; not before the event `after`."""

    fields: Sequence[Field] = ()
    rows: Sequence[Sequence[Any]] = ()
    error: int = 0
    message: str = "what the server says may quote a secret"
    after: threading.Event | None = None


@dataclass(frozen=True)
class Asked:
    """A statement as it arrived: its binds as (type, value), in the order in which they stand in it."""

    text: str
    binds: tuple[tuple[str, Any], ...] = ()


class Reader:
    """Values in the order in which they stand in a message."""

    def __init__(self, data: bytes, more: Callable[[], bytes]):
        self.data, self.at, self.fetch = data, 0, more

    def take(self, count: int) -> bytes:
        while len(self.data) - self.at < count:
            self.data += self.fetch()
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(self.byte()), "big")

    def raw(self) -> bytes | None:
        length = self.byte()
        if length != 0xFE:
            return self.take(length) if length else None
        parts = b""
        while size := self.number():
            parts += self.take(size)
        return parts

    def text(self) -> str:
        return (self.raw() or b"").decode()

    def counted(self) -> bytes:
        return (self.raw() or b"") if self.number() else b""

    def type(self) -> tuple[int, int]:
        wire = self.byte()
        self.take(3)
        for _ in range(3):
            self.number()
        self.counted()
        self.number(), self.number()
        form = self.byte()
        self.number()
        return wire, form


def ub(value: int) -> bytes:
    size = (value.bit_length() + 7) // 8
    return bytes([size]) + value.to_bytes(size, "big")


def short(data: bytes) -> bytes:
    if len(data) <= 252:
        return bytes([len(data)]) + data
    parts = [data[at : at + 30_000] for at in range(0, len(data), 30_000)]
    return b"\xfe" + b"".join(ub(len(part)) + part for part in parts) + b"\0"


def counted(data: bytes) -> bytes:
    return ub(len(data)) + (short(data) if data else b"")


def failure(code: int, cursor: int, message: str = "") -> bytes:
    body = bytes([FAILURE]) + ub(0) * 6 + ub(cursor) + ub(0) + bytes(6) + ub(0) + ub(0) + b"\0" + ub(0) + ub(0)
    body += ub(0) + bytes(2) + ub(0) + ub(0) + ub(0) + ub(0) + ub(0) + ub(0) + ub(code) + ub(0)
    return body + (short(message.encode()) if code else b"")


def encoded(each: Field, value: Any) -> bytes:
    """A value as a row holds it."""
    match value:
        case None:
            return b"\0"
        case bytes():
            return short(value)
        case str():
            return short(value.encode("utf-16-be" if WIRE[each.kind][1] == 2 else "utf-8"))
        case int() | Decimal():
            return short(to_number(Decimal(value)))
        case datetime():
            date = bytes([value.year // 100 + 100, value.year % 100 + 100, value.month, value.day])
            time = bytes([value.hour + 1, value.minute + 1, value.second + 1])
            return short(date + time + (b"" if each.kind == "DATE" else (value.microsecond * 1000).to_bytes(4, "big")))
    raise TypeError(value)


def to_number(value: Decimal) -> bytes:
    """Oracle's own form of a number: a power of a hundred, then digits of base a hundred, upside down below zero."""
    if not value:
        return b"\x80"
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    if exponent % 2:
        text, exponent = text + "0", exponent - 1
    text = text.rjust(len(text) + len(text) % 2, "0")
    pairs = [int(text[at : at + 2]) for at in range(0, len(text), 2)]
    power = exponent // 2 + len(pairs) - 1
    while pairs and not pairs[0]:
        pairs, power = pairs[1:], power - 1
    while not pairs[-1]:
        pairs = pairs[:-1]
    if sign:
        return bytes([~(power + 193) & 0xFF, *(101 - pair for pair in pairs)]) + (b"\x66" if len(pairs) < 20 else b"")
    return bytes([power + 193, *(pair + 1 for pair in pairs)])


def from_number(data: bytes) -> Decimal:
    if data == b"\x80":
        return Decimal(0)
    if data[0] & 0x80:
        power, pairs = data[0] - 193, [byte - 1 for byte in data[1:]]
        return sum((Decimal(pair).scaleb(2 * (power - at)) for at, pair in enumerate(pairs)), Decimal(0))
    power, pairs = (~data[0] & 0xFF) - 193, [101 - byte for byte in data[1:] if byte != 0x66]
    return -sum((Decimal(pair).scaleb(2 * (power - at)) for at, pair in enumerate(pairs)), Decimal(0))
