"""What SQLite says when it fails, told as our failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.redaction import from_database
from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken

if TYPE_CHECKING:
    import sqlite3

__all__ = ["failure"]


def failure(error: sqlite3.Error, place: str, what: str) -> SourceError:
    """SQLite's messages hold names; only its functions quote a value now and then."""
    message = from_database(str(error))
    if message.startswith(("no such table", "no such column", "no such view", "near ", "error in view", "ambiguous")):
        return ViewBroken(f"{place}: {what}: {message}", hint="compare the view with views.yaml: `sync check`")
    if "interrupted" in message:
        return SourceCancelled(
            f"{place}: {what}: the query ran longer than statement_timeout", hint="is the cursor indexed? `sync check`"
        )
    if "locked" in message or "busy" in message:
        return SourceCancelled(
            f"{place}: {what}: another process holds the file locked", hint="tried again; the writer should use WAL"
        )
    if "not a database" in message or "malformed" in message:
        return SourceRefused(
            f"{place}: {what}: {message}", hint="is it the right file? `PRAGMA integrity_check` tells more"
        )
    if "unable to open" in message or "disk I/O" in message or "closed" in message:
        return SourceUnreachable(
            f"{place}: {what}: {message}",
            hint="a WAL file needs its -shm beside it, in a directory the daemon may read",
        )
    if "JSON" in message:
        return ViewBroken(
            f"{place}: {what}: the view cannot be computed for some row (JSON)",
            hint="SELECT from the view by hand to see SQLite's own words; a row's value may be in them",
        )
    return SourceError(f"{place}: {what}: {message}", hint="`sync check` tells more")
