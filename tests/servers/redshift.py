"""Redshift: a real one where SYNC_TEST_REDSHIFT_URL names it, else PostgreSQL behind a gate: see stand_ins/README.md."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from servers.postgresql import PASSWORD, Server, binaries
from stand_ins.process import StandIn
from stand_ins.redshift.sort_keys import SORT_KEYS, in_postgresql


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
        """As the owner."""
        return self.server.admin(*map(in_postgresql, statements), database=self.name)


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

        from servers.patient import patient
        from smartico_sync.sources.redshift.login import Login

        login = Login(patient(self.address))
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
    gate = StandIn.start("redshift", server.port)
    yield server, gate.told["port"]
    gate.stop()
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
    server, port = request.getfixturevalue("redshift_server")
    server.create_database(name)
    yield Database(server, name, port)
    server.admin(f"DROP DATABASE {name} WITH (FORCE)")
