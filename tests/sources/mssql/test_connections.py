"""SQL Server's connections beyond the contract: drivers, parameters, TLS, half answers, time limits."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from servers.mssql import drivers
from smartico_sync.core.relation import Relation
from smartico_sync.errors import (
    ConfigError,
    DriverMissing,
    SourceCancelled,
    SourceError,
    SourceUnreachable,
)

pytest.importorskip("pyodbc", reason="unixODBC is not installed: apt-get install unixodbc", exc_type=ImportError)

pytestmark = pytest.mark.slow  # the server behind it is Python

BETS = Relation("bets", "id", ("id",), relation="bets")


def test_parameters_of_the_url_reach_the_driver(open_mssql, emulated_mssql, mssql_url):
    """The intent to read, and the application's name, arrive at the server; both can be changed."""
    open_mssql().facts()
    open_mssql(mssql_url(more="&application_intent=readwrite"), options={"application_name": "mine"}).facts()
    told = emulated_mssql.execute("SELECT program_name, intent FROM sys.dm_exec_sessions WHERE login_name = 'reader'")
    assert sorted(told) == [("mine", "ReadWrite"), ("smartico-sync", "ReadOnly")]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("encript=yes", "encript"),
        ("encrypt=perhaps", "encrypt"),
        ("trust_server_certificate=maybe", "trust_server_certificate"),
        ("application_intent=none", "application_intent"),
        ("connect_timeout=soon&trust_server_certificate=yes", "connect_timeout"),
        ("driver=FreeTDS&multi_subnet_failover=yes&trust_server_certificate=yes", "multi_subnet_failover"),
        ("driver=FreeTDS&encrypt=yes", "certificate"),
        ("driver=ODBC Driver 18 for SQL Server&tds_version=7.3", "tds_version"),
    ],
)
def test_parameters_that_cannot_be_are_told_at_once(configured, query, said):
    """An unknown parameter, a word it does not take, or one the driver does not have: ConfigError before the first poll."""
    with pytest.raises(ConfigError, match=said) as wrong:
        configured(f"mssql://u:sesame@h/d?{query}")
    assert wrong.value.hint
    assert "sesame" not in wrong.value.message + wrong.value.hint


def test_a_port_that_is_no_number_is_told(configured):
    """ConfigError for mssql://host:port."""
    with pytest.raises(ConfigError, match="port"):
        configured("mssql://u:p@h:port/d")


def test_a_missing_driver_is_told(configured, monkeypatch):
    """No driver at all, or a path where there is none: DriverMissing with what to install."""
    from smartico_sync.sources.mssql import login, session

    monkeypatch.setattr(session, "_reached", lambda *_: set())  # somebody seems to listen
    with pytest.raises(DriverMissing, match="loaded"):
        configured("mssql://u:p@127.0.0.1:9/d?driver=/nowhere/libodbc.so").facts()
    monkeypatch.setattr(login.pyodbc, "drivers", list)
    monkeypatch.setattr(login, "find_spec", lambda name: None)
    with pytest.raises(DriverMissing) as missing:
        configured("mssql://u:p@h/d")
    assert "install" in missing.value.hint


def test_the_best_driver_is_chosen(monkeypatch, tmp_path):
    """Microsoft's newest, else the one in its Python package, else FreeTDS; `driver=` beats them all."""
    from smartico_sync.config.models import SourceConfig
    from smartico_sync.sources.mssql import login

    installed = ["FreeTDS", "ODBC Driver 18 for SQL Server", "SQLite3", "ODBC Driver 17 for SQL Server"]
    monkeypatch.setattr(login.pyodbc, "drivers", lambda: installed)
    monkeypatch.setattr(login, "find_spec", lambda name: None)

    def chosen(query=""):
        return login.Login(SourceConfig(url=f"mssql://u:p@h/d?{query}")).driver

    assert chosen() == "ODBC Driver 18 for SQL Server"
    assert chosen("driver=FreeTDS") == "FreeTDS"
    installed[:] = ["FreeTDS"]
    assert chosen() == "FreeTDS"
    library = tmp_path / "libs/linux/debian_ubuntu/x86_64/lib/libmsodbcsql-18.6.so.2.1"
    library.parent.mkdir(parents=True)
    library.touch()
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(login, "find_spec", lambda name: spec)
    assert chosen() == str(library)


def test_a_certificate_is_verified(secure_mssql, configured):
    """Microsoft's driver refuses a certificate that nobody vouches for; one that is trusted, pinned or let pass will do."""
    if "microsoft" not in drivers():
        pytest.skip("no driver of Microsoft's here: tests/servers/provision all")
    server, certificate, authority = secure_mssql()
    url = server.url(driver=drivers()["microsoft"]).replace("&trust_server_certificate=yes", "")
    source = configured(url)
    with pytest.raises(SourceUnreachable, match="TLS") as refused:
        source.facts()
    assert "trust_server_certificate" in refused.value.hint
    source.close()
    source = configured(url, options={"trust_server_certificate": "yes"})
    assert source.facts().version
    source.close()
    strict = configured(url.replace("encrypt=yes", "encrypt=strict"), options={"server_certificate": str(certificate)})
    assert strict.facts().version
    strict.close()
    assert trusting(url.replace("@127.0.0.1:", "@localhost:"), authority) == "fine"


def test_a_certificate_for_somebody_else_is_refused(secure_mssql):
    """The name in the certificate must be the host's, or the one that hostname_in_certificate says."""
    if "microsoft" not in drivers():
        pytest.skip("no driver of Microsoft's here: tests/servers/provision all")
    server, _, authority = secure_mssql("sql.example")
    url = server.url(driver=drivers()["microsoft"]).replace("&trust_server_certificate=yes", "")
    assert "TLS" in trusting(url, authority)
    assert trusting(url + "&hostname_in_certificate=sql.example", authority) == "fine"


def trusting(url, authority):
    """What a process says that trusts this authority: OpenSSL reads its list of them once."""
    program = (
        "import sys\nfrom smartico_sync.config.models import SourceConfig\nfrom smartico_sync.sources import open_source\n"
        "from smartico_sync.errors import SyncError\n"
        "source = open_source('replica', SourceConfig.model_validate({'url': sys.argv[1]}))\n"
        "try:\n    source.facts()\n    print('fine')\nexcept SyncError as failure:\n    print(failure.message)\n"
    )
    environment = {**os.environ, "SSL_CERT_FILE": str(authority), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", program, url], capture_output=True, text=True, env=environment, check=True
    ).stdout.strip()


def test_freetds_speaks_tls(secure_mssql, configured):
    """FreeTDS encrypts where it is told not to verify."""
    if "freetds" not in drivers():
        pytest.skip("no FreeTDS here: apt-get install tdsodbc")
    server, _, _ = secure_mssql()
    source = configured(server.url(driver=drivers()["freetds"]))
    assert source.facts().version
    assert server.admin("SELECT encrypted FROM sys.dm_exec_sessions WHERE login_name = 'reader'") == [(True,)]
    source.close()


@pytest.fixture
def through_proxy(request, open_mssql, mssql, mssql_driver, proxied):
    """A described source behind a network that may misbehave; 20,000 rows of 200 bytes; `statement_timeout` is the parameter."""
    mssql.execute("CREATE TABLE bets (id bigint, note nvarchar(200))")
    doubled = "INSERT INTO bets SELECT id + (SELECT COUNT(*) AS n FROM bets), note FROM bets"
    mssql.execute(f"INSERT INTO bets VALUES (1, N'{'x' * 200}')", *[doubled] * 15, "DELETE FROM bets WHERE id > 20000")
    proxy = proxied(mssql.server.port)
    source = open_mssql(
        mssql.server.url(mssql.name, driver=mssql_driver, port=proxy.port),
        statement_timeout=getattr(request, "param", "20s"),
    )
    return source, source.describe(BETS), proxy


@pytest.mark.parametrize("through_proxy", ["5s"], indirect=True)
def test_a_black_hole_amid_the_answer_is_noticed(through_proxy):
    """An answer that stops half-way: SourceUnreachable too, though the drivers themselves would wait for minutes."""
    source, described, proxy = through_proxy
    proxy.hole_after = 500_000
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 20_000)
    proxy.mend()
    with source.reading(described) as reading:
        assert reading.page(None, 20_000).height == 20_000


def test_a_killed_session_is_transient(open_mssql, mssql):
    """KILL: a transient failure, and the next reading works; killed while idle, nothing fails."""
    mssql.execute("CREATE TABLE bets (id int)")
    source = open_mssql()
    described = source.describe(BETS)

    def kill():
        ((number,),) = mssql.execute("SELECT session_id FROM sys.dm_exec_sessions WHERE login_name = 'reader'")
        mssql.execute(f"KILL {number}")

    with pytest.raises((SourceCancelled, SourceUnreachable)), source.reading(described) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        kill()
        reading.page(None, 5)
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0
    kill()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0


@pytest.fixture
def endless(mssql):
    """A view whose rows take longer than anybody waits."""
    mssql.execute("CREATE TABLE bets (id bigint)", "INSERT INTO bets VALUES (1)")
    mssql.execute(*["INSERT INTO bets SELECT id + (SELECT COUNT(*) AS n FROM bets) FROM bets"] * 12)
    query = (
        "SELECT 1 AS id, (SELECT COUNT_BIG(*) AS n FROM bets a, bets b, bets c WHERE a.id + b.id <> c.id * 3) AS slow"
    )
    return Relation("v", "id", (), query=query)


def test_a_slow_query_is_cancelled_by_the_server(open_mssql, endless):
    """The driver has the server cancel what lasts too long: SourceCancelled, and the connection goes on."""
    source = open_mssql(statement_timeout="300ms", pool=1)
    described = source.describe(endless)
    with pytest.raises(SourceCancelled), source.reading(described) as reading:
        reading.page(None, 5)
    with source.reading(source.describe(Relation("v", "id", (), query="SELECT 1 AS id"))) as reading:
        assert reading.page(None, 5).height == 1


def test_close_ends_what_is_under_way(open_mssql, endless, mssql):
    """close() from another thread ends a waiting read with a SourceError."""
    source = open_mssql()
    described = source.describe(endless)
    failures, begun = [], threading.Event()

    def read():
        try:
            with source.reading(described) as reading:
                assert reading.clock_ms
                begun.set()
                reading.page(None, 5)
        except SourceError as failure:
            failures.append(failure)

    reader = threading.Thread(target=read)
    reader.start()
    begun.wait()
    threading.Event().wait(0.3)  # it waits for its page now
    source.close()
    reader.join()
    assert failures
