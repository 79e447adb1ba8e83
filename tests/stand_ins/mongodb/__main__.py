"""A server that speaks MongoDB's protocol (OP_MSG) over a store of its own.

Driver, wire, TLS, logins, topology, cursors and snapshots are as a client sees them. Comparing, sorting and matching follow the
manual, and so does what explain says of indexes; expressions of pipelines are mongomock's. Storage, costs, replication between
members, rollbacks and everything else of a real server are not here.

Argument: JSON with `users` ([name, password, role] each), `secondary` (a second member), `kind` (set, standalone or mongos),
`wire`, `version` and `tls` ({certificate, authority}).
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import threading
from contextlib import suppress

import bson
from bson.codec_options import CodecOptions, DatetimeConversion

from stand_ins.mongodb.commands import Broken, Connection, Member, Server
from stand_ins.mongodb.login import User
from stand_ins.mongodb.store import Store

OP_MSG = 2013
MORE_TO_COME = 2
CODEC = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
HEADER = struct.Struct("<iiii")


def received(client: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = client.recv(min(size - len(data), 1 << 20))
        if not more:
            raise ConnectionError
        data += more
    return bytes(data)


def parsed(body: bytes) -> tuple[int, dict]:
    """Flags and command of an OP_MSG, with its document sequences put in their places."""
    (flags,) = struct.unpack_from("<I", body)
    command: dict = {}
    at, end = 4, len(body) - (4 if flags & 1 else 0)
    while at < end:
        kind, at = body[at], at + 1
        (size,) = struct.unpack_from("<i", body, at)
        section = body[at : at + size]
        if kind == 0:
            command = {**bson.decode(section, CODEC), **command}
        else:
            name, _, documents = section[4:].partition(b"\0")
            command[name.decode()] = bson.decode_all(documents, CODEC)
        at += size
    return flags, command


def encoded(reply: dict) -> bytes:
    """A reply; documents that are encoded already are only put together."""
    cursor = reply.get("cursor", {})
    batch = next((name for name in ("firstBatch", "nextBatch") if name in cursor), None)
    if batch is None:
        return bson.encode(reply)
    items = b"".join(b"\x03%d\0%b" % pair for pair in enumerate(cursor[batch]))
    array = b"\x04" + batch.encode() + b"\0" + struct.pack("<i", len(items) + 5) + items + b"\0"
    rest = bson.encode({name: value for name, value in cursor.items() if name != batch})[4:]
    inner = struct.pack("<i", len(array) + len(rest) + 4) + array + rest
    outer = bson.encode({name: value for name, value in reply.items() if name != "cursor"})[4:]
    field = b"\x03cursor\0" + inner
    return struct.pack("<i", len(field) + len(outer) + 4) + field + outer


def serve(client: socket.socket, server: Server, member: Member, context: ssl.SSLContext | None) -> None:
    with suppress(OSError, Broken), client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            client = context.wrap_socket(client, server_side=True)
        connection = Connection(server, member, subject=shown(client))
        while True:
            size, number, _, opcode = HEADER.unpack(received(client, HEADER.size))
            body = received(client, size - HEADER.size)
            if opcode != OP_MSG:
                return
            flags, command = parsed(body)
            reply = encoded(connection.answer(command))
            if not flags & MORE_TO_COME:
                client.sendall(HEADER.pack(21 + len(reply), 1, number, OP_MSG) + b"\0\0\0\0\0" + reply)


def shown(client: socket.socket) -> str:
    """The subject of the client's certificate."""
    certificate = client.getpeercert() if isinstance(client, ssl.SSLSocket) else None
    return ",".join(f"{name}={value}" for part in (certificate or {}).get("subject", ()) for name, value in part)


def accept(listener: socket.socket, server: Server, member: Member, context: ssl.SSLContext | None) -> None:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, server, member, context), daemon=True).start()


def tls(files: dict) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["certificate"])
    if files.get("authority"):
        context.load_verify_locations(files["authority"])
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def main() -> None:
    settings = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    users = {name: User(name, password, role) for name, password, role in settings.get("users", ())}
    roles = ("primary", "secondary") if settings.get("secondary") else ("primary",)
    members = [Member(role) for role in roles]
    known = {name: settings[name] for name in ("kind", "version", "wire") if name in settings}
    server = Server(Store(), users, members, **known)
    context = tls(settings["tls"]) if "tls" in settings else None
    for member in members:
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        member.port = listener.getsockname()[1]
        threading.Thread(target=accept, args=(listener, server, member, context), daemon=True).start()
    print(json.dumps({"ports": [member.port for member in members]}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
