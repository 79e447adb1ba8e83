"""What an engine's login applies is what its declaration names, and the other way round."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import psycopg
import pytest
import redshift_connector
from pymongo import common

import smartico_sync
from smartico_sync.catalogue.engines import ENGINES
from smartico_sync.config.models import SourceConfig
from smartico_sync.errors import ConfigError
from smartico_sync.sources.clickhouse.login import SETTINGS
from smartico_sync.sources.clickhouse.login import Login as ClickHouseLogin
from smartico_sync.sources.kit.login import CERTIFICATES, BaseLogin
from smartico_sync.sources.mongodb.login import OURS
from smartico_sync.sources.mssql.login import SPELLED
from smartico_sync.sources.oracle import login as oracle
from smartico_sync.sources.postgresql.login import Login
from smartico_sync.sources.redshift import login as redshift
from smartico_sync.sources.registry import open_source
from smartico_sync.sources.snowflake import login as snowflake

# Said by the place of a Redshift URL, or ours to say.
REDSHIFT_OURS = {
    "host", "port", "user", "password", "database", "unix_sock", "max_prepared_statements", "client_protocol_version",
    "numeric_to_float", "enable_table_types", "tcp_keepalive", "timeout",
}  # fmt: skip
# What is handed on by its name, and what the driver knows.
HANDED_ON = {
    "postgresql": {each.keyword.decode() for each in psycopg.pq.Conninfo.get_defaults()} - {"replication"},
    "redshift": set(inspect.signature(redshift_connector.connect).parameters) - REDSHIFT_OURS,
    **{scheme: set(CERTIFICATES) for scheme in ("mariadb", "mysql", "oracle")},
}
TABLES = {
    "clickhouse": (*SETTINGS, *ClickHouseLogin.files),
    "mongodb": OURS,
    "mssql": tuple(SPELLED),
    "oracle": (*oracle.PASSED, *oracle.NUMBERS, *oracle.SWITCHES, *oracle.TLS),
    "redshift": (*redshift.SWITCHES, *redshift.NUMBERS, *redshift.LISTS, *redshift.SESSION, *redshift.KEEPALIVE),
    "snowflake": (*snowflake.DRIVERS, *snowflake.OURS, *snowflake.PASSPHRASES, *snowflake.Login.files),
}


def trees(engine):
    """Of the engine's folder, and of what the logins of all engines share where its login asks for that."""
    package = Path(smartico_sync.__file__).parent
    own = [file.read_text("utf-8") for file in package.joinpath(*engine.module.split(".")[1:]).glob("*.py")]
    shared = ast.parse((package / "sources/kit/login.py").read_text("utf-8"))
    (base,) = (each for each in shared.body if isinstance(each, ast.ClassDef))
    used = [
        each
        for each in base.body
        if isinstance(each, ast.FunctionDef) and any(f"self.{each.name}" in text for text in own)
    ]
    return [*map(ast.parse, own), *used]


def texts(tree):
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def asked(tree):
    """The names in `parameters["x"]`, `parameters.get("x")` and `"x" in parameters`."""
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=owner, slice=ast.Constant(value=str(name))):
                pass
            case ast.Call(func=ast.Attribute(value=owner, attr="get"), args=[ast.Constant(value=str(name)), *_]):
                pass
            case ast.Call(
                func=ast.Attribute(value=ast.Name("self"), attr="given" | "number" | "switch" | "content"),
                args=[ast.Constant(value=str(name))],
            ):
                yield name
                continue
            case ast.Compare(left=ast.Constant(value=str(name)), ops=[ast.In() | ast.NotIn()], comparators=[owner]):
                pass
            case _:
                continue
        if re.search(r"\b(parameters|DEFAULTS|defaults)$", ast.unparse(owner)):
            yield name


@pytest.mark.parametrize("scheme", ENGINES)
def test_what_is_declared_is_applied(scheme):
    """No parameter is taken in silence: the engine's folder names each, or the driver takes it by its name."""
    engine = ENGINES[scheme]
    declared = {each.name for each in engine.parameters if each.use == "applied"}
    known = set().union(*map(texts, trees(engine)))
    if scheme == "mongodb":  # handed on; the driver does not mind capital letters
        known |= {name for name in declared if name.lower() in common.URI_OPTIONS_VALIDATOR_MAP}
    assert sorted(declared - known - HANDED_ON.get(scheme, set())) == []


@pytest.mark.parametrize("scheme", ENGINES)
def test_what_is_applied_is_declared(scheme):
    """What the engine asks for, sorts into its tables, or hands on can be written."""
    engine = ENGINES[scheme]
    declared = {each.name for each in engine.parameters}
    used = {name for tree in trees(engine) for name in asked(tree)} | set(TABLES.get(scheme, ()))
    assert sorted((used | HANDED_ON.get(scheme, set())) - declared) == []


@pytest.mark.parametrize("scheme", ENGINES)
def test_an_unknown_parameter_names_the_nearest(scheme):
    """In the URL and among the options alike: what was written, what is known, and what was probably meant."""
    url = f"{scheme}://r:hunter2@h/d"
    for config in ({"url": f"{url}?conect_timout=hunter2"}, {"url": url, "options": {"conect_timout": "hunter2"}}):
        with pytest.raises(ConfigError) as refused:
            open_source("casino", SourceConfig.model_validate(config))
        told = refused.value.message + refused.value.hint
        assert f"{ENGINES[scheme].title} has no parameter `conect_timout`" in told
        assert "hunter2" not in told
        names = [each.name for each in ENGINES[scheme].parameters if each.use == "applied"]
        assert ", ".join(names) in refused.value.hint
        if near := {"connect_timeout", "connectTimeoutMS"} & set(names):
            assert f"did you mean {near.pop()!r}?" in refused.value.hint


def test_postgresql_is_told_the_declared_defaults():
    """What the page promises of a URL without parameters is what libpq is told."""
    told = psycopg.conninfo.conninfo_to_dict(Login(SourceConfig(url="postgresql://h/d")).conninfo())
    assert ENGINES["postgresql"].defaults.items() <= {name: str(value) for name, value in told.items()}.items()


def test_parameters_of_other_clients_do_no_harm():
    """What SQLAlchemy and Atlas put into URLs is taken and left out."""
    mysql = SourceConfig(url="mysql://h/d?charset=utf8mb4&connect_timeout=3", options={"use_unicode": "1"})
    assert BaseLogin(mysql).parameters == {"connect_timeout": "3"}
    mongodb = SourceConfig(url="mongodb://h/d?retryWrites=true&w=majority&authsource=admin")
    assert BaseLogin(mongodb).parameters == {"authSource": "admin"}


def test_options_win_over_the_url():
    """However each is spelt."""
    config = SourceConfig(url="mssql://h/d?TrustServerCertificate=no", options={"trust_server_certificate": "yes"})
    assert BaseLogin(config).parameters == {"trust_server_certificate": "yes"}


@pytest.mark.parametrize(
    "written", ["oracle://u:p@localhost/?service_name=CASINO", "oracle://u:p@localhost:1521/CASINO"]
)
def test_oracle_takes_its_service_from_either_place(written):
    """As SQLAlchemy writes it, or behind the host."""
    (address,) = oracle.Login(SourceConfig(url=written)).addresses()
    assert (address.service_name, address.host, address.port) == ("CASINO", "localhost", 1521)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("clickhouse://localhost", ("http", 8123)),
        ("clickhouse+https://h", ("https", 8443)),
        ("clickhouse+https://h:443", ("https", 443)),
        ("clickhouse+https://localhost?secure=false", ("http", 8123)),
    ],
)
def test_clickhouse_takes_tls_from_its_scheme(written, expected):
    """`clickhouses://` and `clickhouse+https://` mean TLS, unless the URL says otherwise."""
    login = ClickHouseLogin(SourceConfig(url=written))
    ((host, port),) = login.hosts()
    assert (login.arguments(host, port)["interface"], port) == expected
