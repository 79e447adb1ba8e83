"""Why a row waits or was given up: the ingest API's codes are positive, these are our own."""

from __future__ import annotations

__all__ = [
    "AFTER_REFUSED",
    "GONE",
    "INVALID_ROW",
    "MUTATED",
    "TOO_LARGE",
    "UNACKNOWLEDGED",
    "UNKNOWN_BRAND",
    "UNKNOWN_USER",
    "WAITS_BEHIND",
]

UNKNOWN_USER = 10001  # the API's: the player's profile has not come yet
UNKNOWN_BRAND = 125  # the API's: nobody registered the brand

INVALID_ROW = 0  # it cannot be an event: a value does not fit, the player is missing
TOO_LARGE = -1  # no request can hold it
UNACKNOWLEDGED = -2  # the source has it, the ledger does not: found by a comparison
MUTATED = -3  # it was delivered and has changed since, though rows of its kind never should
WAITS_BEHIND = -4  # an earlier event of the same player waits
GONE = -5  # the source does not have it any more
AFTER_REFUSED = -6  # a profile that was held against an earlier one, which was then refused
