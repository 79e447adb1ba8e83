"""The catalogue as data: what every other room relies on."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from smartico_sync.catalogue.columns import CURSOR
from smartico_sync.catalogue.events import EVENTS, NEVER_SENT, creates_user, never_sent
from smartico_sync.catalogue.kinds import KINDS, kind
from smartico_sync.catalogue.properties import (
    MANAGED,
    NAME_PATTERN,
    PROPERTIES,
    PropertyType,
    is_managed,
    property_type,
)

KIND_NAMES = [
    "users",
    "deposits",
    "deposits_failed",
    "withdrawals",
    "withdrawals_requested",
    "payments",
    "casino_bets",
    "casino_wins",
    "casino_bets_and_wins",
    "casino_rounds",
    "sport_bets_open",
    "sport_bets_settled",
    "sport_bets",
    "sport_selections_open",
    "sport_selections_settled",
    "sport_selections",
    "bonuses",
    "lottery_ticket",
    "lottery_settlement",
    "trade_open",
    "trade_close",
    "retail_purchase",
    "login",
    "game_session",
    "custom",
]


def test_every_kind_of_the_contract_exists():
    """A `kind:` of the documentation is a kind of the catalogue, and none is there besides."""
    assert list(KINDS) == KIND_NAMES
    assert all(kind(name).name == name for name in KIND_NAMES)


@pytest.mark.parametrize("name", KIND_NAMES)
def test_a_kind_sends_only_known_events_and_known_properties(name):
    """No kind invents an event type, or a property whose type it does not say, or sends one that Smartico computes.

    A template is a kind of a vertical that Smartico has no events for: its event type is its name.
    """
    known = kind(name)
    assert set(known.event_types.values()) <= ({name} if known.since == "template" else set(EVENTS))
    assert not any(never_sent(event) for event in known.event_types.values())
    columns = (*known.columns, *(pair for role in known.roles.values() for pair in role.columns))
    assert {target for _, target in columns} <= (set(PROPERTIES) | set(known.types)) - MANAGED
    assert not any(is_managed(target) for _, target in columns)
    assert {target for role in known.roles.values() for target in role.needs} <= {target for _, target in columns}
    assert known.hidden >= MANAGED | {"ext_brand_id", "user_ext_id", "dt_update"}


@pytest.mark.parametrize("name", KIND_NAMES)
def test_a_column_fills_at_most_one_property(name):
    """A view column has one meaning, in rows of each role."""
    known = kind(name)
    for role in ("", *known.row_roles):
        columns = [column for column, _ in (*known.columns, *known.row_role(role).columns)]
        assert len(columns) == len(set(columns))


@pytest.mark.parametrize("name", KIND_NAMES)
def test_a_column_named_like_the_payload_wins(name):
    """A view that names its columns like the payload needs no mapping, and no other column overrides it."""
    known = kind(name)
    first = {}
    for column, target in known.columns:
        first.setdefault(target, column)
    assert all(target == column for target, column in first.items())


@pytest.mark.parametrize(
    ("name", "columns", "target"),
    [
        ("deposits", ["transaction_id", "id"], "acc_last_transaction_id"),
        ("withdrawals", ["withdrawal_amount", "amount"], "acc_last_withdrawal_amount"),
        ("casino_bets", ["game_id", "game_name"], "casino_last_bet_game_name"),
        ("casino_wins", ["game_category_id", "game_category"], "casino_last_bet_game_type"),
        ("casino_rounds", ["game_provider_id", "game_provider"], "casino_last_bet_game_provider"),
        ("casino_bets_and_wins", ["bet_id", "id"], "casino_last_bet_id"),
        ("casino_bets", ["bet_amount_real", "amount_real"], "casino_last_bet_amount_real"),
        ("casino_wins", ["win_amount_bonus", "amount_bonus"], "casino_last_win_amount_bonus"),
        ("deposits", ["total_balance"], "acc_total_balance"),
        ("deposits", ["deposit_amount", "amount"], "acc_last_deposit_amount"),
        ("sport_bets_open", ["bet_amount", "stake"], "sport_last_bet_amount"),
        ("sport_bets_settled", ["win_amount", "payout", "total_return"], "sport_last_bet_win_amount"),
        ("sport_bets_settled", ["status", "bet_state", "settlement_status"], "sport_last_bet_status"),
        ("sport_selections_open", ["league", "tournament_name", "championship"], "sport_last_selection_league"),
        ("sport_selections_settled", ["settlement_status", "leg_status"], "sport_last_selection_settlement_status"),
    ],
)
def test_fallbacks_come_in_the_documented_order(name, columns, target):
    """The preferred column comes before the one it falls back to."""
    assert [column for column, to in kind(name).columns if to == target][1:] == columns


def test_bets_and_wins_carry_two_event_types():
    """One view of bets and wins becomes two kinds of events."""
    assert kind("casino_bets_and_wins").event_types == {
        "bet": "casino_bet", "win": "casino_win", "bet_rollback": "casino_bet", "win_rollback": "casino_win",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "role", "columns"),
    [
        ("payments", "deposit", {"amount": "acc_last_deposit_amount", "method": "acc_last_deposit_payment_method"}),
        ("payments", "withdrawal_requested", {"amount": "acc_last_withdrawal_amount"}),
        ("casino_bets_and_wins", "bet_rollback", {"amount": "casino_last_bet_amount"}),
        (
            "casino_bets_and_wins",
            "win",
            {"amount": "casino_last_win_amount", "amount_real": "casino_last_win_amount_real"},
        ),
        ("bonuses", "completed", {"amount": "acc_last_bonus_release_amount"}),
    ],
)
def test_one_amount_serves_each_role(name, role, columns):
    """What a column of a ledger means hangs on what the row is."""
    assert columns.items() <= dict(kind(name).row_role(role).columns).items()


def test_what_is_final_is_dated_when_it_became_final():
    """Neither a settled bet nor a paid withdrawal is ever dated by its placement or request, where something else says it."""
    settled = (kind("sport_bets_settled").event_date, kind("sport_bets").row_role("settled").event_date,
               kind("sport_selections_settled").event_date, kind("sport_selections").row_role("settled").event_date)  # fmt: skip
    assert all(
        dates[-1] == CURSOR and not {"bet_date", "placed_at", "transaction_date"} & set(dates) for dates in settled
    )
    for dates in (kind("withdrawals").event_date, kind("payments").row_role("withdrawal").event_date):
        assert dates.index("dt_finalized") < dates.index(CURSOR) < dates.index("transaction_date")


def test_default_keys():
    """Players are known by brand and id, transactions by their own id; custom views say theirs."""
    assert kind("users").key[0] == ("ext_brand_id", "user_ext_id")
    assert kind("deposits").key[0] == ("transaction_id",)
    assert kind("deposits").key[-1] == ("id",)
    assert kind("custom").key == ()


@pytest.mark.parametrize(
    ("name", "there", "key"),
    [
        ("casino_bets", {"bet_id", "round_id"}, ("bet_id",)),
        ("casino_bets_and_wins", {"bet_id", "transaction_id", "id"}, ("transaction_id",)),
        ("casino_wins", {"bet_id", "id"}, ("id",)),
        ("sport_bets_open", {"bet_id", "id", "transaction_id"}, ("bet_id",)),
        ("sport_bets_settled", {"bet_id", "settlement_date"}, ("bet_id", "settlement_date")),
        ("sport_bets_settled", {"bet_id", "settlement_date", "id"}, ("id",)),
        ("sport_bets_settled", {"bet_id"}, ("bet_id",)),
        ("sport_selections_open", {"bet_id", "selection_id", "id"}, ("bet_id", "selection_id")),
        (
            "sport_selections_settled",
            {"bet_id", "selection_id", "settled_at"},
            ("bet_id", "selection_id", "settled_at"),
        ),
    ],
)
def test_the_id_of_the_transaction_goes_before_the_id_of_what_it_is_about(name, there, key):
    """A round has many bets and a slip is settled again: what may be given twice is a key only where nothing better is."""
    assert next(each for each in kind(name).key if set(each) <= there) == key


def test_a_profile_may_be_spread_over_several_views():
    """One view needs only the player's id; what Smartico requires may come from any view of the kind."""
    assert kind("users").required == (("user_ext_id",),)
    assert set(kind("users").expected) <= set(PROPERTIES) - MANAGED
    assert "core_wallet_currency" in kind("users").expected


def test_only_profiles_create_players():
    """Everything but a profile needs a player that exists."""
    assert [name for name in EVENTS if creates_user(name)] == ["update_profile"]
    assert not creates_user("lottery_ticket_bought")
    assert [name for name, known in KINDS.items() if known.role == "profile"] == ["users"]


@pytest.mark.parametrize(
    "name",
    [
        "ach_level",
        "minigame_win",
        "tournament_x",
        "core_bonus_given",
        "gf_a",
        "core_fav_game_update",
        "jp_win",
        "raf_x",
        "core_fin_stats_update",
        "core_language_changed",
    ],
)
def test_smarticos_own_events_are_never_sent(name):
    """What Smartico produces itself is recognised by name or prefix."""
    assert never_sent(name)


def test_never_sent_does_not_reach_too_far():
    """Names that only resemble a pattern stay free."""
    assert not any(never_sent(name) for name in (*EVENTS, "achievement", "core_bonus_given_2", "my_gf_x"))
    assert len(NEVER_SENT) == 17


def test_properties_are_well_formed():
    """Each name fits the wire, each type is a known word, each pattern compiles."""
    for name, known in PROPERTIES.items():
        assert name == known.name
        assert re.fullmatch(NAME_PATTERN, name)
        assert known.type in get_args(PropertyType)
        re.compile(known.pattern)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acc_last_deposit_amount", "number"),
        ("acc_last_deposit_date", "date"),
        ("casino_last_bet_dt", "date"),
        ("casino_last_bet_id", "string"),
        ("sport_last_bet_selection_count", "integer"),
        ("core_is_sms_disabled_by_platform", "boolean"),
        ("core_is_push_disabled_by_platform", "boolean"),
        ("core_is_whatsapp_disabled", "boolean"),
        ("core_external_markers2", "array"),
        ("core_external_segment", "array"),
        ("core_custom_prop20", "string"),
        ("core_ftd_date", "date"),
        ("casino_is_rollback", "boolean"),
        ("sport_last_bet_status", "string"),
        ("anything_of_ours", None),
    ],
)
def test_property_types(name, expected):
    """Known properties have a type, custom ones have none."""
    assert property_type(name) == expected


def test_profile_rules():
    """The rules of the documentation: statuses, codes, dates in the past, a currency that stays."""
    assert "SELF_EXCLUDED" in PROPERTIES["core_account_status"].values
    assert re.fullmatch(PROPERTIES["core_user_language"].pattern, "EN")
    assert not re.fullmatch(PROPERTIES["user_country"].pattern, "mt")
    assert PROPERTIES["user_birthdate"].past == "must be past"
    assert PROPERTIES["core_wallet_currency"].change == "immutable"
    assert "core_tags" in MANAGED
    assert PROPERTIES["core_tags"].owner == "smartico"
    assert PROPERTIES["user_birthdate"].dates == "calendar"
    assert PROPERTIES["core_affiliate_id"].otherwise == "core_affiliate_str"
    assert all(re.fullmatch(PROPERTIES["core_wallet_currency"].pattern, code) for code in ("EUR", "mBTC", "USDT"))
    assert not re.fullmatch(PROPERTIES["core_wallet_currency"].pattern, "eur")


@pytest.mark.parametrize("name", ["core_tags", "inbox_last_open_date", "crm_brand_id", "bcat_x", "acc_sc_y", "smr_z"])
def test_what_smartico_computes_is_known_by_name_or_family(name):
    """Properties that Smartico manages are never sent."""
    assert is_managed(name)
    assert not is_managed(f"my_{name}")
