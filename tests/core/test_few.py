"""A handful of rows is looked at one by one, and many as columns: whatever they hold, the same becomes of them."""

from __future__ import annotations

from types import SimpleNamespace

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from smartico_sync.catalogue.kinds import kind
from smartico_sync.catalogue.properties import PROPERTIES
from smartico_sync.core.batches import objects
from smartico_sync.core.events import BRAND, DATE, EID, TYPE, USER, Events
from smartico_sync.core.few_columns import column, dtypes
from smartico_sync.core.few_texts import FEW
from smartico_sync.core.identity import Same, row_hashes, row_ids, seeds, signed
from smartico_sync.core.late_commit.mechanism import KeyScan
from smartico_sync.core.ledger_keys import ledger_keys, which
from smartico_sync.core.part_prints import decoded, there
from smartico_sync.core.pipeline import position_at, positions_of
from smartico_sync.core.planning import plan
from smartico_sync.core.relation import Column, Relation
from smartico_sync.core.validation import broken
from smartico_sync.core.view_mapping import Options
from smartico_sync.sources.kit.few_values import few_rows, plain
from smartico_sync.sources.kit.printed import from_texts
from smartico_sync.tracking.fingerprints import Fingerprints

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PAST = 1_700_000_000_000
PRINTED = {
    "integer": ["0", "-7", "12", "+5", "007", "-0", "", " 3", "1.0", "999999999999999999", "9223372036854775808", "x", "٣"],
    "decimal": ["1.50", "NaN", "Infinity", "-Infinity", "", "1e5", "0"],
    "float": ["1.5", "-0", "0.1", "1e300", "NaN", "Infinity", "", "3.14159265358979", "123456789012345.123456789012345"],
    "boolean": ["t", "f", "true", "FALSE", "T", "1", "", "maybe", "yes"],
    "date": ["2026-01-31", "2026-02-30", "0000-00-00", "10000-01-01", "2026-1-1", "", "infinity"],
    "timestamp": [
        "2026-01-31 10:00:00", "2026-01-31 10:00:00.5", "2026-01-31 10:00:00.123456", "2026-01-31 24:00:00", "infinity",
        "2026-01-31 10:00:60", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "2026-02-30 00:00:00", "", "2026-01-31",
        "2026-01-31 10:00:00.1234567", "2026-01-31T10:00:00", "0044-03-15 12:00:00 BC",
    ],
    "instant": [
        "2026-01-31 10:00:00+00", "2026-01-31 10:00:00.5+00", "2026-01-31 10:00:00", "2026-01-31 10:00:00+02", "infinity", "",
        "1969-12-31 23:59:59.000001+00",
    ],
    "text": ["", "a", "é\n"], "json": ["{}", "[1]"], "uuid": ["0e8b"], "binary": ["\\x00ff", "\\xzz"],
}  # fmt: skip


@settings(max_examples=25)
@given(st.data(), st.sampled_from(["UTC", "Europe/Berlin"]))
def test_texts_are_read_the_same(data, timezone):
    """Of each family what databases print, and what they do not: values, dtypes and what is unreadable."""
    columns = tuple(Column(family, family, family) for family in PRINTED)
    height = data.draw(st.integers(1, 3))
    texts = [
        pl.Series(data.draw(st.lists(st.none() | st.sampled_from(PRINTED[each.family]), min_size=height, max_size=height)), dtype=pl.String)
        for each in columns
    ]  # fmt: skip
    more = [pl.concat([each, pl.Series([None] * FEW, dtype=pl.String)]) for each in texts]
    for some in ([*columns], *([each] for each in columns)):
        few, many = (from_texts(some, [made[columns.index(each)] for each in some], timezone) for made in (texts, more))
        assert few.equals(many.head(height))
        assert few.schema == many.schema
        held = [texts[columns.index(each)].to_list() for each in some]
        made = few_rows(some, [("@cursor", 0)], held, timezone)
        assert (made is None) == (plain(some, [texts[columns.index(each)] for each in some], timezone) is None)
        if made is not None:
            assert made.equals(few.with_columns(texts[columns.index(some[0])].alias("@cursor")))
            assert made.drop("@cursor").schema == few.schema


OTHERWISE = {"boolean": ["TRUE"], "timestamp": ["2026-01-31 10:00:00", "2026-01-31 10:00:00.5"], "date": ["infinity"]}
OTHERWISE["instant"] = [text + "+00" for text in OTHERWISE["timestamp"]]


@settings(max_examples=25)
@given(st.data(), st.sampled_from(sorted(OTHERWISE)), st.sampled_from(["UTC", "Europe/Berlin"]))
def test_texts_are_read_the_same_whatever_stands_beside_them(data, family, timezone):
    """Columns that are written in one way are read faster than mixed ones, with the same result."""
    columns = Column(family, family, family), Column("twin", family, family)
    lengths = st.integers(10, 30).map(
        lambda most: [text for text in PRINTED[family] if len(text) <= most] or PRINTED[family][:1]
    )
    uniform = data.draw(
        st.sampled_from([*([text] for text in PRINTED[family]), data.draw(lengths), ["t", "f"], ["1", "0"]])
    )
    texts = data.draw(st.lists(st.none() | st.sampled_from(uniform), min_size=FEW + 1, max_size=FEW + 4))
    alone, among = (
        from_texts(columns, [pl.Series(each, dtype=pl.String)] * 2, timezone)
        for each in (texts, texts + OTHERWISE[family])
    )
    shared = among.head(len(texts))
    for name in (family, "twin"):
        assert alone.get_column(name).equals(shared.get_column(name))
    told = [
        rows.get_column("@unreadable").is_not_null().to_list() if rows.width > 2 else [False] * len(texts)
        for rows in (alone, shared)
    ]
    assert told[0] == told[1]


HELD = {
    "text": TEXTS, "bytes": st.binary(max_size=3), "whole number": st.integers(-(2**63), 2**63 - 1),
    "day number": st.integers(-(2**31), 2**31 - 1), "number": st.floats(), "hash": st.integers(0, 2**64 - 1), "truth": st.booleans(),
}  # fmt: skip
ANYTHING = st.one_of(*HELD.values())


def series_of(make):
    """A column, or how the making of it failed."""
    try:
        return make()
    except Exception as error:
        return type(error)


@given(st.data(), st.sampled_from(sorted(HELD)))
def test_values_make_the_same_column(data, holds):
    """Of the type that is promised, and what becomes of others."""
    values = data.draw(st.lists(st.none() | HELD[holds], max_size=4) | st.lists(st.none() | ANYTHING, max_size=2))
    made = series_of(lambda: column(holds, values, "name"))
    usual = series_of(lambda: pl.Series("name", values, dtype=dtypes()[holds]))
    if isinstance(usual, pl.Series):
        assert made.equals(usual, check_dtypes=True, check_names=True, null_equal=True)
    else:
        assert made is usual


PAYLOAD = {
    "text": pl.String,
    "exact": pl.String,
    "flag": pl.Boolean,
    "whole": pl.Int64,
    "large": pl.UInt64,
    "real": pl.Float64,
    'a"b': pl.String,
}
EVENTS = st.lists(
    st.tuples(
        TEXTS, st.integers(-(2**40), 2**40), TEXTS, TEXTS, st.sampled_from(["A", "B"]), st.none() | TEXTS,
        st.none() | st.sampled_from(["1.50", "null", "[]"]), st.none() | st.booleans(), st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.integers(0, 2**64 - 1), st.none() | st.floats(allow_nan=False, allow_infinity=False), st.none() | TEXTS,
    ),
    min_size=1, max_size=3,
)  # fmt: skip


@settings(max_examples=25)
@given(EVENTS, st.sets(st.sampled_from(sorted(PAYLOAD))))
def test_events_are_written_the_same(rows, left_out):
    """JSON of one event, or of many: byte for byte."""
    envelope = {EID: pl.String, DATE: pl.Int64, BRAND: pl.String, USER: pl.String, TYPE: pl.String}
    few = pl.DataFrame(rows, schema=envelope | PAYLOAD, orient="row").drop(left_out)
    many = pl.concat([few] * (FEW + 1))
    made = [objects(Events(frame, frozenset({"exact"}))) for frame in (few, many)]
    assert made[0].to_list() == made[1].head(few.height).to_list()


RULED = sorted(name for name, known in PROPERTIES.items() if known.values or known.pattern)
LATE = sorted(name for name, known in PROPERTIES.items() if known.past == "must be past")
WORDS = st.one_of(
    st.none(), TEXTS, st.text("ABab \n\u0130-", max_size=4), st.sampled_from(["EUR", "EUR\n", "EN", "en", "ACTIVE", "Active"]),
    st.sampled_from(sorted({word for known in PROPERTIES.values() for word in known.values})),
)  # fmt: skip


@settings(max_examples=25)
@given(st.data())
def test_rules_are_broken_the_same(data):
    """Whatever values a handful of rows holds, what breaks a rule among many breaks it here."""
    names = data.draw(st.lists(st.sampled_from(RULED), min_size=1, max_size=3, unique=True))
    columns = {name: pl.Series(data.draw(st.lists(WORDS, min_size=2, max_size=2)), dtype=pl.String) for name in names}
    for name in LATE[:2]:
        moments = st.lists(st.none() | st.integers(PAST - 2, PAST + 2), min_size=2, max_size=2)
        columns[name] = pl.Series(data.draw(moments), dtype=pl.Int64)
    few = pl.DataFrame(columns)
    told = [broken(frame, PAST) for frame in (few, pl.concat([few] * (FEW + 1)))]
    assert {name: (mask.to_list(), rule) for name, (mask, rule) in told[0].items()} == {
        name: (mask.head(2).to_list(), rule) for name, (mask, rule) in told[1].items()
    }


@given(
    st.lists(
        st.tuples(st.none() | TEXTS, st.none() | st.booleans(), st.integers(0, 2**64 - 1)), min_size=1, max_size=3
    ),
    TEXTS,
    st.binary(min_size=1, max_size=48),
)
def test_names_hold_the_same_parts(rows, same, secret):
    """A part may be a column of any plain type, a text that is the same in every row, or an expression."""
    few = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.Boolean, "c": pl.UInt64}, orient="row")
    many = pl.concat([few] * (FEW + 1))
    parts = [Same(same), "a", "b", pl.col("a").fill_null("-"), "c", Same("generation 2")]
    expressions = [pl.lit(same), *map(pl.col, "ab"), pl.col("a").fill_null("-"), pl.col("c"), pl.lit("generation 2")]
    for made in (seeds, row_ids, lambda frame, parts: signed(row_hashes(frame, parts, secret))):
        assert made(few, parts).equals(made(many, parts).head(few.height), check_dtypes=True)
        assert made(few, parts).equals(made(few, expressions), check_dtypes=True)


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.none() | st.binary(max_size=9), st.none() | st.binary(max_size=9)),
        min_size=1,
        max_size=3,
    )
)
def test_fingerprints_are_decoded_the_same(rows):
    """What the state holds of a handful of players, and which properties have a value."""
    few = pl.DataFrame(rows, schema={"id": pl.UInt64, "whole": pl.Binary, "parts": pl.Binary}, orient="row")
    many = pl.concat([few] * (FEW + 1))
    assert decoded(few).equals(decoded(many).head(few.height))
    assert {name: column.to_list() for name, column in there(few, ["whole", "parts"]).items()} == {
        name: column.head(few.height).to_list() for name, column in there(many, ["whole", "parts"]).items()
    }


KEYS = st.tuples(st.sampled_from("12"), st.sampled_from("ab"))


@given(st.lists(KEYS, min_size=1, max_size=6), KEYS)
def test_a_scan_ends_at_the_same_key(keys, head):
    """What lies beyond the head is cut off, wherever the head's own row stands; nothing where it is gone."""
    few = pl.DataFrame(keys, schema={"@cursor": pl.String, "@key.0": pl.String}, orient="row")
    filler = pl.DataFrame([("0", "z")] * FEW, schema=few.schema, orient="row")
    scan = KeyScan(None, head[0], "full", 1, head[1:])
    if head in keys:
        assert scan.covered(pl.concat([filler, few])).slice(FEW).equals(scan.covered(few))
    else:
        assert scan.covered(few).equals(few)


LEDGER = {
    "ext_brand_id": "text",
    "user_ext_id": "integer",
    "bet_id": "text",
    "tx_type": "text",
    "id": "integer",
    "dt": "instant",
}
PLACES = st.tuples(st.none() | TEXTS, TEXTS, st.none() | TEXTS)


@given(st.lists(PLACES, min_size=1, max_size=3), st.sampled_from(["id", "dt"]), st.binary(max_size=40))
def test_the_ledger_calls_rows_the_same(rows, cursor, secret):
    """By their cursor and key, for one that may move also without the cursor; NULL is a value like any other."""
    columns = tuple(Column(name, family, family) for name, family in LEDGER.items())
    options = Options(type_column="tx_type", roles={"BET": "bet"}, secret=secret)
    relation = Relation("v", cursor, ("bet_id", "tx_type"), relation="v", columns=columns)
    mapping = plan("v", kind("casino_bets_and_wins"), relation, options)
    few = pl.DataFrame(rows, schema=dict.fromkeys(("@cursor", "@key.0", "@key.1"), pl.String), orient="row")
    many = pl.concat([few] * (FEW + 1))
    keys = [ledger_keys(mapping, frame) for frame in (few, many)]
    assert keys[0].equals(keys[1].head(few.height), check_dtypes=True, check_names=True)
    told = [which(mapping, each) for each in keys]
    assert told[0].equals(told[1].head(few.height), check_dtypes=True, check_names=True)
    assert [position_at(few, place) for place in range(few.height)] == positions_of(many)[: few.height]


STATES = st.lists(
    st.tuples(
        st.integers(1, 3), st.binary(min_size=8, max_size=8), st.none() | st.binary(max_size=3), st.none() | st.integers(-9, 9)
    ),
    max_size=5,
)  # fmt: skip


@given(STATES, STATES, st.sets(st.integers(1, 4), min_size=1))
def test_the_last_state_on_its_way_is_the_same(stored, on_the_way, asked):
    """Of a handful of states, and of those among many others."""
    schema = {"id": pl.UInt64, "whole": pl.Binary, "parts": pl.Binary, "cursor_at": pl.Int64}
    others = pl.DataFrame([(100 + n, b"", None, None) for n in range(FEW)], schema=schema, orient="row")
    there = pl.DataFrame(stored, schema=schema, orient="row").unique("id", keep="last", maintain_order=True)
    page = pl.DataFrame(on_the_way, schema=schema, orient="row")
    ids = pl.Series(sorted(asked), dtype=pl.UInt64)
    found = []
    for held in (there, pl.concat([others, there])):
        fingerprints = Fingerprints(SimpleNamespace(profiles=lambda *_, held=held: held), "v")
        fingerprints.sent(page.with_columns(pl.lit("").alias("eid")))
        found.append(fingerprints.known(ids).filter(pl.col("id") < 100))
    assert found[0].equals(found[1])
    assert found[0].schema == found[1].schema
