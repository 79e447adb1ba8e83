"""What every engine promises of logins, of networks that misbehave, and of calls that take too long."""

from __future__ import annotations

import re
import threading
from urllib.parse import quote

import pytest
from msgspec.structs import replace

import engines
from servers.mssql import drivers
from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable
from smartico_sync.sources.kit.url import parse
from waiting import until

COLUMNS = {"cur": "integer", "id": "integer", "note": "text"}
BETS = Relation("bets", "cur", ("id",), relation="bets")
# A file is nowhere else, MariaDB under MySQL's version is MariaDB, and each of SQL Server's drivers has ways of its own.
OTHERS = ("sqlite", "mssql", *(["mysql"] if engines.stand_in("mysql") else []))
DRIVERS = [pytest.param(f"mssql by {driver}", marks=pytest.mark.slow) for driver in ("microsoft", "freetds")]


@pytest.fixture(params=[*(each for each in engines.parameters() if each.values[0] not in OTHERS), *DRIVERS])
def remote(request):
    """An engine whose server is somewhere else."""
    name, _, driver = request.param.partition(" by ")
    if driver and driver not in drivers():
        pytest.skip(f"no {driver} driver here: tests/servers/provision all")
    for engine in engines.serve(name, request):
        if driver:
            engine.url = engine.database.server.url(engine.database.name, driver=drivers()[driver])
        yield engine


def without(engine, *features):
    """Leave a test out where the engine has no such thing at all."""
    if missing := engine.lacks.intersection(features):
        pytest.skip(f"{engine.name} has no {', '.join(sorted(missing))}")


@pytest.fixture
def network(remote, proxied):
    """A described source behind a network that may misbehave, with rows of 200 bytes: `network("1s", doublings=2)` of 20."""
    if not remote.port:
        pytest.skip("the server is not on this machine")

    def made(statement_timeout, doublings=0):
        remote.table("bets", COLUMNS, [(1, number, "x" * 200) for number in range(5)])
        for power in range(doublings):
            remote.double("bets", COLUMNS, "id", 5 << power)
        proxy = proxied(remote.port)
        source = remote.source(remote.through(proxy.port), statement_timeout=statement_timeout)
        return source, source.describe(BETS), proxy

    return made


def height(source, described, rows=5):
    """How many rows a page has."""
    with source.reading(described) as reading:
        return reading.page(None, rows).height


@pytest.mark.slow
def test_a_black_hole_is_noticed(network, remote):
    """A network that swallows everything: SourceUnreachable by the client's own limits; mended, the next reading works."""
    source, described, proxy = network("1s")
    with pytest.raises(SourceUnreachable, match=remote.silent), source.reading(described) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        proxy.black_hole()
        reading.page(None, 5)
    proxy.mend()
    proxy.drop()
    remote.recovered(lambda: height(source, described))
    assert height(source, described) == 5


def test_a_reset_amid_the_answer_loses_the_page_only(network, remote):
    """A connection reset half-way through a page: SourceUnreachable, no half page, and the next reading works."""
    without(remote, "resets")
    source, described, proxy = network("20s", doublings=11)
    proxy.cut_after = 500_000
    with pytest.raises(SourceUnreachable):
        height(source, described, 20_000)
    assert height(source, described, 20_000) == 10_240


def test_a_refusing_network_recovers(network, remote):
    """Connections lost while idle cost nothing: the next reading opens new ones."""
    without(remote, "refusals")
    source, described, proxy = network("20s")
    proxy.refuse()
    with pytest.raises(SourceUnreachable):
        height(source, described)
    proxy.mend()
    assert height(source, described) == 5


@pytest.mark.slow
def test_latency_is_only_latency(network):
    """A slow network delivers whole pages."""
    source, described, proxy = network("20s", doublings=7)
    proxy.latency_s = 0.02
    assert height(source, described, 500) == 500


@pytest.mark.slow
def test_a_silent_server_is_given_up(remote, proxied):
    """A server that takes the connection and says nothing: SourceUnreachable by the client's own limits."""
    without(remote, "silence")
    proxy = proxied(remote.port)
    proxy.black_hole()
    with pytest.raises(SourceUnreachable, match=remote.silent and "in time"):
        remote.source(remote.through(proxy.port), statement_timeout="100ms").facts()


def test_the_next_host_is_taken(remote):
    """A dead or unknown host costs a moment and nothing else."""
    without(remote, "hosts")
    url = remote.url.replace("@127.0.0.1", "@nowhere.localhost:1,127.0.0.1:1,127.0.0.1")
    assert url != remote.url
    assert remote.source(url).facts().version


def test_nobody_there_is_unreachable(remote, proxied):
    """A port where nobody listens, and a name that nobody has: SourceUnreachable at once, and which of the two it is."""
    without(remote, "hosts")
    proxy = proxied(1)
    proxy.refuse()
    with pytest.raises(SourceUnreachable, match="nobody answers"):
        remote.source(remote.through(proxy.port)).facts()
    with pytest.raises(SourceUnreachable, match="host name is unknown"):
        remote.source(remote.url.replace("127.0.0.1", "nowhere.invalid"), encryption="off").facts()


def test_a_wrong_password_is_refused_and_not_repeated(remote):
    """SourceRefused; neither password appears anywhere in the failure or in the source."""
    without(remote, "users")
    source = remote.source(re.sub(r"(?<=//)(\w+):[^@]*@", r"\1:wrong-sesame@", remote.url))
    with pytest.raises(SourceRefused) as refused:
        source.facts()
    told = refused.value.message + refused.value.hint
    assert "sesame" not in told + repr(source.__dict__)
    assert parse(remote.url).password not in told


def test_an_unknown_database_is_refused(remote):
    """A database that does not exist is not worth waiting for."""
    without(remote, "databases")
    place, mark, parameters = remote.url.partition("?")
    with pytest.raises(SourceRefused, match="database"):
        remote.source(f"{place}_not{mark}{parameters}").facts()


def test_a_raw_password_needs_no_encoding(remote):
    """`${DB_PASSWORD}` may hold `@`, `/`, `:`, `?`, `#` and `%`, and what a connection string stumbles over, as they are."""
    without(remote, "users")
    password = parse(remote.url).password
    url = remote.url.replace(quote(password, safe=""), password)
    assert url != remote.url
    assert remote.source(url).facts().engine == remote.name


def test_a_limit_of_years_is_no_mistake(remote):
    """`statement_timeout: 3650d` says that there is none; drivers and servers count no further than some days."""
    assert remote.source(statement_timeout="3650d").facts()


def test_a_slow_query_is_cancelled_by_the_server(remote):
    """statement_timeout: SourceCancelled, so that a smaller page is tried; the session goes on."""
    without(remote, "sleep", "time limits")
    source = remote.source(statement_timeout="1s", pool=1)
    described = source.describe(Relation("v", "id", (), query=remote.sleeping(0)))
    with pytest.raises(SourceCancelled, match="statement_timeout"):
        height(source, replace(described, query=remote.sleeping(20)))
    assert source.facts().version


def test_close_ends_what_is_under_way(remote):
    """close() does not wait for a query: who waits for it is told so by a SourceError."""
    without(remote, "sleep")
    source = remote.source(statement_timeout="20s")
    described = source.describe(Relation("closing", "id", (), query=remote.sleeping(0)))
    failures = []

    def read():
        try:
            height(source, replace(described, query=remote.sleeping(9)))
        except SourceError as failure:
            failures.append(failure)

    reader = threading.Thread(target=read)
    reader.start()
    until(lambda: remote.asleep(9))
    source.close()
    reader.join()
    (failure,) = failures
    assert isinstance(failure, remote.closed)


@pytest.fixture(params=["postgresql", "mariadb"])
def private(request):
    """A server that the test may stop and start."""
    return request.getfixturevalue(f"private_{request.param}")


def test_a_restarted_server_is_found_again(private, configured):
    """Restarted while idle or while reading: at most that reading fails, the next one works."""
    source = configured(private.url())
    described = source.describe(Relation("v", "id", (), query="SELECT 1 AS id"))
    private.restart()
    assert height(source, described) == 1
    with pytest.raises((SourceCancelled, SourceUnreachable)), source.reading(described) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        private.stop()
        reading.page(None, 5)
    with pytest.raises(SourceUnreachable):
        height(source, described)
    private.start()
    assert height(source, described) == 1
