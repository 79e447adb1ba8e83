"""SQLite's types: declared ones are words, stored ones are what counts."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from smartico_sync.sources.sql.statements import LateAdapter

if TYPE_CHECKING:
    from smartico_sync.core.relation import Family

__all__ = ["SQLITE", "STORED", "family", "stored", "text_or_bytes"]

FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"BOOL", "boolean"),
    (r"TIMESTAMPTZ|DATETIMETZ|WITH TIME ZONE", "instant"),
    (r"DATETIME|TIMESTAMP", "timestamp"),
    (r"^DATE", "date"),
    (r"JSON", "json"),
    (r"UUID|GUID", "uuid"),
    (r"INT", "integer"),
    (r"CHAR|CLOB|TEXT|STRING", "text"),
    (r"BLOB|BINARY", "binary"),
    (r"REAL|FLOA|DOUB", "float"),
    (r"DEC|NUM|MONEY", "decimal"),
)
# What typeof() says.
STORED: dict[str, Family] = {"integer": "integer", "real": "float", "text": "text", "blob": "binary"}


SQLITE = LateAdapter("smartico_sync.sources.sqlite.dialect")


@lru_cache(maxsize=256)
def family(declared: str) -> Family:
    """The family of a declared type."""
    upper = declared.upper()
    return next((found for pattern, found in FAMILIES if re.search(pattern, upper)), "other")


def stored(kind: Family, text: str) -> int | float | str | bytes:
    """A position's text as SQLite stores it."""
    with suppress(ValueError):
        match kind:
            case "integer" | "boolean":
                number = int(text)
                return number if -(2**63) <= number < 2**63 else text
            case "float":
                return float(text)
            case "decimal":
                return text  # numeric affinity converts it exactly as it did when it was stored
            case "binary":
                return bytes.fromhex(text)
            case _:
                return text
    return text


def text_or_bytes(data: bytes) -> str | bytes:
    """A text factory that lets pass what is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
