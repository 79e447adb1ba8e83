"""A cursor as a person writes it, in configuration or command: parsed against the view's cursor before anything is stored."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from smartico_sync.core.cursor_time import PER_MS
from smartico_sync.core.relation import IDS
from smartico_sync.errors import ConfigError, SourceError, SourceRefused, SourceUnreachable
from smartico_sync.tracking.reconciliation import is_time, uncountable, units

if TYPE_CHECKING:
    from smartico_sync.sources.protocol import Reading
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["cursor_at", "expected", "written"]

WHOLE = re.compile(r"([+-]?[0-9]+)(\.0*)?")
COUNT = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")
# Types of at most 64 bits begin so.
LONG = ("bigint", "int", "smallint", "tinyint", "mediumint", "long", "serial", "uint")
WIDER = ("int128", "int256", "uint128", "uint256")
WRAPPERS = re.compile(r"(nullable|lowcardinality)\(")
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999  # the years 1 to 9999: no time lies outside
LOWEST, HIGHEST, HIGHEST_UNSIGNED = -(2**63), 2**63 - 1, 2**64 - 1


def written(prepared: PreparedView, text: str) -> int:
    """A written cursor in the ledger's units; a time may name its offset. ConfigError, with what is expected, for anything else."""
    if is_time(prepared):
        place = units(prepared, text)
        if prepared.relation.epoch and COUNT.fullmatch(text) and not FIRST_MS <= counted_ms(prepared, text) <= LAST_MS:
            raise unfit(prepared, text)
        return place
    if prepared.relation.cursor_column.family not in IDS:
        raise uncountable(prepared)
    whole = WHOLE.fullmatch(text)
    number = int(whole[1]) if whole else None
    kind = WRAPPERS.sub("", prepared.relation.cursor_column.type.lower())
    narrow = kind.startswith(LONG) and not kind.startswith(WIDER)
    unsigned = "unsigned" in kind or "uint" in kind
    highest = HIGHEST_UNSIGNED if unsigned else HIGHEST
    if number is None or (narrow and not LOWEST <= number <= highest) or (unsigned and number < 0):
        raise unfit(prepared, text)
    return number


def counted_ms(prepared: PreparedView, text: str) -> Decimal:
    """A count since 1970 as epoch ms, however large."""
    return Decimal(text) / Decimal(PER_MS[prepared.relation.cursor_is])


def cursor_at(reading: Reading, prepared: PreparedView, text: str, before: int = 0) -> str:
    """A written cursor as the database compares it, `before` units earlier; the database itself has made sure that it can.

    ConfigError, with what is expected, for what is no value of the cursor; raises what the source raises.
    """
    place = written(prepared, text) - before
    try:
        cursor = reading.moment(place) if is_time(prepared) else str(place)
        reading.keys(cursor, cursor, 1)
    except (OverflowError, ValueError, OSError):
        raise unfit(prepared, text) from None
    except (SourceUnreachable, SourceRefused):
        raise
    except SourceError:
        raise unfit(prepared, text) from None
    return cursor


def expected(prepared: PreparedView) -> str:
    """What a person writes for the view's cursor."""
    if is_time(prepared):
        return "a time, such as 2026-01-31T12:00:00, or with its offset 2026-01-31T12:00:00+02:00"
    return f"a whole number that {prepared.relation.cursor_column.type} can hold"


def unfit(prepared: PreparedView, text: str) -> ConfigError:
    """The text is none of the cursor's values."""
    relation = prepared.relation
    return ConfigError(
        f"{text!r} is no value of {relation.cursor}, the cursor of {relation.name}",
        hint=f"expected {expected(prepared)}",
    )
