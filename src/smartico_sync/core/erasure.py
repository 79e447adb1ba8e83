"""What Smartico is told of a player who is to be forgotten."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.catalogue.events import UPDATE_PROFILE
from smartico_sync.core.events import BRAND, DATE, EID, KEY, PLAYER, POSITION, TYPE, USER, Events

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["clearing"]


def clearing(brand: str, user: str, names: Iterable[str], now_ms: int, status: str = "") -> Events:
    """One `update_profile` that clears these properties, starts no automation, and may set the account's status.

    Sent again within the same millisecond it is the same event. Properties that Smartico does not know may be left out.
    """
    cleared = [f"!{name}" for name in sorted(set(names))]
    frame = pl.DataFrame(
        {
            EID: [str(uuid.uuid5(uuid.NAMESPACE_OID, "\x1f".join((brand, user, str(now_ms)))))],
            DATE: [now_ms],
            BRAND: [brand],
            USER: [user],
            TYPE: [UPDATE_PROFILE],
            KEY: [""],
            PLAYER: pl.Series([0], dtype=pl.UInt64),
            POSITION: pl.Series([0], dtype=pl.UInt32),
            **{name: ["null"] for name in cleared},
            **({"core_account_status": [status]} if status else {}),
            "skip_cjm": [True],
        }
    )
    return Events(frame, frozenset(cleared), frozenset(cleared))
