"""Event types: which ones exist, which create a player, and which are never sent because Smartico produces them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from msgspec import Struct

__all__ = [
    "CLIENT_ACTION",
    "EARLIEST_MS",
    "EVENTS",
    "FUTURE_MS",
    "NEVER_SENT",
    "UPDATE_PROFILE",
    "Event",
    "creates_user",
    "never_sent",
]

UPDATE_PROFILE = "update_profile"
CLIENT_ACTION = "client_action"
EARLIEST_MS = 946_684_800_000  # 2000-01-01: no event of a casino's database is older
FUTURE_MS = 300_000  # how far an event may lie ahead: clocks of one data centre differ by less

Mark = Literal["documented", "observed", "inferred"]


class Event(Struct, frozen=True):
    """One known event type.

    `user`: whether it creates an unknown player or needs one that exists; `required`: payload properties the API insists
    on; `since`: how sure we are of the name.
    """

    name: str
    user: Literal["creates", "needs"] = "needs"
    required: tuple[str, ...] = ()
    since: Mark = "documented"


EVENTS: dict[str, Event] = {
    event.name: event
    for event in (
        Event(UPDATE_PROFILE, user="creates"),  # only this one is assumed to create a player, so profiles go first
        Event("acc_deposit_approved"),
        Event("acc_deposit_failed", since="inferred"),
        Event("acc_deposit_cancelled", since="observed"),
        Event("acc_withdrawal_approved", since="inferred"),
        Event("acc_withdrawal_requested", since="observed"),
        Event("acc_withdrawal_cancelled", since="observed"),
        Event("acc_withdrawal_completed", since="observed"),
        Event("casino_bet", since="inferred"),
        Event("casino_win", since="inferred"),
        Event("casino_bet_win"),
        Event("sport_bet_open"),
        Event("sport_bet_settled"),
        Event("sport_bet_selection_open", since="inferred"),
        Event("sport_bet_selection_settled", since="inferred"),
        Event("acc_bonus_approved", since="observed"),
        Event("acc_bonus_cancelled", since="observed"),
        Event("acc_bonus_completed", since="observed"),
        Event("core_personal_message"),  # free payload, only from a view made for it
        Event("login", since="inferred"),  # normally the front end's
        Event("user_logged_out", since="inferred"),
        Event(CLIENT_ACTION, required=("client_action",)),
    )
}

# Smartico's engine or its script in the browser produces these; sending one would make its own automations run twice.
NEVER_SENT = (
    "ach_*",
    "minigame_*",
    "tournament_*",
    "core_bonus_given",
    "core_bonus_failed",
    "core_dynamic_bonus_*",
    "shop_item_purchase_successed",
    "gf_*",
    "core_fav_game_update",
    "core_public_tags_update",
    "update_sensitive_properties",
    "core_language_changed",
    "core_cannot_open_gamification",
    "core_set_last_login_entry",
    "core_fin_stats_update",
    "jp_*",
    "raf_*",
)


def never_sent(event_type: str) -> bool:
    """Whether Smartico produces events of this type itself."""
    return any(fnmatchcase(event_type, pattern) for pattern in NEVER_SENT)


def creates_user(event_type: str) -> bool:
    """Whether an event of this type makes an unknown player known; unknown types are assumed not to."""
    event = EVENTS.get(event_type)
    return event is not None and event.user == "creates"
