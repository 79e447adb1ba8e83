"""Which values break a rule of the catalogue, and what each policy does about them."""

from __future__ import annotations

import polars as pl
import pytest

from smartico_sync.core.validation import IMMUTABLE, broken, judged

NOW = 1_700_000_000_000


def profiles(**columns):
    return pl.DataFrame({"@key": [str(row) for row in range(len(next(iter(columns.values()))))], **columns})


@pytest.mark.parametrize(
    ("name", "values", "wrong"),
    [
        ("core_account_status", ["ACTIVE", "active", "GONE", None], [False, True, True, False]),
        ("core_user_gender", ["F", "UNKNOWN", "x"], [False, False, True]),
        ("core_user_language", ["EN", "en", "ENG", "E", "EN\n", ""], [False, True, True, True, True, True]),
        ("user_country", ["MT", "Malta", None], [False, True, False]),
        ("user_birthdate", [NOW, NOW - 1, NOW + 1, None], [False, False, True, False]),
        ("core_registration_date", [0, NOW + 86_400_000], [False, True]),
    ],
)
def test_a_rule_tells_good_values_from_bad_ones(name, values, wrong):
    """Allowed words, two capitals and dates in the past pass, NULL breaks no rule, everything else is found by its row."""
    (found, words) = broken(profiles(**{name: values}), NOW)[name]
    assert found.to_list() == wrong
    assert words


def test_what_has_no_rule_or_is_good_is_not_mentioned():
    """Custom properties and good values are not found."""
    assert broken(profiles(core_account_status=["ACTIVE"], favourite=["anything"], user_email=["x"]), NOW) == {}


@pytest.mark.parametrize("policy", ["report", "omit", "dead_letter"])
def test_a_policy_keeps_leaves_out_or_gives_up(policy):
    """Reported values stay, omitted ones become NULL alone, and a row that is given up has a reason without its value."""
    frame = profiles(core_user_language=["english", "EN", None], user_country=["malta", "MT", "elsewhere"])
    left, reasons = judged(frame, broken(frame, NOW), policy)
    if policy == "omit":
        assert left.rows() == [("0", None, None), ("1", "EN", "MT"), ("2", None, None)]
    else:
        assert left.equals(frame)
    if policy == "dead_letter":
        assert [reason.partition(" must be")[0] if reason else None for reason in reasons] == [
            "core_user_language", None, "user_country",
        ]  # fmt: skip
        assert not any(value in str(reasons.to_list()) for value in ("english", "malta", "elsewhere"))
    else:
        assert reasons is None


def test_the_currency_is_what_can_never_change():
    """The catalogue knows one property that cannot change once set."""
    assert IMMUTABLE == ("core_wallet_currency",)
