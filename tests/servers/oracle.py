"""Oracle: a real one where SYNC_TEST_ORACLE_URL names it, else a listener of our own that the real driver talks to.

There is no Oracle server in the package registries. The listener answers what a test tells it to, or, for the contract,
what SQLite says to the statement (see `oracle_desk`): the wire and the driver are real, the database behind is not.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from servers.oracle_desk import SQLiteDesk, owned
from servers.tns import PASSWORD, Conversation, Desk
from servers.tns_values import Answer, Asked
from smartico_sync.sources.kit.url import parse

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


class Listener:
    """Accepts connections; each one gets a desk of its own."""

    def __init__(self, open_desk: Callable[[], Desk], *, tls: ssl.SSLContext | None = None, refuse: int = 0):
        self.refuse = refuse
        self.told: list[str] = []
        self._open_desk = open_desk
        self._tls = tls
        self._open: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, service: str = "casino", *, port: int | None = None, password: str = PASSWORD) -> str:
        return f"oracle://reader:{quote(password, safe='')}@127.0.0.1:{port or self.port}/{service}"

    def drop(self) -> None:
        """End every connection, as a restart would."""
        taken, self._open = self._open, []
        for each in taken:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.drop()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = client
        with suppress(OSError, EOFError):
            if self._tls:
                wire = self._tls.wrap_socket(client, server_side=True)
            self._open.append(wire)
            talk = Conversation(self._open_desk(), wire, refuse=self.refuse)
            try:
                talk.run()
            finally:
                self.told.append(talk.told)
        wire.close()


class Told:
    """A desk that answers what a test says, and remembers what it was asked; one for all connections."""

    def __init__(self, answer: Callable[[Asked], Answer | None] = lambda asked: None):
        self.says = answer
        self.asked: list[Asked] = []
        self.ended = 0
        self.names: dict[str, str] = {}

    def answer(self, asked: Asked) -> Answer | None:
        self.asked.append(asked)
        return self.says(asked)

    def end(self) -> None:
        self.ended += 1

    def named(self, told: dict[str, str]) -> None:
        self.names |= told


@dataclass(frozen=True)
class StandIn:
    """One test's database: SQLite behind Oracle's protocol."""

    listener: Listener
    path: Path

    @property
    def url(self) -> str:
        return self.listener.url()

    def execute(self, *statements: str) -> list[tuple]:
        return owned(self.path, statements)

    def insert(self, table: str, rows: list[tuple], families: list[str]) -> None:
        rows = [tuple(str(value) if isinstance(value, Decimal) else value for value in row) for row in rows]
        owned(self.path, [f"INSERT INTO {table} VALUES ({', '.join('?' * len(families))})"], rows)


@dataclass(frozen=True)
class External:
    """One test's user on a server of the operator's own; SYNC_TEST_ORACLE_URL may create users."""

    address: str
    user: str

    @classmethod
    def create(cls, address: str) -> External:
        database = cls(address, f"T_{uuid.uuid4().hex[:12].upper()}")
        database._admin(
            f'CREATE USER {database.user} IDENTIFIED BY "{PASSWORD.replace("@", "_")}" QUOTA UNLIMITED ON USERS',
            f"GRANT CREATE SESSION, CREATE TABLE, CREATE VIEW TO {database.user}",
        )
        return database

    @property
    def url(self) -> str:
        head, _, place = self.address.rpartition("@")
        return f"oracle://{self.user}:{quote(PASSWORD.replace('@', '_'), safe='')}@{place}" if head else self.address

    def execute(self, *statements: str) -> list[tuple]:
        return _run(self.url, statements)

    def insert(self, table: str, rows: list[tuple], families: list[str]) -> None:
        import oracledb

        kinds = {"timestamp": oracledb.DB_TYPE_TIMESTAMP, "instant": oracledb.DB_TYPE_TIMESTAMP_TZ}
        with _connection(self.url) as connection, connection.cursor() as cursor:
            cursor.setinputsizes(*(kinds.get(family) for family in families))
            marks = [f"TO_DATE(:{n}, 'YYYY-MM-DD')" if f == "date" else f":{n}" for n, f in enumerate(families, 1)]
            cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join(marks)})", rows)
            connection.commit()

    def drop(self) -> None:
        self._admin(f"DROP USER {self.user} CASCADE")

    def _admin(self, *statements: str) -> None:
        _run(self.address, statements)


def _connection(address: str):
    import oracledb

    url = parse(address)
    host, port = url.hosts[0]
    return oracledb.connect(
        user=url.user, password=url.password, host=host, port=int(port or 1521), service_name=url.path
    )


def _run(address: str, statements: tuple[str, ...]) -> list[tuple]:
    rows: list[tuple] = []
    with _connection(address) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.rstrip().rstrip(";"))
            rows = cursor.fetchall() if cursor.description else []
        connection.commit()
    return rows


@pytest.fixture
def oracle(tmp_path):
    """An empty database, dropped afterwards."""
    address = os.environ.get("SYNC_TEST_ORACLE_URL")
    if address:
        database = External.create(address)
        yield database
        database.drop()
        return
    path = tmp_path / "oracle.db"
    owned(path, ["PRAGMA journal_mode=WAL"])
    listener = Listener(lambda: SQLiteDesk(path))
    yield StandIn(listener, path)
    listener.close()


@pytest.fixture
def listener():
    """Make a listener: `listener(answer)` with what its desk says, or with a desk."""
    made = []

    def make(says: Callable[[Asked], Answer | None] | Desk | None = None, **how: object) -> tuple[Listener, Told]:
        desk = Told(says or (lambda asked: None)) if not hasattr(says, "answer") else says
        made.append(Listener(lambda: desk, **how))
        return made[-1], desk

    yield make
    for each in made:
        each.close()
