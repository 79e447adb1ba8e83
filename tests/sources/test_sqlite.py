"""What SQLite promises beyond the contract: types that are only words, files that move, writers that lock."""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
from contextlib import closing

import pytest

from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceCancelled, SourceRefused, SourceUnreachable, ViewBroken

BETS = Relation("bets", "id", ("id",), relation="bets")


def read(engine, relation=BETS):
    source = engine.source()
    described = source.describe(relation)
    with source.reading(described) as reading:
        return reading.page(None, 100)


def test_declared_types_make_families(on_sqlite):
    """The declared word tells the family; a column without one has the type of its first values."""
    on_sqlite.execute(
        "CREATE TABLE bets (id INTEGER PRIMARY KEY, at DATETIME, day DATE, amount DECIMAL(18,2), odds REAL, ok BOOLEAN,"
        " raw BLOB, doc JSON, uid UUID, name VARCHAR(20))",
        "INSERT INTO bets VALUES (1, '2024-02-29 10:00:00.123456', '2024-02-29', 1.10, 0.5, 1, x'00ff', '{}', 'u', 'n')",
        "CREATE VIEW seen AS SELECT *, id + 1 AS next, upper(name) AS loud FROM bets",
    )
    source = on_sqlite.source()
    described = source.describe(Relation("v", "id", ("id",), relation="seen"))
    assert [column.family for column in described.columns] == [
        "integer", "timestamp", "date", "decimal", "float", "boolean", "binary", "json", "uuid", "text", "integer", "text",
    ]  # fmt: skip
    page = read(on_sqlite, Relation("v", "id", ("id",), relation="seen"))
    assert page.drop("@cursor", "@key.0").row(0) == (
        1, dt.datetime(2024, 2, 29, 10, 0, 0, 123456), dt.date(2024, 2, 29), "1.1", 0.5, True, b"\x00\xff", "{}", "u", "n", 2, "N",
    )  # fmt: skip


def test_a_value_of_another_type_spoils_only_its_row(on_sqlite):
    """Bytes in an integer column, an impossible date, bytes that are no text: null, and `@unreadable` names the column."""
    on_sqlite.execute(
        "CREATE TABLE bets (id INTEGER PRIMARY KEY, n INTEGER, at DATETIME, name TEXT)",
        "INSERT INTO bets VALUES (1, 5, '2024-01-01T10:00:00Z', 'a'), (2, x'ff', '2024-13-45', CAST(x'ff' AS TEXT)),"
        " (3, NULL, 1704103200, 'c'), (4, 7, 1704103200123, 'd')",
    )
    page = read(on_sqlite)
    assert page["n"].to_list() == [5, None, None, 7]
    assert page["name"].to_list() == ["a", None, "c", "d"]
    moment = dt.datetime(2024, 1, 1, 10)
    assert page["at"].to_list() == [moment, None, moment, moment.replace(microsecond=123000)]
    assert page["@unreadable"].is_null().to_list() == [True, False, True, True]
    assert [part.split(":")[0] for part in page["@unreadable"][1].split("; ")] == ["n", "at", "name"]


@pytest.mark.parametrize("declared", ["INTEGER", "NUMERIC"])
def test_a_text_among_declared_numbers_arrives(on_sqlite, declared):
    """What it means is told where it is read: an affiliate, a player; an empty one is none, and a cursor stays a number."""
    on_sqlite.execute(
        f"CREATE TABLE bets (id INTEGER PRIMARY KEY, n {declared})",
        "INSERT INTO bets VALUES (1, 5), (2, 'john24'), (3, NULL), (4, ' '), (5, 12345678901234567)",
    )
    page = read(on_sqlite)
    assert page["n"].to_list() == ["5", "john24", None, None, "12345678901234567"]
    assert page["id"].to_list() == [1, 2, 3, 4, 5]
    assert "@unreadable" not in page.columns


def test_an_empty_text_is_no_value_where_no_text_is_expected(on_sqlite):
    """A column takes any value: an empty text, and a zero date, are NULL and spoil nothing."""
    on_sqlite.execute(
        "CREATE TABLE bets (id INTEGER PRIMARY KEY, n INTEGER, price DECIMAL(10,2), ratio REAL, flag BOOLEAN, day DATE, at DATETIME, zoned TIMESTAMPTZ)",
        "INSERT INTO bets VALUES (1, 1, 1.5, 0.5, 1, '2024-01-01', '2024-01-01 10:00:00', '2024-01-01 10:00:00+00:00')",
        "INSERT INTO bets VALUES (2, '', ' ', '', '', '', '  ', '')",
        "INSERT INTO bets VALUES (3, NULL, NULL, NULL, NULL, '0000-00-00', '0000-00-00 00:00:00', '0000-00-00 00:00:00')",
    )
    page = read(on_sqlite)
    assert "@unreadable" not in page.columns
    for name in ("n", "price", "ratio", "flag", "day", "at", "zoned"):
        assert page.get_column(name).is_null().to_list() == [False, True, True], name


@pytest.mark.parametrize("first", ["1", "1.0"])
def test_a_column_of_no_type_holds_whatever_is_stored(on_sqlite, first):
    """A number that comes first promises nothing: texts arrive, and so does each digit of a long id."""
    on_sqlite.execute(
        "CREATE TABLE bets (id INTEGER PRIMARY KEY, player, odds)",
        f"INSERT INTO bets VALUES (1, {first}, 1), (2, 12345678901234567, 2.5), (3, 'p-3', 3), (4, NULL, NULL)",
    )
    page = read(on_sqlite)
    assert page.get_column("player").to_list() == ["1", "12345678901234567", "p-3", None]
    assert "@unreadable" not in page.columns
    assert [float(odd) for odd in page.get_column("odds").to_list()[:3]] == [1, 2.5, 3]


@pytest.mark.parametrize(
    "values", [["1.5", "2.25", "1e3"], ["'2024-01-01 00:00:00'", "'2024-01-02 00:00:00'"], ["1704103200", "1704103201"]]
)
def test_any_stored_type_may_be_a_cursor(on_sqlite, walk, values):
    """Numbers, epochs and ISO text walk in order, whatever the column was declared as."""
    for declared in ("DATETIME", "NUMERIC", "REAL" if "." in values[0] else "", ""):
        on_sqlite.execute("DROP TABLE IF EXISTS bets", f"CREATE TABLE bets (id INTEGER PRIMARY KEY, moved {declared})")
        for value in values:
            on_sqlite.execute(f"INSERT INTO bets (moved) VALUES ({value})")
        source = on_sqlite.source()
        described = source.describe(Relation("bets", "moved", ("id",), relation="bets"))
        assert [number for page in walk(source, described, 1) for number in page["id"]] == list(
            range(1, len(values) + 1)
        )
        source.close()


@pytest.mark.parametrize("declared", ["TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM"])
def test_keyless_cursors_that_sqlite_takes_for_equal_are_on_one_page(on_sqlite, walk, declared):
    """The next page begins after all of them."""
    words = ["a", "b", "B", "b ", "c", "C", "d"]
    on_sqlite.execute(f"CREATE TABLE bets (id INTEGER, ref {declared})")
    on_sqlite.insert("bets", enumerate(words))
    source = on_sqlite.source()
    described = source.describe(Relation("bets", "ref", (), relation="bets"))
    for limit in (1, 2, 3, 4):
        assert sorted(number for page in walk(source, described, limit) for number in page["id"]) == list(range(7))


def test_a_missing_file_is_unreachable_and_not_created(tmp_path, configured):
    """No file: SourceUnreachable, and none is made."""
    with pytest.raises(SourceUnreachable) as unreachable:
        configured(f"sqlite:///{tmp_path}/none.db").facts()
    assert "url" in unreachable.value.hint
    assert not (tmp_path / "none.db").exists()


def test_a_view_that_is_gone_is_told_with_what_to_do(tmp_path, configured):
    """Also where others are called nearly so: it may have been mistyped, or dropped a minute ago."""
    with closing(sqlite3.connect(tmp_path / "replica.db")) as database:
        database.execute("CREATE TABLE bets_old (id INTEGER PRIMARY KEY)")
    with pytest.raises(ViewBroken) as gone:
        configured(f"sqlite:///{tmp_path}/replica.db").describe(BETS)
    assert gone.value.hint.startswith("did you mean bets_old?")
    assert "let the database have it again, or correct views.yaml and: smartico-sync reload" in gone.value.hint


def test_another_file_is_refused(tmp_path, configured):
    """A file that is no SQLite database says so."""
    (tmp_path / "notes.txt").write_text("dear diary " * 100)
    with pytest.raises(SourceRefused):
        configured(f"sqlite:///{tmp_path}/notes.txt").facts()


def test_a_relative_path_starts_here(tmp_path, monkeypatch, configured):
    """`sqlite:///replica.db` is relative to the current directory, `sqlite:////tmp/replica.db` is not."""
    sqlite3.connect(tmp_path / "replica.db").execute("CREATE TABLE bets (id)").connection.close()
    monkeypatch.chdir(tmp_path)
    source = configured("sqlite:///replica.db")
    assert source.relations() == ("bets",)
    source.close()


def test_a_restored_file_is_opened_anew(tmp_path, configured):
    """A file put in the place of the old one is the one that is read."""
    for name, rows in (("replica.db", 1), ("backup.db", 3)):
        connection = sqlite3.connect(tmp_path / name)
        connection.execute("CREATE TABLE bets (id INTEGER PRIMARY KEY)")
        connection.executemany("INSERT INTO bets VALUES (?)", [(number,) for number in range(rows)])
        connection.commit()
        connection.close()
    source = configured(f"sqlite:///{tmp_path}/replica.db")
    described = source.describe(BETS)
    shutil.move(tmp_path / "backup.db", tmp_path / "replica.db")
    with source.reading(described) as reading:
        assert reading.page(None, 9).height == 3
    source.close()


def test_a_locked_file_is_tried_again(tmp_path, configured):
    """A writer that holds the file: SourceCancelled after the statement timeout."""
    writer = sqlite3.connect(tmp_path / "replica.db", isolation_level=None)
    writer.execute("CREATE TABLE bets (id INTEGER PRIMARY KEY)")
    source = configured(f"sqlite:///{tmp_path}/replica.db", statement_timeout="100ms")
    described = source.describe(BETS)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SourceCancelled), source.reading(described) as reading:
        reading.page(None, 5)
    writer.execute("ROLLBACK")
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0
    source.close()
    writer.close()


def test_a_slow_query_is_interrupted(on_sqlite):
    """A query that runs longer than the statement timeout ends as SourceCancelled."""
    endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT max(id) AS id FROM n"
    source = on_sqlite.source(statement_timeout="200ms")
    described = Relation("v", "id", (), query="SELECT 1 AS id")
    described = source.describe(described)
    slow = Relation("v", "id", (), query=endless, columns=described.columns)
    with pytest.raises(SourceCancelled), source.reading(slow) as reading:
        reading.page(None, 5)


def test_a_row_id_is_an_index(on_sqlite):
    """Also in an empty view: no index is advised that SQLite would not need."""
    on_sqlite.execute(
        "CREATE TABLE slips (id INTEGER PRIMARY KEY, player INTEGER)",
        "CREATE TABLE players (id INTEGER PRIMARY KEY, brand TEXT)",
        "CREATE VIEW bets AS SELECT slips.id, brand FROM slips LEFT JOIN players ON players.id = player",
    )
    source = on_sqlite.source()
    described = source.describe(Relation("v", "id", ("id",), relation="bets"))
    assert source.plan(described, None, 1000).uses_index is True
