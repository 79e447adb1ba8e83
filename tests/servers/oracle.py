"""Oracle: a real one where SYNC_TEST_ORACLE_URL names it, else a listener of our own that the real driver talks to.

There is no Oracle server in the package registries. The listener answers what a test tells it to, or, for the contract,
what SQLite says to the statement: see stand_ins/README.md.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from smartico_sync.sources.kit.url import parse
from stand_ins.oracle.listener import Listener, Told
from stand_ins.oracle.sqlite_desk import SQLiteDesk, owned
from stand_ins.oracle.tns import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from stand_ins.oracle.tns import Desk
    from stand_ins.oracle.values import Answer, Asked


@dataclass(frozen=True)
class OverSQLite:
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
    yield OverSQLite(listener, path)
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
