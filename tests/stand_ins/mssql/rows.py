"""DuckDB's answers as result sets of SQL Server: each type of DuckDB stands for one type there."""

from __future__ import annotations

import datetime as dt
import re
import struct

from stand_ins.mssql.wire import COLLATION, EPOCH, LONE, LONG, LONGEST, words

# What a type is called there. DuckDB has enough kinds of time to tell them apart.
CALLED = {
    "BIGINT": "bigint", "INTEGER": "int", "SMALLINT": "smallint", "UTINYINT": "tinyint", "BOOLEAN": "bit",
    "DOUBLE": "float", "FLOAT": "real", "VARCHAR": "nvarchar(max)", "DATE": "date", "TIME": "time(7)",
    "TIMESTAMP": "datetime", "TIMESTAMP_NS": "datetime2(7)", "TIMESTAMP_S": "datetime2(0)", "TIMESTAMP_MS": "smalldatetime",
    "TIMESTAMP WITH TIME ZONE": "datetimeoffset(7)", "UUID": "uniqueidentifier", "BLOB": "varbinary(max)",
    "UBIGINT": "timestamp", "HUGEINT": "decimal(38,0)", "DECIMAL(19,4)": "money", '"NULL"': "int",
}  # fmt: skip
INTEGERS = {"BIGINT": 8, "INTEGER": 4, "SMALLINT": 2, "UTINYINT": 1, '"NULL"': 4}
TICKS = 10_000_000
MIDNIGHT = dt.time()


def called(kind: str) -> str:
    return CALLED.get(kind) or kind.lower()


def result(names: list[str], kinds: list[str], rows: list[tuple]) -> bytes:
    """Metadata and rows."""
    described, encoders = [], []
    for index, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        longest = 0
        if kind in ("VARCHAR", "BLOB"):
            longest = max((len(row[index]) for row in rows if row[index] is not None), default=0)
        told, encode = column(kind, "max" if longest > LONGEST else "short")
        described.append(b"\0\0\0\0\x09\0" + told + words(name, size=1))
        encoders.append(encode)
    packed = [b"\x81" + struct.pack("<H", len(names)) + b"".join(described)]
    for row in rows:
        packed.append(b"\xd1")
        packed += [encode(value) for encode, value in zip(encoders, row, strict=True)]
    return b"".join(packed)


def column(kind: str, width: str):
    """How a column is described, and what makes bytes of its values."""
    if kind in INTEGERS:
        size = INTEGERS[kind]
        form = {8: "<Bq", 4: "<Bi", 2: "<Bh", 1: "<BB"}[size]
        return bytes([0x26, size]), lambda value: b"\0" if value is None else struct.pack(form, size, value)
    if kind == "BOOLEAN":
        return b"\x68\x01", lambda value: b"\0" if value is None else bytes([1, value])
    if kind in ("DOUBLE", "FLOAT"):
        size, form = (8, "<Bd") if kind == "DOUBLE" else (4, "<Bf")
        return bytes([0x6D, size]), lambda value: b"\0" if value is None else struct.pack(form, size, value)
    if kind == "UUID":
        return b"\x24\x10", lambda value: b"\0" if value is None else b"\x10" + value.bytes_le
    if kind == "UBIGINT":
        return b"\xad\x08\0", lambda value: b"\xff\xff" if value is None else b"\x08\0" + value.to_bytes(8, "big")
    if kind.startswith(("DECIMAL", "HUGEINT")):
        return exact(kind)
    if kind == "BLOB":
        size = LONG if width == "max" else 8000
        return b"\xa5" + struct.pack("<H", size), plp if width == "max" else sized
    if kind == "VARCHAR":
        size = LONG if width == "max" else 2 * LONGEST
        put = plp if width == "max" else sized
        return b"\xe7" + struct.pack("<H", size) + COLLATION, lambda value: put(
            None if value is None else value.encode("utf-16le").replace(LONE.encode("utf-16le"), b"\x3d\xd8")
        )
    return times(kind)


def sized(data: bytes | None) -> bytes:
    return b"\xff\xff" if data is None else struct.pack("<H", len(data)) + data


def plp(data: bytes | None) -> bytes:
    if data is None:
        return b"\xff" * 8
    return struct.pack("<Q", len(data)) + (struct.pack("<I", len(data)) + data if data else b"") + b"\0\0\0\0"


def exact(kind: str):
    precision, scale = (int(part) for part in re.findall(r"\d+", kind)) if "(" in kind else (38, 0)
    size = 4 if precision <= 9 else 8 if precision <= 19 else 12 if precision <= 28 else 16

    def encode(value) -> bytes:
        if value is None:
            return b"\0"
        number = int(format(value, "f").replace(".", "")) if "(" in kind else int(value)
        return bytes([size + 1, number >= 0]) + abs(number).to_bytes(size, "little")

    return bytes([0x6A, size + 1, precision, scale]), encode


def times(kind: str):
    if kind == "DATE":
        return b"\x28", lambda value: b"\0" if value is None else b"\x03" + day(value)
    if kind == "TIME":
        return b"\x29\x07", lambda value: b"\0" if value is None else b"\x05" + clock(value)
    if kind == "TIMESTAMP":
        return b"\x6f\x08", legacy
    if kind == "TIMESTAMP_MS":
        return b"\x6f\x04", short
    if kind == "TIMESTAMP WITH TIME ZONE":

        def encode(value) -> bytes:
            if value is None:
                return b"\0"
            utc = value.astimezone(dt.UTC)
            return b"\x0a" + clock(utc.time()) + day(utc.date()) + b"\0\0"

        return b"\x2b\x07", encode
    scale = b"\x00" if kind == "TIMESTAMP_S" else b"\x07"

    def moment(value) -> bytes:
        if value is None:
            return b"\0"
        if kind == "TIMESTAMP_S":
            return b"\x06" + seconds(value.time()).to_bytes(3, "little") + day(value.date())
        return b"\x08" + clock(value.time()) + day(value.date())

    return b"\x2a" + scale, moment


def day(value: dt.date) -> bytes:
    return (value - EPOCH).days.to_bytes(3, "little")


def seconds(value: dt.time) -> int:
    return value.hour * 3600 + value.minute * 60 + value.second


def clock(value: dt.time) -> bytes:
    return (seconds(value) * TICKS + value.microsecond * 10).to_bytes(5, "little")


def legacy(value: dt.datetime | None) -> bytes:
    """`datetime`: days since 1900 and three hundredths of a second."""
    if value is None:
        return b"\0"
    ticks = seconds(value.time()) * 300 + round(value.microsecond * 3 / 10_000)
    return b"\x08" + struct.pack("<iI", (value.date() - dt.date(1900, 1, 1)).days, ticks)


def short(value: dt.datetime | None) -> bytes:
    if value is None:
        return b"\0"
    return b"\x04" + struct.pack("<HH", (value.date() - dt.date(1900, 1, 1)).days, value.hour * 60 + value.minute)
