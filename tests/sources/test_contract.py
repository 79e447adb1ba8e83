"""What every engine promises. Each test says one promise."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parts import parts
from smartico_sync.core.late_commit.view_definition import traits
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceError, SourceUnreachable, ViewBroken
from smartico_sync.sources.protocol import Asked, Landmarks, Scan


def table(engine, rows, *, name="bets", cursor="integer", key="integer", **extra):
    """`cur`, `id`, `note` and more columns, with these rows."""
    engine.table(name, {"cur": cursor, "id": key, "note": "text", **extra}, rows)


def without(engine, *features):
    """Leave a test out where the engine has no such thing at all."""
    if missing := engine.lacks.intersection(features):
        pytest.skip(f"{engine.name} has no {', '.join(sorted(missing))}")


def ids(pages):
    return [value for page in pages for value in page["id"]]


def relation(engine, source, **fields):
    return source.describe(Relation(**{"name": "bets", "cursor": "cur", "key": ("id",), "relation": "bets", **fields}))


def test_pages_hold_every_row_once_and_in_order(engine, walk):
    """Whatever the page size and however many rows share a cursor: no gap, no repeat, in order (cursor, key)."""
    rows = [(number // 7 % 5, number) for number in range(60)]
    table(engine, [(cursor, number, "n") for cursor, number in rows])
    source = engine.source()
    described = relation(engine, source)
    for limit in (1, 2, 3, 7, 59, 60, 61, 1000):
        assert ids(walk(source, described, limit)) == [number for _, number in sorted(rows)]


@parts(3)
@settings(max_examples=4)  # each makes a table
@given(cursors=st.lists(st.integers(0, 6), max_size=25), limit=st.integers(1, 9))
def test_keyless_pages_never_cut_a_cursor_value(engine, walk, part, cursors, limit):
    """A view without a key is read whole, each cursor value on one page only, though many rows share it."""
    engine.drop("bets")
    table(engine, [(cursor, number, "n") for number, cursor in enumerate(cursors)])
    source = engine.source()
    pages = walk(source, relation(engine, source, key=()), limit)
    source.close()
    assert sorted(ids(pages)) == list(range(len(cursors)))
    seen = [value for page in pages for value in page["@cursor"].unique()]
    assert len(seen) == len(set(seen))


def test_composite_keys_break_ties(engine, walk):
    """A key of several columns orders rows with equal cursors, text parts included."""
    table(engine, [(1, number % 4, f"k{number:02}") for number in range(24)])
    source = engine.source()
    pages = walk(source, relation(engine, source, key=("id", "note")), 5)
    expected = sorted((number % 4, f"k{number:02}") for number in range(24))
    assert [row for page in pages for row in page.select("id", "note").iter_rows()] == expected


@pytest.mark.parametrize("family", ["timestamp", "instant", "date"])
def test_a_moment_may_be_part_of_the_key(engine, walk, family):
    """A slip is told from its second settlement by when that was: pages, rows by position and rows by key agree on it."""
    moments = [datetime(2026, 1, day, *([] if family == "date" else [10, 0, day])) for day in range(1, 9)]  # noqa: DTZ001
    values = [
        moment.date() if family == "date" else moment.replace(tzinfo=UTC) if family == "instant" else moment
        for moment in moments
    ]
    table(engine, [(number // 4, number % 2, "n", value) for number, value in enumerate(values)], settled=family)
    source = engine.source()
    described = relation(engine, source, key=("id", "settled"))
    pages = walk(source, described, 3)
    expected = sorted((number // 4, number % 2, number) for number in range(8))
    assert [(row[0], row[1]) for page in pages for row in page.select("cur", "id").iter_rows()] == [
        (cursor, number) for cursor, number, _ in expected
    ]
    names = ["@cursor", "@key.0", "@key.1"]
    positions = [Position(cursor, tuple(key)) for page in pages for cursor, *key in page.select(names).iter_rows()]
    assert len(set(positions)) == 8
    with source.reading(described) as reading:
        assert set(reading.rows(positions).select(names).iter_rows()) == {
            (each.cursor, *each.key) for each in positions
        }
        assert reading.by_key([positions[2].key]).select(names).rows() == [(positions[2].cursor, *positions[2].key)]
        assert (positions[2].cursor, *positions[2].key) in reading.by_written_key(positions[2].key).select(names).rows()
        assert reading.keys(None, "1", 10, positions[3]).select(names).rows() == [
            (each.cursor, *each.key) for each in positions[4:]
        ]


def test_it_is_known_whether_others_can_read_along(engine):
    """Every engine tells whether its connection is encrypted, or that there is no network."""
    assert engine.source().facts().encrypted in ("yes", "no", "none")


@pytest.mark.parametrize("key", [("id",), ()])
def test_the_newest_rows_are_those_with_the_highest_cursors(engine, key):
    """So many, in the order of their cursors, whole rows with their positions, and none without a cursor."""
    table(engine, [*((number // 2, number, "n") for number in range(20)), (None, 99, "n")])
    source = engine.source()
    with source.reading(relation(engine, source, key=key)) as reading:
        found = reading.newest(5)
        assert found["cur"].to_list() == [7, 8, 8, 9, 9]
        assert found["@cursor"].to_list() == ["7", "8", "8", "9", "9"]
        assert sorted(found["id"].to_list()[1:]) == [16, 17, 18, 19]
        assert found["note"].to_list() == ["n"] * 5
        assert reading.newest(100).height == 20


def test_text_keys_keep_the_databases_own_order(engine, walk):
    """Keys are compared and ordered by the database alone, so no collation makes a page skip or repeat."""
    words = ["Zoë", "apple", "Ärger", "zebra", "Apple", "_x", "10", "9", "a b", "ab", "é", "日本", "🎲"]
    table(engine, [(1, word, "n") for word in words], key="text")
    source = engine.source()
    assert sorted(ids(walk(source, relation(engine, source), 3))) == sorted(words)


def test_keys_that_the_database_takes_for_equal_are_on_one_page(engine, walk):
    """A collation may tell no letter case and no trailing blanks: no such row hides behind the end of a page."""
    words = ["a", "abc", "ABC", "Abc", "abd", "b"]
    table(engine, [(1, word, "n") for word in words], key="text")
    source = engine.source()
    assert sorted(ids(walk(source, relation(engine, source), 2))) == sorted(words)


def test_a_query_is_read_like_a_view(engine, walk):
    """`query:` may hold percent signs, colons, casts, comments and a semicolon."""
    without(engine, "query")
    table(engine, [(number, number, "12:30 100%") for number in range(9)])
    source = engine.source()
    named = engine.quoted("Note:x")
    query = f"SELECT cur, id, note AS {named} FROM bets WHERE note LIKE '12:30 %' AND id <> 4 -- all : but 4 %s;\n;"
    pages = walk(source, relation(engine, source, relation=None, query=query), 4)
    assert ids(pages) == [0, 1, 2, 3, 5, 6, 7, 8]
    assert pages[0]["Note:x"][0] == "12:30 100%"


def test_names_are_taken_as_written(engine, walk):
    """Capitals, spaces, dots, quotes, percent signs and keywords in names need no care from the operator."""
    columns = {"Cur": "integer", "order": "integer", engine.awkward: "text"}
    odd = f'"{engine.odd}"'
    engine.table(odd, columns, [(1, 2, "x")])
    source = engine.source()
    described = source.describe(Relation("bets", "Cur", ("order",), relation=odd))
    (page,) = walk(source, described, 5)
    assert page[engine.awkward].to_list() == ["x"]


def test_a_schema_may_be_named(engine, walk):
    """`schema.relation` finds the relation in that schema."""
    without(engine, "schemas")
    name = f"{engine.schema('Crm')}.bets"
    table(engine, [(1, 1, "n")], name=name)
    source = engine.source()
    assert ids(walk(source, relation(engine, source, relation=name), 5)) == [1]


@pytest.mark.parametrize("kind", ["timestamp", "instant"])
def test_cursors_keep_every_digit(engine, walk, kind):
    """Timestamps a microsecond apart stay apart, in `@cursor` and in comparisons."""
    without(engine, "microseconds")
    zone = UTC if kind == "instant" else None
    moments = [(datetime(2024, 3, 1, 10, 0, 0, number, zone), number, "n") for number in range(1, 8)]
    table(engine, moments, cursor=kind)
    source = engine.source()
    pages = walk(source, relation(engine, source), 2)
    assert ids(pages) == list(range(1, 8))
    assert [text[:26] for page in pages for text in page["@cursor"]] == [
        f"2024-03-01 10:00:00.{n:06}" for n in range(1, 8)
    ]
    dtype = pl.Datetime("us", "UTC") if kind == "instant" else pl.Datetime("us")
    assert all(page.schema["cur"] == dtype for page in pages)
    assert pages[0]["cur"].dt.microsecond().to_list() == [1, 2]


def test_rows_without_a_place_are_counted_and_never_returned(engine, walk):
    """NULL in the cursor or in the key: not on any page, but in null_cursors()."""
    table(engine, [(1, 1, "a"), (None, 2, "b"), (1, None, "c"), (2, 3, "d")])
    source = engine.source()
    described = relation(engine, source)
    assert ids(walk(source, described, 1)) == [1, 3]
    with source.reading(described) as reading:
        assert reading.null_cursors() == 2
        assert (reading.null_cursors("cursor"), reading.null_cursors("key")) == (1, 1)
        assert reading.null_scan() in ("by index", "by reading all", "not at all", "unknown")
        assert reading.null_cursors("cursor", 60_000) == 1
        assert reading.count(None, "9") == 2


def test_through_bounds_a_page(engine):
    """`through` is inclusive."""
    table(engine, [(number, number, "n") for number in range(9)])
    source = engine.source()
    with source.reading(relation(engine, source)) as reading:
        assert reading.page(Position("2", ("2",)), 100, through="5")["id"].to_list() == [3, 4, 5]
        assert reading.page(None, 100, through="1")["id"].to_list() == [0, 1]


def test_news_is_what_a_page_would_bring(engine):
    """Behind each position of several views; where one of them cannot be asked, all are said to have some."""
    table(engine, [(1, 1, "n"), (2, 2, "n"), (2, 3, "n"), (None, 4, "n")])
    table(engine, [], name="empty")
    source = engine.source()
    bets, empty = relation(engine, source), relation(engine, source, name="empty", relation="empty")
    places = [None, Position("1"), Position("1", ("1",)), Position("2", ("2",)), Position("2", ("3",)), Position("9")]
    asked = [*(Asked(bets, place) for place in places), Asked(empty, None)]
    news = source.news(asked)
    if news is None:
        return  # such an engine is asked for each view
    with source.reading(bets) as reading:
        expected = tuple(bool(reading.page(place, 1).height) for place in places)
        assert news.server == reading.server
        standing = reading.replication().state
    assert (news.found, news.digests, news.replication) == ((*expected, False), ((),) * len(asked), None)
    assert source.news(asked, "asked").replication.state == standing
    engine.drop("empty")
    assert source.news(asked).found == (True,) * len(asked)


def landmarks_and_scans():
    """What a view may be looked at again for, each told apart by its digest."""
    one, two = Position("1", ("1",)), Position("2", ("2",))
    yield from (Scan(of, after, "2") for of in ("rows", "keys") for after in (None, one))
    places = ((two,), ()), ((), (("1",), ("2",))), ((two, Position("9", ("9",))), (("2",),)), ((), ())
    yield from (Landmarks(positions, keys, "2") for positions, keys in places)


def told(source, described, what):
    """By a reading; None where the engine tells no digests."""
    with source.reading(described) as reading:
        digests = [
            reading.landmarks(each) if isinstance(each, Landmarks) else reading.digest(each.of, each.after, each.high)
            for each in what
        ]
    return None if None in digests else tuple(digests)


def test_news_tells_the_digests_that_a_reading_would(engine):
    """Each of another one's, and the same again for as long as nothing changes."""
    table(engine, [(1, 1, "n"), (2, 2, None), (3, 3, "n")])
    source = engine.source()
    described, what = relation(engine, source), tuple(landmarks_and_scans())
    digests = told(source, described, what)
    if digests is None:
        return  # such an engine would have to send the rows
    assert len(set(digests)) == len(digests)
    assert [digest.rows for digest in digests[:4]] == [2, 1, 2, 1]
    assert told(source, described, what) == digests
    news = source.news([Asked(described, Position("3", ("3",)), what), Asked(described, Position("2", ("2",)), what)])
    assert news.found == (False, True)
    assert news.digests == (digests, ())
    assert source.news([Asked(described, Position("9"), what, "asked")]).found == (False,)
    engine.insert("bets", [(None, 5, "n")])
    assert source.news([Asked(described, Position("9"), what, "asked")]).found == (True,)


def test_with_landmarks_a_new_column_is_news(engine):
    """The view has other columns then than it was described with."""
    table(engine, [(1, 1, "n")])
    source = engine.source()
    described, what = relation(engine, source), (Landmarks((Position("1", ("1",)),), (), "1"),)
    if told(source, described, what) is None:
        return  # such an engine is not asked
    assert source.news([Asked(described, Position("1", ("1",)), what)]).found == (False,)
    engine.execute(f"ALTER TABLE {engine.place('bets')} ADD more int")
    assert source.news([Asked(described, Position("1", ("1",)), what)]).found == (True,)


@pytest.mark.parametrize("row", [(0, 0, "n"), (4, 4, "n")], ids=["below", "above"])
def test_landmarks_are_both_ends_of_the_order(engine, row):
    """The highest cursor, and the lowest position up to where the view has come."""
    table(engine, [(1, 1, "n"), (2, 2, "n"), (3, 3, "n")])
    source = engine.source()
    described, what = relation(engine, source), (Landmarks((Position("2", ("2",)),), (), "3"),)
    before = told(source, described, what)
    engine.insert("bets", [row])
    assert before is None or told(source, described, what) != before


VALUES = {"decimal": ("1.10", "1.11"), "float": (0.1, 0.1000000000000001), "text": ("a", "A")}


@pytest.mark.parametrize("family", [*VALUES, "NULL"])
def test_digests_of_rows_differ_where_a_value_does(engine, family):
    """Also in letter case, in the last digit, and where there is none at all; and not where another column holds it."""
    kind = "text" if family == "NULL" else family
    without(engine, kind)
    old, new = (None, "NULL") if family == "NULL" else VALUES[family]
    digests = []
    for number, values in enumerate(((old, new), (new, old), (new, new), (old, old))):
        name = f"bets{number}"
        table(engine, [(1, 1, "n", *values)], name=name, one=kind, other=kind)
        source = engine.source()
        described = relation(engine, source, name=name, relation=name)
        digests.append(told(source, described, (Scan("rows", None, "1"), Landmarks((Position("1", ("1",)),), (), "1"))))
    assert digests[0] is None or len(set(digests)) == 4


def test_keys_are_the_pages_positions(engine, position):
    """keys() holds `@cursor` and `@key.*` alone, bounded at both ends, and goes on after a position."""
    table(engine, [(number // 2, number, "n") for number in range(12)])
    source = engine.source()
    with source.reading(relation(engine, source)) as reading:
        first = reading.keys("1", "4", 5)
        rest = reading.keys("1", "4", 5, position(first))
        assert first.columns == ["@cursor", "@key.0"]
        assert [*first["@key.0"], *rest["@key.0"]] == [str(number) for number in range(2, 10)]
        assert reading.keys(None, "0", 9)["@key.0"].to_list() == ["0", "1"]
        assert reading.keys(None, "-1", 9).columns == first.columns
        assert reading.count("1", "4") == 8
        assert reading.keys("1", "4", 9, end="below")["@key.0"].to_list() == [str(number) for number in range(2, 8)]
        assert reading.count("1", "4", "below") == 6
        assert reading.count(None, "1", "below") == 2


def test_rows_and_by_cursor_find_exactly_these(engine):
    """rows() gives the rows at these positions and no others; by_cursor() all rows with these cursors."""
    table(engine, [(number // 3, number, "n") for number in range(30)])
    source = engine.source()
    with source.reading(relation(engine, source)) as reading:
        positions = [Position("0", ("1",)), Position("1", ("5",)), Position("1", ("1",)), Position("99", ("7",))]
        assert sorted(reading.rows(positions)["id"]) == [1, 5]
        assert sorted(reading.by_cursor(["2", "9", "77"])["id"]) == [6, 7, 8, 27, 28, 29]
        assert reading.rows([]).columns == reading.page(None, 1).columns
        assert reading.by_cursor([]).height == 0
        many = [Position(str(number // 3), (str(number),)) for number in range(1000)]
        assert reading.rows(many).height == 30


def test_by_key_finds_rows_wherever_they_are(engine):
    """by_key() gives the rows with exactly these keys, though their cursor has moved since they were seen."""
    table(engine, [(number, number % 4, f"k{number}") for number in range(16)])
    source = engine.source()
    with source.reading(relation(engine, source, key=("id", "note"))) as reading:
        assert sorted(reading.by_key([("1", "k5"), ("2", "k6"), ("1", "k6"), ("9", "k1")])["note"]) == ["k5", "k6"]
        assert reading.by_key([]).columns == reading.page(None, 1).columns


def test_rows_without_a_cursor_can_be_read_by_their_key(engine):
    """without_cursor() walks the rows whose cursor is NULL, in order of their key; `@cursor` is null."""
    table(engine, [(None, number, "n") for number in range(5)] + [(1, 9, "n"), (None, None, "n")])
    source = engine.source()
    with source.reading(relation(engine, source)) as reading:
        first = reading.without_cursor(3)
        assert first["id"].to_list() == [0, 1, 2]
        assert first["@cursor"].to_list() == [None] * 3
        assert reading.without_cursor(3, ("2",))["id"].to_list() == [3, 4]


@pytest.mark.parametrize("kind", ["timestamp", "instant", "date"])
def test_a_moment_bounds_a_range(engine, kind):
    """moment() writes an epoch ms so that the database compares it with the cursor as the moment it is."""
    days = [datetime(2024, 3, day, tzinfo=UTC) for day in (1, 2, 3)]
    values = {"date": [day.date().isoformat() for day in days], "timestamp": [day.replace(tzinfo=None) for day in days]}
    table(engine, [(value, number, "n") for number, value in enumerate(values.get(kind, days))], cursor=kind)
    source = engine.source()
    described = relation(engine, source)
    with source.reading(described) as reading:
        low, high = (reading.moment(int(day.timestamp() * 1000)) for day in days[1:])
        assert reading.keys(low, high, 9)["@key.0"].to_list() == ["1", "2"]
        assert reading.count(low, high, "below") == 1
        assert reading.count(None, low, "below") == 1
        assert reading.head(low) == reading.keys(low, low, 1)["@cursor"][0]


def test_head_is_the_highest_cursor(engine):
    """head() is NULL-proof, and None for an empty relation."""
    table(engine, [])
    source = engine.source()
    described = relation(engine, source)
    with source.reading(described) as reading:
        assert reading.head() is None
        assert reading.page(None, 5).columns == ["cur", "id", "note", "@cursor", "@key.0"]
    engine.insert("bets", [(9, 1, "n"), (10, 2, "n"), (None, 3, "n")])
    with source.reading(described) as reading:
        assert reading.head() == "10"
        assert reading.head("9") == "9"
        assert reading.head("8") is None


def test_a_reading_sees_one_moment(engine):
    """Rows that are committed while a reading is open do not appear in it."""
    without(engine, "snapshots")
    table(engine, [(1, 1, "n")])
    source = engine.source()
    described = relation(engine, source)
    with source.reading(described) as reading:
        assert reading.page(None, 9).height == 1
        engine.insert("bets", [(2, 2, "n")])
        assert reading.page(None, 9).height == 1
        assert reading.head() == "1"
    with source.reading(described) as reading:
        assert reading.head() == "2"


def test_page_and_clock_come_from_one_snapshot(engine):
    """What commits after a reading's first page is on none of its pages, and its clock is no later than they are.

    The clock is also known before the first page, and stays what it was.
    """
    without(engine, "snapshots")
    table(engine, [(1, 1, "n")])
    source = engine.source()
    described = relation(engine, source)
    with source.reading(described) as reading, source.reading(described) as other:
        assert reading.page(None, 9).height == 1
        before_ms = other.clock_ms
        engine.insert("bets", [(2, 2, "n")])
        time.sleep(0.02)
        with source.reading(described) as later:
            assert later.page(None, 9).height == 2
            time.sleep(0.02)
            assert reading.clock_ms <= later.clock_ms
        assert reading.page(None, 9).height == 1
        assert other.clock_ms == before_ms


def test_decimals_are_exact(engine, walk):
    """38 digits arrive as the text the database holds."""
    digits = "1234567890123456789012345678.0123456789"
    table(engine, [(1, 1, "n", digits), (2, 2, "n", "0.1000000000")], amount="decimal")
    source = engine.source()
    (page,) = walk(source, relation(engine, source), 5)
    assert page["amount"].to_list() == [engine.printed(digits), engine.printed("0.1000000000")]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NASTY = st.sampled_from(
    ["", " ", '"', '""', ",", "\n", "\r\n", "\\N", "\\.", "\\", "NULL", "null", "'", "%s", ":c", "🎲", "\x01", "\ufeff"]
)


@parts(3)
@settings(max_examples=4)
@given(texts=st.lists(st.none() | TEXTS | NASTY, min_size=1, max_size=8))
def test_text_arrives_as_it_is(engine, walk, part, texts):
    """Emoji, quotes, line breaks, empty strings and control characters arrive as they are kept; only NULL is null."""
    engine.drop("bets")
    table(engine, [(number, number, text) for number, text in enumerate(texts)])
    source = engine.source()
    (page,) = walk(source, relation(engine, source), 100)
    source.close()
    assert page["note"].to_list() == [engine.kept(text) for text in texts]


@parts(3)
@settings(max_examples=4)
@given(keys=st.lists(TEXTS | NASTY, min_size=1, max_size=8, unique=True))
def test_positions_carry_any_text(engine, walk, part, keys):
    """A key of any text finds its way out and back: walked one by one, and asked for again."""
    engine.drop("bets")
    keys = list({engine.compared(key): key for key in keys if engine.kept(key) is not None}.values())
    table(engine, [(1, key, "n") for key in keys], key="text")
    source = engine.source()
    described = relation(engine, source)
    assert sorted(ids(walk(source, described, 1))) == sorted(keys)
    with source.reading(described) as reading:
        assert sorted(reading.rows(Position("1", (key,)) for key in keys)["id"]) == sorted(keys)
    source.close()


def test_a_megabyte_of_text_arrives(engine, walk):
    """Long values need no special care."""
    without(engine, "long texts")
    table(engine, [(number, number, "ü," * 500_000) for number in range(3)])
    source = engine.source()
    (page,) = walk(source, relation(engine, source), 10)
    assert page["note"].str.len_chars().to_list() == [1_000_000] * 3


@pytest.mark.stand_in("mssql", "oracle")
def test_the_session_cannot_write(engine):
    """Whatever the user may do, our transactions are read-only."""
    table(engine, [(1, 1, "n")])
    source = engine.source()
    described = relation(engine, source)
    with pytest.raises(SourceError), source.reading(described) as reading:  # noqa: PT012  - the dialects differ
        if engine.name == "sqlite":
            reading.ask("DELETE FROM bets", {})
        else:
            reading.ask("DELETE FROM bets")
    assert engine.count("bets") == 1


def test_a_dropped_view_is_broken(engine):
    """A relation that is gone: ViewBroken, at describe and at reading, and the source lives on, be it on one connection."""
    table(engine, [(1, 1, "n")])
    source = engine.source(pool=1)
    described = relation(engine, source)
    engine.rename("bets", "betz")
    with pytest.raises(ViewBroken), source.reading(described) as reading:
        reading.page(None, 5)
    with pytest.raises(ViewBroken) as broken:
        relation(engine, source)
    assert "betz" in broken.value.hint
    engine.rename("betz", "bets")
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1


def test_a_missing_column_is_named_with_its_neighbours(engine):
    """A cursor that the view lacks: ViewBroken, whose hint names the column that was meant."""
    table(engine, [], dt_update="text")
    source = engine.source()
    with pytest.raises(ViewBroken) as broken:
        relation(engine, source, cursor="dt_updated")
    assert "dt_updated" in broken.value.message
    assert "dt_update?" in broken.value.hint


@pytest.mark.stand_in("mongodb", "mssql", "oracle", "redshift")
def test_plan_tells_whether_an_index_serves(engine):
    """Without an index on the cursor the advice is the statement that makes one; with it, all is well."""
    without(engine, "indexes")
    table(engine, [(number, number, "n") for number in range(50)])
    engine.view("seen", "bets", {"moment": "cur", "id": "id", "note": "note"})
    source = engine.source()
    described = relation(engine, source, relation="seen", cursor="moment")
    plan = source.plan(described, None, 10)
    assert plan.uses_index is False
    assert plan.text
    engine.index("bets", "cur", "id")
    assert source.plan(described, Position("7", ("7",)), 10).uses_index is True
    assert source.plan(described, None, 10).advice == ""


@pytest.mark.stand_in("mongodb", "mssql", "oracle", "redshift")
def test_advice_makes_the_index_that_was_missing(engine):
    """The advice runs as it is, and then plan() is content."""
    without(engine, "indexes")
    table(engine, [(number, number, "n") for number in range(50)])
    source = engine.source()
    described = relation(engine, source)
    engine.execute(source.plan(described, None, 10).advice)
    assert source.plan(described, None, 10).uses_index is True


TRUSTING = ("mssql",)  # the stand-in says what it was told, whatever indexes there are


@pytest.mark.stand_in("mongodb", "mssql", "oracle", "redshift")
def test_advice_names_a_column_once(engine):
    """A view that shows one column twice, as its cursor and as its key: what is advised runs as it is, and is advised once."""
    without(engine, "indexes")
    table(engine, [(number, number, "n") for number in range(50)])
    engine.view("seen", "bets", {"moment": "cur", "id": "cur", "note": "note"})
    source = engine.source()
    described = relation(engine, source, relation="seen", cursor="moment")
    advice = source.plan(described, None, 10).advice
    if re.match(r"CREATE|ALTER", advice):
        engine.execute(advice)
        assert engine.name in TRUSTING or source.plan(described, None, 10).advice != advice


def test_relations_lists_what_may_be_read(engine):
    """Tables and views, by names that describe() takes."""
    table(engine, [])
    engine.view("seen", "bets", {"cur": "cur", "id": "id", "note": "note"})
    source = engine.source()
    names = source.relations()
    assert {name.rpartition(".")[2] for name in names} == {"bets", "seen"}
    assert relation(engine, source, relation=names[0]).columns


@pytest.mark.stand_in("bigquery", "clickhouse", "mssql", "oracle", "redshift", "snowflake")
@pytest.mark.parametrize("place", ["named", "not named"])
def test_definitions_are_read_through_views(engine, place):
    """What makes rows late is found in the view and in those beneath it; a LEFT JOIN of its own is another thing."""
    without(engine, "definitions", *(["schemas"] if place == "named" else []))
    at = f"{engine.schema('Crm')}." if place == "named" else ""
    for name in ("bets", "games"):
        engine.table(f"{at}{name}", {"cur": "integer", "id": "integer", "state": "text"})
    bets, games, cur, id_, state = (
        engine.place(f"{at}bets"),
        engine.place(f"{at}games"),
        *map(engine.quoted, ("cur", "id", "state")),
    )
    select = f"SELECT b.{cur}, b.{id_}, b.{state} FROM {bets} b {{join}} {games} g ON g.{id_} = b.{id_}"
    inner = select.format(join="JOIN") + f" WHERE b.{state} = 'final'"
    engine.execute(f"CREATE VIEW {engine.place(f'{at}beneath')} AS {inner}")
    engine.view(f"{at}seen", f"{at}beneath", {"cur": "cur", "id": "id"})
    engine.execute(f"CREATE VIEW {engine.place(f'{at}kept')} AS {select.format(join='LEFT JOIN')}")
    source = engine.source()

    def told(name):
        definition = source.definition(Relation("bets", "cur", ("id",), relation=f"{at}{name}"))
        return {trait.name for trait in traits(definition, ("cur", "id"))}

    assert told("seen") == {"inner join", "filter"}
    assert told("kept") == {"outer join"}


def test_a_closed_source_says_so(engine):
    """After close() every call fails with SourceUnreachable."""
    table(engine, [])
    source = engine.source()
    relation(engine, source)
    source.close()
    with pytest.raises(SourceUnreachable):
        relation(engine, source)


def test_facts_name_the_engine(engine):
    """facts() answers without any table."""
    facts = engine.source().facts()
    assert facts.engine == engine.name
    assert facts.version
    assert facts.role == "primary"
