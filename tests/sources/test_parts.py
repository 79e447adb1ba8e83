"""URLs, the table of engines, frames from rows, and the pool."""

from __future__ import annotations

import datetime as dt
import math
import threading
from decimal import Decimal
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.catalogue.engines import ENGINES, canonical, find
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.relation import Column
from smartico_sync.errors import ConfigError, DriverMissing, SourceCancelled, SourceFull, SourceUnreachable
from smartico_sync.sources import registry as opening
from smartico_sync.sources.kit.frames import frame
from smartico_sync.sources.kit.keyless_pages import complete
from smartico_sync.sources.kit.pool import Pool
from smartico_sync.sources.kit.printed import from_texts
from smartico_sync.sources.kit.url import parse
from smartico_sync.sources.registry import open_source
from smartico_sync.sources.sql.names import dotted, names_of


@given(
    password=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).filter(lambda text: "%" not in text)
)
def test_any_password_survives_unencoded(password):
    """A password may hold every character that a URL uses itself; only `%` is special."""
    url = parse(f"postgresql://me:{password}@h1:1,h2/db?sslmode=require")
    assert (url.user, url.password, url.path) == ("me", password, "db")
    assert url.hosts == (("h1", "1"), ("h2", ""))
    assert url.parameters == {"sslmode": "require"}
    assert url.place == "h1:1,h2/db"


def test_a_url_never_shows_its_password():
    """Neither repr nor place holds the password; an IPv6 host keeps its colons."""
    url = parse("mysql://me:se%40same@[::1]:3306/db")
    assert url.password == "se@same"
    assert url.hosts == (("::1", "3306"),)
    assert "same" not in repr(url) + url.place


@given(parts=st.lists(st.text('ab A".', min_size=1).filter(lambda part: part == part.strip()), min_size=1, max_size=3))
def test_a_listed_name_is_one_that_the_configuration_takes(parts):
    """Dots and quotes in a stored name do not part it."""
    assert names_of(dotted(parts)) == tuple(parts)


@pytest.mark.parametrize(
    ("url", "words", "hint"),
    [
        ("nonsense", "no scheme", "scheme://"),
        ("ftp://h/d", "nothing reads ftp", "expected one of: postgresql"),
        ("mysqll+pymysql://h/d", r"nothing reads mysqll\+pymysql://", "did you mean 'mysql'?"),
        ("sqlserv://h/d", "nothing reads sqlserv://", "did you mean 'sqlserver'?"),
    ],
)
def test_an_unknown_url_is_a_configuration_error(url, words, hint):
    """What nothing reads is told before anything starts: what was written, what is read, and the nearest of it."""
    with pytest.raises(ConfigError, match=words) as refused:
        open_source("casino", SourceConfig.model_validate({"url": url}))
    assert hint in refused.value.hint


def test_a_missing_driver_names_the_pip_command(monkeypatch):
    """Each engine is imported only when a URL asks for it; what is missing is one command away."""

    def absent(module):
        raise ModuleNotFoundError(name="psycopg")

    monkeypatch.setattr(opening, "import_module", absent)
    with pytest.raises(DriverMissing) as missing:
        open_source("casino", SourceConfig.model_validate({"url": "postgresql://h/d"}))
    assert missing.value.hint == "pip install 'smartico-sync[postgresql]'"


def test_every_engine_of_the_configuration_is_declared():
    """The schemes that views.yaml promises."""
    promised = "postgresql mysql mariadb mssql oracle clickhouse snowflake bigquery mongodb redshift sqlite"
    assert set(ENGINES) == set(promised.split())


@pytest.mark.parametrize(
    "written",
    [
        "postgres", "postgresql+psycopg", "mysql+pymysql", "mariadb+mariadbconnector", "sqlserver", "mssql+pyodbc",
        "oracle+oracledb", "mongo", "clickhouse+http", "clickhousedb", "clickhouses", "redshift+redshift_connector",
        "snowflake", "bigquery", "sqlite+pysqlite",
    ],
)  # fmt: skip
def test_a_pasted_url_opens_the_engine_it_names(written, monkeypatch):
    """The registry knows what the configuration knows, and the engine is told its own scheme."""
    opened = []
    monkeypatch.setattr(
        opening,
        "import_module",
        lambda name: SimpleNamespace(connect=lambda _, config: opened.append((name, config.url))),
    )
    open_source("casino", SourceConfig.model_validate({"url": f"{written}://reader:p%40@h/d?a=b"}))
    ((module, url),) = opened
    assert module == find(written).module
    assert url.get_secret_value() == f"{canonical(written)}://reader:p%40@h/d?a=b"


def column(family):
    return Column("c", family, family)


@pytest.mark.parametrize(
    ("family", "values", "expected", "spoilt"),
    [
        ("integer", [1, None, 2**63 - 1], [1, None, 2**63 - 1], []),
        ("integer", [1, 2.0, True], [1, 2, 1], []),
        ("integer", [1, "x", 1.5], ["1", None, "1.5"], [1]),
        ("boolean", [True, 0, 3], ["1", "0", "3"], []),
        ("integer", [1, 2**64], ["1", str(2**64)], []),
        ("decimal", [Decimal("1.10"), 2, 0.1, "3.50"], ["1.10", "2", "0.1", "3.50"], []),
        ("decimal", [Decimal("1E+3"), Decimal("NaN"), "x"], ["1000", None, None], [1, 2]),
        ("float", [1.5, float("nan"), None], [1.5, None, None], [1]),
        ("float", [1, 2], [1.0, 2.0], []),
        ("text", ["a", 1, b"b", None], ["a", "1", "b", None], []),
        ("text", ["a", "\ud800"], ["a", None], [1]),
        ("boolean", [True, 0, "t", "maybe"], [True, False, True, None], [3]),
        (
            "date",
            [dt.date(2024, 1, 1), "2024-01-02", "2024-13-01", "0000-00-00"],
            [dt.date(2024, 1, 1), dt.date(2024, 1, 2), None, None],
            [2],
        ),
        ("instant", ["2024-01-01T00:00:00+02:00", "x"], [dt.datetime(2023, 12, 31, 22, tzinfo=dt.UTC), None], [1]),
        ("binary", [b"a", "b"], [b"a", b"b"], []),
        ("json", [{"a": [1]}, '{"b": 2}'], ['{"a":[1]}', '{"b": 2}'], []),
        ("text", [None, None], [None, None], []),
    ],
)
def test_rows_become_columns_value_by_value(family, values, expected, spoilt):
    """What can be converted without loss is; the rest is null and told, row by row."""
    built = frame([column(family)], [(value,) for value in values])
    assert built["c"].to_list() == expected
    told = built["@unreadable"].is_not_null().to_list() if "@unreadable" in built.columns else [False] * len(values)
    assert [number for number, bad in enumerate(told) if bad] == spoilt


@given(values=st.lists(st.none() | st.integers() | st.floats(), min_size=1, max_size=5))
def test_numbers_among_decimals_keep_their_digits(values):
    """Columns of nothing but numbers are written at once, with the digits that each has by itself."""
    built = frame([column("decimal")], [(value,) for value in values])["c"].to_list()
    shown = [
        None if value is None or not math.isfinite(value) else format(Decimal(repr(value)), "f") for value in values
    ]
    assert built == shown


@given(
    times=st.lists(st.datetimes(), min_size=1, max_size=4),
    between=st.sampled_from(" T"),
    family=st.sampled_from(["timestamp", "instant"]),
)
def test_times_are_read_whatever_their_fractions(times, between, family):
    """With six digits, fewer or none, all alike or not."""
    texts = [time.isoformat(between).rstrip("0" if time.microsecond else "") for time in times]
    built = frame([column(family)], [(text,) for text in texts])["c"].to_list()
    assert [time.replace(tzinfo=None) for time in built] == times


def test_no_rows_still_have_their_types():
    """An empty frame has the dtypes of a full one."""
    assert frame([column("integer"), Column("d", "d", "instant")], []).schema == {
        "c": pl.Int64,
        "d": pl.Datetime("us", "UTC"),
    }


def test_the_hour_that_happens_twice_is_read_as_its_first_pass():
    """Local times of the autumn night are the earlier ones; a time that the spring skips is unreadable."""
    texts = pl.Series(["2024-10-27 02:30:00", "2024-03-31 02:30:00", "2024-07-01 12:00:00"])
    built = from_texts([column("timestamp")], [texts], "Europe/Malta")
    hours = [None if moment is None else moment.hour for moment in built["c"]]
    assert hours == [0, None, 10]
    assert built["@unreadable"].is_not_null().to_list() == [False, True, False]
    assert "clocks of its zone" in built["@unreadable"][1]


@given(cursors=st.lists(st.integers(0, 5), max_size=30).map(sorted), limit=st.integers(1, 12))
def test_groups_are_whole_and_from_the_start(cursors, limit):
    """complete() gives a beginning of the rows that ends where a cursor value ends, never empty unless all is read."""
    texts = [str(cursor) for cursor in cursors]
    page = complete(lambda rows: pl.DataFrame({"@cursor": texts[:rows]}, schema={"@cursor": pl.String}), limit)
    taken = page["@cursor"].to_list()
    assert taken == texts[: len(taken)]
    assert not set(taken) & set(texts[len(taken) :])
    assert taken or not texts


class Link:
    def __init__(self):
        self.state = "fine"

    def usable(self):
        return self.state == "fine"

    def abort(self):
        self.state = "aborted"

    def close(self):
        self.state = "closed"


def test_a_pool_lends_each_link_to_one_and_replaces_broken_ones():
    """Links are used again while they are usable, and never more than the pool's size at once."""
    made = []
    pool = Pool(lambda: made.append(Link()) or made[-1], 1, 0.01)
    with pool.link() as first, pytest.raises(SourceCancelled), pool.link():
        pass
    with pool.link() as second:
        assert second is first
        second.state = "broken"
    with pool.link() as third:
        assert third is not first
    assert len(made) == 2


def test_a_pool_shares_what_the_server_grants():
    """Where the user gets fewer connections than the pool may have, who finds none waits for one; with none at all it is told."""
    made, granted = [], 2

    def grant():
        if sum(link.state == "fine" for link in made) >= granted:
            raise SourceFull("no more")
        made.append(Link())
        return made[-1]

    pool = Pool(grant, 4, 60)
    served = []

    def work():
        for _ in range(20):
            with pool.link() as link:
                served.append(link)

    with pool.link(), pool.link():
        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
    for worker in workers:
        worker.join()
    assert (len(served), len(made)) == (80, 2)
    pool.close()
    granted = 0
    with pytest.raises(SourceFull), Pool(grant, 4, 60).link():
        pass


def test_closing_a_pool_aborts_what_is_busy():
    """close() aborts links in use, wakes those who wait, and refuses later use."""
    pool = Pool(Link, 1, 60)
    woken = []

    def wait():
        try:
            with pool.link():
                pass
        except SourceUnreachable:
            woken.append("refused")

    with pool.link() as busy:
        waiter = threading.Thread(target=wait)
        waiter.start()
        pool.close()
        waiter.join()
        assert busy.state == "aborted"
    assert woken == ["refused"]
    assert busy.state == "closed"


@pytest.mark.parametrize(
    ("texts", "values", "kind"),
    [
        (["1", None, "-9223372036854775808"], [1, None, -(2**63)], pl.Int64),
        (["1", "18446744073709551615"], [1, 2**64 - 1], pl.UInt64),
        (["-1", "18446744073709551615"], [-1, None], pl.Int64),
    ],
)
def test_unsigned_numbers_of_64_bits_have_a_type_of_their_own(texts, values, kind):
    """An unsigned id above 2^63 is as good as any other; what no type of 64 bits holds beside its neighbours is unreadable."""
    built = from_texts([column("integer")], [pl.Series(texts)])
    assert built["c"].to_list() == values
    assert built["c"].dtype == kind
    assert ("@unreadable" in built.columns) is (values.count(None) != texts.count(None))
