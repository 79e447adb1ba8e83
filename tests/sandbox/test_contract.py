"""What makes an event acceptable."""

from __future__ import annotations

import pytest

from smartico_sync.catalogue.events import FUTURE_MS
from smartico_sync.sandbox.contract import Contract

AT = 1_717_508_861_954
NOW = 1_767_323_045_678
BET = {
    "casino_last_bet_id": "b",
    "casino_last_bet_dt": AT,
    "casino_last_bet_amount": 1,
    "casino_last_bet_game_name": "g",
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"eid": 5}, "Field eid failed to parse value of type integer, error: expected a string"),
        ({"eid": ""}, "eid and user_ext_id must not be empty"),
        ({"user_ext_id": 7}, "Field user_ext_id failed"),
        ({"ext_brand_id": None}, "Field ext_brand_id failed to parse value of type null"),
        ({"event_date": "2026-01-01"}, "Field event_date failed to parse value of type string"),
        ({"event_date": 1_717_508_861}, "event_date is not in epoch milliseconds"),
        ({"event_date": 1.5e12}, "Field event_date failed to parse value of type number"),
        ({"event_date": True}, "Field event_date failed to parse value of type boolean"),
        ({"payload": []}, "Field payload failed to parse value of type array"),
        ({"event_type": ""}, "event_type must not be empty"),
        ({"event_type": "ach_level_up"}, "produced by the platform"),
        ({"event_type": "client_action"}, "Property client_action is missing"),
    ],
)
def test_envelope(make, change, reason):
    """Each field of the envelope has its type; the reason names field and type and no value."""
    found = Contract().findings([make(1), make(2) | change])
    assert list(found) == [1]
    assert reason in found[1].reason


@pytest.mark.parametrize("missing", ["eid", "event_date", "ext_brand_id", "user_ext_id", "event_type", "payload"])
def test_missing_field(make, missing):
    """An event without one of the envelope's fields is refused."""
    event = make(1)
    del event[missing]
    assert Contract().findings([event])[0].reason == f"Field {missing} is missing"


@pytest.mark.parametrize(
    ("payload", "wrong"),
    [
        ({"core_is_email_disabled_by_platform": None}, "expected a boolean"),
        ({"core_is_email_disabled_by_platform": 1}, "expected a boolean"),
        ({"user_birthdate": "1980-01-01"}, "expected epoch milliseconds"),
        ({"core_registration_date": 1.5}, "expected epoch milliseconds"),
        ({"casino_last_bet_amount": "1.50"}, "expected a number"),
        ({"casino_last_bet_amount": True}, "expected a number"),
        ({"casino_last_bet_id": 17}, "expected a string"),
        ({"my_own": None}, "expected a value"),
        ({"core_custom_prop1": {"deep": 1}}, "expected a string"),
        ({"+core_account_status": ["x"]}, "expected no operator + on a string"),
        ({"!core_username": "x"}, "expected null"),
        ({"+core_external_markers": "x"}, "expected an array"),
        ({"core_external_markers": "x"}, "expected an array"),
    ],
)
def test_property_types(make, payload, wrong):
    """A property of the wrong type is refused, a null too unless the property is cleared by name."""
    assert wrong in Contract().findings([make(1, "update_profile", payload=payload)])[0].reason


@pytest.mark.parametrize(
    "payload",
    [
        {"!core_username": None, "+core_external_markers": ["a"], "-core_external_markers": []},
        {"user_birthdate": -3_600_000, "core_affiliate_id": 7, "skip_cjm": True},
        {"casino_last_bet_amount": 3, "my_own": 1.5, "my_flag": False, "my_list": ["x"]},
        {"my_own": {"deep": {"er": None}}, "my_list": [{"a": 1}], "+my_list": ["x"]},
        {},
    ],
)
def test_good_payloads(make, payload):
    """Right types, operators and custom properties pass, for known and custom event types."""
    events = [make(1, "update_profile", payload=payload), make(2, "my_custom_event", payload=payload)]
    assert Contract().findings(events) == {}


def test_managed_properties_are_violations(make):
    """A property that Smartico manages is not refused, but noticed."""
    for name in ("core_tags", "+core_tags", "bcat_slots"):
        found = Contract().findings([make(1, "update_profile", payload={name: ["vip"]})])
        assert (found[0].reason, found[0].violation) == ("", f"managed property {name}")


@pytest.mark.parametrize("name", ["core_external_markers", "+core_external_markers2", "-core_external_segment"])
def test_sets_hold_names(make, name):
    """Their items are texts, on the way out of the daemon too; custom sets hold what was agreed."""
    contract = Contract()
    (found,) = contract.findings([make(1, "update_profile", payload={name: ["a", 1]})]).values()
    assert (found.reason, found.violation) == ("", f"{name.lstrip('+-')} holds something else than texts")
    assert contract.findings([make(2, "update_profile", payload={name: ["a"], "my_list": [1]})]) == {}


def test_values_outside_a_closed_list_are_violations(make):
    """Each event is looked at, however many of its shape came before; the value itself is not told."""
    contract = Contract()
    named = [
        make(1, "update_profile", payload={"core_account_status": each}) for each in ("ACTIVE", "Asleep", "BLOCKED")
    ]
    found = contract.findings(named)
    assert list(found) == [1]
    assert (found[1].reason, found[1].violation) == ("", "core_account_status is none of its list")


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ({"core_user_language": "EN"}, {"core_user_language": "english"}, "core_user_language is not "),
        ({"user_country": "MT"}, {"user_country": "mt"}, "user_country is not "),
        ({"core_wallet_currency": "USDT"}, {"core_wallet_currency": "eu"}, "core_wallet_currency is not a code such as EUR"),
    ],
)  # fmt: skip
def test_codes_that_are_written_otherwise_are_violations(make, good, bad, said):
    """ISO codes are held against the catalogue's rule too."""
    found = Contract().findings([make(n, "update_profile", payload=each) for n, each in enumerate((good, bad, good))])
    assert list(found) == [1]
    assert found[1].reason == ""
    assert found[1].violation.startswith(said)


@pytest.mark.parametrize(
    ("event_type", "good", "bad", "said"),
    [
        ("lottery_ticket", {"ticket_id": "t", "amount": 2.5, "lines_count": 3}, {"ticket_id": "t", "amount": "2.5"}, "amount of lottery_ticket is not a number"),
        ("game_session", {"session_id": "s", "started": 1_717_508_861_954}, {"session_id": "s", "started": "2026-01-01"}, "started of game_session is not epoch"),
        ("acc_bonus_approved", {"bonus_id": "7"}, {"bonus_id": 7}, "bonus_id of acc_bonus_approved is not a string"),
        ("my_lottery", {"amount": "2.5"}, None, ""),
    ],
)  # fmt: skip
def test_what_a_kind_of_view_sends_has_its_types(make, event_type, good, bad, said):
    """Properties of the templates are no strangers: another type than the daemon's is noticed."""
    assert Contract().findings([make(1, event_type, payload=good)]) == {}
    if bad is not None:
        (found,) = Contract().findings([make(2, event_type, payload=bad)]).values()
        assert (found.reason, found.violation.startswith(said)) == ("", True)


NEEDS = [
    ("acc_deposit_approved", {"acc_last_transaction_id": "t", "acc_last_deposit_amount": 5, "acc_last_deposit_date": AT}),
    ("acc_withdrawal_approved", {"acc_last_transaction_id": "t", "acc_last_withdrawal_amount": 5, "acc_last_withdrawal_date": AT}),
    ("casino_bet", BET),
    ("sport_bet_selection_open", {"sport_last_bet_id": "s", "sport_last_selection_id": "l"}),
    ("acc_bonus_completed", {"acc_last_bonus_complete_date": AT}),
    ("lottery_ticket", {"ticket_id": "l"}),
]  # fmt: skip


@pytest.mark.parametrize(("event_type", "whole"), NEEDS, ids=[event_type for event_type, _ in NEEDS])
def test_an_event_without_what_its_kind_needs_is_a_violation(make, event_type, whole):
    """The daemon gives such a row up; the sentence names the property. What is empty is missing."""
    assert Contract().findings([make(1, event_type, payload=whole)]) == {}
    for name, value in whole.items():
        bare = {other: kept for other, kept in whole.items() if other != name}
        lacking = [bare, bare | {name: " "}, bare | {name: ""}] if isinstance(value, str) else [bare]
        found = Contract().findings([make(n, event_type, payload=each) for n, each in enumerate(lacking)])
        assert {each.violation for each in found.values()} == {f"{event_type} without {name}"}
        assert len(found) == len(lacking)


@pytest.mark.parametrize(
    "event_type", ["update_profile", "acc_bonus_approved", "acc_withdrawal_completed", "login", "my_event"]
)
def test_events_that_need_nothing_may_hold_nothing(make, event_type):
    """A profile may be spread over several views, and custom events hold what was agreed."""
    assert Contract().findings([make(1, event_type, payload={})]) == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"event_date": 946_684_799_999}, "event_date before the year 2000"),
        ({"event_date": NOW + FUTURE_MS + 1}, "event_date in the future"),
        ({"payload": {"user_birthdate": NOW + FUTURE_MS + 1}}, "user_birthdate in the future"),
        ({"payload": {"core_registration_date": 4_102_444_800_000}}, "core_registration_date in the future"),
    ],
)
def test_moments_that_cannot_be_are_violations(make, change, said):
    """Events before 2000 or ahead of the clock, and what must lie in the past; one within the tolerance is none."""
    contract = Contract(clock_ms=lambda: NOW)
    (found,) = contract.findings([make(1, "update_profile", payload={}) | change]).values()
    assert (found.reason, found.violation) == ("", said)
    fine = {"event_date": NOW + FUTURE_MS, "payload": {"user_birthdate": -3_600_000, "core_registration_date": NOW}}
    assert contract.findings([make(2, "update_profile") | fine, make(3, event_date=946_684_800_000)]) == {}


def test_shapes_are_judged_by_type_each_time(make):
    """A remembered shape never lets another type through."""
    contract = Contract()
    good, bad = make(1, payload=BET), make(2, payload=BET | {"casino_last_bet_amount": "1"})
    assert [list(contract.findings([good, bad, good])) for _ in range(3)] == [[1], [1], [1]]
