"""Properties of `update_profile` and of the transaction events: their types and rules.

Everything not listed is a custom property: allowed, and sent as the type its column has.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "MANAGED",
    "NAME_PATTERN",
    "PROPERTIES",
    "TRANSACTION_PROPERTIES",
    "Fold",
    "Property",
    "PropertyType",
    "is_managed",
    "property_type",
]

PropertyType = Literal["string", "number", "integer", "boolean", "date", "array", "any"]
Fold = Literal[
    "none",
    "word",  # `Self excluded` is SELF_EXCLUDED
    "code",  # `eur` is EUR
    "language",  # `en-GB` is EN
]

# What a property may be called on the wire; the daemon's own columns begin with "@" and can never collide.
NAME_PATTERN = r"[A-Za-z_][A-Za-z0-9_.]{0,127}"


class Property(Struct, frozen=True):
    """One property.

    `values` are the allowed ones (empty: any); `past`: a date that must lie in the past; `owner`
    smartico: Smartico computes it, it is never sent; `change` immutable: cannot change once set; `pattern`: a regular
    expression the whole value matches (empty: any), `rule` the same in words. `fold`: how a value that breaks the rule may
    be written otherwise and is meant all the same. `dates` calendar: a day, whatever the time of day and its zone.
    `otherwise`: the property for a text that is no value of this one. `since`: how sure we are of name and type.
    """

    name: str
    type: PropertyType
    values: frozenset[str] = frozenset()
    pattern: str = ""
    past: Literal["must be past", "any time"] = "any time"
    owner: Literal["operator", "smartico"] = "operator"
    change: Literal["free", "immutable"] = "free"
    rule: str = ""
    fold: Fold = "none"
    dates: Literal["moment", "calendar"] = "moment"
    otherwise: str = ""
    since: Literal["documented", "observed", "inferred"] = "documented"

    @property
    def form(self) -> str:
        """How a value is written that matches the pattern, in words."""
        return self.rule or f"written as {self.pattern}"


STATUSES = frozenset(
    {"ACTIVE", "BLOCKED", "SUSPENDED", "BANNED", "SELF_EXCLUDED", "DEACTIVATED", "PENDING", "LOCKED", "APPROVED"}
)
GENDERS = frozenset({"MALE", "FEMALE", "F", "M", "UNKNOWN"})
TWO_CAPITALS = r"[A-Z]{2}"  # ISO 639-1 and ISO 3166-1 alpha-2, upper case
CURRENCY = r"[A-Z]{3}|[A-Za-z0-9]{4,}"  # ISO 4217, and the longer names of casinos' coins

PROFILE = (
    Property("core_account_status", "string", values=STATUSES, fold="word"),
    Property("core_registration_date", "date", past="must be past"),
    Property("core_user_language", "string", pattern=TWO_CAPITALS, rule="two capitals such as EN", fold="language"),
    Property(
        "core_wallet_currency", "string", pattern=CURRENCY, rule="a code such as EUR", fold="code", change="immutable"
    ),
    Property("core_username", "string"),
    Property("user_birthdate", "date", past="must be past", dates="calendar"),
    Property("user_country", "string", pattern=TWO_CAPITALS, rule="two capitals such as MT", fold="code"),
    Property("user_email", "string"),
    Property("user_first_name", "string"),
    Property("user_last_name", "string"),
    Property("user_phone", "string"),
    Property("core_affiliate_id", "number", otherwise="core_affiliate_str"),
    Property("core_affiliate_str", "string"),
    Property("core_is_email_disabled_by_platform", "boolean"),
    Property("core_is_sms_disabled_by_platform", "boolean"),
    Property("core_is_push_disabled_by_platform", "boolean"),
    Property("core_is_ivr_disabled", "boolean"),
    Property("core_is_whatsapp_disabled", "boolean"),
    Property("core_user_gender", "string", values=GENDERS, fold="word"),
    Property("core_kyc_status", "string"),
    Property("core_external_markers", "array"),
    Property("core_external_markers2", "array"),
    Property("core_external_segment", "array"),
    *(Property(f"core_custom_prop{number}", "string", since="observed") for number in range(1, 21)),
    Property("core_external_account_status", "string", since="observed"),
    Property("core_campaign", "string", since="observed"),
    Property("core_reg_state", "string", since="observed"),
    Property("core_email_confirmed", "boolean", since="observed"),
    Property("core_phone_confirmed", "boolean", since="observed"),
    Property("core_is_test_account", "boolean", since="observed"),
    Property("acc_bonus_abuser", "boolean", since="observed"),
    Property("core_is_exclude_from_report", "boolean", since="observed"),
    Property("core_ftd_date", "date", since="observed"),
    Property("skip_cjm", "boolean"),
)


def typed(
    kind: PropertyType, *names: str, since: Literal["documented", "observed", "inferred"] = "documented"
) -> Iterable[Property]:
    """Properties without rules but their type."""
    return (Property(name, kind, since=since) for name in names)


def owned(
    kind: PropertyType, *names: str, since: Literal["documented", "observed"] = "documented"
) -> Iterable[Property]:
    """Properties that Smartico computes."""
    return (Property(name, kind, owner="smartico", since=since) for name in names)


SMARTICO_OWNS = (
    *owned("boolean", "core_is_email_disabled", "core_is_sms_disabled"),
    *owned("array", "core_tags", "core_public_tags", "behaviour_ids", "in_manual_upload_segments"),
    *owned("date", "mail_last_clicked_date", "mail_last_open_date", "core_user_last_time_online"),
    *owned("date", "inbox_last_clicked_date", "inbox_last_open_date", "last_marketing_inbox_sent_date"),
    *owned("any", "core_sm_brand_id", "crm_brand_id", "crm_brand_name", since="observed"),
    *owned("any", "user_to_label_cur_rate", "winb_is_real_money_bet", since="observed"),
)
# Whole families that Smartico computes.
MANAGED_PATTERNS = ("bcat_*", "acc_sc_*", "smr_*")

TRANSACTIONS = (
    *typed("string", "acc_last_transaction_id", "acc_last_deposit_payment_method", "client_action"),
    *typed("date", "acc_last_deposit_date", "acc_last_withdrawal_date"),
    *typed("number", "acc_last_deposit_amount", "acc_last_withdrawal_amount"),
    *typed("number", "acc_real_balance", "acc_bonus_balance", "acc_total_balance"),
    *typed("boolean", "acc_is_rollback", since="observed"),
    *typed("string", "acc_last_bonus_code", "acc_last_bonus_type", since="observed"),
    *typed("date", "acc_last_bonus_complete_date", since="observed"),
    *typed("number", "acc_last_bonus_release_amount", since="observed"),
    *typed("string", "casino_last_bet_id", "casino_last_bet_game_name", "casino_last_bet_game_type"),
    *typed("string", "casino_last_bet_game_provider"),
    *typed("string", "casino_last_bet_game_vendor", since="observed"),
    *typed("date", "casino_last_bet_dt"),
    *typed("number", "casino_last_bet_amount", "casino_last_bet_amount_real", "casino_last_bet_amount_bonus"),
    *typed("number", "casino_last_win_amount", "casino_last_win_amount_real", "casino_last_win_amount_bonus"),
    *typed("boolean", "casino_is_rollback", "casino_is_free_bet", since="observed"),
    *typed("string", "sport_last_bet_id", "sport_last_bet_type", since="observed"),
    *typed("string", "sport_last_bet_status", since="inferred"),
    *typed("string", "sport_match_id", "sport_last_selection_id", since="observed"),
    *typed("number", "sport_last_bet_amount", "sport_last_bet_amount_real", since="observed"),
    *typed("number", "sport_last_bet_amount_bonus", since="inferred"),
    *typed("number", "sport_last_bet_win_amount_real", since="observed"),
    *typed("number", "sport_last_bet_win_amount", "sport_last_bet_win_amount_bonus", since="inferred"),
    *typed("number", "sport_last_bet_odds", since="inferred"),
    *typed("integer", "sport_last_bet_selection_count", since="observed"),
    *typed("boolean", "sport_is_rollback", since="observed"),
    *typed("number", "sport_last_selection_odds", since="observed"),
    *typed("string", "sport_last_selection_league", "sport_last_selection_market", since="observed"),
    *typed("string", "sport_last_selection_outcome", "sport_last_selection_sport_type", since="observed"),
    *typed("string", "sport_last_selection_home_team", "sport_last_selection_away_team", since="observed"),
    *typed("string", "sport_last_selection_settlement_status", since="observed"),
)

PROPERTIES: dict[str, Property] = {known.name: known for known in (*PROFILE, *SMARTICO_OWNS, *TRANSACTIONS)}

TRANSACTION_PROPERTIES: frozenset[str] = frozenset(known.name for known in TRANSACTIONS)
MANAGED: frozenset[str] = frozenset(known.name for known in SMARTICO_OWNS)


@lru_cache(maxsize=4096)
def is_managed(name: str) -> bool:
    """Whether Smartico computes the property itself, so that it is never sent."""
    return name in MANAGED or any(fnmatchcase(name, pattern) for pattern in MANAGED_PATTERNS)


def property_type(name: str) -> PropertyType | None:
    """Tell the type Smartico expects of a property; None for a custom one."""
    known = PROPERTIES.get(name)
    return known.type if known else None
