"""One read-only connection to a SQLite file."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from smartico_sync.errors import SourceUnreachable
from smartico_sync.sources.kit.intake import fetched
from smartico_sync.sources.sqlite.failures import failure
from smartico_sync.sources.sqlite.types import text_or_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from smartico_sync.sources.kit.intake import Intake

__all__ = ["Session"]

HASH_BYTES = 8  # as what other engines sum up
STEPS = 20_000  # virtual machine steps between two looks at the clock: a few milliseconds
# A deferred transaction has its snapshot from its first read on, and that shall be now.
LOOK = "SELECT 1 FROM sqlite_master LIMIT 1"


class Session:
    """A connection, and the file it was opened on. Not thread-safe but for `abort`."""

    def __init__(self, path: Path, place: str, timeout_s: float) -> None:
        self._path = path
        self._place = place
        self._timeout_s = timeout_s
        try:
            self._identity = _identity(path)
            self._connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro",
                uri=True,
                timeout=timeout_s,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection.execute(LOOK).fetchall()
        except OSError as error:
            raise SourceUnreachable(
                f"{path}: {error.strerror or 'not readable'}",
                hint="check the path in the source's url; it is relative to the current directory",
            ) from None
        except sqlite3.Error as error:
            raise failure(error, str(path), "opening") from None

    def begin(self, what: str) -> None:
        """Open a transaction that sees one snapshot and lasts no longer than the timeout. `what` names the view for messages."""
        deadline = time.monotonic() + self._timeout_s
        self._connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
        self.ask("BEGIN", what)
        self.ask(LOOK, what)

    def end(self, what: str) -> None:  # noqa: ARG002  - nothing can fail
        """End the transaction if one was begun."""
        self._connection.set_progress_handler(None, 0)
        with suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")

    def ask(
        self, statement: str, what: str, values: Mapping[str, Any] | None = None, intake: Intake | None = None
    ) -> list[tuple[Any, ...]]:
        """All rows of a statement. RowsTooWide where they are more than the `intake` takes."""
        try:
            try:
                return _taken(self._connection.execute(statement, values or {}), intake)
            except sqlite3.OperationalError as error:
                if "decode to UTF-8" not in str(error):
                    raise
                return self._tolerant(statement, values, intake)
        except sqlite3.Error as error:
            raise failure(error, self._place, what) from None

    def sum(self, statement: str, what: str, values: Mapping[str, Any]) -> tuple[int, str]:
        """How many rows a statement has, and the sum of their hashes, 64 bits each."""
        rows = total = 0
        self._connection.text_factory = bytearray  # whatever it holds, and never the same as a blob
        try:
            with closing(self._connection.execute(statement, values)) as cursor:
                for row in cursor:
                    rows += 1
                    total += int.from_bytes(blake2b(repr(row).encode(), digest_size=HASH_BYTES).digest())
        except sqlite3.Error as error:
            raise failure(error, self._place, what) from None
        finally:
            self._connection.text_factory = str
        return rows, str(total)

    def _tolerant(
        self, statement: str, values: Mapping[str, Any] | None, intake: Intake | None
    ) -> list[tuple[Any, ...]]:
        """Text that is not UTF-8 arrives as bytes, and so spoils its own row only."""
        self._connection.text_factory = text_or_bytes
        try:
            return _taken(self._connection.execute(statement, values or {}), intake)
        finally:
            self._connection.text_factory = str

    def usable(self) -> bool:
        """Whether the file is still the one that was opened: a restored copy has another identity."""
        try:
            return not self._connection.in_transaction and _identity(self._path) == self._identity
        except (OSError, sqlite3.ProgrammingError):
            return False

    def abort(self) -> None:
        """From another thread: interrupt the query."""
        with suppress(sqlite3.Error):
            self._connection.interrupt()

    def close(self) -> None:
        """Close the connection; never raises."""
        with suppress(sqlite3.Error):
            self._connection.close()


def _taken(cursor: sqlite3.Cursor, intake: Intake | None) -> list[tuple[Any, ...]]:
    """The rows of an answer, counted as they are taken."""
    if intake is None:
        return cursor.fetchall()
    intake.begin()
    with closing(cursor):  # one that is left in the midst of its rows would keep the file's old snapshot
        return fetched(cursor, intake)


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  - the hot path of an idle poll
    return status.st_dev, status.st_ino
