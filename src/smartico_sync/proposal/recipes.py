"""The views of a first configuration: the tables, columns and values that each is looked for by."""

from __future__ import annotations

from smartico_sync.catalogue.columns import BALANCES
from smartico_sync.proposal.recipe import ID, Choice, Field, Recipe
from smartico_sync.proposal.words import (
    AMOUNT,
    BET_ID,
    BONUS_FIELDS,
    BRAND,
    CASINO_REST,
    CASINO_TABLES,
    CREATED,
    FINAL,
    GAME,
    GAMES,
    ISSUE,
    ISSUED,
    LEG_IDS,
    LEG_REST,
    LEG_STATUS,
    LEG_TABLES,
    METHOD,
    MOMENT_OF_BET,
    MONEY,
    OF_DEPOSITS,
    OF_WITHDRAWALS,
    OPT_OUTS,
    PAYMENT_ID,
    PAYMENT_TABLES,
    PLACED,
    PLAYERS,
    PROFILE,
    REQUESTED,
    SETTLED,
    SLIP_ID,
    SLIP_OPEN,
    SLIP_REST,
    SLIP_TABLES,
    SPORT,
    STAKE,
    STATUS,
    TEST,
    TIMES,
    TYPE,
    UPDATED,
    USER_TABLES,
    WHO,
)  # fmt: skip

__all__ = ["RECIPES"]

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
        ("failed_at", "declined_at", "rejected_at", "processed_at", "finalized_at", "finalized", *UPDATED), "dt_finalized",
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
            *WHO, TEST, PAYMENT_ID, Field("requested_at", ("requested", *CREATED), "must", "time", "own"),
            Field("withdrawal_amount", AMOUNT, "must", "number", "own"),
        ),
        (ID, "requested_at", *CREATED), choices=(OF_WITHDRAWALS,),
    ),
    Recipe(
        "casino", "casino_bets_and_wins", "Casino bets and wins, one row each", CASINO_TABLES,
        (
            *WHO, TEST, BET_ID, Field("round_id", ("round_external_id", "external_round_id", "game_round_id"), reach="own"),
            MOMENT_OF_BET, *GAME, Field("amount", AMOUNT, shape="number", reach="own"),
            *(Field(f"{part}_amount", shape="number", reach="own") for part in ("bet", "win")), Field("amount_real", ("real_amount", "cash_amount"), shape="number", reach="own"),
            Field("amount_bonus", ("bonus_amount",), shape="number", reach="own"), *CASINO_REST,
        ),
        (ID, "dt", *CREATED), type_words=TYPE, roles=("bet", "win", "bet_rollback", "win_rollback"),
        one_of=(GAMES, ("amount", "bet_amount")), instead=("casino_rounds", "casino_bets", "casino_wins"),
    ),
    Recipe(
        "casino_rounds", "casino_rounds", "Casino rounds, bet and win in one row", CASINO_TABLES,
        (
            *WHO, TEST, Field("bet_id", ("round_id", "game_round_id", *BET_ID.words), "must", reach="own"),
            Field("bet_date", ("ended_at", "finished_at", "closed_at", *MOMENT_OF_BET.words), "must", "time", "own"), *GAME,
            Field("bet_amount", ("bet", "stake", "total_bet", "wager"), "must", "number", "own"),
            Field("win_amount", ("win", "payout", "total_win"), "must", "number", "own"), *CASINO_REST,
        ),
        ("ended_at", "finished_at", "closed_at", "completed_at", ID, *CREATED), one_of=(GAMES,),
        instead=("casino_bets", "casino_wins"),
    ),
    Recipe(
        "casino_bets", "casino_bets", "Casino bets", r"^(?:(?:casino|game|slot)_)?(?:bet|wager|stake)$",
        (*WHO, TEST, BET_ID, MOMENT_OF_BET, *GAME,
         Field("bet_amount", ("bet", "stake", *AMOUNT), "must", "number", "own"), *CASINO_REST),
        (ID, "dt", *CREATED), one_of=(GAMES,),
    ),
    Recipe(
        "casino_wins", "casino_wins", "Casino wins", r"^(?:(?:casino|game|slot)_)?(?:win|payout)$",
        (*WHO, TEST, Field("bet_id", ("win_id", *BET_ID.words), "must", reach="own"),
         Field("win_date", MOMENT_OF_BET.words, "must", "time", "own"), *GAME,
         Field("win_amount", ("win", "payout", *AMOUNT), "must", "number", "own"), *CASINO_REST),
        (ID, "dt", *CREATED), one_of=(GAMES,),
    ),
    Recipe(
        "sport_bets_open", "sport_bets_open", "Sport slips, when they are placed", SLIP_TABLES,
        (*WHO, TEST, SLIP_ID, STAKE, Field("bet_date", PLACED, "must", "time", "own"), *SLIP_OPEN),
        (ID, *PLACED), one_of=(SPORT,),
    ),
    Recipe(
        "sport_bets_settled", "sport_bets_settled", "Sport slips, when they are settled", SLIP_TABLES,
        (*WHO, TEST, SLIP_ID, STAKE, *SLIP_REST), SETTLED, "settlement_date", filled="filled", one_of=(SPORT,),
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
