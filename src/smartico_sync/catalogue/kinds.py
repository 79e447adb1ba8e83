"""View kinds: which event a row becomes, and what its columns are called on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smartico_sync.catalogue.properties import MANAGED

__all__ = ["KINDS", "Kind", "Role", "kind"]

Role = Literal["profile", "transaction"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What Smartico knows about one kind of view.

    `event_types` maps a row's role to its event type: {"": type} for kinds with one type, {"bet": …, "win": …} for
    mixed ones; empty for `custom`, whose event type is configured. `required` are view columns (each a tuple of
    alternatives, any of which will do); `columns` maps view columns to properties; several columns may map to one
    property, the first present and not NULL wins in the order given. `event_date` are the view columns that may hold the
    moment of the business event, the first present wins, the cursor last. `key` is the default key: the columns that make a
    row that row, first alternative present wins; none present: the view has no unique key. Columns that `columns` does not name pass through under their
    own name, but for `hidden`. `expected` are columns a player needs from any one view of this kind (a profile may be
    spread over several), so that one view without them is no mistake. `since` says how sure we are of event type and columns.
    """

    name: str
    role: Role
    event_types: dict[str, str]
    required: tuple[tuple[str, ...], ...]
    optional: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    event_date: tuple[str, ...]
    key: tuple[tuple[str, ...], ...]
    hidden: frozenset[str]
    since: Literal["documented", "observed", "inferred"]
    expected: tuple[str, ...] = ()


# A property and the view columns it may come from. A column already named like the property comes first.
Renames = tuple[tuple[str, tuple[str, ...]], ...]

PLAYER = ("ext_brand_id", "user_ext_id")  # the envelope holds them
TRACKING = ("dt_update", "dt_finalized", "dt")  # say when the row changed, nothing about the player
HIDDEN = MANAGED.union(PLAYER, TRACKING)

BALANCES: Renames = (
    ("acc_real_balance", ("real_balance",)),
    ("acc_bonus_balance", ("bonus_balance",)),
    ("acc_total_balance", ("total_balance",)),
)
TRANSACTION: Renames = (("acc_last_transaction_id", ("transaction_id", "id")),)
DEPOSIT: Renames = (
    *TRANSACTION,
    ("acc_last_deposit_date", ("transaction_date",)),
    ("acc_last_deposit_amount", ("deposit_amount",)),
    ("acc_last_deposit_payment_method", ("deposit_method",)),
    *BALANCES,
)
WITHDRAWAL: Renames = (
    *TRANSACTION,
    ("acc_last_withdrawal_date", ("transaction_date", "withdrawal_date")),
    ("acc_last_withdrawal_amount", ("withdrawal_amount", "amount")),
    *BALANCES,
)
GAME: Renames = (
    ("casino_last_bet_id", ("bet_id", "id")),
    ("casino_last_bet_dt", ("bet_date",)),
    # Smartico's own demo sends the game's external id as its name.
    ("casino_last_bet_game_name", ("game_id", "game_name")),
    ("casino_last_bet_game_type", ("game_category_id", "game_category")),
    ("casino_last_bet_game_provider", ("game_provider_id", "game_provider")),
)
AMOUNTS: Renames = tuple(
    (f"casino_last_{part}_amount{kind}", (f"{part}_amount{kind}",))
    for part in ("bet", "win")
    for kind in ("", "_real", "_bonus")
)
CASINO: Renames = (*GAME, *AMOUNTS, *BALANCES)
SLIP: Renames = (
    ("sport_last_bet_id", ("bet_id", "id")),
    ("sport_last_bet_type", ("bet_type",)),
    ("sport_last_bet_amount", ("bet_amount",)),
    ("sport_last_bet_amount_real", ("bet_amount_real",)),
    ("sport_last_bet_win_amount_real", ("win_amount_real",)),
    ("sport_last_bet_selection_count", ("selection_count",)),
    ("sport_match_id", ("match_id",)),
)
LEG: Renames = (
    ("sport_last_bet_id", ("bet_id",)),
    ("sport_last_selection_id", ("selection_id", "id")),
    ("sport_last_selection_odds", ("odds",)),
    ("sport_last_selection_league", ("league",)),
    ("sport_last_selection_market", ("market",)),
    ("sport_last_selection_outcome", ("outcome",)),
    ("sport_last_selection_sport_type", ("sport_type",)),
    ("sport_last_selection_home_team", ("home_team",)),
    ("sport_last_selection_away_team", ("away_team",)),
    ("sport_last_selection_settlement_status", ("settlement_status",)),
    ("sport_match_id", ("match_id",)),
)


def columns(renames: Renames) -> tuple[tuple[str, str], ...]:
    """(view column, property), in order of preference."""
    return tuple((column, name) for name, sources in renames for column in (name, *sources))


def sources(renames: Renames, *names: str) -> tuple[tuple[str, ...], ...]:
    """List the view columns that can fill each of these properties."""
    known = dict(renames)
    return tuple((*known[name], name) for name in names)


def rest(renames: Renames, required: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """List the preferred column of every property that is not required."""
    needed = {column for alternatives in required for column in alternatives}
    return tuple(sources[0] for name, sources in renames if name not in needed)


def transactions(
    name: str,
    event_types: dict[str, str],
    renames: Renames,
    required: tuple[str, ...],
    *,
    event_date: tuple[str, ...],
    key: tuple[tuple[str, ...], ...],
    since: Literal["documented", "observed", "inferred"] = "documented",
    optional: tuple[str, ...] = (),
    hidden: tuple[str, ...] = (),
) -> Kind:
    """Make a kind whose rows are final once they appear."""
    needed = sources(renames, *required)
    return Kind(
        name=name,
        role="transaction",
        event_types=event_types,
        required=(("user_ext_id",), *needed),
        optional=("ext_brand_id", *rest(renames, needed), *optional),
        columns=columns(renames),
        event_date=event_date,
        key=key,
        hidden=HIDDEN.union(hidden),
        since=since,
    )


# Keys: the id of the transaction goes before the id of what it is about. The business may give the latter twice, and two rows
# with one key are one event to the API, which drops the second.
PAYMENT_KEY = (("transaction_id",), ("acc_last_transaction_id",), ("id",))
DEPOSIT_DATE = ("transaction_date", "acc_last_deposit_date", "dt_finalized")
DEPOSIT_NEEDS = ("acc_last_transaction_id", "acc_last_deposit_date", "acc_last_deposit_amount")
WITHDRAWAL_DATE = ("transaction_date", "withdrawal_date", "acc_last_withdrawal_date", "dt_finalized")
WITHDRAWAL_NEEDS = ("acc_last_transaction_id", "acc_last_withdrawal_date", "acc_last_withdrawal_amount")
# A bet_id is often the round's, which several bets and wins share.
BET_KEY = (("transaction_id",), ("id",), ("bet_id",), ("casino_last_bet_id",))
BET_DATE = ("bet_date", "casino_last_bet_dt", "dt")
BET_NEEDS = ("casino_last_bet_id", "casino_last_bet_dt", "casino_last_bet_amount", "casino_last_bet_game_name")
WIN_NEEDS = ("casino_last_bet_id", "casino_last_bet_dt", "casino_last_win_amount", "casino_last_bet_game_name")
ROUND_NEEDS = (*BET_NEEDS, "casino_last_win_amount")
SLIP_KEY = (("bet_id",), ("sport_last_bet_id",), ("id",))  # a slip is placed once
# A slip is settled again after a correction, and in parts when it is cashed out: each time is a row of its own.
SETTLED_KEY = (
    ("transaction_id",), ("id",),
    ("bet_id", "settlement_date"), ("bet_id", "settled_date"), ("bet_id", "settled_at"), ("sport_last_bet_id", "settlement_date"),
    ("bet_id",), ("sport_last_bet_id",),
)  # fmt: skip
# A selection's id may come from the odds feed and be shared by many slips, so only slip and selection are unique.
LEG_KEY = (("bet_id", "selection_id"), ("sport_last_bet_id", "sport_last_selection_id"), ("id",))
SETTLED_LEG_KEY = (
    ("transaction_id",),
    *(("bet_id", "selection_id", date) for date in ("settlement_date", "settled_date", "settled_at")),
    *LEG_KEY,
)
SLIP_DATE = ("bet_date", "transaction_date", "dt")
SETTLED_DATE = ("settlement_date", "settled_date", "settled_at", *SLIP_DATE)
SPORT_DATES = ("bet_date", "settlement_date", "settled_date", "settled_at")  # say when, and are no properties

USERS = Kind(
    name="users",
    role="profile",
    event_types={"": "update_profile"},
    required=(("user_ext_id",),),
    optional=(
        "ext_brand_id", "core_username", "user_birthdate", "user_country", "user_email", "user_first_name",
        "user_last_name", "user_phone", "core_affiliate_id", "core_affiliate_str",
        "core_is_email_disabled_by_platform", "core_is_sms_disabled_by_platform", "core_user_gender",
        "core_kyc_status",
    ),
    columns=(),
    event_date=("dt_update",),
    key=(PLAYER, ("user_ext_id",)),
    hidden=HIDDEN,
    since="documented",
    expected=("core_account_status", "core_registration_date", "core_user_language", "core_wallet_currency"),
)  # fmt: skip

BONUSES = Kind(
    name="bonuses",
    role="transaction",
    event_types={"": "acc_bonus_approved"},
    required=(("user_ext_id",),),
    optional=("ext_brand_id", "bonus_id", "bonus_date"),
    columns=(),
    event_date=("bonus_date", "transaction_date", "dt"),
    # No default: a `bonus_id` may name the campaign, which many players share.
    key=(("transaction_id",), ("id",)),
    hidden=HIDDEN,
    since="observed",
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
)

KINDS: dict[str, Kind] = {
    known.name: known
    for known in (
        USERS,
        transactions(
            "deposits", {"": "acc_deposit_approved"}, DEPOSIT, DEPOSIT_NEEDS,
            event_date=DEPOSIT_DATE, key=PAYMENT_KEY, optional=("deposit_code",),
        ),
        transactions(
            "deposits_failed", {"": "acc_deposit_failed"}, DEPOSIT, DEPOSIT_NEEDS,
            event_date=DEPOSIT_DATE, key=PAYMENT_KEY, since="inferred",
        ),
        transactions(
            "withdrawals", {"": "acc_withdrawal_approved"}, WITHDRAWAL, WITHDRAWAL_NEEDS,
            event_date=WITHDRAWAL_DATE, key=PAYMENT_KEY, since="inferred",
        ),
        transactions(
            "withdrawals_requested", {"": "acc_withdrawal_requested"}, WITHDRAWAL, WITHDRAWAL_NEEDS,
            event_date=WITHDRAWAL_DATE, key=PAYMENT_KEY, since="observed",
        ),
        transactions("casino_bets", {"": "casino_bet"}, CASINO, BET_NEEDS, event_date=BET_DATE, key=BET_KEY),
        transactions("casino_wins", {"": "casino_win"}, CASINO, WIN_NEEDS, event_date=BET_DATE, key=BET_KEY),
        # A bet and its win may share their id: whoever keys these rows adds the type column.
        transactions(
            "casino_bets_and_wins", {"bet": "casino_bet", "win": "casino_win"}, CASINO, ROUND_NEEDS,
            event_date=BET_DATE, key=BET_KEY,
        ),
        transactions("casino_rounds", {"": "casino_bet_win"}, CASINO, ROUND_NEEDS, event_date=BET_DATE, key=BET_KEY),
        transactions(
            "sport_bets_open", {"": "sport_bet_open"}, SLIP, ("sport_last_bet_id",),
            event_date=SLIP_DATE, key=SLIP_KEY, hidden=SPORT_DATES,
        ),
        transactions(
            "sport_bets_settled", {"": "sport_bet_settled"}, SLIP, ("sport_last_bet_id",),
            event_date=SETTLED_DATE, key=SETTLED_KEY, hidden=SPORT_DATES,
        ),
        transactions(
            "sport_selections_open", {"": "sport_bet_selection_open"}, LEG, ("sport_last_selection_id",),
            event_date=SLIP_DATE, key=LEG_KEY, hidden=SPORT_DATES, since="inferred",
        ),
        transactions(
            "sport_selections_settled", {"": "sport_bet_selection_settled"}, LEG, ("sport_last_selection_id",),
            event_date=SETTLED_DATE, key=SETTLED_LEG_KEY, hidden=SPORT_DATES, since="inferred",
        ),
        BONUSES,
        CUSTOM,
    )
}  # fmt: skip


def kind(name: str) -> Kind:
    """Look a kind up; KeyError for an unknown one (the configuration has been checked before)."""
    return KINDS[name]
