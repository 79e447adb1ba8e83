"""View kinds: which event a row becomes, and what its columns are called on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.catalogue.columns import (
    BET,
    BONUS,
    CASINO,
    CURSOR,
    DEPOSIT,
    LEG,
    PAID,
    PLACED,
    PLAYER,
    REQUESTED,
    SETTLED,
    SLIP,
    SLIP_COLUMNS,
    WIN,
    WITHDRAWAL,
)  # fmt: skip
from smartico_sync.catalogue.kind import HIDDEN, Kind, Role, RowRole, gated, template, transactions

if TYPE_CHECKING:
    from smartico_sync.catalogue.columns import Renames
    from smartico_sync.catalogue.properties import PropertyType

__all__ = ["KINDS", "Kind", "Role", "RowRole", "kind"]

# Keys: the id of the transaction goes before the id of what it is about. The business may give the latter twice, and two rows
# with one key are one event to the API, which drops the second.
PAYMENT_KEY = (("transaction_id",), ("acc_last_transaction_id",), ("id",))
DEPOSIT_DATE = ("transaction_date", "acc_last_deposit_date", *PAID)
DEPOSIT_NEEDS = ("acc_last_transaction_id", "acc_last_deposit_date", "acc_last_deposit_amount")
WITHDRAWAL_DATE = (*PAID, CURSOR, "acc_last_withdrawal_date", "transaction_date", "withdrawal_date")
REQUEST_DATE = (*REQUESTED, "acc_last_withdrawal_date")
WITHDRAWAL_NEEDS = ("acc_last_transaction_id", "acc_last_withdrawal_amount")
# A bet_id is often the round's, which several bets and wins share.
BET_KEY = (("transaction_id",), ("id",), ("bet_id",), ("casino_last_bet_id",))
BET_DATE = ("bet_date", "casino_last_bet_dt", "dt")
WIN_DATE = ("win_date", *BET_DATE)
ROW_NEEDS = ("casino_last_bet_id", "casino_last_bet_dt", "casino_last_bet_game_name")
BET_NEEDS = ("casino_last_bet_id", "casino_last_bet_dt", "casino_last_bet_amount", "casino_last_bet_game_name")
WIN_NEEDS = ("casino_last_bet_id", "casino_last_bet_dt", "casino_last_win_amount", "casino_last_bet_game_name")
ROUND_NEEDS = (*BET_NEEDS, "casino_last_win_amount")
ROUND_VALUES = ("casino_last_bet_id", "casino_last_bet_amount", "casino_last_bet_game_name")  # no win: it was lost
SLIP_IDS = (*SLIP_COLUMNS, "sport_last_bet_id")
SLIP_KEY = (*((name,) for name in SLIP_IDS), ("id",))  # a slip is placed once
# A slip is settled again after a correction, and in parts when it is cashed out: each time is a row of its own.
SETTLED_KEY = (
    ("transaction_id",), ("id",),
    *((name, date) for name in SLIP_IDS for date in SETTLED),
    *((name,) for name in SLIP_IDS),
)  # fmt: skip
# Where placement and settlement are in one table, dates are NULL in some rows, so the type column tells the rest.
LIFE_KEY = (("transaction_id",), ("id",), *((name,) for name in SLIP_IDS))
# A selection's id may come from the odds feed and be shared by many slips, so only slip and selection are unique.
LEG_IDS = (
    *((slip, leg) for slip in SLIP_COLUMNS for leg in ("selection_id", "leg_id")),
    ("sport_last_bet_id", "sport_last_selection_id"),
)
LEG_KEY = (*LEG_IDS, ("id",))
SETTLED_LEG_KEY = (("transaction_id",), *((*ids, date) for ids in LEG_IDS for date in SETTLED), *LEG_KEY)
SLIP_NEEDS = ("sport_last_bet_id", "sport_last_bet_amount")
LEG_NEEDS = ("sport_last_bet_id", "sport_last_selection_id")
# Never the moment of the bet: it may lie weeks before.
SETTLED_DATE = (*SETTLED, CURSOR)
MOMENTS = {"deposit": "acc_last_deposit_date", "withdrawal": "acc_last_withdrawal_date", "casino": "casino_last_bet_dt"}


def payments() -> Kind:
    """Deposits and withdrawals in one ledger."""
    both = dict(DEPOSIT) | dict(WITHDRAWAL)
    own = {"acc_last_deposit_amount", "acc_last_deposit_payment_method", "acc_last_deposit_date"}
    own |= {"acc_last_withdrawal_amount", "acc_last_withdrawal_date"}
    shared: Renames = tuple((target, columns) for target, columns in both.items() if target not in own)
    exact: Renames = tuple((target, ()) for target in both if target in own)

    def role(event_date: tuple[str, ...], word: str) -> RowRole:
        mine: Renames = tuple((target, columns) for target, columns in both.items() if target in own and word in target)
        return RowRole(gated(mine), (f"acc_last_{word}_amount",), event_date, moment=MOMENTS[word])

    return transactions(
        "payments",
        {
            "deposit": "acc_deposit_approved",
            "deposit_failed": "acc_deposit_failed",
            "deposit_cancelled": "acc_deposit_cancelled",
            "withdrawal": "acc_withdrawal_approved",
            "withdrawal_requested": "acc_withdrawal_requested",
            "withdrawal_cancelled": "acc_withdrawal_cancelled",
        },
        (*shared, *exact),
        ("acc_last_transaction_id",),
        event_date=("transaction_date",),
        key=PAYMENT_KEY,
        since="observed",
        optional=("deposit_code",),
        roles={
            "deposit": role(DEPOSIT_DATE, "deposit"),
            "deposit_failed": role(DEPOSIT_DATE, "deposit"),
            "deposit_cancelled": role(("cancelled_at", *PAID, CURSOR, "transaction_date"), "deposit"),
            "withdrawal": role(WITHDRAWAL_DATE, "withdrawal"),
            "withdrawal_requested": role(REQUEST_DATE, "withdrawal"),
            "withdrawal_cancelled": role(("cancelled_at", *PAID, CURSOR, "transaction_date"), "withdrawal"),
        },
    )


BET_ROLE = RowRole(gated(BET), ("casino_last_bet_amount",))
WIN_ROLE = RowRole(gated(WIN), ("casino_last_win_amount",), WIN_DATE)
CASINO_ROLES = {
    "bet": BET_ROLE,
    "win": WIN_ROLE,
    "bet_rollback": RowRole(gated(BET), ("casino_last_bet_amount",), flags=("casino_is_rollback",)),
    "win_rollback": RowRole(gated(WIN), ("casino_last_win_amount",), WIN_DATE, flags=("casino_is_rollback",)),
}
SLIP_ROLES = {
    "open": RowRole(event_date=PLACED),
    "settled": RowRole(event_date=SETTLED_DATE),
    "cashout": RowRole(event_date=("cashout_date", *SETTLED_DATE)),
    "rollback": RowRole(event_date=("rollback_date", *SETTLED_DATE), flags=("sport_is_rollback",)),
}
LEG_ROLES = {"open": RowRole(event_date=PLACED), "settled": RowRole(event_date=SETTLED_DATE)}
BONUS_ROLES = {
    "issued": RowRole(event_date=("issued_at", "bonus_date", "transaction_date", "dt")),
    "completed": RowRole(
        (
            ("release_amount", "acc_last_bonus_release_amount"),
            ("amount", "acc_last_bonus_release_amount"),
            ("completed_at", "acc_last_bonus_complete_date"),
            ("complete_date", "acc_last_bonus_complete_date"),
        ),
        event_date=("completed_at", "complete_date", "acc_last_bonus_complete_date", CURSOR),
        moment="acc_last_bonus_complete_date",
    ),
    "cancelled": RowRole(event_date=("cancelled_at", "cancel_date", CURSOR)),
}

USERS = Kind(
    name="users",
    role="profile",
    event_types={"": "update_profile"},
    required=(("user_ext_id",),),
    optional=(
        "ext_brand_id", "core_username", "user_birthdate", "user_country", "user_email", "user_first_name",
        "user_last_name", "user_phone", "core_affiliate_id", "core_affiliate_str",
        "core_is_email_disabled_by_platform", "core_is_sms_disabled_by_platform", "core_user_gender",
        "core_kyc_status", "core_is_push_disabled_by_platform", "core_is_ivr_disabled", "core_is_whatsapp_disabled",
        "core_external_markers", "core_external_markers2", "core_external_segment",
    ),
    columns=(),
    event_date=("dt_update",),
    key=(PLAYER, ("user_ext_id",)),
    hidden=HIDDEN,
    since="documented",
    expected=("core_account_status", "core_registration_date", "core_user_language", "core_wallet_currency"),
    unmapped="send",
)  # fmt: skip

BONUSES = transactions(
    "bonuses",
    {
        "": "acc_bonus_approved",
        "issued": "acc_bonus_approved",
        "completed": "acc_bonus_completed",
        "cancelled": "acc_bonus_cancelled",
    },
    (*BONUS, ("acc_last_bonus_release_amount", ()), ("acc_last_bonus_complete_date", ())),
    (),
    event_date=("issued_at", "bonus_date", "transaction_date", "dt"),
    # A `bonus_id` is none: it may name the campaign, which many players share.
    key=(("transaction_id",), ("user_bonus_id",), ("id",)),
    since="observed",
    roles=BONUS_ROLES,
)

CUSTOM = Kind(
    name="custom",
    role="transaction",
    event_types={},
    required=(("user_ext_id",),),
    optional=("ext_brand_id",),
    columns=(),
    event_date=("event_date", "dt"),
    # No default: an `id` may well be the player's, and events that share an id would be taken for duplicates.
    key=(),
    hidden=HIDDEN | {"event_date"},
    since="documented",
    unmapped="send",
)


TRADE: dict[str, PropertyType] = {
    "position_id": "string", "asset_id": "string", "asset_category": "string", "direction": "string", "volume": "number",
    "open_price": "number", "close_price": "number", "profit": "number",
}  # fmt: skip
TEMPLATES = (
    template(
        "lottery_ticket",
        {
            "ticket_id": "string", "lottery_id": "string", "lottery_name": "string", "draw_id": "string",
            "draw_date": "date", "amount": "number", "lines_count": "integer",
        },
        ("purchase_date", "bought_at", "transaction_date", "dt"), "ticket_id",
    ),
    template(
        "lottery_settlement",
        {"ticket_id": "string", "draw_id": "string", "amount": "number", "is_winning": "boolean"},
        (*SETTLED, CURSOR), "ticket_id",
    ),
    template(
        "trade_open",
        {name: expected for name, expected in TRADE.items() if name not in ("close_price", "profit")},
        ("opened_at", "open_date", "transaction_date", "dt"), "position_id",
    ),
    template("trade_close", TRADE, ("closed_at", "close_date", CURSOR), "position_id"),
    template(
        "retail_purchase",
        {"order_id": "string", "amount": "number", "currency": "string", "items_count": "integer", "store": "string"},
        ("purchase_date", "purchased_at", "transaction_date", "dt"), "order_id",
    ),
    template(
        "login",
        {"login_id": "string", "device": "string", "platform": "string", "country": "string"},
        ("at", "login_date", "logged_in_at", "dt"), "login_id",
    ),
    template(
        "game_session",
        {
            "session_id": "string", "started": "date", "ended": "date", "game_id": "string", "rounds": "integer",
            "bet_amount": "number", "win_amount": "number",
        },
        ("ended", CURSOR, "started"), "session_id",
    ),
)  # fmt: skip

KINDS: dict[str, Kind] = {
    known.name: known
    for known in (
        USERS,
        transactions(
            "deposits", {"": "acc_deposit_approved"}, DEPOSIT, DEPOSIT_NEEDS,
            event_date=DEPOSIT_DATE, key=PAYMENT_KEY, optional=("deposit_code",), moment=MOMENTS["deposit"],
        ),
        transactions(
            "deposits_failed", {"": "acc_deposit_failed"}, DEPOSIT, DEPOSIT_NEEDS,
            event_date=DEPOSIT_DATE, key=PAYMENT_KEY, since="inferred", moment=MOMENTS["deposit"],
        ),
        transactions(
            "withdrawals", {"": "acc_withdrawal_approved"}, WITHDRAWAL, WITHDRAWAL_NEEDS,
            event_date=WITHDRAWAL_DATE, key=PAYMENT_KEY, since="inferred", moment=MOMENTS["withdrawal"],
        ),
        transactions(
            "withdrawals_requested", {"": "acc_withdrawal_requested"}, WITHDRAWAL, WITHDRAWAL_NEEDS,
            event_date=REQUEST_DATE, key=PAYMENT_KEY, since="observed", moment=MOMENTS["withdrawal"],
        ),
        payments(),
        transactions(
            "casino_bets", {"": "casino_bet"}, CASINO, BET_NEEDS, event_date=BET_DATE, key=BET_KEY,
            moment=MOMENTS["casino"], also=BET,
        ),
        transactions(
            "casino_wins", {"": "casino_win"}, CASINO, WIN_NEEDS, event_date=WIN_DATE, key=BET_KEY,
            moment=MOMENTS["casino"], also=WIN,
        ),
        # A bet and its win may share their id: whoever keys these rows adds the type column.
        transactions(
            "casino_bets_and_wins",
            {"bet": "casino_bet", "win": "casino_win", "bet_rollback": "casino_bet", "win_rollback": "casino_win"},
            CASINO, ROW_NEEDS, event_date=BET_DATE, key=BET_KEY, moment=MOMENTS["casino"], roles=CASINO_ROLES,
        ),
        transactions(
            "casino_rounds", {"": "casino_bet_win"}, CASINO, ROUND_NEEDS, event_date=BET_DATE, key=BET_KEY,
            moment=MOMENTS["casino"], needs=ROUND_VALUES,
        ),
        transactions(
            "sport_bets_open", {"": "sport_bet_open"}, SLIP, SLIP_NEEDS, event_date=PLACED, key=SLIP_KEY,
        ),
        transactions(
            "sport_bets_settled", {"": "sport_bet_settled"}, SLIP, SLIP_NEEDS, event_date=SETTLED_DATE, key=SETTLED_KEY,
        ),
        transactions(
            "sport_bets",
            {"open": "sport_bet_open", "settled": "sport_bet_settled", "cashout": "sport_bet_settled",
             "rollback": "sport_bet_settled"},
            SLIP, SLIP_NEEDS, event_date=PLACED, key=LIFE_KEY, roles=SLIP_ROLES,
        ),
        transactions(
            "sport_selections_open", {"": "sport_bet_selection_open"}, LEG, LEG_NEEDS,
            event_date=PLACED, key=LEG_KEY, since="inferred",
        ),
        transactions(
            "sport_selections_settled", {"": "sport_bet_selection_settled"}, LEG, LEG_NEEDS,
            event_date=SETTLED_DATE, key=SETTLED_LEG_KEY, since="inferred",
        ),
        transactions(
            "sport_selections", {"open": "sport_bet_selection_open", "settled": "sport_bet_selection_settled"},
            LEG, LEG_NEEDS, event_date=PLACED, key=LEG_KEY, since="inferred", roles=LEG_ROLES,
        ),
        BONUSES,
        *TEMPLATES,
        CUSTOM,
    )
}  # fmt: skip


def kind(name: str) -> Kind:
    """Look a kind up; KeyError for an unknown one (the configuration has been checked before)."""
    return KINDS[name]
