"""The wire of SQL Server: packets, TLS inside them, requests taken apart, answers put together (MS-TDS 7.4)."""

# ruff: noqa: DTZ001  - the wire knows no zones
from __future__ import annotations

import datetime as dt
import socket
import ssl
import struct
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal

BATCH, RPC, ANSWER, ATTENTION, LOGIN, PRELOGIN = 0x01, 0x03, 0x04, 0x06, 0x10, 0x12
PACKET = 4096
NO_ENCRYPTION, ENCRYPTION_REQUIRED = 2, 3
CANCELLED, ERROR, MORE, COUNTED = 0x20, 0x02, 0x01, 0x10
COLLATION = bytes.fromhex("0904d00034")
EPOCH = dt.date(1, 1, 1)
NAMED = {
    10: "sp_executesql",
    11: "sp_prepare",
    12: "sp_execute",
    13: "sp_prepexec",
    14: "sp_prepexecrpc",
    15: "sp_unprepare",
}
LONG = 0xFFFF
LONGEST = 4000  # characters of an nvarchar that is not `max`
LONE = "\U0010ffff"  # stands for half a character, which Python's and DuckDB's texts cannot hold


class Stream:
    """One connection: whole messages in, whole messages out, encrypted from the moment both sides agree on it."""

    def __init__(self, wire: socket.socket, context: ssl.SSLContext | None) -> None:
        self.wire, self.context = wire, context
        self.tls: ssl.SSLObject | None = None
        self.inside, self.outside = ssl.MemoryBIO(), ssl.MemoryBIO()
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def begin(self) -> None:
        """TDS 8 (`encrypt=strict`) greets with TLS, all others with a packet."""
        if self.context and self.wire.recv(1, socket.MSG_PEEK) == b"\x16":
            self.handshake(lambda: self.wire.recv(PACKET), self.wire.sendall)

    def encrypt(self) -> None:
        """The handshake of TDS 7 travels in packets of its own."""
        self.handshake(lambda: self.message()[1], lambda data: self.wire.sendall(packet(PRELOGIN, data)))

    def handshake(self, take, give) -> None:
        tls = self.context.wrap_bio(self.inside, self.outside, server_side=True)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                if told := self.outside.read():
                    give(told)
                self.inside.write(take())
            except ssl.SSLError as refused:
                with suppress(OSError):
                    give(self.outside.read())
                raise ConnectionError from refused
            else:
                break
        if rest := self.outside.read():
            give(rest)
        self.tls = tls

    def read(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            part = self.plain(size - len(found))
            if not part:
                raise ConnectionError
            found += part
        return bytes(found)

    def plain(self, size: int) -> bytes:
        if self.tls is None:
            return self.wire.recv(size)
        while True:
            try:
                return self.tls.read(size)
            except ssl.SSLWantReadError:
                data = self.wire.recv(65536)
                if not data:
                    return b""
                self.inside.write(data)

    def message(self) -> tuple[int, bytes]:
        """The kind of the next message, and what its packets hold."""
        found = bytearray()
        while True:
            kind, status, length = struct.unpack(">BBH4x", self.read(8))
            found += self.read(length - 8)
            if status & 1:
                return kind, bytes(found)

    def answer(self, data: bytes) -> None:
        """Send a whole answer, in packets."""
        parts = [data[at : at + PACKET - 8] for at in range(0, len(data), PACKET - 8)] or [b""]
        packed = b"".join(
            packet(ANSWER, part, last=number == len(parts), number=number) for number, part in enumerate(parts, 1)
        )
        if self.tls is not None:
            for at in range(0, len(packed), 16_384):
                self.tls.write(packed[at : at + 16_384])
            packed = self.outside.read()
        self.wire.sendall(packed)


def packet(kind: int, data: bytes, *, last: bool = True, number: int = 1) -> bytes:
    return struct.pack(">BBHHBB", kind, int(last), len(data) + 8, 0, number % 256, 0) + data


def prelogin(encryption: int) -> bytes:
    options = {0: bytes([16, 0, 0x10, 0, 0, 0]), 1: bytes([encryption]), 2: b"\0", 3: b"", 4: b"\0"}
    head, body, at = b"", b"", 5 * len(options) + 1
    for token, value in options.items():
        head += struct.pack(">BHH", token, at + len(body), len(value))
        body += value
    return head + b"\xff" + body


@dataclass
class Login:
    """What a client tells when it introduces itself."""

    user: str
    password: str
    application: str
    database: str
    language: str
    intent: str


def login(data: bytes) -> Login:
    def text(at: int) -> str:
        offset, size = struct.unpack_from("<HH", data, at)
        return data[offset : offset + 2 * size].decode("utf-16le")

    offset, size = struct.unpack_from("<HH", data, 44)
    hidden = bytes(((byte ^ 0xA5) << 4 | (byte ^ 0xA5) >> 4) & 0xFF for byte in data[offset : offset + 2 * size])
    intent = "ReadOnly" if data[26] & 0x20 else "ReadWrite"
    return Login(text(40), hidden.decode("utf-16le"), text(48), text(68), text(64), intent)


@dataclass
class Call:
    """A procedure that a client calls, with its parameters as Python's values."""

    name: str
    parameters: list[tuple[str, object]] = field(default_factory=list)
    types: list[str] = field(default_factory=list)

    @property
    def values(self) -> list[object]:
        return [value for _, value in self.parameters]


class Reader:
    """Bytes of a request, from the front."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def text(self, characters: int) -> str:
        return self.take(2 * characters).decode("utf-16le", "surrogatepass")


def batch(data: bytes) -> str:
    return data[int.from_bytes(data[:4], "little") :].decode("utf-16le", "surrogatepass")


def call(data: bytes) -> Call:
    reader = Reader(data)
    reader.at = int.from_bytes(data[:4], "little")
    length = reader.number(2)
    made = Call(NAMED.get(reader.number(2), "?") if length == LONG else reader.text(length))
    reader.take(2)
    while reader.at < len(data):
        name = reader.text(reader.number(1))
        reader.take(1)
        kind, value = parameter(reader)
        made.parameters.append((name, value))
        made.types.append(kind)
    return made


def parameter(reader: Reader) -> tuple[str, object]:
    """One value with its type; texts as str, bytes as bytes, times as datetime with what fits of their digits."""
    kind = reader.number(1)
    match kind:
        case 0x1F:
            return "null", None
        case 0x30 | 0x34 | 0x38 | 0x7F:
            return "int", reader.number({0x30: 1, 0x34: 2, 0x38: 4, 0x7F: 8}[kind], signed=kind != 0x30)
        case 0x26 | 0x68 | 0x6D | 0x24:
            reader.take(1)
            data = reader.take(reader.number(1))
            if not data:
                return "null", None
            if kind == 0x6D:
                return "float", struct.unpack("<f" if len(data) == 4 else "<d", data)[0]
            if kind == 0x24:
                return "uniqueidentifier", str(uuid.UUID(bytes_le=data)).upper()
            number = int.from_bytes(data, "little", signed=len(data) > 1)
            return ("bit", bool(number)) if kind == 0x68 else ("int", number)
        case 0x6A | 0x6C:
            _, precision, scale = reader.take(3)
            data = reader.take(reader.number(1))
            if not data:
                return "null", None
            number = int.from_bytes(data[1:], "little") * (1 if data[0] else -1)
            return f"decimal({precision},{scale})", Decimal(number).scaleb(-scale)
        case 0x28:
            data = reader.take(reader.number(1))
            return "date", EPOCH + dt.timedelta(int.from_bytes(data, "little")) if data else None
        case 0x29 | 0x2A | 0x2B:
            scale = reader.number(1)
            word = {0x29: "time", 0x2A: "datetime2", 0x2B: "datetimeoffset"}[kind]
            data = reader.take(reader.number(1))
            return f"{word}({scale})", moment(data, kind, scale) if data else None
        case 0x6F:
            reader.take(1)
            data = reader.take(reader.number(1))
            if not data:
                return "null", None
            days, ticks = struct.unpack("<iI", data)
            return "datetime", dt.datetime(1900, 1, 1) + dt.timedelta(days, microseconds=ticks * 10_000 // 3)
        case 0x63 | 0x23 | 0x22:  # the long texts and bytes of old; FreeTDS sends statements so
            reader.take(4 if kind == 0x22 else 9)
            length = reader.number(4)
            if length == 0xFFFFFFFF:
                return "null", None
            data = reader.take(length)
            return ("image", data) if kind == 0x22 else ("ntext", data.decode("utf-16le" if kind == 0x63 else "utf-8"))
        case 0xE7 | 0xEF | 0xA7 | 0xAF | 0xA5 | 0xAD:
            size = reader.number(2)
            text = kind not in (0xA5, 0xAD)
            if text:
                reader.take(5)
            data = long(reader) if size == LONG else short(reader)
            if not text or data is None:
                return "varbinary", data
            wide = kind in (0xE7, 0xEF)
            width = "max" if size == LONG else size // (2 if wide else 1)
            return f"{'n' if wide else ''}varchar({width})", data.decode(
                "utf-16le" if wide else "utf-8", "surrogatepass"
            )
    raise ValueError(f"parameter of type {kind:#x}")


def short(reader: Reader) -> bytes | None:
    length = reader.number(2)
    return None if length == LONG else reader.take(length)


def long(reader: Reader) -> bytes | None:
    if reader.number(8) == 0xFFFFFFFFFFFFFFFF:
        return None
    found = bytearray()
    while length := reader.number(4):
        found += reader.take(length)
    return bytes(found)


def moment(data: bytes, kind: int, scale: int) -> dt.datetime | dt.time:
    size = len(data) - (0 if kind == 0x29 else 3 if kind == 0x2A else 5)
    ticks = int.from_bytes(data[:size], "little")
    since = dt.timedelta(microseconds=ticks * 10**6 // 10**scale)
    if kind == 0x29:
        return (dt.datetime(1, 1, 1) + since).time()
    day = EPOCH + dt.timedelta(int.from_bytes(data[size : size + 3], "little"))
    return dt.datetime.combine(day, dt.time()) + since


def words(text: str, *, size: int) -> bytes:
    return len(text).to_bytes(size, "little") + text.encode("utf-16le")


def logged_in(database: str) -> bytes:
    def change(kind: int, new: bytes, old: bytes) -> bytes:
        body = bytes([kind]) + new + old
        return b"\xe3" + struct.pack("<H", len(body)) + body

    name = "Microsoft SQL Server"
    known = b"\x01\x74\x00\x00\x04" + words(name, size=1) + bytes([16, 0, 0x10, 0])
    return (
        change(1, words(database, size=1), words("master", size=1))
        + change(7, bytes([5]) + COLLATION, b"\0")
        + change(4, words(str(PACKET), size=1), words(str(PACKET), size=1))
        + b"\xad" + struct.pack("<H", len(known)) + known
    )  # fmt: skip


def failed(number: int, message: str, severity: int = 16) -> bytes:
    body = struct.pack("<iBB", number, 1, severity) + words(message, size=2) + words("stand_in", size=1) + b"\0"
    body += struct.pack("<i", 1)
    return b"\xaa" + struct.pack("<H", len(body)) + body


def done(status: int = 0, rows: int = 0, token: int = 0xFD) -> bytes:
    return struct.pack("<BHHQ", token, status, 0xC1, rows)


def returned(name: str, number: int) -> bytes:
    return b"\xac\0\0" + words(name, size=1) + b"\x01\0\0\0\0\0\0\x26\x04\x04" + struct.pack("<i", number)


def finished() -> bytes:
    return b"\x79\0\0\0\0"
