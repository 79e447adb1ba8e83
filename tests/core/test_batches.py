"""Request bodies, compared with a slow reference that anyone can read."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.core.batches import batches, encode, parts
from smartico_sync.core.events import Events

UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TEXT = st.one_of(
    UNICODE,
    st.sampled_from(['"', "\\", '","a":null', '{"a":null,', "\x00\x1f\x7f", "null", "😀é\u2028", "{}", '"}', ""]),
)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False).map(str).filter(lambda text: "E" not in text.upper())
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
RAW = st.one_of(
    NUMBERS,
    st.lists(DOCUMENTS, max_size=3).map(json.dumps),
    st.lists(DOCUMENTS, max_size=2).map(lambda value: json.dumps(value, indent=1, ensure_ascii=False)),
    st.just("null"),
)
PAYLOAD = {
    "a": (pl.String, TEXT),
    "b": (pl.Boolean, st.booleans()),
    "big": (pl.UInt64, st.integers(0, 2**64 - 1)),
    "c": (pl.String, TEXT),
    "f": (pl.Float64, st.floats(allow_nan=False, allow_infinity=False)),
    "n": (pl.Int64, st.integers(-(2**63), 2**63 - 1)),
    "r": (pl.String, RAW),
    "!c": (pl.String, st.just("null")),
}  # fmt: skip
ENVELOPE = {
    "@eid": pl.String,
    "@date": pl.Int64,
    "@brand": pl.String,
    "@user": pl.String,
    "@type": pl.String,
    "@key": pl.String,
    "@player": pl.UInt64,
    "@row": pl.UInt32,
}


@st.composite
def some_events(draw, least=1):
    """Events with any of the payload columns in any order, each with or without NULLs."""
    names = draw(st.lists(st.sampled_from(sorted(PAYLOAD)), unique=True))
    values = {name: st.none() | PAYLOAD[name][1] if draw(st.booleans()) else PAYLOAD[name][1] for name in names}
    rows = draw(st.lists(st.fixed_dictionaries({"@brand": TEXT, "@user": TEXT, **values}), min_size=least, max_size=6))
    return made(rows, {name: PAYLOAD[name][0] for name in names})


def made(rows, payload, raw=frozenset({"r", "!c"})):
    """Events of these rows, the envelope filled where it is not given."""
    full = [
        {"@eid": f"00000000-0000-8000-8000-{place:012d}", "@date": 1_717_508_861_954 + place, "@brand": "b", "@user": "u",
         "@type": "t", "@key": "k", "@player": 7, "@row": place, **row}
        for place, row in enumerate(rows)
    ]  # fmt: skip
    return Events(pl.DataFrame(full, schema=ENVELOPE | payload), raw & frozenset(payload))


def reference(events):
    """What the ingest API's page says, one event at a time."""
    return [
        {
            "eid": row["@eid"], "event_date": row["@date"], "ext_brand_id": row["@brand"], "user_ext_id": row["@user"],
            "event_type": row["@type"],
            "payload": {
                name: exact(value) if name in events.raw else Decimal(repr(value)) if isinstance(value, float) else value
                for name, value in row.items() if not name.startswith("@") and value is not None
            },
        }
        for row in events.frame.iter_rows(named=True)
    ]  # fmt: skip


def exact(text):
    """JSON with no digit lost."""
    return json.loads(text, parse_float=Decimal)


@given(some_events())
def test_a_body_says_exactly_what_the_events_hold(events):
    """Any text, number, NULL and raw JSON arrives as it is: nothing lost, nothing rounded, nothing added."""
    assert exact(encode(events).decode()) == reference(events)


@given(some_events())
def test_a_property_comes_at_most_once_and_in_column_order(events):
    """No property is doubled, and the order on the wire is that of the columns."""

    def ordered(pairs):
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    columns = [name for name in events.frame.columns if name not in ENVELOPE]
    for event in json.loads(
        encode(Events(events.frame.drop("r", strict=False), events.raw - {"r"})), object_pairs_hook=ordered
    ):
        assert list(event["payload"]) == [name for name in columns if name in event["payload"]]


def test_amounts_keep_their_digits():
    """A raw number reaches the wire with every digit the database printed, trailing zeros included."""
    body = encode(made([{"r": "12345678901234567890.1234567890"}, {"r": "0.10"}], {"r": pl.String}))
    assert b'"payload":{"r":12345678901234567890.1234567890}}' in body
    assert b'"payload":{"r":0.10}}' in body


def test_no_events_make_an_empty_array():
    """An empty frame is an empty array, and asks for no request."""
    nothing = made([], {"a": pl.String})
    assert encode(nothing) == b"[]"
    assert batches(nothing, 10, 1000) == ([], [])


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 9))
def test_one_player_keeps_order_over_the_parts(players, most):
    """No part is too large, none is empty, no event is lost, and each player's events follow each other in order."""
    events = made([{"@player": player * 2**61} for player in players], {})
    cut = parts(events, most)
    assert all(0 < len(part) <= most for part in cut)
    rows = [row for part in cut for row in part.frame.select("@player", "@row").iter_rows()]
    for player in set(players):
        expected = [row for row, owner in enumerate(players) if owner == player]
        assert [row for owner, row in rows if owner == player * 2**61] == expected
    assert len(rows) == len(players)


@pytest.mark.parametrize("players", [3_000, 15_000, 2**40])
def test_the_requests_of_a_full_page_are_full(players):
    """The API limits requests, so at least 95 % of what they may hold is used, however many players there are."""
    drawn = Random(players)
    frame = pl.DataFrame(
        {"@player": [drawn.getrandbits(64) % players * 0x9E3779B97F4A7C15 % 2**64 for _ in range(20_000)]}
    )
    cut = parts(Events(frame.cast(pl.UInt64), frozenset()), 1000)
    assert sum(len(part) for part in cut) == 20_000
    assert 20_000 / len(cut) >= 950


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 300)), max_size=30), st.integers(1, 9), st.integers(200, 900)
)
def test_every_request_stays_within_the_bytes(rows, most, most_bytes):
    """No body is larger than allowed; an event that is larger alone is handed back; the rest goes, in a player's order."""
    events = made([{"@player": player, "a": "é" * (size // 2)} for player, size in rows], {"a": pl.String})
    ready, large = batches(events, most, most_bytes)
    assert all(len(batch.body) <= most_bytes and 0 < len(batch.events) <= most for batch in ready)
    assert all(batch.body == encode(batch.events) for batch in ready)
    assert all(len(one) == 1 and len(encode(one)) > most_bytes for one in large)
    sent = [row for batch in ready for row in batch.events.frame.select("@player", "@row").iter_rows()]
    for player in range(4):
        order = [row for owner, row in sent if owner == player]
        assert order == sorted(order)
    assert sorted([row for _, row in sent] + [one.frame["@row"].item() for one in large]) == list(range(len(rows)))


@pytest.mark.parametrize("name", ["a.b", "_x", "A1"])
def test_property_names_stand_as_they_are(name):
    """Dots, digits and underscores in a property's name reach the wire."""
    assert json.loads(encode(made([{name: "v"}], {name: pl.String})))[0]["payload"] == {name: "v"}
