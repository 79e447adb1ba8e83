"""Rows become events, or say why not."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from smartico_sync.catalogue.kind import CONSUMED
from smartico_sync.catalogue.kinds import KINDS, kind
from smartico_sync.catalogue.properties import PROPERTIES
from smartico_sync.core.batches import encode
from smartico_sync.core.mapping import events, keys_of
from smartico_sync.core.planning import plan
from smartico_sync.core.relation import Column, Relation
from smartico_sync.core.view_mapping import Options

DTYPES = {
    "integer": pl.Int64, "decimal": pl.String, "float": pl.Float64, "text": pl.String, "boolean": pl.Boolean,
    "timestamp": pl.Datetime("us"), "instant": pl.Datetime("us", "UTC"), "date": pl.Date, "uuid": pl.String,
    "json": pl.String, "array": pl.String, "binary": pl.Binary, "other": pl.String,
}  # fmt: skip
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
MOMENT_MS = 1_767_323_045_678
BASE = {"ext_brand_id": "text", "user_ext_id": "integer", "dt": "instant"}
ROW = {"ext_brand_id": "b", "user_ext_id": 7, "dt": MOMENT}


def mapped(
    rows,
    families,
    *,
    name="custom",
    options=None,
    key=("user_ext_id",),
    cursor="dt",
    unreadable=None,
    view="v",
    timezone="UTC",
):
    """Map rows as a source would hand them over; each row is completed by brand, user and cursor."""
    families = BASE | families
    columns = tuple(Column(column, family, family) for column, family in families.items())
    chosen = options or Options(event_type="client_action")
    relation = Relation(
        view,
        cursor,
        keys_of(kind(name), key, columns, chosen.type_column),
        relation=view,
        timezone=timezone,
        columns=columns,
    )
    full = [ROW | row for row in rows]
    wide = {
        column
        for column, family in families.items()
        if family == "integer" and any(isinstance(row.get(column), str) for row in full)
    }
    page = pl.DataFrame(
        full, schema={column: pl.String if column in wide else DTYPES[family] for column, family in families.items()}
    )
    page = page.with_columns(
        pl.col(cursor).cast(pl.String).alias("@cursor"),
        *(pl.col(part).cast(pl.String).alias(f"@key.{place}") for place, part in enumerate(relation.key)),
    )
    if unreadable:
        page = page.with_columns(pl.Series("@unreadable", unreadable, dtype=pl.String))
    planned = plan(view, kind(name), relation, chosen)
    assert planned.problems == ()
    return events(planned, page)


def payload(rows, families, **more):
    """The payloads as the wire has them, numbers exact."""
    done = mapped(rows, families, **more)
    assert done.rejects.is_empty(), done.rejects
    return [event["payload"] for event in json.loads(encode(done.events), parse_float=Decimal)]


def problems(families, *, name="custom", options=None, cursor="dt", drop=()):
    """What the plan finds wrong."""
    columns = tuple(
        Column(column, family, family) for column, family in (BASE | families).items() if column not in drop
    )
    return plan(
        "v", kind(name), Relation("v", cursor, (), relation="v", columns=columns), options or Options(event_type="x")
    ).problems


def as_property(target):
    """Options that send column `x` as that property."""
    return Options(event_type="client_action", columns={"x": target})


ID, BIRTH = "sport_match_id", "user_birthdate"
NUMBER, TEXT, DATE, BOOLEAN, ARRAY, INTEGER = (
    "acc_real_balance", "user_first_name", "core_registration_date", "core_is_sms_disabled_by_platform", "core_external_markers",
    "sport_last_bet_selection_count",
)  # fmt: skip
CONVERSIONS = [
    (NUMBER, "decimal", "12345678901234567890.10", Decimal("12345678901234567890.10")),
    (NUMBER, "decimal", "1E+2", Decimal(100)),
    (NUMBER, "text", "0012.50", Decimal("12.50")),
    (NUMBER, "text", "+1", 1),
    (NUMBER, "text", "-.5", Decimal("-0.5")),
    (NUMBER, "text", "5.", 5),
    (NUMBER, "text", "-0", 0),
    (NUMBER, "integer", 9_007_199_254_740_993, 9_007_199_254_740_993),
    (NUMBER, "integer", "170141183460469231731687303715884105727", 170141183460469231731687303715884105727),
    (NUMBER, "float", 0.1, Decimal("0.1")),
    (NUMBER, "boolean", True, 1),
    (INTEGER, "decimal", "3.000", 3),
    (INTEGER, "integer", 3, 3),
    (INTEGER, "text", "3", 3),
    (INTEGER, "float", 3.0, 3),
    (NUMBER, "text", " 7 ", 7),
    (NUMBER, "decimal", "000123.40", Decimal("123.40")),
    (ID, "float", 7.0, "7"),
    (ID, "float", 1e16, "10000000000000000"),
    (ID, "float", 1e19, "10000000000000000000"),
    (ID, "float", -1e20, "-100000000000000000000"),
    (ID, "float", 123_456_789_012_345_678.0, "123456789012345680"),
    (ID, "decimal", "7.00", "7"),
    (ID, "decimal", "00007", "7"),
    (ID, "decimal", "0000.50", "0.50"),
    (TEXT, "float", 7.5, "7.5"),
    (TEXT, "integer", 5, "5"),
    (TEXT, "decimal", "5.10", "5.10"),
    (TEXT, "boolean", False, "false"),
    (TEXT, "text", "", ""),
    (TEXT, "text", 'a"\\\x00\n😀', 'a"\\\x00\n😀'),
    (TEXT, "uuid", "6a1ed275-bf94-8113-8965-d54a7b5bae25", "6a1ed275-bf94-8113-8965-d54a7b5bae25"),
    (DATE, "instant", MOMENT, MOMENT_MS),
    (DATE, "timestamp", MOMENT.replace(tzinfo=None), MOMENT_MS),
    (DATE, "date", date(1969, 12, 31), -86_400_000),
    (DATE, "integer", MOMENT_MS, MOMENT_MS),
    (DATE, "integer", 1_767_261_600, 1_767_261_600_000),
    (DATE, "integer", -1, -1000),
    (DATE, "decimal", "1767261600.125", 1_767_261_600_125),
    (DATE, "float", 1_767_261_600_125.0, 1_767_261_600_125),
    (DATE, "text", "1767261600", 1_767_261_600_000),
    (DATE, "text", "1767261600123", 1_767_261_600_123),
    (DATE, "text", "2026/01/02", 1_767_312_000_000),
    (DATE, "text", "20260102", 1_767_312_000_000),
    (DATE, "text", "2026-01-02 03:04", 1_767_323_040_000),
    (DATE, "text", " 2026-01-02 03:04:05.678 UTC ", MOMENT_MS),
    (DATE, "text", "2026-01-02 03:04:05.678+00", MOMENT_MS),
    (DATE, "text", "2026-01-02T05:04:05.678 +0200", MOMENT_MS),
    (DATE, "text", "2026-01-02 03:04:05,678", MOMENT_MS),
    (BIRTH, "text", "1990-05-01", 641_520_000_000),
    (BIRTH, "text", "1990-05-01 13:14:15", 641_520_000_000),
    (BIRTH, "text", "1990-05-01T00:00:00+02:00", 641_520_000_000),
    (BIRTH, "text", "19900501", 641_520_000_000),
    (BIRTH, "date", date(1969, 12, 31), -86_400_000),
    (BIRTH, "timestamp", datetime(1990, 5, 1, 23, 59), 641_520_000_000),  # noqa: DTZ001
    (BIRTH, "instant", datetime(1990, 5, 1, 23, 59, tzinfo=UTC), 641_520_000_000),
    (BIRTH, "integer", -86_400, -86_400_000),
    (DATE, "text", "2026-01-02", 1_767_312_000_000),
    (DATE, "text", "2026-01-02T03:04:05.678Z", MOMENT_MS),
    (DATE, "text", "2026-01-02 05:04:05.678+02:00", MOMENT_MS),
    (BOOLEAN, "boolean", False, False),
    (BOOLEAN, "integer", 1, True),
    (BOOLEAN, "decimal", "0", False),
    (BOOLEAN, "text", "T", True),
    (BOOLEAN, "text", "FALSE", False),
    (BOOLEAN, "text", "N", False),
    (BOOLEAN, "text", "on", True),
    (BOOLEAN, "text", "OFF", False),
    (BOOLEAN, "text", " y ", True),
    (BOOLEAN, "decimal", "1.00", True),
    (BOOLEAN, "decimal", "001", True),
    (BOOLEAN, "decimal", "000", False),
    (BOOLEAN, "float", 0.0, False),
    (BOOLEAN, "other", "1", True),
    (ARRAY, "array", '["a", "b"]', ["a", "b"]),
    (ARRAY, "text", '\n[1,\n"x"] ', ["1", "x"]),
    (ARRAY, "json", '[2, 1, 1.50, true, "1"]', ["1", "1.50", "2", "true"]),
    (ARRAY, "json", "[]", []),
    (ARRAY, "json", '["b", null, "a", "b"]', ["a", "b"]),
    (ARRAY, "text", '{VIP,"New, player",NULL}', ["New, player", "VIP"]),
    (ARRAY, "text", "{}", []),
    ("caught_up", "integer", 3, 3),
    ("caught_up", "decimal", "3.20", Decimal("3.20")),
    ("caught_up", "float", 1e300, Decimal("1e300")),
    ("caught_up", "boolean", True, True),
    ("caught_up", "instant", MOMENT, MOMENT_MS),
    ("caught_up", "date", date(2026, 1, 2), 1_767_312_000_000),
    ("caught_up", "uuid", "x", "x"),
    ("caught_up", "other", "(1,2)", "(1,2)"),
    ("caught_up", "json", '{"a":\n {"b": [1.10, null]}}', {"a": {"b": [Decimal("1.10"), None]}}),
    ("caught_up", "json", '"text"', "text"),
    ("caught_up", "array", "[1]", [1]),
]


@pytest.mark.parametrize(("target", "family", "value", "expected"), CONVERSIONS)
def test_a_value_reaches_the_wire_as_its_property_wants_it(target, family, value, expected):
    """Each type of column becomes the JSON type of the property, exactly."""
    got = payload([{"x": value}], {"x": family}, options=as_property(target))[0][target]
    assert (got, isinstance(got, bool), isinstance(got, str)) == (
        expected,
        isinstance(expected, bool),
        isinstance(expected, str),
    )


REFUSED = [
    (NUMBER, "decimal", "NaN"), (NUMBER, "decimal", "Infinity"), (NUMBER, "text", "1,5"), (NUMBER, "text", "0x10"), (NUMBER, "text", "100,10"),
    (NUMBER, "text", "."), (ARRAY, "json", "[NaN]"), (ARRAY, "json", '[{"a": 1}]'), (ARRAY, "json", '["\\ud800"]'), (DATE, "text", "1234567"),
    (BIRTH, "text", "1990-05-00"), (BIRTH, "text", "May"), (NUMBER, "float", float("nan")), (NUMBER, "float", float("-inf")), (INTEGER, "decimal", "3.5"),
    (INTEGER, "float", 2.5), (DATE, "text", "yesterday"), (DATE, "text", "2026-13-01"), (BOOLEAN, "text", "maybe"), (BOOLEAN, "integer", 2),
    (ARRAY, "json", '{"a": 1}'), (ARRAY, "json", "{}"), (ARRAY, "text", "[1,"), (ARRAY, "text", "a, b"), ("caught_up", "json", "{broken"),
    (DATE, "text", "2026-01-02 24:00:00"), (DATE, "text", "2026-01-02 03:04:05 AM"), (DATE, "text", "2026-01-02 03:04:05 Europe/Malta"),
    ("caught_up", "json", '{"a":1}]'), ("caught_up", "json", ""), ("caught_up", "float", float("inf")), ("caught_up", "decimal", "-Infinity"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "family", "value"), REFUSED)
def test_an_unreadable_value_costs_itself_only(target, family, value):
    """What is not required and cannot be read is left out and counted by property; its row goes, and all others."""
    rows = [{"x": None}, {"x": value}, {"x": None}]
    done = mapped(rows, {"x": family}, options=as_property(target))
    assert done.events.frame["@row"].to_list() == [0, 1, 2]
    assert done.events.frame[target].is_null().all()
    assert done.invalid == {target: 1}


@pytest.mark.parametrize(("target", "family", "value"), REFUSED)
def test_a_poison_value_costs_its_row_only(target, family, value):
    """Where it is asked for the row is refused, with column and property, never the value; the rows around it go."""
    options = replace(as_property(target), unreadable="dead_letter")
    done = mapped([{"x": None}, {"x": value}, {"x": None}], {"x": family}, options=options)
    assert done.invalid == {}
    assert done.events.frame["@row"].to_list() == [0, 2]
    assert done.rejects["@row"].to_list() == [1]
    reason = done.rejects["reason"].item()
    assert "x" in reason
    assert target in reason
    assert not str(value).strip() or str(value) not in reason.replace("x", "")


@pytest.mark.parametrize(
    ("target", "family", "value"),
    [(NUMBER, "text", ""), (NUMBER, "text", " "), (INTEGER, "text", ""), (BOOLEAN, "text", ""), (DATE, "text", " "), (ARRAY, "text", ""),
     (DATE, "text", "0000-00-00"), (DATE, "text", "0000-00-00 00:00:00"), (BIRTH, "text", "0000-00-00"), (ARRAY, "json", "null")],
)  # fmt: skip
def test_nothing_is_nothing(target, family, value):
    """Empty text is NULL where no text is wanted, and a zero date is no date: neither sent nor counted."""
    done = mapped([{"x": value}], {"x": family}, options=as_property(target))
    assert done.events.frame[target].to_list() == [None]
    assert done.invalid == {}


@given(st.integers(-(2**63), 2**63 - 1), st.decimals(allow_nan=False, allow_infinity=False))
def test_numbers_are_never_rounded(whole, decimal):
    """Whole numbers beyond 2**53 and decimals of any length arrive digit by digit."""
    got = payload([{"n": whole, "d": str(decimal)}], {"n": "integer", "d": "decimal"})[0]
    assert got["n"] == whole
    assert got["d"] == decimal


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_any_text_is_carried_faithfully(values):
    """Text is text: NUL, quotes, newlines, emoji; NULL is left out and the empty text is not."""
    got = payload([{"x": value} for value in values], {"x": "text"})
    assert got == [{} if value is None else {"x": value} for value in values]


def test_json_null_counts_as_null():
    """JSON's own null is left out, like NULL: the API refuses null."""
    assert payload([{"x": "null"}, {"x": " null\n"}, {"x": "1"}], {"x": "json"}) == [{}, {}, {"x": 1}]


@pytest.mark.parametrize(
    ("family", "value", "expected"),
    [
        ("integer", 7, "7"),
        ("float", 7.0, "7"),
        ("decimal", "7.00", "7"),
        ("text", "7.0", "7.0"),
        ("text", " x", " x"),
        ("uuid", "u", "u"),
    ],
)
def test_a_player_is_named_by_text(family, value, expected):
    """Ids are strings on the wire; numbers without a point, texts untouched."""
    done = mapped([{"user_ext_id": value}], {"user_ext_id": family})
    assert done.events.frame["@user"].to_list() == [expected]


def test_zeros_before_a_number_name_nobody_else():
    """A DECIMAL ZEROFILL prints them: it is the player, and the type of a row, that an INTEGER of another table is."""
    done = mapped([{"player": "00007", "tx": "00027", "bet_id": "1", "amount": "5", "game_id": "g"}], {
        "player": "decimal", "tx": "decimal", "bet_id": "text", "amount": "decimal", "game_id": "text",
    }, name="casino_bets_and_wins", key=("bet_id",), options=Options(
        columns={"player": "user_ext_id"}, type_column="tx", roles={"27": "bet", "45": "win"}
    ))  # fmt: skip
    assert done.events.frame.select("@user", "@type").rows() == [("7", "casino_bet")]


def test_a_row_without_a_player_is_refused():
    """NULL or empty brand or user is nobody."""
    rows = [{"user_ext_id": None}, {"user_ext_id": ""}, {"ext_brand_id": None}, {"ext_brand_id": ""}]
    done = mapped([{"user_ext_id": "x"}, *rows], {"user_ext_id": "text"}, key=("dt",))
    assert done.events.frame["@row"].to_list() == [0]
    assert all("NULL or empty" in reason for reason in done.rejects["reason"])


def test_an_unreadable_row_says_what_the_driver_said():
    """The source's own reason comes first."""
    done = mapped([{}, {"user_ext_id": None}], {}, unreadable=[None, "dt: year 0"], key=("dt",))
    assert done.rejects.rows() == [(1, str(done.rejects["@key"].item()), "dt: year 0", 0)]
    assert len(done.events) == 1


def test_the_date_of_an_event_is_the_first_that_is_there():
    """The configured or the kind's columns in order, the cursor last, in epoch milliseconds."""
    deposits = {"transaction_id": "integer", "transaction_date": "timestamp", "deposit_amount": "decimal"}
    rows = [
        {"transaction_id": 1, "transaction_date": datetime(2025, 1, 1), "deposit_amount": "1"},  # noqa: DTZ001
        {"transaction_id": 2, "deposit_amount": "1"},
    ]
    done = mapped(rows, deposits, name="deposits", options=Options(), key=None)
    assert done.events.frame["@date"].to_list() == [1_735_689_600_000, MOMENT_MS]
    epoch = mapped([{"at": 1_000}], {"at": "integer"}, options=Options(event_type="x", event_date="at"))
    assert epoch.events.frame["@date"].to_list() == [1_000_000]


def test_a_row_that_says_no_date_is_refused():
    """Without any moment there is no event."""
    done = mapped([{"id": 1, "dt": None}], {"id": "integer"}, cursor="id")
    assert "when" in done.rejects["reason"].item()


CASINO = {"bet_id": "text", "tx_type": "text", "bet_date": "instant", "bet_amount": "decimal", "win_amount": "decimal",
          "game_name": "text", "game_id": "text"}  # fmt: skip
MIXED = Options(type_column="tx_type", roles={"BET": "bet", "WIN": "win"})
BET = {
    "bet_id": "r1",
    "tx_type": "BET",
    "bet_date": MOMENT,
    "bet_amount": "1.50",
    "game_name": "Book",
    "game_id": "g",
}


def test_a_column_tells_a_bet_from_a_win():
    """Bet and win of one round are two events with two eids; another value is refused and blocks nothing."""
    rows = [BET, BET | {"tx_type": "WIN", "win_amount": "3"}, BET | {"tx_type": "bonus"}, BET | {"tx_type": None}]
    done = mapped(rows, CASINO, name="casino_bets_and_wins", options=MIXED, key=None)
    assert done.events.frame["@type"].to_list() == ["casino_bet", "casino_win"]
    assert done.events.frame["@eid"].n_unique() == 2
    assert done.rejects["@row"].to_list() == [2, 3]
    assert "tx_type" in done.rejects["reason"][0]


def test_several_columns_of_one_property_fill_in_for_each_other():
    """The first that is not NULL wins, exact also where the columns have different types."""
    rows = [BET, BET | {"game_id": None}]
    done = mapped(rows, CASINO, name="casino_bets_and_wins", options=MIXED, key=None)
    assert done.events.frame["casino_last_bet_game_name"].to_list() == ["g", "Book"]
    options = Options(event_type="x", columns={"i": NUMBER, "d": NUMBER, "f": NUMBER})
    got = payload(
        [{"i": 1}, {"d": "2.50"}, {"f": 0.5}, {}], {"i": "integer", "d": "decimal", "f": "float"}, options=options
    )
    assert [row.get(NUMBER) for row in got] == [1, Decimal("2.50"), Decimal("0.5"), None]
    options = Options(event_type="x", columns={"j": "z", "t": "z"})
    got = payload([{"j": "[1]"}, {"t": 'say "hi"'}], {"j": "json", "t": "text"}, options=options)
    assert [row["z"] for row in got] == [[1], 'say "hi"']


def test_what_is_not_for_the_wire_stays():
    """Envelope, cursor, type column, columns mapped to null and what Smartico manages are no properties."""
    families = {"a": "text", "core_tags": "text", "left": "text", "b": "text"}
    options = Options(event_type="x", columns={"left": None, "b": "core_public_tags"})
    rows = [{"a": "1", "core_tags": "2", "left": "3", "b": "4"}]
    assert payload(rows, families, options=options) == [{"a": "1"}]
    done = mapped([BET], CASINO, name="casino_bets_and_wins", options=MIXED, key=None)
    assert not {"tx_type", "dt"} & set(done.events.frame.columns)


def test_a_reason_column_is_a_property_like_any_other():
    """No name of a view's column gets in the way of the daemon's own."""
    assert payload([{"reason": "r", "part": "p"}], {"reason": "text", "part": "text"}) == [{"reason": "r", "part": "p"}]
    keyless = mapped([{"reason": "r"}, {"reason": "s"}], {"reason": "text"}, key=())
    assert keyless.events.frame["@eid"].n_unique() == 2


def test_nobody_can_try_out_a_phone_number_against_an_event_id():
    """A keyless row is its own key, and its personal columns go into the id under the secret only: the same secret makes
    the same id, another secret another; different rows never share one."""
    rows, families = [{"user_phone": "1"}, {"user_phone": "2"}, {"user_phone": None}], {"user_phone": "text"}

    def ids(secret, blind):
        options = Options(event_type="client_action", blind=frozenset(blind), secret=secret)
        return mapped(rows, families, key=(), options=options).events.frame["@eid"].to_list()

    one, other = b"1" * 32, b"2" * 32
    assert ids(one, {"user_phone"}) == ids(one, {"user_phone"})
    assert len(set(ids(one, {"user_phone"}))) == 3
    assert not set(ids(one, {"user_phone"})[:2]) & set(ids(other, {"user_phone"}))
    assert ids(one, ()) == ids(other, ())


def eids_of(rows, **more):
    return mapped(rows, {"x": "text"}, **more).events.frame["@eid"].to_list()


def test_a_transaction_keeps_its_eid():
    """View, brand, type and key decide it; what else changes in the row does not."""
    first = eids_of([{"x": "a"}])
    assert eids_of([{"x": "b"}]) == first
    assert eids_of([{"x": "a", "user_ext_id": 8}]) != first
    assert eids_of([{"x": "a", "ext_brand_id": "c"}]) != first
    assert eids_of([{"x": "a"}], view="w") != first
    assert eids_of([{"x": "a"}], options=Options(event_type="y")) != first


def test_equal_players_have_equal_hashes():
    """A player is brand and user together, and nothing else."""
    rows = [{}, {}, {"user_ext_id": 8}, {"ext_brand_id": "c"}]
    hashes = mapped(rows, {}, key=("dt",)).events.frame["@player"]
    assert hashes.dtype == pl.UInt64
    assert hashes[0] == hashes[1]
    assert hashes.n_unique() == 3


@pytest.mark.parametrize(
    ("families", "more", "said"),
    [
        ({}, {"drop": ("user_ext_id",)}, "user_ext_id"),
        ({}, {"drop": ("ext_brand_id",)}, "ext_brand_id"),
        ({}, {"drop": ("dt",), "cursor": "id"}, "event_date"),
        ({}, {"options": Options(event_type="x", event_date="missing")}, "missing"),
        ({}, {"options": Options(event_type="x", columns={"missing": "a"})}, "missing"),
        ({}, {"name": "deposits", "options": Options()}, "transaction_id"),
        ({"photo": "binary"}, {}, "photo"),
        (
            {"tx": "binary"},
            {"cursor": "tx", "options": Options(event_type="x", event_date="dt", columns={"tx": None})},
            "its cursor tx is binary",
        ),
        ({"first name": "text"}, {}, "first name"),
        ({'a"b': "text"}, {}, 'a"b'),
        ({"@date": "text"}, {}, "@date"),
        ({NUMBER: "instant"}, {}, NUMBER),
        ({DATE: "boolean"}, {}, DATE),
        (
            {},
            {"options": Options(type_column="tx", roles={"B": "bet", "W": "win"}), "name": "casino_bets_and_wins"},
            "tx",
        ),
    ],
)
def test_a_relation_that_cannot_be_this_kind_is_found_before_it_is_polled(families, more, said):
    """Missing columns, wrong types and names that the wire cannot carry are sentences that name the column."""
    found = problems(families, **more)
    assert any(said in sentence for sentence in found), found


def test_a_constant_brand_replaces_the_column():
    """A view of one brand needs no brand column."""
    options = Options(event_type="x", brand="one")
    assert problems({}, options=options, drop=("ext_brand_id",)) == ()
    assert mapped([{}], {}, options=options).events.frame["@brand"].to_list() == ["one"]


def test_an_empty_page_is_no_events():
    """No rows, no events, no rejects."""
    done = mapped([], {"x": "text"})
    assert (len(done.events), done.rejects.height) == (0, 0)


@pytest.mark.parametrize("unmapped", ["", "send"])
@pytest.mark.parametrize("name", [name for name, known in KINDS.items() if known.role == "transaction"])
def test_columns_that_say_when_are_no_properties(name, unmapped):
    """Whatever the kind, and also where all that means nothing is sent: a moment that was used for the event's date goes nowhere else."""
    known = kind(name)
    dates = {column for role in known.roles.values() for column in role.event_date}.union(
        known.event_date, CONSUMED
    ) - {"@cursor"}
    families = dict.fromkeys((*(column for each in known.required for column in each), *dict(known.columns)), "text")
    families |= dict.fromkeys(dates, "instant") | BASE | {"my_moment": "instant"}
    columns = tuple(Column(column, family, family) for column, family in families.items())
    relation = Relation("v", "dt", (), relation="v", columns=columns)
    roles = {role: role for role in known.row_roles}
    chosen = Options(
        event_type="" if known.event_types else "mine", unmapped=unmapped, event_date="my_moment" if name == "custom" else "",
        type_column="bet_type" if roles else "", roles=roles,
    )  # fmt: skip
    names = {made.name for made in plan("v", known, relation, chosen).properties}
    used = {"my_moment"} if name == "custom" else dates - PROPERTIES.keys()
    if known.since == "template":
        used &= {*known.event_date} - {*known.types}
    assert names.isdisjoint(used)


@pytest.mark.parametrize(("told", "prefix"), [("replace", ""), ("add", "+"), ("sync", "±")])
def test_a_custom_set_is_one_because_arrays_says_so(told, prefix):
    """Its column may be text; what is no set there is left out and counted, and never travels as something else."""
    done = mapped(
        [{"tags": '["b", "a"]'}, {"tags": "gold"}],
        {"tags": "text"},
        name="users",
        options=Options(arrays={"tags": told}, event_date="dt"),
    )
    assert done.events.frame.get_column(f"{prefix}tags").to_list() == ['["a", "b"]', None]
    assert f"{prefix}tags" in done.events.raw
    assert done.invalid == {"tags": 1}
