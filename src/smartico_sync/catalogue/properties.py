"""Properties of `update_profile` and of the transaction events: their types and rules.

Everything not listed is a custom property: allowed, and sent as the type its column has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MANAGED", "NAME_PATTERN", "PROPERTIES", "Property", "PropertyType", "property_type"]

PropertyType = Literal["string", "number", "integer", "boolean", "date", "array", "any"]

# What a property may be called on the wire; the daemon's own columns begin with "@" and can never collide.
NAME_PATTERN = r"[A-Za-z_][A-Za-z0-9_.]{0,127}"


@dataclass(frozen=True, slots=True)
class Property:
    """One property.

    `values` are the allowed ones (empty: any); `past`: a date that must lie in the past; `owner`
    smartico: Smartico computes it, it is never sent; `change` immutable: cannot change once set; `pattern`: a regular
    expression the whole value matches (empty: any).
    """

    name: str
    type: PropertyType
    values: frozenset[str] = frozenset()
    pattern: str = ""
    past: Literal["must be past", "any time"] = "any time"
    owner: Literal["operator", "smartico"] = "operator"
    change: Literal["free", "immutable"] = "free"


STATUSES = frozenset(
    {"ACTIVE", "BLOCKED", "SUSPENDED", "BANNED", "SELF_EXCLUDED", "DEACTIVATED", "PENDING", "LOCKED", "APPROVED"}
)
GENDERS = frozenset({"MALE", "FEMALE", "F", "M", "UNKNOWN"})
TWO_CAPITALS = r"[A-Z]{2}"  # ISO 639-1 and ISO 3166-1 alpha-2, upper case

PROFILE = (
    Property("core_account_status", "string", values=STATUSES),
    Property("core_registration_date", "date", past="must be past"),
    Property("core_user_language", "string", pattern=TWO_CAPITALS),
    Property("core_wallet_currency", "string", change="immutable"),
    Property("core_username", "string"),
    Property("user_birthdate", "date", past="must be past"),
    Property("user_country", "string", pattern=TWO_CAPITALS),
    Property("user_email", "string"),
    Property("user_first_name", "string"),
    Property("user_last_name", "string"),
    Property("user_phone", "string"),
    Property("core_affiliate_id", "number"),
    Property("core_affiliate_str", "string"),
    Property("core_is_email_disabled_by_platform", "boolean"),
    Property("core_is_sms_disabled_by_platform", "boolean"),
    Property("core_user_gender", "string", values=GENDERS),
    Property("core_kyc_status", "string"),
    Property("core_external_markers", "array"),
    Property("skip_cjm", "boolean"),
)

SMARTICO_OWNS = (
    Property("core_is_email_disabled", "boolean", owner="smartico"),
    Property("core_is_sms_disabled", "boolean", owner="smartico"),
    Property("core_tags", "array", owner="smartico"),
    Property("core_public_tags", "array", owner="smartico"),
    Property("behaviour_ids", "array", owner="smartico"),
    Property("in_manual_upload_segments", "array", owner="smartico"),
    Property("mail_last_clicked_date", "date", owner="smartico"),
    Property("core_user_last_time_online", "date", owner="smartico"),
)


def typed(kind: PropertyType, *names: str) -> Iterable[Property]:
    """Properties without rules but their type."""
    return (Property(name, kind) for name in names)


TRANSACTIONS = (
    *typed("string", "acc_last_transaction_id", "acc_last_deposit_payment_method", "client_action"),
    *typed("date", "acc_last_deposit_date", "acc_last_withdrawal_date"),
    *typed("number", "acc_last_deposit_amount", "acc_last_withdrawal_amount"),
    *typed("number", "acc_real_balance", "acc_bonus_balance", "acc_total_balance"),
    *typed("string", "casino_last_bet_id", "casino_last_bet_game_name", "casino_last_bet_game_type"),
    *typed("string", "casino_last_bet_game_provider"),
    *typed("date", "casino_last_bet_dt"),
    *typed("number", "casino_last_bet_amount", "casino_last_bet_amount_real", "casino_last_bet_amount_bonus"),
    *typed("number", "casino_last_win_amount", "casino_last_win_amount_real", "casino_last_win_amount_bonus"),
    *typed("string", "sport_last_bet_id", "sport_last_bet_type", "sport_match_id", "sport_last_selection_id"),
    *typed("number", "sport_last_bet_amount", "sport_last_bet_amount_real", "sport_last_bet_win_amount_real"),
    *typed("integer", "sport_last_bet_selection_count"),
    *typed("number", "sport_last_selection_odds"),
    *typed("string", "sport_last_selection_league", "sport_last_selection_market", "sport_last_selection_outcome"),
    *typed("string", "sport_last_selection_sport_type", "sport_last_selection_settlement_status"),
    *typed("string", "sport_last_selection_home_team", "sport_last_selection_away_team"),
)

PROPERTIES: dict[str, Property] = {known.name: known for known in (*PROFILE, *SMARTICO_OWNS, *TRANSACTIONS)}

MANAGED: frozenset[str] = frozenset(known.name for known in SMARTICO_OWNS)


def property_type(name: str) -> PropertyType | None:
    """Tell the type Smartico expects of a property; None for a custom one."""
    known = PROPERTIES.get(name)
    return known.type if known else None
