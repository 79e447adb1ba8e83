"""What a view's configuration says about columns and rows: other names, roles, what is left out, and how values are read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from core.test_mapping import BASE, MOMENT, MOMENT_MS, ROW, mapped, payload, problems
from smartico_sync.catalogue.kinds import kind
from smartico_sync.core.batches import encode
from smartico_sync.core.conversion import Hints
from smartico_sync.core.mapping import events, keys_of
from smartico_sync.core.planning import plan
from smartico_sync.core.relation import Column, Relation
from smartico_sync.core.view_mapping import Options

DAY = datetime(2026, 1, 4, 10, tzinfo=UTC)
DAY_MS = 1_767_520_800_000
PAYMENT = {"transaction_id": "text", "transaction_date": "instant", "amount": "decimal"}
LEDGER = {"id": "integer", "code": "integer", "amount": "decimal", "game_id": "text", "bet_id": "text"}
ROLES = {"27": "bet", "45": "win", "80": "win", "72": "bet_rollback"}


def dated(rows, families, **more):
    """The events' dates."""
    done = mapped(rows, families, **more)
    assert done.rejects.is_empty(), done.rejects
    return done.events.frame["@date"].to_list()


def reasons(done):
    return done.rejects["reason"].to_list()


# What is unreadable at the source


def test_a_column_that_the_source_could_not_read_costs_itself_only():
    """`@unreadable` names columns: one that is optional is left out and counted, one that is not sent at all says nothing."""
    families = {
        "core_affiliate_id": "integer",
        "note: odd; name": "text",
        "transaction_id": "text",
        "core_ftd_date": "date",
    }
    told = [
        None,
        "core_ftd_date: not a date between 1 and 9999; note: odd; name: not readable as text",
        "core_affiliate_id: not a number",
    ]
    options = Options(columns={"note: odd; name": None})
    done = mapped([{}, {}, {}], families, name="users", options=options, key=("dt",), unreadable=told)
    assert len(done.events) == 3
    assert done.invalid == {"core_ftd_date": 1, "core_affiliate_id": 1}
    strict = Options(columns=options.columns, unreadable="dead_letter")
    done = mapped([{}, {}, {}], families, name="users", options=strict, key=("dt",), unreadable=told)
    assert reasons(done) == ["core_ftd_date: not a date between 1 and 9999", "core_affiliate_id: not a number"]


def test_what_is_required_and_unreadable_costs_the_row():
    """The amount of a deposit, the moment it happened and whose it is must be read, whatever the policy."""
    families = PAYMENT | {"real_balance": "decimal"}
    rows = [{"transaction_id": str(n), "transaction_date": MOMENT, "amount": "5"} for n in range(4)]
    told = [
        "real_balance: not a finite number",
        "amount: not a finite number",
        "transaction_date: not a time",
        "user_ext_id: no number",
    ]
    rows[1]["amount"] = rows[2]["transaction_date"] = rows[3]["user_ext_id"] = None
    done = mapped(rows, families, name="deposits", options=Options(), key=None, unreadable=told)
    assert done.events.frame["@row"].to_list() == [0]
    assert reasons(done) == told[1:]
    assert done.invalid == {"acc_real_balance": 1}


def test_what_is_required_and_missing_costs_the_row():
    """A deposit without an amount is none; the reason names the column. Everything else may be NULL."""
    rows = [{"transaction_id": "1", "transaction_date": MOMENT}, {"transaction_id": "2", "amount": "5"}]
    done = mapped(rows, PAYMENT, name="deposits", options=Options(), key=None)
    assert reasons(done) == ["column amount is NULL, and deposits needs it as acc_last_deposit_amount"]
    assert done.events.frame["acc_last_deposit_date"].to_list() == [MOMENT_MS]


@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_what_is_required_and_empty_is_missing(blank):
    """An id of nothing but blanks names nothing: the row is no event, unless a column that serves as well holds one."""
    families = {
        "bet_id": "text",
        "bet_date": "instant",
        "bet_amount": "decimal",
        "game_id": "text",
        "game_name": "text",
    }
    whole = {"bet_id": "1", "bet_date": MOMENT, "bet_amount": "5", "game_id": "g", "game_name": ""}
    rows = [
        whole,
        whole | {"game_id": blank},
        whole | {"game_id": blank, "game_name": "Book"},
        whole | {"bet_id": blank},
    ]
    done = mapped(rows, families, name="casino_bets", options=Options(), key=("dt",))
    assert done.events.frame["casino_last_bet_game_name"].to_list() == ["g", "Book"]
    assert reasons(done) == [
        "column game_id or game_name is NULL or empty, and casino_bets needs it as casino_last_bet_game_name",
        "column bet_id is NULL or empty, and casino_bets needs it as casino_last_bet_id",
    ]
    nobody = mapped([{"user_ext_id": blank}, {"ext_brand_id": blank}], {"user_ext_id": "text"}, key=("dt",))
    assert reasons(nobody) == ["user_ext_id is NULL or empty", "ext_brand_id is NULL or empty"]


@pytest.mark.parametrize("words", [("true", "false"), ("TRUE", "False"), ("1", "0"), ("Y", "N")])
@pytest.mark.parametrize(
    ("family", "values"),
    [("integer", [1, 0, 7]), ("decimal", ["1.00", "0", "7"]), ("float", [1.0, 0.0, 7.0]), ("boolean", [True, False, None])],
)  # fmt: skip
def test_a_flag_tells_roles_by_true_and_false(family, values, words):
    """Databases without booleans store them as numbers; another number has no role."""
    rows = [{"is_win": value, "bet_id": "1", "amount": "5", "game_id": "g"} for value in values]
    options = Options(type_column="is_win", roles={words[1]: "bet", words[0]: "win"})
    families = {"is_win": family, "bet_id": "text", "amount": "decimal", "game_id": "text"}
    done = mapped(rows, families, name="casino_bets_and_wins", options=options, key=("bet_id",))
    assert done.events.frame["@type"].to_list() == ["casino_win", "casino_bet"]
    assert reasons(done) == ["is_win is none of the configured values"]


def test_an_affiliate_that_is_no_number_is_a_text():
    """`john24` becomes `core_affiliate_str`, unless there is one; nothing is counted as invalid."""
    families = {"core_affiliate_id": "text", "core_affiliate_str": "text"}
    rows = [
        {"core_affiliate_id": "12"},
        {"core_affiliate_id": "john24"},
        {"core_affiliate_id": "x", "core_affiliate_str": "y"},
        {"core_affiliate_id": ""},
    ]
    done = mapped(rows, families, name="users", options=Options(), key=None)
    assert done.events.frame["core_affiliate_id"].to_list() == ["12", None, None, None]
    assert done.events.frame["core_affiliate_str"].to_list() == [None, "john24", "y", None]
    assert done.invalid == {}
    for family in ("text", "integer", "decimal"):
        alone = mapped(rows[:2], {"core_affiliate_id": family}, name="users", options=Options(), key=None)
        assert alone.events.frame["core_affiliate_str"].to_list() == [None, "john24"]
        assert alone.invalid == {}


@pytest.mark.parametrize("dates", [["garbage", None], ["garbage", MOMENT]])
def test_a_moment_that_cannot_be_read_is_not_replaced_by_another(dates):
    """An event dated wrongly is worse than a dead letter."""
    options = Options(event_type="x", event_date="at")
    done = mapped([{"at": dates[0]}], {"at": "text"}, options=options)
    assert reasons(done) == ["column at: not a date, and it says when it happened"]


def test_codes_in_a_flag_arrive():
    """TINYINT(1) holds what it wants: flags for a boolean property, the number for another, text for a text."""
    families = {
        "user_ext_id": "integer",
        "vip": "boolean",
        "core_is_sms_disabled_by_platform": "boolean",
        "core_kyc_status": "boolean",
    }
    # As a source hands over a page in which some value is no boolean.
    done = tinyint(families, [["1", "1", "1"], ["0", "0", "0"], ["3", "3", "3"]])
    got = [event["payload"] for event in json.loads(done_json(done))]
    assert got == [
        {"vip": True, "core_is_sms_disabled_by_platform": True, "core_kyc_status": "1"},
        {"vip": False, "core_is_sms_disabled_by_platform": False, "core_kyc_status": "0"},
        {"vip": 3, "core_kyc_status": "3"},
    ]
    assert done.invalid == {"core_is_sms_disabled_by_platform": 1}


def tinyint(families, rows):
    flags = [name for name, family in families.items() if family == "boolean"]
    columns = tuple(
        Column(name, "tinyint(1)" if family == "boolean" else family, family)
        for name, family in (BASE | families).items()
    )
    relation = Relation("v", "dt", ("user_ext_id",), relation="v", columns=columns)
    page = pl.DataFrame(
        [ROW | dict(zip(flags, row, strict=True)) for row in rows], schema_overrides={"dt": pl.Datetime("us", "UTC")}
    )
    page = page.with_columns(
        pl.col("dt").cast(pl.String).alias("@cursor"), pl.col("user_ext_id").cast(pl.String).alias("@key.0")
    )
    return events(plan("v", kind("users"), relation, Options()), page)


def done_json(done):
    return encode(done.events)


# Names and what goes out


def test_a_player_may_have_another_name():
    """`columns:` may name the envelope, and any column of the kind."""
    options = Options(
        columns={
            "player_id": "user_ext_id",
            "site": "ext_brand_id",
            "sum": "deposit_amount",
            "at": "transaction_date",
            "ref": "transaction_id",
        }
    )
    families = {"player_id": "float", "site": "text", "sum": "decimal", "at": "instant", "ref": "text"}
    rows = [{"player_id": 7.0, "site": "s", "sum": "5", "at": DAY, "ref": "r"}]
    drop = ("user_ext_id", "ext_brand_id")
    assert problems(families, name="deposits", options=options, drop=drop) == ()
    done = mapped(rows, families, name="deposits", options=options, key=("ref",))
    assert done.events.frame.select("@user", "@brand", "@date").rows() == [("7", "s", DAY_MS)]
    assert payload(rows, families, name="deposits", options=options, key=("ref",)) == [
        {"acc_last_transaction_id": "r", "acc_last_deposit_date": DAY_MS, "acc_last_deposit_amount": 5}
    ]


def test_transactions_send_what_they_know():
    """Columns that mean nothing to the kind stay, unless they are asked for; a property of the payload passes by its name."""
    families = PAYMENT | {"internal_note": "text", "risk": "integer", "sport_match_id": "text", "user_email": "text"}
    rows = [
        {
            "transaction_id": "1",
            "transaction_date": MOMENT,
            "amount": "5",
            "internal_note": "n",
            "risk": 3,
            "sport_match_id": "m",
            "user_email": "e",
        }
    ]

    def extra(**more):
        (got,) = payload(rows, families, name="deposits", options=Options(**more), key=None)
        return {name: value for name, value in got.items() if not name.startswith("acc_")}

    assert extra() == {"sport_match_id": "m"}
    assert extra(columns={"risk": "risk_class"}) == {"sport_match_id": "m", "risk_class": 3}
    assert extra(unmapped="send") == {"internal_note": "n", "risk": 3, "sport_match_id": "m", "user_email": "e"}
    assert payload([{"note": "n"}], {"note": "text"}) == [{"note": "n"}]
    assert payload([{"note": "n"}], {"note": "text"}, options=Options(event_type="x", unmapped="omit")) == [{}]


@pytest.mark.parametrize("unmapped", ["", "send"])
def test_dates_that_say_when_are_no_properties(unmapped):
    """What became the event's date does not leak under the column's name."""
    families = {"bet_id": "text", "stake": "decimal", "bet_date": "instant", "settlement_date": "instant"}
    rows = [{"bet_id": "1", "stake": "5", "bet_date": MOMENT, "settlement_date": DAY}]
    options = Options(unmapped=unmapped)
    got = payload(rows, families, name="sport_bets_settled", options=options, key=None)
    assert got == [{"sport_last_bet_id": "1", "sport_last_bet_amount": 5}]
    own = Options(event_type="x", event_date="happened", unmapped=unmapped)
    assert payload([{"happened": DAY}], {"happened": "instant"}, options=own) == [{}]


def test_a_cursor_that_is_the_id_is_sent():
    """The cursor may be what the kind needs: an id, or the moment itself."""
    rows = [{"transaction_id": 7, "transaction_date": MOMENT, "deposit_amount": "5"}]
    families = {"transaction_id": "integer", "transaction_date": "instant", "deposit_amount": "decimal"}
    for cursor in ("transaction_id", "transaction_date"):
        (got,) = payload(rows, families, name="deposits", options=Options(), key=None, cursor=cursor)
        assert got == {"acc_last_transaction_id": "7", "acc_last_deposit_date": MOMENT_MS, "acc_last_deposit_amount": 5}


def test_a_renamed_column_is_found_for_the_key():
    """The default key is known by the names that `columns:` gives; a property's name is no column of the kind."""
    columns = tuple(Column(name, "text", "text") for name in ("player", "site", "ref", "bet", "type"))
    called = {"player": "user_ext_id", "site": "ext_brand_id", "ref": "transaction_id", "bet": "casino_last_bet_id"}
    assert keys_of(kind("users"), None, columns, "", called) == ("site", "player")
    assert keys_of(kind("deposits"), None, columns, "", called) == ("ref",)
    assert keys_of(kind("casino_bets_and_wins"), None, columns, "type", called) == ("ref", "type")
    assert keys_of(kind("casino_bets"), None, columns, "", {"bet": "casino_last_bet_id"}) == ()


# How values are read


def test_amounts_in_cents():
    """`scale:` says how many digits stand behind the point, exactly."""
    options = Options(hints={"amount": Hints(scale=2)})
    for family, values in (
        ("integer", [1250, 5, -7, 0]),
        ("decimal", ["1250", "5", "-7", "0.5"]),
        ("float", [1250.0, 5.0, -7.0, 0.0]),
        ("text", ["1250", "005", "-7", "0"]),
    ):
        rows = [{"transaction_id": str(n), "amount": value} for n, value in enumerate(values)]
        got = payload(rows, PAYMENT | {"amount": family}, name="deposits", options=options, key=None)
        last = Decimal("0.005") if family == "decimal" else 0
        assert [event["acc_last_deposit_amount"] for event in got] == [
            Decimal("12.50"),
            Decimal("0.05"),
            Decimal("-0.07"),
            last,
        ], family


def test_a_list_with_commas_is_a_set_of_names():
    """`split:` makes names of a text, sorted; the same set is the same text."""
    options = Options(columns={"tags": "core_external_markers"}, hints={"tags": Hints(split=",")})
    rows = [{"tags": "b, a ,,b"}, {"tags": '["a","b"]'}, {"tags": ""}, {"tags": "{b,a}"}]
    got = payload(rows, {"tags": "text"}, name="users", options=options, key=None)
    assert got == [{"core_external_markers": ["a", "b"]}] * 2 + [{}] + [{"core_external_markers": ["a", "b"]}]


def test_a_custom_property_has_the_type_that_is_asked_for():
    """A custom property becomes what its column is, or what `type:` says."""
    options = Options(
        event_type="x", types={"vip": "boolean", "tags": "array", "n": "string"}, hints={"tags": Hints(split="|")}
    )
    got = payload(
        [{"vip": "Y", "tags": "b|a", "n": 5}], {"vip": "text", "tags": "text", "n": "integer"}, options=options
    )
    assert got == [{"vip": True, "tags": ["a", "b"], "n": "5"}]


def test_texts_without_a_zone_are_in_the_views_zone():
    """A wall clock in text is that of the zone of the view; one that says its own zone is not."""
    rows = [{"at": "2026-07-01 12:00:00"}, {"at": "2026-07-01T12:00:00Z"}]
    options = Options(event_type="x", event_date="at")
    assert dated(rows, {"at": "text"}, options=options, timezone="Europe/Malta") == [
        1_782_900_000_000,
        1_782_907_200_000,
    ]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Malta", "America/New_York"])
def test_a_birth_date_is_a_calendar_date(zone):
    """Midnight UTC of the wall clock's day, wherever the clock hangs."""
    born = datetime(1990, 5, 1, 0, 30, tzinfo=ZoneInfo(zone))
    utc = born.astimezone(UTC)
    values = {
        "timestamp": utc.replace(tzinfo=None),
        "instant": utc,
        "text": "1990-05-01 00:30:00",
        "integer": int(utc.timestamp()),
    }
    for family, value in values.items():
        got = payload(
            [{"user_birthdate": value}],
            {"user_birthdate": family},
            name="users",
            options=Options(),
            key=None,
            timezone=zone,
        )
        assert got == [{"user_birthdate": 641_520_000_000}], family


# Moments


@pytest.mark.parametrize(
    ("name", "families", "cursor", "expected"),
    [
        ("sport_bets_settled", {"bet_id": "text", "stake": "decimal", "bet_date": "instant", "settled_at": "instant"}, "id", DAY_MS),
        ("sport_bets_settled", {"bet_id": "text", "stake": "decimal", "bet_date": "instant", "changed": "instant"}, "changed", DAY_MS),
        ("sport_selections_settled", {"bet_id": "text", "leg_id": "text", "bet_date": "instant", "ts": "instant"}, "ts", DAY_MS),
        ("withdrawals", {"transaction_id": "text", "amount": "decimal", "transaction_date": "instant", "paid_at": "instant"}, "id", DAY_MS),
        ("withdrawals", {"transaction_id": "text", "amount": "decimal", "transaction_date": "instant", "ts": "instant"}, "ts", DAY_MS),
        ("withdrawals", {"transaction_id": "text", "amount": "decimal", "transaction_date": "instant"}, "id", MOMENT_MS),
        ("withdrawals_requested", {"transaction_id": "text", "amount": "decimal", "transaction_date": "instant", "ts": "instant"}, "ts", MOMENT_MS),
        ("sport_bets_open", {"bet_id": "text", "stake": "decimal", "placed_at": "instant", "settled_at": "instant"}, "id", MOMENT_MS),
        ("casino_wins", {"bet_id": "text", "amount": "decimal", "game_id": "text", "bet_date": "instant", "win_date": "instant"}, "id", DAY_MS),
        ("game_session", {"session_id": "text", "started": "instant", "ended": "instant"}, "id", DAY_MS),
    ],
)  # fmt: skip
def test_an_event_is_dated_when_it_became_what_it_is(name, families, cursor, expected):
    """A settled bet when it was settled, a paid withdrawal when it was paid, never at placement or request."""
    placed = {"bet_date", "placed_at", "transaction_date", "started"}
    values = {"text": "1", "decimal": "5"}
    row = {column: values.get(family, MOMENT if column in placed else DAY) for column, family in families.items()}
    done = mapped(
        [row | {"id": 1}], families | {"id": "integer"}, name=name, options=Options(), key=("id",), cursor=cursor
    )
    assert done.rejects.is_empty(), done.rejects
    assert done.events.frame["@date"].to_list() == [expected]
    if name == "withdrawals":
        assert done.events.frame["acc_last_withdrawal_date"].to_list() == [expected]


@pytest.mark.parametrize(
    ("name", "families"),
    [("sport_bets_settled", {"bet_id": "text", "stake": "decimal", "bet_date": "instant"}),
     ("sport_selections_settled", {"bet_id": "text", "leg_id": "text", "placed_at": "instant"}),
     ("withdrawals", {"transaction_id": "text", "amount": "decimal", "requested_at": "instant"})],
)  # fmt: skip
def test_a_view_that_is_tracked_by_the_placement_is_not_dated_by_it(name, families):
    """Nor by the request: somebody names the column that says when it became final."""
    cursor = list(families)[-1]
    assert any(
        "no column says when" in each
        for each in problems(families, name=name, options=Options(), cursor=cursor, drop=("dt",))
    )
    families |= {"settled_at": "instant", "paid_at": "instant"}
    assert problems(families, name=name, options=Options(), cursor=cursor, drop=("dt",)) == ()


def test_a_settled_bet_without_the_moment_of_settlement_is_told():
    """An id as the cursor and only the moment of the bet: nobody knows when it was settled."""
    found = problems(
        {"bet_id": "text", "stake": "decimal", "bet_date": "instant", "id": "integer"},
        name="sport_bets_settled",
        options=Options(),
        cursor="id",
        drop=("dt",),
    )
    assert found == ("no column says when an event happened: name one with `event_date:`",)


# One table for all


def test_one_ledger_holds_bets_and_wins():
    """Several values a role, one amount column, rollbacks marked, and the rest ignored and counted."""
    rows = [
        {"id": n, "code": code, "amount": str(n), "game_id": "g", "bet_id": str(n)}
        for n, code in enumerate([27, 45, 80, 72, 1, None])
    ]
    options = Options(type_column="code", roles=ROLES, other="ignore", event_date="dt")
    done = mapped(rows, LEDGER, name="casino_bets_and_wins", options=options, key=("id",))
    assert (done.skipped, done.rejects.height) == (2, 0)
    frame = done.events.frame
    assert frame["@type"].to_list() == ["casino_bet", "casino_win", "casino_win", "casino_bet"]
    assert frame["casino_last_bet_amount"].to_list() == ["0", None, None, "3"]
    assert frame["casino_last_win_amount"].to_list() == [None, "1", "2", None]
    assert frame["casino_is_rollback"].to_list() == [None, None, None, True]
    assert frame["casino_last_bet_dt"].to_list() == [MOMENT_MS] * 4
    strict = mapped(
        rows, LEDGER, name="casino_bets_and_wins", options=Options(type_column="code", roles=ROLES), key=("id",)
    )
    assert (strict.skipped, strict.rejects["@row"].to_list()) == (0, [4, 5])


def test_one_ledger_holds_payments():
    """The amount is a deposit's or a withdrawal's, each dated as what it is."""
    roles = {
        "1": "deposit",
        "2": "withdrawal",
        "3": "withdrawal_requested",
        "4": "deposit_failed",
        "5": "withdrawal_cancelled",
    }
    families = {
        "id": "integer",
        "type": "float",
        "amount": "decimal",
        "method": "text",
        "transaction_date": "instant",
        "paid_at": "instant",
    }
    rows = [
        {"id": n, "type": float(n), "amount": "5", "method": "card", "transaction_date": MOMENT, "paid_at": DAY}
        for n in range(1, 6)
    ]
    done = mapped(rows, families, name="payments", options=Options(type_column="type", roles=roles), key=("id",))
    assert done.rejects.is_empty(), done.rejects
    frame = done.events.frame
    assert frame.select("@type", "@date", "acc_last_deposit_amount", "acc_last_withdrawal_amount").rows() == [
        ("acc_deposit_approved", MOMENT_MS, "5", None), ("acc_withdrawal_approved", DAY_MS, None, "5"),
        ("acc_withdrawal_requested", MOMENT_MS, None, "5"), ("acc_deposit_failed", MOMENT_MS, "5", None),
        ("acc_withdrawal_cancelled", DAY_MS, None, "5"),
    ]  # fmt: skip
    assert frame["acc_last_withdrawal_date"].to_list() == [None, DAY_MS, MOMENT_MS, None, DAY_MS]
    assert frame["acc_last_deposit_payment_method"].to_list() == ["card", None, None, "card", None]


def test_one_table_holds_a_sport_bet_through_its_life():
    """Placed, settled, cashed out, taken back: each with its own date."""
    roles = {"O": "open", "S": "settled", "C": "cashout", "R": "rollback"}
    families = {
        "id": "integer",
        "state": "text",
        "slip_id": "text",
        "stake": "decimal",
        "payout": "decimal",
        "placed_at": "instant",
        "settled_at": "instant",
    }
    rows = [
        {"id": n, "state": state, "slip_id": "s", "stake": "5", "payout": "9", "placed_at": MOMENT, "settled_at": DAY}
        for n, state in enumerate(roles)
    ]
    done = mapped(rows, families, name="sport_bets", options=Options(type_column="state", roles=roles), key=("id",))
    assert done.events.frame.select("@type", "@date", "sport_is_rollback").rows() == [
        ("sport_bet_open", MOMENT_MS, None), ("sport_bet_settled", DAY_MS, None), ("sport_bet_settled", DAY_MS, None),
        ("sport_bet_settled", DAY_MS, True),
    ]  # fmt: skip


def test_a_row_without_a_moment_names_the_columns_that_would_say_it():
    """By what the row is: nobody has to look up which of the dates counts for a cash-out."""
    families = {"id": "integer", "state": "text", "bet_id": "text", "stake": "decimal", "settled_at": "instant", "cashout_date": "instant",
                "placed_at": "instant"}  # fmt: skip
    rows = [{"id": n, "state": state, "bet_id": "1", "stake": "5"} for n, state in enumerate(("o", "s", "c"), 1)]
    options = Options(type_column="state", roles={"o": "open", "s": "settled", "c": "cashout"})
    done = mapped(
        [row | {"dt": None} for row in rows], families, name="sport_bets", options=options, key=("id",), cursor="id"
    )
    said = "no column says when it happened: "
    assert reasons(done) == [
        f"{said}placed_at and dt are NULL", f"{said}settled_at is NULL", f"{said}cashout_date and settled_at are NULL",
    ]  # fmt: skip


@pytest.mark.parametrize("typed", ["column", "event_type"])
def test_a_bonus_is_issued_completed_or_cancelled(typed):
    """By a column, or a view for each by its event type."""
    families = {
        "id": "integer",
        "state": "text",
        "bonus_id": "integer",
        "bonus_code": "text",
        "amount": "decimal",
        "completed_at": "instant",
    }
    row = {"id": 1, "state": "DONE", "bonus_id": 9, "bonus_code": "W", "amount": "5", "completed_at": DAY}
    options = (
        Options(type_column="state", roles={"DONE": "completed"})
        if typed == "column"
        else Options(event_type="acc_bonus_completed")
    )
    done = mapped([row], families, name="bonuses", options=options, key=("id",))
    assert done.events.frame.select("@type", "@date", "bonus_id", "acc_last_bonus_release_amount", "acc_last_bonus_complete_date").rows() == [
        ("acc_bonus_completed", DAY_MS, "9", "5", DAY_MS)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("family", "values", "words", "kept"),
    [
        ("boolean", [True, False, None], ("false",), [1, 2]),
        ("integer", [1, 0, None], ("false",), [1, 2]),
        ("text", ["Y", "n", None], ("false",), [1, 2]),
        ("text", ["Y", "n", None], ("true",), [0]),
        ("text", ["a", "b", "c"], ("a", "c"), [0, 2]),
        ("text", ["a", None, "c"], ("a", None), [0, 1]),
        ("decimal", ["7.00", "8", None], ("7",), [0]),
        ("float", [7.0, 8.0, None], ("7",), [0]),
    ],
)
def test_rows_are_left_out_by_what_a_column_holds(family, values, words, kept):
    """`where:` keeps rows of these values; a flag that is NULL is no flag. The others are counted as skipped."""
    done = mapped(
        [{"x": value} for value in values],
        {"x": family},
        options=Options(event_type="e", where={"x": words}),
        key=("dt",),
    )
    assert done.events.frame["@row"].to_list() == kept
    assert (done.skipped, done.rejects.height) == (len(values) - len(kept), 0)


def test_what_cannot_be_judged_is_not_left_out():
    """A row whose `where:` column the source could not read is a dead letter, not silence."""
    done = mapped(
        [{"x": None}, {"x": 1}],
        {"x": "integer"},
        options=Options(event_type="e", where={"x": ("1",)}),
        key=("dt",),
        unreadable=["x: not a number", None],
    )
    assert (done.skipped, reasons(done)) == (0, ["x: not a number"])


def test_a_boolean_may_say_what_a_row_is():
    """`type:` over a flag: 0 and 1, and the words for it."""
    for bet, win in (("0", "1"), ("false", "true"), ("N", "Y")):
        options = Options(type_column="won", roles={bet: "bet", win: "win"})
        rows = [{"won": flag, "bet_id": "1", "game_id": "g", "amount": "5"} for flag in (False, True)]
        done = mapped(
            rows,
            {"won": "boolean", "bet_id": "text", "game_id": "text", "amount": "decimal"},
            name="casino_bets_and_wins",
            options=options,
            key=None,
        )
        assert done.events.frame["@type"].to_list() == ["casino_bet", "casino_win"]


@pytest.mark.parametrize(
    ("families", "more", "said"),
    [
        (LEDGER | {"amount": "text"}, {"options": Options(where={"gone": ("1",)})}, "it has no column gone, which `where:` names"),
        ({"id": "integer", "code": "text", "game_id": "text"}, {"options": Options(type_column="code", roles={"B": "bet"})},
         "it has no column casino_last_bet_amount or bet_amount or"),
    ],
)  # fmt: skip
def test_a_ledger_that_lacks_a_column_is_told(families, more, said):
    """Each role names what its rows need."""
    found = problems(families, name="casino_bets_and_wins", **more)
    assert any(sentence.startswith(said) for sentence in found), found


def test_an_array_may_be_added_to():
    """`arrays: add` sends what the set holds with the operator that adds."""
    options = Options(arrays={"core_external_markers": "add"})
    got = payload(
        [{"core_external_markers": '["a"]'}], {"core_external_markers": "json"}, name="users", options=options, key=None
    )
    assert got == [{"+core_external_markers": ["a"]}]
