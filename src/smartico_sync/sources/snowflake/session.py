"""One session with Snowflake that never waits longer than it was told to, and only asks."""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import snowflake.connector
from snowflake.connector import errors

from smartico_sync.sources.kit.failures import only_asks
from smartico_sync.sources.kit.intake import counted_tables
from smartico_sync.sources.snowflake.failures import connecting, failure
from smartico_sync.sources.sql.warehouse import WarehouseSession

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa
    from snowflake.connector import SnowflakeConnection

    from smartico_sync.sources.kit.abandonable import UnattendedCalls
    from smartico_sync.sources.kit.intake import Intake
    from smartico_sync.sources.kit.server_clock import ServerClock
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


class Session(WarehouseSession):
    """A connection. Snowflake has no read-only transaction, so what is not a question is refused here."""

    failures = (errors.Error,)
    failure = staticmethod(failure)
    unreadable = (OSError, ValueError, OverflowError)
    cast = "to VARCHAR"

    def __init__(self, login: Login, clock: ServerClock, unattended: UnattendedCalls, place: str) -> None:
        # The driver keeps its own limit, `query_timeout`; this one is for a download that stalls behind it.
        super().__init__(clock, unattended, place, 2 * login.silence_s)
        arguments = login.arguments()
        try:
            self._connection = unattended.run_once(
                place, lambda: snowflake.connector.connect(**arguments), self._patience_s, "connecting", _close
            )
        except errors.Error as error:
            raise connecting(error, place) from None

    def tables(
        self, statement: str, values: Mapping[str, Any], what: str, intake: Intake | None = None
    ) -> list[pa.Table]:
        """A query's answer as Arrow tables, those without a row left out. `what` names the view for messages.

        RowsTooWide where they are more than the `intake` takes.
        """

        def ask() -> list[pa.Table]:
            with self._connection.cursor() as cursor:
                cursor.execute(statement, dict(values))
                return counted_tables(cursor.fetch_arrow_batches(), intake)

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

    def _ask_now(self, what: str) -> int:
        """No warehouse is needed to tell it."""
        return int(self.rows(NOW, what)[1][0][0])

    def _ask(self, statement: str, ask: Callable[[], T], what: str) -> T:
        if not QUESTION.match(statement):
            raise only_asks(self._place, what)
        return self._call(ask, what)

    def usable(self) -> bool:
        """Whether the session is worth another question; none of this waits for the network."""
        return super().usable() and not (self._connection.is_closed() or self._connection.expired)

    def close(self) -> None:
        """End the session, which makes the server drop its query; never raises, never waits."""
        super().close()
        self._unattended.farewell(lambda: _close(self._connection))


def _close(connection: SnowflakeConnection) -> None:
    with suppress(errors.Error, OSError, RuntimeError):
        connection.close(retry=False)
