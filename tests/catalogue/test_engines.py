"""The declarations of the databases: what people write is what they mean, and nothing else names an engine."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import engines
import smartico_sync
from smartico_sync.catalogue.engines import BROKERS, EMBEDDED, ENGINES, canonical, find

PACKAGE = Path(smartico_sync.__file__).parent
DECLARED = {**ENGINES, **BROKERS}
PROJECT = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("postgres", "postgresql"), ("postgresql+psycopg", "postgresql"), ("postgresql+asyncpg", "postgresql"),
        ("Postgres+psycopg2", "postgresql"), ("sqlserver", "mssql"), ("mssql+pyodbc", "mssql"), ("mysql+pymysql", "mysql"),
        ("mariadb+mariadbconnector", "mariadb"), ("oracle+oracledb", "oracle"), ("oracle+cx_oracle", "oracle"),
        ("mongo", "mongodb"), ("mongodb+srv", "mongodb+srv"), ("mongo+srv", "mongodb+srv"),
        ("clickhouse+http", "clickhouse"), ("clickhouse+native", "clickhouse"), ("clickhousedb", "clickhouse"),
        ("clickhousedb+connect", "clickhouse"), ("clickhouses", "clickhouse+https"),
        ("clickhouse+https", "clickhouse+https"), ("redshift+redshift_connector", "redshift"),
        ("redshift+psycopg2", "redshift"), ("snowflake", "snowflake"), ("bigquery", "bigquery"), ("sqlite3", "sqlite"),
        ("sqlite+pysqlite", "sqlite"), ("kafka", "kafka"), ("kafkas", "kafka+tls"), ("ftp", ""), ("", ""), ("+psycopg", ""), ("mysql8", ""),
    ],
)  # fmt: skip
def test_a_scheme_is_known_however_it_is_written(written, expected):
    """`dialect+driver` is the dialect, but where what stands behind `+` has a meaning of its own."""
    assert canonical(written) == expected
    assert (find(written) is not None) == bool(expected)
    if expected:
        assert find(written).scheme == expected.partition("+")[0]


def test_a_client_s_own_settings_are_handed_on():
    """What begins with the client's name is a parameter, whatever follows; nothing else is."""
    kafka = find("kafka")
    assert kafka.parameter("librdkafka.fetch.min.bytes").name == "librdkafka.fetch.min.bytes"
    assert kafka.parameter("librdkafka.") is None
    assert kafka.parameter("fetch.min.bytes") is None


def test_no_name_means_two_things():
    """Schemes, their other names and those of one engine's parameters are each said once."""
    schemes = [name for engine in DECLARED.values() for name in (engine.scheme, *engine.aliases)]
    assert len(schemes) == len(set(schemes))
    for engine in DECLARED.values():
        for parameter in engine.parameters:
            assert parameter.meaning
            for name in (parameter.name, *parameter.others):
                assert engine.parameter(name) is parameter, (engine.scheme, name)


def test_parameters_are_known_however_they_are_spelt():
    """As ODBC, JDBC and SQLAlchemy spell them."""
    mssql, mongodb, mysql = (find(name) for name in ("mssql", "mongodb", "mysql"))
    assert mssql.parameter("TrustServerCertificate").name == "trust_server_certificate"
    assert mssql.parameter("Application Name").name == "app"
    assert mongodb.parameter("authsource").name == "authSource"
    assert mysql.parameter("ssl-mode").name == "ssl_mode"
    assert mysql.parameter("sslmod") is None


def test_every_declaration_is_backed():
    """Each has its module, its extra with a driver, its page, and a database that its contract is tested on."""
    # Another server of the same engine has its version at the end of its name.
    assert set(ENGINES) == {name.rstrip("0123456789") for name in engines.NAMES}
    for engine in DECLARED.values():
        page = f"databases/{engine.scheme}" if engine.reads == "views" else f"streams/{engine.extra}"
        assert find_spec(engine.module) is not None
        assert (PACKAGE.parents[1] / "docs" / f"{page}.md").exists()
        assert not engine.extra or PROJECT["optional-dependencies"][engine.extra]
    (everything,) = PROJECT["optional-dependencies"]["all"]
    extras = set(re.findall(r"[\w-]+", everything.partition("[")[2]))
    assert extras == {engine.extra for engine in DECLARED.values()} - {""} | {
        "socks",
        "msk-iam",
        "isal",
        "otel",
    }  # ways to reach something
    assert EMBEDDED.extra == ""


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_every_database_says_how_a_text_becomes_a_number(name):
    """MySQL knows no CAST AS bigint, MongoDB no CAST at all: what is advised must run."""
    expected = {
        "mysql": "CAST(n AS SIGNED) AS n", "mariadb": "CAST(n AS SIGNED) AS n", "oracle": "CAST(n AS NUMBER(19)) AS n",
        "snowflake": "CAST(n AS NUMBER(19)) AS n", "bigquery": "CAST(n AS INT64) AS n", "clickhouse": "toInt64(n) AS n",
        "mongodb": "{$set: {n: {$toLong: '$n'}}}",
    }  # fmt: skip
    assert ENGINES[name].number.format("n") == expected.get(name, "CAST(n AS bigint) AS n")


def test_no_engine_is_named_elsewhere():
    """Beside the declarations and an engine's own folder, no text in the code holds the name of one; docstrings may."""
    names = {word for engine in DECLARED.values() for word in (engine.scheme, *engine.aliases, engine.title.lower())}
    own = {Path(*engine.module.split(".")[1:]) for engine in DECLARED.values()} | {Path("catalogue", "engines")}
    own |= {Path("state")}  # which is no source, though one engine may hold it
    for file in sorted(PACKAGE.rglob("*.py")):
        place = file.relative_to(PACKAGE)
        if own & {place, *place.parents}:
            continue
        tree = ast.parse(file.read_text("utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                assert not names & set(re.findall(r"\w+", node.value.lower())), f"{place}:{node.lineno}"
