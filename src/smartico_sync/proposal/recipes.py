"""What each view of a first configuration is looked for by: the table's name, its columns' names, and what values say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from smartico_sync.catalogue.columns import (
    BALANCES,
    CASINO,
    LEG,
    PAID,
    SLIP,
    Renames,
)  # fmt: skip

__all__ = ["BRAND", "ID", "PLAYERS", "RECIPES", "TESTERS", "Choice", "Field", "Recipe", "Shape"]

Shape = Literal["any", "number", "time", "flag"]
ID = "@id"  # as a cursor: the primary key, where it is one whole number


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the view.

    `words`: what it may be called in the table, best first; its own name comes first of all where it is not among them.
    `reach`: whether a table that the first one refers to may hold it.
    """

    name: str
    words: tuple[str, ...] = ()
    need: Literal["must", "may"] = "may"
    shape: Shape = "any"
    reach: Literal["own", "joined"] = "joined"


@dataclass(frozen=True, slots=True)
class Choice:
    """A column whose value says which rows count. `table`: a name of the table that says it without such a column.

    `otherwise`: what a table without such a column, and without such a name, holds: nothing that counts, or only such rows.
    """

    words: tuple[str, ...]
    means: str
    table: str = "$^"
    otherwise: Literal["nothing", "everything"] = "nothing"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One view. `tables`: what the table is about, as `names.subject` writes it; `instead`: recipes it makes needless.

    `cursor`: what moves, best first, columns of the table itself. `filled`: the cursor's column is NULL until the row is what
    it is here. `roles` of a type column (`type_words`). `event_type`: another one than the
    kind's. `one_of`: fields of which one at
    least must be there. `use`: whether it is proposed as it is, or written out as a comment, with the reason `why`.
    """

    name: str
    kind: str
    about: str
    tables: str
    fields: tuple[Field, ...]
    cursor: tuple[str, ...]
    cursor_name: str = "dt"
    choices: tuple[Choice, ...] = ()
    filled: Literal["filled", "as it is"] = "as it is"
    type_words: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    event_type: str = ""
    one_of: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    rows: Literal["many a player", "one a player"] = "many a player"
    use: Literal["propose", "comment"] = "propose"
    why: str = ""


PLAYERS = (
    "player_id",
    "user_id",
    "customer_id",
    "client_id",
    "member_id",
    "punter_id",
    "account_id",
    "playerid",
    "userid",
)
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
    "created_at",
    "created",
    "created_on",
    "creation_date",
    "date_created",
    "created_date",
    "inserted_at",
    "ts",
    "timestamp",
)
UPDATED = (
    "updated_at", "modified_at", "updated", "last_updated", "changed_at", "last_modified", "updated_on", "modified", "touched_at",
    "touched", "update_date", "date_updated", "modified_date", "dt_update", "updated_date", "loaded_at",
)  # fmt: skip
FINAL = (*PAID, "settled_at", "confirmed_at", "succeeded_at", "success_at")
STATUS = ("status", "state", "payment_status", "transaction_status")
TYPE = ("type", "transaction_type", "payment_type", "tx_type", "kind", "direction", "operation", "action")
AMOUNT = ("amount", "sum", "value", "gross_amount")
NUMBERS = re.compile(r"amount|balance|odds|count")


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


REQUESTED = Field("transaction_date", ("requested_at", *CREATED), shape="time", reach="own")
METHOD = (
    "payment_method",
    "method",
    "payment_method_code",
    "payment_method_name",
    "method_name",
    "method_code",
    "provider",
)
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
ISSUE = Field("issued_at", ("granted_at", "awarded_at", "given_at", *CREATED), shape="time", reach="own")

PROFILE = (
    ("core_account_status", ("status", "account_status", "state", "player_status")),
    ("core_registration_date", ("registered_at", "registration_date", "registered", "signup_at", "signed_up_at", "joined_at", *CREATED)),
    ("core_user_language", ("language", "lang", "locale", "language_code")),
    ("core_wallet_currency", ("currency", "currency_code", "wallet_currency")),
    ("core_username", ("username", "user_name", "login", "nickname", "screen_name")),
    ("user_birthdate", ("birthdate", "birth_date", "date_of_birth", "dob", "birthday", "born_on")),
    ("user_country", ("country", "country_code", "country_iso")),
    ("user_email", ("email", "e_mail", "email_address", "mail")),
    ("user_first_name", ("first_name", "firstname", "given_name")),
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

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "users", "users", "Players: whatever changes in a profile", USER_TABLES,
        (
            Field("user_ext_id", (*PLAYERS, "id"), "must", reach="own"),
            BRAND,
            *(Field(name, words, shape="time" if name in TIMES else "any", reach="own") for name, words in PROFILE),
            *(Field(name, words, shape="flag", reach="own") for name, words in OPT_OUTS),
        ),
        UPDATED, "dt_update", rows="one a player",
    ),
    Recipe(
        "users_balances", "users", "Balances of players, which move by themselves", r"wallet|balance",
        (
            *WHO, TEST,
            *(Field(target, (*columns, columns[0].removesuffix("_balance"), f"{columns[0].removesuffix('_balance')}_amount"),
                    "must" if target == "acc_real_balance" else "may", "number", "own")
              for target, columns in BALANCES),
        ),
        UPDATED, "dt_update", rows="one a player",
    ),
    Recipe(
        "deposits", "deposits", "Deposits that are final", PAYMENT_TABLES,
        (
            *WHO, TEST, PAYMENT_ID, REQUESTED, Field("deposit_amount", AMOUNT, "must", "number", "own"),
            Field("deposit_method", METHOD), *MONEY,
        ),
        (*FINAL, *UPDATED), "dt_finalized",
        choices=(OF_DEPOSITS, Choice(STATUS, "final", otherwise="everything")),
    ),
    Recipe(
        "deposits_failed", "deposits_failed", "Deposits that failed", PAYMENT_TABLES,
        (
            *WHO, TEST, PAYMENT_ID, REQUESTED, Field("deposit_amount", AMOUNT, "must", "number", "own"),
            Field("deposit_method", METHOD), *MONEY,
        ),
        ("failed_at", "declined_at", "rejected_at", "processed_at", "finalized_at", *UPDATED), "dt_finalized",
        choices=(OF_DEPOSITS, Choice(STATUS, "failed")),
    ),
    Recipe(
        "withdrawals", "withdrawals", "Withdrawals that were paid", PAYMENT_TABLES,
        (*WHO, TEST, PAYMENT_ID, REQUESTED, Field("withdrawal_amount", AMOUNT, "must", "number", "own"), *MONEY),
        (*FINAL, *UPDATED), "dt_finalized",
        choices=(OF_WITHDRAWALS, Choice(STATUS, "final", otherwise="everything")),
    ),
    Recipe(
        "withdrawals_requested", "withdrawals_requested", "Withdrawals, when they are asked for", PAYMENT_TABLES,
        (
            *WHO, TEST, PAYMENT_ID, Field("requested_at", CREATED, "must", "time", "own"),
            Field("withdrawal_amount", AMOUNT, "must", "number", "own"),
        ),
        (ID, "requested_at", *CREATED), choices=(OF_WITHDRAWALS,),
    ),
    Recipe(
        "casino", "casino_bets_and_wins", "Casino bets and wins, one row each", CASINO_TABLES,
        (
            *WHO, TEST, BET_ID, Field("round_id", ("round_external_id", "external_round_id", "game_round_id"), reach="own"),
            MOMENT_OF_BET, *GAME, Field("amount", AMOUNT, "must", "number", "own"),
            Field("amount_real", ("real_amount", "cash_amount"), shape="number", reach="own"),
            Field("amount_bonus", ("bonus_amount",), shape="number", reach="own"), *CASINO_REST,
        ),
        (ID, "dt", *CREATED), type_words=TYPE, roles=("bet", "win", "bet_rollback", "win_rollback"),
        one_of=GAMES, instead=("casino_rounds", "casino_bets", "casino_wins"),
    ),
    Recipe(
        "casino_rounds", "casino_rounds", "Casino rounds, bet and win in one row", CASINO_TABLES,
        (
            *WHO, TEST, Field("bet_id", ("round_id", "game_round_id", *BET_ID.words), "must", reach="own"),
            Field("bet_date", ("ended_at", "finished_at", "closed_at", *MOMENT_OF_BET.words), "must", "time", "own"), *GAME,
            Field("bet_amount", ("bet", "stake", "total_bet", "wager"), "must", "number", "own"),
            Field("win_amount", ("win", "payout", "total_win"), "must", "number", "own"), *CASINO_REST,
        ),
        ("ended_at", "finished_at", "closed_at", "completed_at", ID, *CREATED), one_of=GAMES,
        instead=("casino_bets", "casino_wins"),
    ),
    Recipe(
        "casino_bets", "casino_bets", "Casino bets", r"^(?:(?:casino|game|slot)_)?(?:bet|wager|stake)$",
        (*WHO, TEST, BET_ID, MOMENT_OF_BET, *GAME,
         Field("bet_amount", ("bet", "stake", *AMOUNT), "must", "number", "own"), *CASINO_REST),
        (ID, "dt", *CREATED), one_of=GAMES,
    ),
    Recipe(
        "casino_wins", "casino_wins", "Casino wins", r"^(?:(?:casino|game|slot)_)?(?:win|payout)$",
        (*WHO, TEST, Field("bet_id", ("win_id", *BET_ID.words), "must", reach="own"),
         Field("win_date", MOMENT_OF_BET.words, "must", "time", "own"), *GAME,
         Field("win_amount", ("win", "payout", *AMOUNT), "must", "number", "own"), *CASINO_REST),
        (ID, "dt", *CREATED), one_of=GAMES,
    ),
    Recipe(
        "sport_bets_open", "sport_bets_open", "Sport slips, when they are placed", SLIP_TABLES,
        (*WHO, TEST, SLIP_ID, STAKE, Field("bet_date", PLACED, "must", "time", "own"), *SLIP_OPEN),
        (ID, *PLACED), one_of=SPORT,
    ),
    Recipe(
        "sport_bets_settled", "sport_bets_settled", "Sport slips, when they are settled", SLIP_TABLES,
        (*WHO, TEST, SLIP_ID, STAKE, *SLIP_REST), SETTLED, "settlement_date", filled="filled", one_of=SPORT,
    ),
    Recipe(
        "sport_selections_open", "sport_selections_open", "Selections of the slips, when they are placed", LEG_TABLES,
        (*WHO, TEST, *LEG_IDS, Field("bet_date", (*PLACED, "slip_placed_at", "bet_placed_at"), shape="time"), *LEG_REST),
        (ID, *PLACED),
    ),
    Recipe(
        "sport_selections_settled", "sport_selections_settled", "Selections of the slips, when they are settled", LEG_TABLES,
        (*WHO, TEST, *LEG_IDS, LEG_STATUS, *LEG_REST), SETTLED, "settlement_date", filled="filled",
    ),
    Recipe(
        "bonuses", "bonuses", "Bonuses, when they are given", r"bonus(?:_(?:grant|award|issue))?$",
        (*WHO, TEST, *BONUS_FIELDS, ISSUE), (ID, *ISSUED),
    ),
    Recipe(
        "bonuses_completed", "bonuses", "Bonuses that were wagered", r"bonus(?:_(?:grant|award|issue))?$",
        (*WHO, TEST, *BONUS_FIELDS), ("completed_at", "complete_date", "wagered_at", "converted_at"), "completed_at", filled="filled",
        event_type="acc_bonus_completed",
    ),
    Recipe(
        "bonuses_cancelled", "bonuses", "Bonuses that were cancelled, or ran out", r"bonus(?:_(?:grant|award|issue))?$",
        (*WHO, TEST, *BONUS_FIELDS), ("cancelled_at", "canceled_at", "cancel_date", "expired_at"), "cancelled_at", filled="filled",
        event_type="acc_bonus_cancelled",
    ),
    Recipe(
        "logins", "login", "Logins", r"login|(?:user|player)_session$",
        (
            *WHO, TEST, Field("login_id", ("session_id", "id"), "must", reach="own"),
            Field("at", ("logged_in_at", "login_date", "login_at", "login_time", *CREATED), "must", "time", "own"),
            Field("device", ("device_type",), reach="own"), Field("platform", ("os",), reach="own"),
            Field("country", ("country_code",), reach="own"),
        ),
        (ID, "logged_in_at", "login_at", *CREATED), use="comment",
        why="the front end normally tells them already; put this to use where yours does not",
    ),
)  # fmt: skip
