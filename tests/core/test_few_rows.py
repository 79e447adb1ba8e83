"""A handful of rows is mapped without a query, and many by expressions: the same events come of them, whatever the columns hold."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import get_args

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartico_sync.catalogue.kinds import kind
from smartico_sync.catalogue.properties import PropertyType
from smartico_sync.core.conversion import PLAIN, Hints, conversion, form_of
from smartico_sync.core.diff import diff, nothing_known
from smartico_sync.core.events import EID, PLAYER, POSITION, SEED, USER, Events
from smartico_sync.core.few_rows import made, name, value
from smartico_sync.core.few_texts import FEW
from smartico_sync.core.folding import ALL
from smartico_sync.core.mapping import events, keys_of, steps_for
from smartico_sync.core.part_prints import UNSURE
from smartico_sync.core.planning import plan
from smartico_sync.core.relation import Column, Relation
from smartico_sync.core.row_values import name_of
from smartico_sync.core.view_mapping import Options

MOMENTS = st.one_of(
    st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - made aware where the family is
    st.sampled_from([datetime(1969, 12, 31, 23, 59, 59, 999_999), datetime(2026, 1, 2)]),  # noqa: DTZ001
)
TEXTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        ["", " ", "\x1f", "\u00a0", "é", "a", "7", "1.50", "2026-01-02", "true", "BET", "WIN", "bet", "\x1e,"]
    ),
)
NUMBERS = st.sampled_from(
    ["1.50", "-0", "0.00", "1E+2", "NaN", "Infinity", "007", "", "1.5\n", "-.5", "12345678901234567890.10"]
)
HELD = {
    "text": (TEXTS, pl.String), "decimal": (NUMBERS, pl.String), "uuid": (st.sampled_from(["0e8b", ""]), pl.String),
    "json": (st.sampled_from(["{}", '["a"]', "null", "x"]), pl.String), "array": (st.sampled_from(['["a"]', "x"]), pl.String),
    "integer": (st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1)), pl.Int64),
    "wide": (st.sampled_from(["7", "-0", "99999999999999999999"]), pl.String),
    "float": (st.floats(), pl.Float64), "boolean": (st.booleans(), pl.Boolean),
    "timestamp": (MOMENTS, pl.Datetime("us")), "instant": (MOMENTS.map(lambda at: at.replace(tzinfo=UTC)), pl.Datetime("us", "UTC")),
    "date": (st.dates(date(1950, 1, 1), date(2100, 1, 1)), pl.Date),
}  # fmt: skip
# Columns of every target, and what a database may call them.
USUAL = {
    "users": {
        "core_registration_date": ["instant", "timestamp", "date", "text", "integer"], "user_birthdate": ["date", "instant", "text"],
        "user_country": ["text"], "acc_real_balance": ["decimal", "integer", "float", "text"], "core_username": ["text", "uuid", "decimal"],
        "core_is_sms_disabled_by_platform": ["boolean", "integer", "text"], "core_external_markers": ["array", "text"],
    },
    "casino_bets_and_wins": {
        "tx_type": ["text"], "bet_id": ["text", "integer", "decimal", "float"], "id": ["integer", "text"], "bet_date": ["instant", "date", "text"],
        "bet_amount": ["decimal", "integer", "float"], "win_amount": ["decimal", "integer"], "game_name": ["text"], "game_id": ["text", "integer"],
        "round_id": ["text"], "free": ["boolean", "text"],
    },
    "sport_bets": {
        "tx_type": ["text"], "bet_id": ["text", "integer"], "placed_date": ["instant", "timestamp"], "settled_date": ["instant", "text"],
        "bet_amount": ["decimal"], "win_amount": ["decimal", "float"], "odds": ["decimal"],
    },
    "custom": {"a": [*HELD], "b": [*HELD], "c": [*HELD], "d": [*HELD]},
}  # fmt: skip
ROLES = {"casino_bets_and_wins": {"BET": "bet", "WIN": "win"}, "sport_bets": {"BET": "open", "WIN": "settled"}}
ENVELOPE = {
    "ext_brand_id": ["text"],
    "user_ext_id": ["integer", "text", "decimal", "float"],
    "dt": ["instant", "timestamp"],
}


@st.composite
def pages(draw):
    """A mapping of some kind, and a page of one to three rows that it may have."""
    of_kind = draw(st.sampled_from(sorted(USUAL)))
    families = {column: draw(st.sampled_from(there)) for column, there in (ENVELOPE | USUAL[of_kind]).items()}
    height = draw(st.integers(1, 3))
    held = {}
    for column, family in families.items():
        values, dtype = HELD[family]
        plain = column in ENVELOPE and draw(
            st.sampled_from([True, True, False])
        )  # else hardly any row would be an event
        some = values if plain else st.none() | values
        if column == "tx_type":
            some = st.sampled_from(["BET", "WIN", "x", None])
        held[column] = pl.Series(draw(st.lists(some, min_size=height, max_size=height)), dtype=dtype)
    columns = tuple(
        Column(column, "integer" if family == "wide" else family, "integer" if family == "wide" else family)
        for column, family in families.items()
    )
    roles = ROLES.get(of_kind, {})
    options = Options(
        event_type="client_action" if of_kind == "custom" else "",
        type_column="tx_type" if roles else "",
        roles=roles,
        brand=draw(st.sampled_from(["", "one"])),
    )
    key = keys_of(kind(of_kind), draw(st.sampled_from([("user_ext_id",), ()])), columns, options.type_column)
    planned = plan("v", kind(of_kind), Relation("v", "dt", key, relation="v", columns=columns), options)
    frame = pl.DataFrame(held).with_columns(
        pl.col("dt").cast(pl.String).alias("@cursor"),
        *(pl.col(part).cast(pl.String).alias(f"@key.{place}") for place, part in enumerate(key)),
    )
    return planned, frame


TARGETS = ["string", "number", "integer", "boolean", "date", "array", "any"]
HINTS = [
    PLAIN,
    Hints(day=True),
    Hints(identifier=True),
    Hints(needed=True),
    Hints(identifier=True, needed=True),
    Hints(scale=2),
]


@settings(max_examples=10, deadline=timedelta(seconds=5))
@given(st.data())
def test_a_value_is_the_same_with_a_query_and_without(data):
    """Whatever a column of a family holds, as a property of each target; what has no way of its own says so."""
    for held, (values, dtype) in HELD.items():
        column = Column("x", *["integer" if held == "wide" else held] * 2)
        page = pl.DataFrame(
            {"x": pl.Series(data.draw(st.lists(st.none() | values, min_size=1, max_size=2)), dtype=dtype)}
        )
        for target, hints in product(TARGETS, HINTS):
            maker = value(column, target, dtype, hints)
            found = maker(page) if maker is not None else None
            if found is not None:
                expected = page.select(conversion(column, target, dtype, hints).expr).to_series()
                assert found.alias("x").equals(expected.alias("x"), check_dtypes=True, null_equal=True)


@pytest.mark.parametrize("blank", ["", " ", "\t", "\n", "\x1f", "\u00a0", "\u3000"])
def test_a_blank_text_is_no_value_where_one_is_needed(blank):
    """With a query and without."""
    page = pl.DataFrame({"x": ["a", blank]})
    for family, hints in product(
        ["text", "uuid", "json", "decimal"], [Hints(needed=True), Hints(identifier=True, needed=True)]
    ):
        column = Column("x", family, family)
        maker = value(column, "string", pl.String, hints)
        found = maker(page) if maker is not None else None
        expected = page.select(conversion(column, "string", pl.String, hints).expr).to_series()
        assert found is None or found.alias("x").equals(expected.alias("x"), null_equal=True)


@given(st.lists(st.none() | TEXTS, min_size=1, max_size=3))
def test_a_name_is_the_same_with_a_query_and_without(names):
    """Of a brand or a player; what may be blank is asked for."""
    page, column = pl.DataFrame({"x": pl.Series(names, dtype=pl.String)}), Column("x", "text", "text")
    found = name(column)(page)
    for inked in (frozenset(), {"x"} if found is not None else frozenset()):
        assert found is None or found.equals(page.select(name_of(column, page.schema, inked)).to_series())


@settings(max_examples=15, deadline=timedelta(seconds=5))
@given(pages())
def test_a_handful_of_rows_becomes_the_same_events(drawn):
    """Values, types, ids, reasons and counts; alone, and among many."""
    mapping, few = drawn
    many = events(mapping, pl.concat([few] * (FEW + 1)))
    alone = events(mapping, few)
    there = many.events.frame.filter(pl.col("@row") < few.height)
    assert alone.events.frame.select(there.columns).equals(there)
    assert alone.events.frame.schema == there.schema
    assert alone.events.raw == many.events.raw
    assert alone.rejects.equals(many.rejects.filter(pl.col("@row") < few.height))


@pytest.mark.parametrize("of_kind", [*sorted(ROLES), "users"])
def test_plain_rows_start_no_query(of_kind):
    """As nearly all are: every column of the usual types has a way without one."""
    families = {column: there[0] for column, there in (ENVELOPE | USUAL[of_kind]).items() if there[0] != "array"}
    plain = {
        "text": "BET", "integer": 7, "decimal": "1.50", "boolean": True, "date": date(2026, 1, 2),
        "instant": datetime(2026, 1, 2, tzinfo=UTC),
    }  # fmt: skip
    columns = tuple(Column(column, family, family) for column, family in families.items())
    roles = ROLES.get(of_kind, {})
    options = Options(type_column="tx_type" if roles else "", roles=roles)
    key = keys_of(kind(of_kind), None, columns, options.type_column)
    mapping = plan("v", kind(of_kind), Relation("v", "dt", key, relation="v", columns=columns), options)
    frame = pl.DataFrame(
        {column: pl.Series([plain[family]], dtype=HELD[family][1]) for column, family in families.items()}
    )
    frame = frame.with_columns(
        *(pl.lit("k").alias(f"@key.{place}") for place in range(len(key))), pl.lit("c").alias("@cursor")
    )
    steps = steps_for(mapping, frame)
    asked = [step.name for step in steps.envelope if step.few is None or step.few(frame) is None]
    rows = made(frame, steps.envelope)
    asked += [step.name for step in steps.payload if step.few is None or step.few(rows) is None]
    assert asked == []


PROFILES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["MT", "DE", None]), st.sampled_from([1, 1, 2, None]), st.none() | st.booleans()),
    min_size=1, max_size=3,
)  # fmt: skip


@settings(max_examples=60)
@given(
    PROFILES,
    st.sampled_from(["as it was", "older layout", "nothing", "doubted", "unsure"]),
    st.sets(st.sampled_from(["user_country", "core_is_sms_disabled_by_platform", ALL])),
)
def test_a_handful_of_profiles_is_compared_as_many_are(rows, before, clears):
    """What is sent, what is remembered and what must not change: alone, and beside profiles of others."""
    secret = bytes(range(32))

    def profiles(rows):
        frame = pl.DataFrame(
            [(ord(user), at, user, country, born, on) for at, (user, country, born, on) in enumerate(rows)],
            schema={
                PLAYER: pl.UInt64, POSITION: pl.UInt32, USER: pl.String, "user_country": pl.String, "core_registration_date": pl.Int64,
                "core_is_sms_disabled_by_platform": pl.Boolean,
            }, orient="row",
        )  # fmt: skip
        return Events(frame.with_columns(pl.lit("").alias(EID), pl.col(USER).alias(SEED)))

    others = [(chr(1000 + n), "MT", 1, True) for n in range(FEW)]
    known = nothing_known()
    if before != "nothing":
        first = profiles([(user, "MT", 1, True) for user in "ab"] + others)
        if before == "older layout":
            first = Events(first.frame.drop("core_registration_date"))
        known = diff(first, nothing_known(), secret, "full", clears=clears).upserts.drop("eid")
    if before == "doubted":
        known = known.with_columns(whole=pl.lit(b""), parts=pl.lit(None, pl.Binary))
    if before == "unsure":
        known = known.with_columns(
            pl.concat_str(
                pl.col("parts").bin.slice(0, 8).bin.encode("hex"),
                pl.lit(UNSURE),
                pl.col("parts").bin.slice(16).bin.encode("hex"),
            )
            .str.decode("hex")
            .alias("parts")
        )
    some = known.filter(pl.col("id") < 1000)
    alone = diff(profiles(rows), some, secret, "full", clears=clears)
    many = diff(profiles(rows + others), known, secret, "full", clears=clears)
    of_rows = many.events.frame.filter(pl.col(PLAYER) < 1000)
    assert alone.events.raw == many.events.raw
    assert alone.events.frame.equals(of_rows)
    # What did not change is not sent: under which id it would be means nothing.
    sent = pl.when("changed").then("eid").alias("eid")
    assert alone.states.with_columns(sent).equals(many.states.filter(pl.col("id") < 1000).with_columns(sent))
    assert {name: mask.to_list() for name, mask in alone.moved.items() if mask.any()} == {
        name: mask.to_list()[: alone.events.frame.height] for name, mask in many.moved.items() if mask.any()
    }


@pytest.mark.parametrize("family", HELD)
def test_the_form_of_a_value_is_known_before_its_expression(family):
    of = "integer" if family == "wide" else family
    kinds, every = (
        ("", "tinyint", "bit(1)"),
        (PLAIN, Hints(scale=2), Hints(needed=True, identifier=True), Hints(day=True)),
    )
    for target, declared, hints in product(get_args(PropertyType), kinds, every):
        column, dtype = Column("a", declared, of), pl.Series(dtype=HELD[family][1]).dtype
        assert form_of(column, target, dtype, hints) == conversion(column, target, dtype, hints).form
