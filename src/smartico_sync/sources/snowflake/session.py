"""One session with Snowflake that never waits longer than it was told to, and only asks."""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

import snowflake.connector
from snowflake.connector import errors

from smartico_sync.errors import SourceError, SourceRefused, SourceUnreachable
from smartico_sync.sources.kit.abandonable import AbandonableCalls, Abandoned
from smartico_sync.sources.snowflake.failures import connecting, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from smartico_sync.sources.snowflake.login import Login

__all__ = ["Session"]

# The driver logs the server's own words; what is wrong is told by the failure.
logging.getLogger("snowflake.connector").propagate = False
logging.getLogger("snowflake.connector").addHandler(logging.NullHandler())
# At each login it would ask the cloud's metadata services, credentials among them, only to tell Snowflake where it runs.
os.environ.setdefault("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")
QUESTION = re.compile(r"(?:\s|/\*.*?\*/)*(?:SELECT|EXPLAIN|SHOW)\b", re.DOTALL | re.IGNORECASE)
NOW = "SELECT DATE_PART(EPOCH_MILLISECOND, CURRENT_TIMESTAMP())"
T = TypeVar("T")


class Session:
    """A connection. Not thread-safe but for `abort`.

    Snowflake has no read-only transaction, so what is not a question is refused here; it takes one statement at a time.
    """

    def __init__(self, login: Login, place: str) -> None:
        self._place = place
        # The driver keeps its own limit, `query_timeout`; this one is for a download that stalls behind it.
        self._patience_s = 2 * login.silence_s
        self._errands = AbandonableCalls()
        self._broken = False
        arguments = login.arguments()
        try:
            self._connection = self._errands.run(lambda: snowflake.connector.connect(**arguments), self._patience_s)
        except errors.Error as error:
            raise connecting(error, place) from None
        except Abandoned:
            raise SourceUnreachable(
                f"{place}: the login was given up", hint="check account, proxy and firewall"
            ) from None

    def tables(self, statement: str, values: Mapping[str, Any], what: str) -> list[pa.Table]:
        """A query's answer as Arrow tables, those without a row left out. `what` names the view for messages."""

        def ask() -> list[pa.Table]:
            with self._connection.cursor() as cursor:
                cursor.execute(statement, dict(values))
                return [table for table in cursor.fetch_arrow_batches() if table.num_rows]

        return self._ask(statement, ask, what)

    def rows(
        self, statement: str, what: str, values: Mapping[str, Any] | None = None
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The names and rows of what is asked about the server itself, which it may not answer with Arrow."""

        def ask() -> tuple[list[str], list[tuple[Any, ...]]]:
            with self._connection.cursor() as cursor:
                cursor.execute(statement, dict(values or {}))
                return [column.name for column in cursor.description or ()], list(cursor.fetchall())

        return self._ask(statement, ask, what)

    def describe(self, statement: str, what: str) -> Sequence[Any]:
        """The columns that a query would give; it is compiled and not run, so no warehouse wakes up."""

        def ask() -> Sequence[Any]:
            with self._connection.cursor() as cursor:
                described: Sequence[Any] = cursor.describe(statement) or ()
                return described

        return self._ask(statement, ask, what)

    def now_ms(self, what: str) -> int:
        """The server's clock; no warehouse is needed to tell it."""
        return int(self.rows(NOW, what)[1][0][0])

    def _ask(self, statement: str, ask: Callable[[], T], what: str) -> T:
        if not QUESTION.match(statement):
            raise SourceRefused(f"{self._place}: {what}: this session only asks", hint="a view must only read")
        try:
            return self._errands.run(ask, self._patience_s)
        except errors.Error as error:
            told: SourceError = failure(error, self._place, what)
        except Abandoned:
            told = SourceUnreachable(
                f"{self._place}: {what}: no answer, or nobody waits for it any more",
                hint="check the network; statement_timeout sets how long to wait",
            )
        except (OSError, ValueError, OverflowError):  # what the driver's converters raise, with a value in it
            told = SourceError(
                f"{self._place}: {what}: a value cannot be read", hint="cast the column to VARCHAR in the view"
            )
        self._broken = self._broken or isinstance(told, SourceUnreachable)
        raise told from None

    def usable(self) -> bool:
        """Whether the session is worth another question; none of this waits for the network."""
        return not (self._broken or self._errands.abandoned or self._connection.is_closed() or self._connection.expired)

    def abort(self) -> None:
        """From another thread: let the waiting one go. Closing the session makes the server drop its query."""
        self._errands.abandon()

    def close(self) -> None:
        """End the session; never raises, never waits."""
        Thread(target=self._farewell, daemon=True).start()

    def _farewell(self) -> None:
        with suppress(errors.Error, OSError, RuntimeError):
            self._connection.close(retry=False)
