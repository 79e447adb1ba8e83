"""What operators call tables, columns and moments, best first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from smartico_sync.catalogue.columns import BALANCES, CASINO, LEG, PAID, SLIP
from smartico_sync.proposal.recipe import Choice, Field

if TYPE_CHECKING:
    from smartico_sync.catalogue.columns import Renames
    from smartico_sync.proposal.recipe import Shape

__all__ = [
    "AMOUNT", "BET_ID", "BONUS_FIELDS", "BRAND", "CASINO_REST", "CASINO_TABLES", "CENTS", "CREATED", "FINAL", "GAME", "GAMES", "ISSUE", "ISSUED", "LEG_IDS", "LEG_REST", "LEG_STATUS", "LEG_TABLES", "METHOD", "MOMENT_OF_BET", "MONEY", "OF_DEPOSITS", "OF_WITHDRAWALS", "OPT_OUTS", "PAYMENT_ID", "PAYMENT_TABLES", "PLACED", "PLAYERS", "PROFILE", "REQUESTED", "SETTLED", "SLIP_ID", "SLIP_OPEN", "SLIP_REST", "SLIP_TABLES", "SPORT", "STAKE", "STATUS", "TEST", "TESTERS", "TIMES", "TYPE", "UPDATED", "USER_TABLES", "WHO",
]  # fmt: skip

PLAYERS = (
    "player_id", "user_id", "customer_id", "client_id", "member_id", "punter_id", "account_id", "playerid", "userid", "player",
    "customer",
)  # fmt: skip
BRAND_WORDS = (
    "brand", "brand_id", "brand_code", "brand_name", "ext_brand", "skin", "skin_id", "site", "site_id", "label", "label_id",
    "operator_id", "tenant_id", "casino_id",
)  # fmt: skip
TEST_WORDS = ("is_test", "is_test_player", "is_test_account", "test_account", "test_player", "is_tester", "test")
BRAND = Field("ext_brand_id", BRAND_WORDS)
TESTERS = ("is_test", "core_is_test_account")
WHO = (Field("user_ext_id", PLAYERS, "must"), BRAND)
TEST = Field("is_test", TEST_WORDS, shape="flag")

CREATED = (
    "created_at", "created", "created_on", "creation_date", "date_created", "created_date", "inserted_at", "ts",
    "timestamp",
)  # fmt: skip
UPDATED = (
    "updated_at", "modified_at", "updated", "last_updated", "changed_at", "last_modified", "updated_on", "modified", "touched_at",
    "touched", "update_date", "date_updated", "modified_date", "dt_update", "updated_date", "loaded_at",
)  # fmt: skip
FINAL = (*PAID, "finalized", "finalised_at", "settled_at", "confirmed_at", "succeeded_at", "success_at")
STATUS = ("status", "state", "payment_status", "transaction_status")
TYPE = ("type", "transaction_type", "payment_type", "tx_type", "kind", "direction", "operation", "action")
AMOUNT = (
    "amount", "sum", "value", "gross_amount", "amount_cents", "amount_in_cents", "amount_minor", "minor_amount",
    "cents",
)  # fmt: skip
NUMBERS = re.compile(r"amount|balance|odds|count")
CENTS = re.compile(r"(?:^|_)(?:cents?|minor)(?:_|$)")  # of a column's own name


def fields(renames: Renames, *but: str) -> tuple[Field, ...]:
    """The catalogue's columns as fields: each by the first name it has, found by any of them."""
    named = tuple((columns or (target,), target) for target, columns in renames)
    return tuple(
        Field(columns[0], (*columns[1:], target), shape=shape(target))
        for columns, target in named
        if columns[0] not in but
    )


def shape(name: str) -> Shape:
    """What a property's values must look like."""
    if NUMBERS.search(name):
        return "number"
    return "flag" if "_is_" in name else "any"


REQUESTED = Field("transaction_date", ("requested_at", "requested", *CREATED), shape="time", reach="own")
METHOD = (
    "payment_method", "method", "payment_method_code", "payment_method_name", "method_name", "method_code",
    "provider",
)  # fmt: skip
PAYMENT_ID = Field("transaction_id", ("payment_id", "deposit_id", "withdrawal_id", "id"), "must", reach="own")
MONEY = tuple(Field(columns[0], (target,), shape="number", reach="own") for target, columns in BALANCES)
PAYMENT_TABLES = r"(?<!casino_)(?<!game_)(?<!bonus_)(?<!sport_)(?:payment|deposit|withdrawal|cashier|banking)s?(?:_(?:transaction|request|order|log))?$|^(?:financial_)?transaction$"
OF_DEPOSITS = Choice(TYPE, "deposit", "deposit")
OF_WITHDRAWALS = Choice(TYPE, "withdrawal", "withdraw|payout|cash_?out")
GAME = (
    Field("game_id", ("game_external_id", "game_ext_id", "game_code", "game_ref", "external_game_id", "game_id")),
    Field("game_name", ("game_title",)),
    Field("game_category", ("game_type", "game_category_name", "category")),
    Field(
        "game_provider",
        ("provider_name", "provider", "game_provider_name", "game_vendor", "vendor_name", "studio_name"),
    ),
)
GAMES = ("game_id", "game_name")
SPORT = ("total_odds", "bet_type", "selection_count", "match_id")
MOMENT_OF_BET = Field(
    "bet_date", ("transaction_date", "placed_at", "transaction_time", *CREATED, "started_at"), "must", "time", "own"
)
CASINO_TABLES = r"(?:casino|game|slot|gaming|round)s?_(?:transaction|bet|tx|action|wager|ledger|win|round|history)$|^(?:bet|win|wager|spin|round)$"
CASINO_REST = fields(
    CASINO,
    "bet_id",
    "bet_date",
    "game_id",
    "game_name",
    "game_category_id",
    "game_provider_id",
    "bet_amount",
    "win_amount",
)
BET_ID = Field("bet_id", ("casino_transaction_id", "transaction_id", "tx_id", "id"), "must", reach="own")
SLIP_TABLES = r"slip|coupon|^(?:sport|sports|sportsbook)_(?:bet|ticket)$|^bet$|^ticket$"
SLIP_ID = Field(
    "bet_id", ("slip_id", "betslip_id", "coupon_id", "ticket_id", "sport_slip_id", "id"), "must", reach="own"
)
STAKE = Field("bet_amount", ("stake", "stake_amount", "amount", "wager"), "must", "number", "own")
PLACED = ("bet_date", "placed_at", "placed_date", *CREATED)
SETTLED = ("settlement_date", "settled_at", "settled_date", "settled_on")
SLIP_OPEN = tuple(
    field
    for field in fields(SLIP, "bet_id", "bet_amount", "win_amount", "win_amount_real", "win_amount_bonus", "status")
)
SLIP_REST = fields(SLIP, "bet_id", "bet_amount")
LEG_TABLES = r"(?:^|_)(?:leg|selection|bet_item|bet_line|slip_line|outcome)$"
LEG_IDS = (
    Field("bet_id", ("slip_id", "betslip_id", "coupon_id", "ticket_id", "sport_slip_id"), "must", reach="own"),
    Field("selection_id", ("leg_id", "sport_leg_id", "id"), "must", reach="own"),
)
LEG_REST = (
    *(field for field in fields(LEG, "bet_id", "selection_id", "settlement_status", "sport_type")),
    Field("sport_type", ("sport_name", "sport")),
)  # fmt: skip
LEG_STATUS = Field("settlement_status", ("leg_status", "status", "result"), reach="own")
BONUS_FIELDS = (
    Field("user_bonus_id", ("player_bonus_id", "bonus_id", "id"), "must", reach="own"),
    Field("bonus_code", ("code",), reach="own"),
    Field("bonus_type", ("type",), reach="own"),
    Field("amount", ("bonus_amount",), shape="number", reach="own"),
)
ISSUED = ("issued_at", "granted_at", "awarded_at", "given_at", *CREATED)
ISSUE = Field("issued_at", ("granted_at", "awarded_at", "given_at", *CREATED), "must", "time", "own")

PROFILE = (
    ("core_account_status", ("status", "account_status", "state", "player_status")),
    ("core_registration_date", ("registered_at", "registration_date", "registered", "signup_at", "signed_up_at", "joined_at", *CREATED)),
    ("core_user_language", ("language", "lang", "locale", "language_code")),
    ("core_wallet_currency", ("currency", "currency_code", "wallet_currency")),
    ("core_username", ("username", "user_name", "login", "nickname", "screen_name")),
    ("user_birthdate", ("birthdate", "birth_date", "date_of_birth", "dob", "birthday", "born_on")),
    ("user_country", ("country", "country_code", "country_iso")),
    ("user_email", ("email", "e_mail", "email_address", "mail")),
    ("user_first_name", ("first_name", "firstname", "forename", "given_name")),
    ("user_last_name", ("last_name", "lastname", "surname", "family_name")),
    ("user_phone", ("phone", "mobile", "phone_number", "mobile_number", "msisdn", "telephone")),
    ("core_affiliate_id", ("affiliate_id", "affiliate")),
    ("core_affiliate_str", ("affiliate_code", "affiliate_name", "btag")),
    ("core_user_gender", ("gender", "sex")),
    ("core_kyc_status", ("kyc_status", "kyc", "verification_status", "kyc_state")),
    ("core_external_markers", ("markers", "tags")),
    ("core_ftd_date", ("ftd_date", "first_deposit_at", "first_deposit_date", "ftd_at")),
)  # fmt: skip
OPT_OUTS = (
    ("core_is_email_disabled_by_platform", ("email_opt_out", "no_email", "email_disabled", "email_optout", "email_unsubscribed")),
    ("core_is_sms_disabled_by_platform", ("sms_opt_out", "no_sms", "sms_disabled", "sms_optout", "sms_unsubscribed")),
    ("core_is_push_disabled_by_platform", ("push_opt_out", "no_push", "push_disabled", "push_optout")),
    ("core_is_test_account", TEST_WORDS),
    ("core_email_confirmed", ("email_confirmed", "email_verified", "is_email_verified")),
    ("core_phone_confirmed", ("phone_confirmed", "phone_verified", "is_phone_verified")),
)  # fmt: skip
TIMES = frozenset({"core_registration_date", "core_ftd_date"})
USER_TABLES = r"^(?:player|user|customer|member|client|account|punter)(?:_?(?:profile|account|detail|data|master))?$"
