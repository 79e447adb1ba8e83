"""What SQLite says when it fails, told as our failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.redaction import from_database
from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.kit.failures import BY_HAND, COMPARE

if TYPE_CHECKING:
    import sqlite3

__all__ = ["failure"]


# By words of its messages, which hold names; only its functions quote a value now and then.
WORDS = (
    (ViewBroken, COMPARE, "", ("no such table", "no such column", "no such view", "near ", "error in view", "ambiguous")),
    (SourceCancelled, "is the cursor indexed? `smartico-sync check`", "the query ran longer than `statement_timeout`", ("interrupted",)),
    (SourceCancelled, "tried again; the writer should use WAL", "another process holds the file locked", ("locked", "busy")),
    (SourceRefused, "is it the right file? `PRAGMA integrity_check` tells more", "", ("not a database", "malformed")),
    (SourceUnreachable, "a WAL file needs its -shm beside it, in a directory the daemon may read", "",
     ("unable to open", "disk I/O", "closed")),
    (ViewBroken, BY_HAND, "the view cannot be computed for some row (JSON)", ("JSON",)),
    (SourceError, "`smartico-sync check` tells more", "", ("",)),
)  # fmt: skip


def failure(error: sqlite3.Error, place: str, what: str) -> SourceError:
    """The failure of whatever SQLite was asked."""
    said = from_database(str(error))
    kind, hint, told = next(row[:3] for row in WORDS if any(words in said for words in row[3]))
    return kind(f"{place}: {what}: {told or said}", hint=hint)
