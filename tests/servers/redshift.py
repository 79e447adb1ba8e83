"""Redshift: a real one where SYNC_TEST_REDSHIFT_URL names it, else PostgreSQL behind a gate that makes the driver feel at home.

The driver and the wire are real, the SQL is PostgreSQL's. What Redshift has instead of an index is shown from indexes: a
view `svv_redshift_columns` tells them as sort keys, and the reader's plans never use them.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

import pytest

if __name__ == "__main__":  # the gate is a process of its own, so that it does not share our interpreter
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120

from servers.postgresql import PASSWORD, Server, binaries

# What PostgreSQL does not know; the driver says it to every server.
SAID = (
    b"client_protocol_version",
    b"driver_version",
    b"os_version",
    b"driver_discovery_version",
    b"plugin_name",
    b"idp_type",
)
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
READY, STATUS = b"Z", b"S"
PRETENDED = b"8.0.2"
SORT_KEYS = """CREATE VIEW pg_catalog.svv_redshift_columns AS
 SELECT current_database()::text AS database_name, n.nspname::text AS schema_name, c.relname::text AS table_name,
 a.attname::text AS column_name, coalesce(array_position(i.indkey::int2[], a.attnum), -1) + 1 AS sortkey
 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 LEFT JOIN pg_index i ON i.indrelid = c.oid WHERE a.attnum > 0 AND c.relkind IN ('r', 'v')"""
SORT_KEY = re.compile(r'ALTER TABLE (\S+|"[^"]+") ALTER COMPOUND SORTKEY (\(.*\));?')


def rewritten(message: bytes) -> bytes:
    """A start-up message without what PostgreSQL does not know."""
    words = message[8:].rstrip(b"\0").split(b"\0")
    pairs = [(name, value) for name, value in zip(words[::2], words[1::2], strict=True) if name not in SAID]
    body = struct.pack("!i", 196608) + b"".join(name + b"\0" + value + b"\0" for name, value in pairs) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = source.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def greet(client: socket.socket, server: socket.socket) -> None:
    """From the start-up message to the first ReadyForQuery, with the version that the driver expects."""
    size = exactly(client, 4)
    server.sendall(rewritten(size + exactly(client, struct.unpack("!i", size)[0] - 4)))
    threading.Thread(target=pump, args=(client, server), daemon=True).start()
    while True:
        head = exactly(server, 5)
        body = exactly(server, struct.unpack("!i", head[1:])[0] - 4)
        if head[:1] == STATUS and body.startswith(b"server_version\0"):
            body = b"server_version\0" + PRETENDED + b"\0"
        client.sendall(head[:1] + struct.pack("!i", len(body) + 4) + body)
        if head[:1] == READY:
            return


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(262_144):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def serve(client: socket.socket, target: int, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError, EOFError):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if client.recv(8, socket.MSG_PEEK) == SSL_REQUEST:
            client.recv(8)
            client.sendall(b"S" if tls else b"N")
            if tls:
                client = tls.wrap_socket(client, server_side=True)
        server = socket.create_connection(("127.0.0.1", target))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        greet(client, server)
        pump(server, client)
    client.close()


def main(target: str, certificate: str = "", key: str = "") -> None:
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, int(target), tls), daemon=True).start()


class Gate:
    """The process in front of a PostgreSQL; `port` is where it listens."""

    def __init__(self, target: int, *tls: object):
        command = [sys.executable, __file__, str(target), *map(str, tls)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


@dataclass(frozen=True)
class Database:
    """A database of one test's own. `url` logs in as a user that may only read."""

    server: Server
    name: str
    port: int

    @property
    def url(self) -> str:
        return self.through(self.port) + "?ssl=off"

    def through(self, port: int, host: str = "127.0.0.1", password: str = PASSWORD) -> str:
        return f"redshift://reader:{quote(password, safe='')}@{host}:{port}/{self.name}"

    def execute(self, *statements: str) -> list[tuple]:
        """As the owner; a sort key is an index here."""
        translated = [SORT_KEY.sub(r"CREATE INDEX ON \1 \2", statement) for statement in statements]
        return self.server.admin(*translated, database=self.name)


@dataclass(frozen=True)
class External:
    """A schema of one test's own on a cluster of the operator's own, whose user may create schemas."""

    address: str
    schema: str

    @property
    def url(self) -> str:
        return self.address

    def execute(self, *statements: str) -> list[tuple]:
        import redshift_connector

        from smartico_sync.sources.kit.url import parse
        from smartico_sync.sources.redshift.login import Login

        login = Login(parse(self.address), 60.0)
        rows: list[tuple] = []
        with redshift_connector.connect(**login.arguments(login.hosts()[0])) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in (f"SET search_path TO {self.schema}", *statements):
                    cursor.execute(statement)
                    rows = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        return rows


@pytest.fixture(scope="session")
def redshift_server():
    """PostgreSQL with the passwords that the driver can say, and what Redshift tells of its tables."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql, or set SYNC_TEST_REDSHIFT_URL")
    server = Server.create(auth="md5")
    server.admin("SET allow_system_table_mods = on", SORT_KEYS, "GRANT SELECT ON pg_catalog.svv_redshift_columns TO PUBLIC", database="template1")  # fmt: skip
    for scan in ("indexscan", "indexonlyscan", "bitmapscan"):
        server.admin(f"ALTER ROLE reader SET enable_{scan} = off")
    gate = Gate(server.port)
    yield server, gate
    gate.close()
    server.remove()


@pytest.fixture
def redshift(request):
    """An empty database, dropped afterwards."""
    address = os.environ.get("SYNC_TEST_REDSHIFT_URL")
    name = f"t_{uuid.uuid4().hex[:12]}"
    if address:
        external = External(address, name)
        External(address, "public").execute(f"CREATE SCHEMA {name}")
        yield external
        External(address, "public").execute(f"DROP SCHEMA {name} CASCADE")
        return
    server, gate = request.getfixturevalue("redshift_server")
    server.admin(f"CREATE DATABASE {name}")
    yield Database(server, name, gate.port)
    server.admin(f"DROP DATABASE {name} WITH (FORCE)")


if __name__ == "__main__":
    main(*sys.argv[1:])
