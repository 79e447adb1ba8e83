"""View columns and the properties they become: one table a subject, with the other names that operators use."""

from __future__ import annotations

__all__ = [
    "BALANCES", "BEGUN", "BET", "BONUS", "CASINO", "CURSOR", "DEPOSIT", "LEG", "PAID", "PLACED", "PLAYER", "REQUESTED", "SETTLED", "SLIP",
    "SLIP_COLUMNS", "TRACKING", "TRANSACTION", "WIN", "WITHDRAWAL", "Renames", "pairs", "rest", "sources",
]  # fmt: skip

# A property and the view columns it may come from. A column already named like the property comes first.
Renames = tuple[tuple[str, tuple[str, ...]], ...]

CURSOR = "@cursor"  # stands for the view's cursor among the columns that may say when
PLAYER = ("ext_brand_id", "user_ext_id")  # the envelope holds them
TRACKING = ("dt_update", "dt_finalized", "dt")  # say when the row changed, nothing about the player

# When something became final. A row that is final cannot have been tracked before that, so a cursor that is a time says it
# better than the moment of the request or of the bet.
PAID = ("dt_finalized", "finalized_at", "paid_at", "paid_date", "completed_at", "processed_at", "approved_at")
SETTLED = ("settlement_date", "settled_date", "settled_at")
REQUESTED = ("requested_at", "request_date", "transaction_date", "withdrawal_date")
PLACED = ("bet_date", "placed_at", "transaction_date", "dt")
# These never say when something became final, also where the view is tracked by one of them.
BEGUN = frozenset({"bet_date", "placed_at", "requested_at", "request_date"})

BALANCES: Renames = (
    ("acc_real_balance", ("real_balance",)),
    ("acc_bonus_balance", ("bonus_balance",)),
    ("acc_total_balance", ("total_balance",)),
)
TRANSACTION: Renames = (("acc_last_transaction_id", ("transaction_id", "id")),)
ROLLBACK: Renames = (("acc_is_rollback", ("is_rollback",)),)
DEPOSIT: Renames = (
    *TRANSACTION,
    ("acc_last_deposit_date", ("transaction_date",)),
    ("acc_last_deposit_amount", ("deposit_amount", "amount")),
    ("acc_last_deposit_payment_method", ("deposit_method", "payment_method", "method")),
    *BALANCES,
    *ROLLBACK,
)
WITHDRAWAL: Renames = (
    *TRANSACTION,
    ("acc_last_withdrawal_date", ()),  # the moment of the event
    ("acc_last_withdrawal_amount", ("withdrawal_amount", "amount")),
    *BALANCES,
    *ROLLBACK,
)
BONUS: Renames = (
    ("bonus_id", ()),
    ("user_bonus_id", ()),
    ("acc_last_bonus_code", ("bonus_code",)),
    ("acc_last_bonus_type", ("bonus_type",)),
)

GAME: Renames = (
    ("casino_last_bet_id", ("bet_id", "id")),
    ("casino_last_bet_dt", ("bet_date",)),
    # Smartico's own demo sends the game's external id as its name.
    ("casino_last_bet_game_name", ("game_id", "game_name")),
    ("casino_last_bet_game_type", ("game_category_id", "game_category")),
    ("casino_last_bet_game_provider", ("game_provider_id", "game_provider")),
    ("casino_last_bet_game_vendor", ("game_vendor",)),
)
AMOUNTS: Renames = tuple(
    (f"casino_last_{part}_amount{kind}", (f"{part}_amount{kind}",))
    for part in ("bet", "win")
    for kind in ("", "_real", "_bonus")
)
CASINO: Renames = (
    *GAME,
    *AMOUNTS,
    *BALANCES,
    ("casino_is_free_bet", ("is_free_bet",)),
    ("casino_is_rollback", ("is_rollback",)),
)
# One amount column holds the bet in a row of a bet, and the win in that of a win.
BET: Renames = tuple((f"casino_last_bet_amount{kind}", (f"amount{kind}",)) for kind in ("", "_real", "_bonus"))
WIN: Renames = tuple((f"casino_last_win_amount{kind}", (f"amount{kind}",)) for kind in ("", "_real", "_bonus"))

SLIP_COLUMNS = ("bet_id", "slip_id", "betslip_id", "coupon_id", "ticket_id")
SLIP: Renames = (
    ("sport_last_bet_id", (*SLIP_COLUMNS, "id")),
    ("sport_last_bet_type", ("bet_type",)),
    ("sport_last_bet_amount", ("bet_amount", "stake")),
    ("sport_last_bet_amount_real", ("bet_amount_real", "stake_real")),
    ("sport_last_bet_amount_bonus", ("bet_amount_bonus", "stake_bonus")),
    ("sport_last_bet_win_amount", ("win_amount", "payout", "total_return")),
    ("sport_last_bet_win_amount_real", ("win_amount_real", "payout_real")),
    ("sport_last_bet_win_amount_bonus", ("win_amount_bonus", "payout_bonus")),
    ("sport_last_bet_odds", ("total_odds", "odds")),
    ("sport_last_bet_selection_count", ("selection_count", "selections_count")),
    ("sport_last_bet_status", ("status", "bet_state", "settlement_status")),
    ("sport_is_rollback", ("is_rollback",)),
    ("sport_match_id", ("match_id",)),
    *BALANCES,
)
LEG: Renames = (
    ("sport_last_bet_id", SLIP_COLUMNS),
    ("sport_last_selection_id", ("selection_id", "leg_id", "id")),
    ("sport_last_selection_odds", ("odds",)),
    ("sport_last_selection_league", ("league", "tournament_name", "championship")),
    ("sport_last_selection_market", ("market",)),
    ("sport_last_selection_outcome", ("outcome", "selection_name")),
    ("sport_last_selection_sport_type", ("sport_type", "sport_name")),
    ("sport_last_selection_home_team", ("home_team",)),
    ("sport_last_selection_away_team", ("away_team",)),
    ("sport_last_selection_settlement_status", ("settlement_status", "leg_status")),
    ("sport_is_rollback", ("is_rollback",)),
    ("sport_match_id", ("match_id", "event_id")),
)


def pairs(renames: Renames) -> tuple[tuple[str, str], ...]:
    """(view column, property), in order of preference."""
    return tuple((column, name) for name, sources in renames for column in (name, *sources))


def sources(renames: Renames, *names: str) -> tuple[tuple[str, ...], ...]:
    """List the view columns that can fill each of these properties."""
    known = dict(renames)
    return tuple((*known[name], name) for name in names)


def rest(renames: Renames, required: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """List the preferred column of every property that is not required."""
    needed = {column for alternatives in required for column in alternatives}
    return tuple((*sources, name)[0] for name, sources in renames if name not in needed)
