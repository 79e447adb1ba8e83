"""Warnings that every engine gives alike: rights beyond reading, and replicas whose lag nobody sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["UNSEEN", "administrator", "beyond_reading", "listed", "writer"]

SHOWN = 3  # rights that a warning names
UNSEEN = "its lag cannot be seen, so its clock is taken for the primary's and a lag longer than the lookback loses rows"


def administrator(user: str, rank: str) -> str:
    """The user may do everything."""
    return f"{user} is a {rank}: a user that may only SELECT from the views is enough"


def writer(user: str, writable: object) -> tuple[str, ...]:
    """The user may change so many tables; nothing is wrong with none."""
    return (f"{user} may write to {writable} tables or views: SELECT is enough",) if int(str(writable or 0)) else ()


def beyond_reading(
    user: str, rights: Iterable[str], enough: str = "SELECT on the views", separator: str = ", "
) -> tuple[str, ...]:
    """The user holds these rights, which reading does not need; nothing is wrong without any."""
    shown = listed(rights, separator)
    return (f"{user} may do more than read: {shown}; {enough} is enough",) if shown else ()


def listed(names: Iterable[str], separator: str = ", ") -> str:
    """The first few of some names."""
    found = list(dict.fromkeys(names))
    return separator.join(found[:SHOWN]) + (" …" if len(found) > SHOWN else "")
