"""SQL Server: DuckDB behind its protocol, in a process of its own, or a real one that SYNC_TEST_MSSQL_URL names."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from servers.certificates import Authority
from smartico_sync.sources.kit.url import parse
from stand_ins.process import ROOT, StandIn

PASSWORD = "r€ader:p@ss/w;o}r{d?#A1%"  # every character that a URL or a connection string could stumble over
LIBRARY = "lib/python3*/site-packages/mssql_python_odbc/libs/linux/*/*/lib/libmsodbcsql*"
UNVERIFIED = "trust_server_certificate=yes"


def missing() -> str:
    """Why there can be no client, or an empty word."""
    try:
        import pyodbc  # noqa: F401
    except ImportError:
        return "unixODBC is not installed: apt-get install unixodbc tdsodbc"
    return "" if drivers() else "no ODBC driver for SQL Server is installed: apt-get install tdsodbc"


def drivers() -> dict[str, str]:
    """The drivers that can be had: `microsoft` and `freetds`, by name or path."""
    import pyodbc

    names = pyodbc.drivers()
    found = {"microsoft": next((name for name in reversed(names) if name.endswith("for SQL Server")), ""),
             "freetds": next((name for name in names if name == "FreeTDS"), "")}  # fmt: skip
    packaged = sorted((ROOT / ".servers" / "mssql").glob(LIBRARY), key=lambda path: "debian" not in str(path))
    if not found["microsoft"] and packaged:
        found["microsoft"] = str(packaged[0])
    return {name: driver for name, driver in found.items() if driver}


def connection(driver: str, host: str, port: int, user: str, password: str, database: str, encrypt: str):
    """A bare connection of pyodbc's."""
    import pyodbc

    pyodbc.pooling = False
    if driver == drivers().get("freetds"):
        degree = "require" if encrypt == "yes" else "off"
        place = f"SERVER={host};PORT={port};TDS_Version=7.4;ClientCharset=UTF-8;Encryption={degree}"
    else:
        place = f"SERVER=tcp:{host},{port};Encrypt={encrypt};TrustServerCertificate=yes"
    secret = password if driver == drivers().get("freetds") else password.replace("}", "}}")
    string = f"DRIVER={{{driver}}};{place};UID={user};PWD={{{secret}}};DATABASE={database}"
    return pyodbc.connect(string, autocommit=True, timeout=10)


@dataclass
class Server:
    """The stand-in, or a server of the operator's own that lets its user create databases, logins and users."""

    host: str
    port: int
    user: str
    password: str
    stand_in: StandIn | None = None
    encrypt: str = "no"

    @classmethod
    def create(cls, *certificate: Path) -> Server:
        stand_in = StandIn.start("mssql", *certificate)
        server = cls(
            "127.0.0.1", stand_in.told["port"], "sa", stand_in.told["owner"], stand_in, "yes" if certificate else "no"
        )
        server.admin(f"CREATE LOGIN reader WITH PASSWORD = N'{PASSWORD}'")
        return server

    def stop(self) -> None:
        self.stand_in.stop()

    def owner(self, database: str = "master"):
        return connection(
            next(iter(drivers().values())), self.host, self.port, self.user, self.password, database, self.encrypt
        )

    def admin(self, *statements: str, database: str = "master") -> list[tuple]:
        """Run statements as the owner, each on its own; the rows of the last."""
        link = self.owner(database)
        try:
            return _run(link, statements)
        finally:
            link.close()

    def url(
        self,
        database: str = "master",
        *,
        user: str = "reader",
        password: str = PASSWORD,
        port: int | None = None,
        driver: str = "",
        more: str = "",
    ) -> str:
        chosen = driver or next(iter(drivers().values()))
        query = f"driver={quote(chosen, safe='')}&encrypt={self.encrypt}&{UNVERIFIED}{more}"
        return f"mssql://{user}:{quote(password, safe='')}@{self.host}:{port or self.port}/{database}?{query}"


class Database:
    """A database of one test's own. `url` logs in as a user that may only read."""

    def __init__(self, server: Server) -> None:
        self.server, self.name = server, f"t_{uuid.uuid4().hex[:12]}"
        server.admin(f"CREATE DATABASE {self.name}", f"ALTER DATABASE {self.name} SET ALLOW_SNAPSHOT_ISOLATION ON")
        self.link = server.owner(self.name)
        self.execute(
            "CREATE USER reader FOR LOGIN reader",
            "ALTER ROLE db_datareader ADD MEMBER reader",
            "GRANT SHOWPLAN TO reader",
        )

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def execute(self, *statements: str) -> list[tuple]:
        return _run(self.link, statements)

    def drop(self) -> None:
        self.link.close()
        self.server.admin(f"DROP DATABASE {self.name}")


def _run(link, statements: tuple[str, ...]) -> list[tuple]:
    rows: list[tuple] = []
    for statement in statements:
        cursor = link.execute(statement)
        rows = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        cursor.close()
    return rows


def _required() -> None:
    if reason := missing():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def mssql_server():
    """A server for this worker's whole session."""
    _required()
    if address := os.environ.get("SYNC_TEST_MSSQL_URL"):
        url = parse(address)
        host, port = url.hosts[0]
        server = Server(host, int(port or 1433), url.user, url.password, encrypt="yes")
        server.admin(f"IF SUSER_ID(N'reader') IS NULL CREATE LOGIN reader WITH PASSWORD = N'{PASSWORD}'")
        yield server
        return
    server = Server.create()
    yield server
    server.stop()


@pytest.fixture
def mssql(mssql_server):
    """An empty database, dropped afterwards."""
    database = Database(mssql_server)
    yield database
    database.drop()


@pytest.fixture
def secure_mssql(tmp_path):
    """Servers that only talk TLS: `server, certificate, authority = secure_mssql(name)`, the latter two paths of files."""
    _required()
    servers = []

    def made(name: str = "localhost") -> tuple[Server, Path, Path]:
        authority = Authority(tmp_path)
        pair = authority.issue(name, address="127.0.0.1" if name == "localhost" else None)
        servers.append(Server.create(pair.certificate, pair.key))
        return servers[-1], pair.certificate, authority.certificate

    yield made
    for server in servers:
        server.stop()


@pytest.fixture(params=["microsoft", "freetds"])
def mssql_driver(request):
    """Each ODBC driver that can be had, by name or path."""
    _required()
    if request.param not in drivers():
        pytest.skip(f"no {request.param} driver here: tests/servers/provision all")
    return drivers()[request.param]


@pytest.fixture
def mssql_url(mssql, mssql_driver):
    """A URL of the test's database for each driver: `mssql_url(more='&connect_timeout=3')`."""
    return lambda **fields: mssql.server.url(mssql.name, driver=mssql_driver, **fields)


@pytest.fixture
def emulated_mssql(mssql):
    """The test's database, where it may be made to look like something else."""
    if mssql.server.stand_in is None:
        pytest.skip("a real server does not pretend")
    return mssql
