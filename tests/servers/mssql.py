"""SQL Server: DuckDB behind its protocol, in a process of its own, or a real one that SYNC_TEST_MSSQL_URL names."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from servers.emulator import ROOT, Emulator
from smartico_sync.sources.url import parse

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
    """The emulator, or a server of the operator's own that lets its user create databases, logins and users."""

    host: str
    port: int
    user: str
    password: str
    emulator: Emulator | None = None
    encrypt: str = "no"

    @classmethod
    def create(cls, *certificate: Path) -> Server:
        emulator = Emulator.start("mssql", *certificate)
        server = cls(
            "127.0.0.1", emulator.told["port"], "sa", emulator.told["owner"], emulator, "yes" if certificate else "no"
        )
        server.admin(f"CREATE LOGIN reader WITH PASSWORD = N'{PASSWORD}'")
        return server

    def stop(self) -> None:
        self.emulator.stop()

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


@dataclass(frozen=True)
class Certificate:
    """A certificate for `localhost` and 127.0.0.1, its key, and the authority that signed it."""

    path: Path
    key: Path
    authority: Path

    @classmethod
    def create(cls, directory: Path, name: str = "localhost") -> Certificate:
        made = cls(directory / "server.pem", directory / "server.key", directory / "authority.pem")
        root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority")])
        names = [
            x509.DNSName(name),
            *([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))] if name == "localhost" else []),
        ]
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        signed = _builder(subject, issuer, own.public_key()).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        _written(
            made.path,
            signed.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).sign(
                root, hashes.SHA256()
            ),
        )
        _written(made.authority, _builder(issuer, issuer, root.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(root, hashes.SHA256()))  # fmt: skip
        made.key.write_bytes(own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))  # fmt: skip
        return made


def _builder(subject: x509.Name, issuer: x509.Name, key) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key).serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(1)).not_valid_after(now + dt.timedelta(30))
    )  # fmt: skip


def _written(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@pytest.fixture
def secure_mssql():
    """Servers that only talk TLS: `server, certificate = secure_mssql(name)`."""
    _required()
    servers, homes = [], []

    def made(name: str = "localhost") -> tuple[Server, Certificate]:
        homes.append(Path(tempfile.mkdtemp(prefix="sync-mssql-")))
        certificate = Certificate.create(homes[-1], name)
        servers.append(Server.create(certificate.path, certificate.key))
        return servers[-1], certificate

    yield made
    for server in servers:
        server.stop()
    for home in homes:
        shutil.rmtree(home, ignore_errors=True)
