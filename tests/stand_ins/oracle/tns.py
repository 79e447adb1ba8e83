"""Enough of Oracle's protocol for the real driver: logging in, binding, describing, fetching, errors, breaks.

It is no database: a desk says what a statement gives. Written after what python-oracledb's thin mode sends and reads, for a
server of release 12.1's fields.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from stand_ins.oracle.values import (
    LOBS,
    NAMES,
    WIRE,
    Answer,
    Asked,
    Field,
    Reader,
    counted,
    encoded,
    failure,
    from_number,
    short,
    ub,
)

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Sequence

PASSWORD = "r€ader:p@ss/word?#%"  # every character that a URL could stumble over
RESET = 2  # the marker that answers a break
NO_MORE_ROWS, CANCELLED, WRONG_PASSWORD = 1403, 1013, 1017
VERIFIER_11G = 0x1B25
FIELDS_OF_12_1 = 7
ORACLE_19C = (19 << 24) | (3 << 20)
DEFINE, BIND = 0x10, 0x08  # options of an execution
LARGEST = 8000  # bytes of an answer in one packet


class Packet(IntEnum):
    CONNECT = 1
    ACCEPT = 2
    REFUSE = 4
    DATA = 6
    MARKER = 12


class Message(IntEnum):
    PROTOCOL = 1
    TYPES = 2
    ROW_HEADER = 6
    ROW = 7
    PARAMETERS = 8
    STATUS = 9
    DESCRIBE = 16
    PIGGYBACK = 17


class Function(IntEnum):
    AGAIN = 4
    FETCH = 5
    LOGOFF = 9
    ROLLBACK = 15
    AGAIN_AND_FETCH = 78
    EXECUTE = 94
    CLOSE_CURSORS = 105
    LOGGED_IN = 115
    LOGIN = 118
    ATTRIBUTES = 135


class Desk(Protocol):
    """Who answers the statements of one connection."""

    def answer(self, asked: Asked) -> Answer | None:
        """What the statement gives; nothing, by default."""

    def end(self) -> None:
        """The transaction ends."""

    def named(self, told: dict[str, str]) -> None:
        """The client says who it is: `module`, `action`, `client_identifier`."""


@dataclass
class Cursor:
    asked: Asked
    types: list[tuple[int, int]]
    answer: Answer
    given: int = 0
    described: Sequence[Field] = ()


class Conversation:
    """One connection. `refuse` is the listener's error, if it is to be none; `told` becomes the client's connect string."""

    def __init__(self, desk: Desk, wire: socket.socket, *, refuse: int = 0, password: str = PASSWORD):
        self.desk = desk
        self.wire = wire
        self.refuse = refuse
        self.password = password
        self.told = ""
        self.long = False  # packets say their length in four bytes once the connection is accepted
        self.cursors: dict[int, Cursor] = {}
        self.combo = b""
        self.server_half = secrets.token_bytes(48)
        self.salt = secrets.token_bytes(16)

    def run(self) -> None:
        kind, body = self.packet()
        assert kind == Packet.CONNECT
        length, offset = int.from_bytes(body[16:18], "big"), int.from_bytes(body[18:20], "big") - 8
        text = body[offset : offset + length] or self.packet()[1][2:]
        self.told = text.decode()
        if self.refuse:
            told = f"(DESCRIPTION=(ERR={self.refuse}))".encode()
            self.send(Packet.REFUSE, b"\0\0" + len(told).to_bytes(2, "big") + told)
            return
        sdu = (8192).to_bytes(4, "big")
        self.send(Packet.ACCEPT, (315).to_bytes(2, "big") + bytes(2 + 10 + 1 + 9) + sdu)
        self.long = True
        while True:
            kind, body = self.packet()
            if kind == Packet.MARKER:
                continue
            flags = int.from_bytes(body[:2], "big")
            if flags & 0x40:
                return
            if self.message(Reader(body[2:], self.more)) == "end":
                return

    def more(self) -> bytes:
        """The next packet of a message that did not fit into one."""
        kind, body = self.packet()
        return b"" if kind == Packet.MARKER else body[2:]

    def packet(self) -> tuple[int, bytes]:
        head = self.exactly(8)
        size = int.from_bytes(head[:4] if self.long else head[:2], "big")
        return head[4], self.exactly(size - 8)

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.wire.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def send(self, kind: int, body: bytes) -> None:
        size = len(body) + 8
        length = size.to_bytes(4, "big") if self.long else size.to_bytes(2, "big") + b"\0\0"
        self.wire.sendall(length + bytes([kind, 0, 0, 0]) + body)

    def reply(self, message: bytes) -> None:
        for at in range(0, len(message), LARGEST):
            self.send(Packet.DATA, b"\0\0" + message[at : at + LARGEST])

    def message(self, read: Reader) -> str | None:
        kind = read.byte()
        while kind == Message.PIGGYBACK:
            self.piggyback(read)
            kind = read.byte()
        if kind == Message.PROTOCOL:
            capabilities, runtime = bytearray(41), bytearray(7)
            capabilities[7], runtime[6] = FIELDS_OF_12_1, 4
            sets = bytes(9) + (2000).to_bytes(2, "big")
            self.reply(
                bytes([Message.PROTOCOL, 6, 0]) + b"for tests\0" + (873).to_bytes(2, "little") + b"\1" + b"\0\0"
                + len(sets).to_bytes(2, "big") + sets + short(bytes(capabilities)) + short(bytes(runtime))
            )  # fmt: skip
            return None
        if kind == Message.TYPES:
            self.reply(bytes([Message.TYPES]) + b"\0\0")
            return None
        function, _ = read.byte(), read.byte()
        match function:
            case Function.LOGIN | Function.LOGGED_IN:
                self.login(function, read)
            case Function.EXECUTE:
                self.execute(read)
            case Function.AGAIN | Function.AGAIN_AND_FETCH:
                cursor = self.cursors[number := read.number()]
                rows = read.number()
                read.number(), read.number()
                if cursor.types:
                    read.byte()
                    cursor.asked = Asked(cursor.asked.text, self.binds(read, cursor.types))
                self.answer(number, cursor, rows, "known")
            case Function.FETCH:
                number, rows = read.number(), read.number()
                self.rows(number, self.cursors[number], rows, b"")
            case Function.ROLLBACK:
                self.desk.end()
                self.done()
            case Function.LOGOFF:
                self.done()
                return "end"
            case _:
                self.done()
        return None

    def piggyback(self, read: Reader) -> None:
        function, _ = read.byte(), read.byte()
        if function == Function.CLOSE_CURSORS:
            read.byte()
            for _ in range(read.number()):
                self.cursors.pop(read.number(), None)
            return
        assert function == Function.ATTRIBUTES, function
        read.byte(), read.byte(), read.number()
        lengths = {}
        for name in ("client_identifier", "module", "action"):
            read.byte()
            lengths[name] = read.number()
        read.byte(), read.number(), read.byte(), read.number()
        for name in ("client_info", "", "", "dbop"):
            read.byte()
            length = read.number()
            if name:
                lengths[name] = length
        self.desk.named({name: read.text() for name, length in lengths.items() if length})

    def login(self, function: int, read: Reader) -> None:
        read.byte(), read.number(), read.number(), read.byte()
        count = read.number()
        read.byte(), read.byte(), read.text()
        told = {}
        for _ in range(count):
            name = read.counted().decode()
            told[name] = read.counted().decode()
            read.number()
        key = hashlib.sha1(self.password.encode() + self.salt).digest() + bytes(4)
        if function == Function.LOGIN:
            half = _cbc(key).encryptor().update(self.server_half).hex().upper()
            self.parameters({"AUTH_SESSKEY": half, "AUTH_VFR_DATA": self.salt.hex().upper()})
            return
        theirs = _cbc(key).decryptor().update(bytes.fromhex(told["AUTH_SESSKEY"]))
        mixed = bytes(a ^ b for a, b in zip(self.server_half[16:40], theirs[16:40], strict=True))
        self.combo = (hashlib.md5(mixed[:16]).digest() + hashlib.md5(mixed[16:]).digest())[:24]
        password = _cbc(self.combo).decryptor().update(bytes.fromhex(told["AUTH_PASSWORD"]))[16:]
        if password[: -password[-1]] != self.password.encode():
            self.fail(WRONG_PASSWORD)
            return
        proof = _cbc(self.combo).encryptor().update(bytes(16) + b"SERVER_TO_CLIENT" + bytes([16]) * 16)
        self.parameters(
            {"AUTH_VERSION_NO": str(ORACLE_19C), "AUTH_SESSION_ID": "7", "AUTH_SERIAL_NUM": "8", "AUTH_MAX_OPEN_CURSORS": "300",
             "AUTH_SVR_RESPONSE": proof.hex().upper()}
        )  # fmt: skip

    def parameters(self, told: dict[str, str]) -> None:
        body = bytes([Message.PARAMETERS]) + ub(len(told))
        for name, value in told.items():
            body += (
                counted(name.encode()) + counted(value.encode()) + ub(VERIFIER_11G if name == "AUTH_VFR_DATA" else 0)
            )
        self.reply(body + bytes([Message.STATUS]) + ub(0) + ub(0))

    def execute(self, read: Reader) -> None:
        options, number = read.number(), read.number()
        read.byte()
        length = read.number()
        read.byte(), read.number(), read.byte(), read.byte(), read.number()
        rows = read.number()
        read.number(), read.byte()
        binds = read.number()
        for _ in range(5):
            read.byte()
        read.byte()
        defines = read.number()
        read.number(), read.byte(), read.byte(), read.byte(), read.number(), read.byte(), read.number(), read.number()
        read.byte(), read.number(), read.byte()
        text = read.text() if length else self.cursors[number].asked.text
        for _ in range(13):
            read.number()
        if options & DEFINE:
            for _ in range(defines):
                read.type()
            cursor = self.cursors[number]
            self.rows(number, cursor, rows, b"", "as long")
            return
        types = [read.type() for _ in range(binds)] if options & BIND else []
        values: tuple[tuple[str, Any], ...] = ()
        if types:
            read.byte()
            values = self.binds(read, types)
        number = number or max(self.cursors, default=0) + 1
        self.cursors[number] = Cursor(Asked(text, values), types, Answer())
        self.answer(number, self.cursors[number], rows, "new")

    def binds(self, read: Reader, types: list[tuple[int, int]]) -> tuple[tuple[str, Any], ...]:
        values = []
        for wire in types:
            raw = read.raw()
            name = NAMES.get(wire, str(wire))
            if wire[0] in (1, 96, 8):
                values.append((name, None if raw is None else raw.decode("utf-16-be" if wire[1] == 2 else "utf-8")))
            else:
                values.append((name, from_number(raw) if name == "NUMBER" and raw else raw))
        return tuple(values)

    def answer(self, number: int, cursor: Cursor, rows: int, how: str) -> None:
        cursor.answer, cursor.given = self.desk.answer(cursor.asked) or Answer(), 0
        answer = cursor.answer
        if answer.after is not None and not self.waited(answer.after):
            self.fail(CANCELLED)
            return
        if answer.error:
            self.fail(answer.error, answer.message)
            return
        if not answer.fields:
            self.done(number)
            return
        news = how == "new" or answer.fields != cursor.described
        described, cursor.described = self.described(answer.fields) if news else b"", answer.fields
        if any(each.kind in LOBS for each in answer.fields) and news:
            self.reply(described + failure(0, number))
            return
        self.rows(number, cursor, rows, described)

    def waited(self, event: threading.Event) -> bool:
        """Whether the event came before the client asked to stop."""
        self.wire.settimeout(0.02)
        try:
            while not event.is_set():
                try:
                    kind, body = self.packet()
                except TimeoutError:
                    continue
                if kind == Packet.MARKER and body[2] != RESET:
                    return False
        finally:
            self.wire.settimeout(None)
        return True

    def described(self, fields: Sequence[Field]) -> bytes:
        body = bytes([Message.DESCRIBE]) + b"\0" + ub(0) + ub(len(fields)) + b"\0"
        for each in fields:
            wire, form = WIRE[each.kind]
            body += (
                bytes([wire, 0, each.precision & 0xFF, each.scale & 0xFF])
                + ub(4000)
                + ub(0)
                + ub(0)
                + ub(0)
                + ub(0)
                + ub(873)
            )
            body += bytes([form]) + ub(4000) + b"\1\0" + counted(each.name.encode()) + ub(0) + ub(0) + ub(0) + ub(0)
        return body + ub(0) * 6

    def rows(self, number: int, cursor: Cursor, count: int, begin: bytes, how: str = "") -> None:
        fields, wanted = cursor.answer.fields, cursor.answer.rows[cursor.given : cursor.given + count]
        cursor.given += len(wanted)
        body = [begin, bytes([Message.ROW_HEADER]), b"\0" + ub(0) * 5 + ub(0)]
        for row in wanted:
            body.append(bytes([Message.ROW]))
            for each, value in zip(fields, row, strict=True):
                body.append(encoded(each, value))
                if each.kind == "LONG" or (each.kind in LOBS and how):
                    body.append(ub(0) + ub(0))
        end = NO_MORE_ROWS if cursor.given >= len(cursor.answer.rows) else 0
        self.reply(b"".join(body) + failure(end, number, "no data found"))

    def done(self, number: int = 0) -> None:
        self.reply(failure(0, number))

    def fail(self, code: int, message: str = "") -> None:
        if code == CANCELLED:
            self.send(Packet.MARKER, bytes([1, 0, RESET]))
        self.reply(failure(code, 0, f"ORA-{code:05}: {message}"))


def _cbc(key: bytes) -> Cipher:
    return Cipher(algorithms.AES(key), modes.CBC(bytes(16)))
