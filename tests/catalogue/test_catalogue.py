"""The catalogue as data: what every other room relies on."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from smartico_sync.catalogue.events import EVENTS, NEVER_SENT, creates_user, never_sent
from smartico_sync.catalogue.kinds import KINDS, kind
from smartico_sync.catalogue.properties import MANAGED, NAME_PATTERN, PROPERTIES, PropertyType, property_type

KIND_NAMES = [
    "users",
    "deposits",
    "deposits_failed",
    "withdrawals",
    "withdrawals_requested",
    "casino_bets",
    "casino_wins",
    "casino_bets_and_wins",
    "casino_rounds",
    "sport_bets_open",
    "sport_bets_settled",
    "sport_selections_open",
    "sport_selections_settled",
    "bonuses",
    "custom",
]


def test_every_kind_of_the_contract_exists():
    """A `kind:` of the documentation is a kind of the catalogue, and none is there besides."""
    assert list(KINDS) == KIND_NAMES
    assert all(kind(name).name == name for name in KIND_NAMES)


@pytest.mark.parametrize("name", KIND_NAMES)
def test_a_kind_sends_only_known_events_and_known_properties(name):
    """No kind invents an event type or a property, or sends one that Smartico computes."""
    known = kind(name)
    assert set(known.event_types.values()) <= set(EVENTS)
    assert not any(never_sent(event) for event in known.event_types.values())
    assert {target for _, target in known.columns} <= set(PROPERTIES) - MANAGED
    assert known.hidden >= MANAGED | {"ext_brand_id", "user_ext_id", "dt_update"}


@pytest.mark.parametrize("name", KIND_NAMES)
def test_a_column_fills_at_most_one_property(name):
    """A view column has one meaning."""
    columns = [column for column, _ in kind(name).columns]
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
        ("casino_bets", ["bet_amount_real"], "casino_last_bet_amount_real"),
        ("casino_wins", ["win_amount_bonus"], "casino_last_win_amount_bonus"),
        ("deposits", ["total_balance"], "acc_total_balance"),
    ],
)
def test_fallbacks_come_in_the_documented_order(name, columns, target):
    """The preferred column comes before the one it falls back to."""
    assert [column for column, to in kind(name).columns if to == target][1:] == columns


def test_bets_and_wins_carry_two_event_types():
    """One view of bets and wins becomes two kinds of events."""
    assert kind("casino_bets_and_wins").event_types == {"bet": "casino_bet", "win": "casino_win"}


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
    "name", ["ach_level", "minigame_win", "tournament_x", "core_bonus_given", "gf_a", "core_fav_game_update"]
)
def test_smarticos_own_events_are_never_sent(name):
    """What Smartico produces itself is recognised by name or prefix."""
    assert never_sent(name)


def test_never_sent_does_not_reach_too_far():
    """Names that only resemble a pattern stay free."""
    assert not any(never_sent(name) for name in (*EVENTS, "achievement", "core_bonus_given_2", "my_gf_x"))
    assert len(NEVER_SENT) == 9


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
