"""Up to which moment a server's data is complete: its own now, or on a replica the last commit it has replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.zones import UTC
from smartico_sync.sources.kit.failures import StatementFailed
from smartico_sync.sources.kit.server_clock import Replay, ReplicaClock
from smartico_sync.sources.kit.values import epoch_ms
from smartico_sync.sources.mssql.failures import NO_OBJECT, NOT_ALLOWED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.sources.kit.server_clock import Asked

__all__ = ["TICK_MS", "Clock"]


NOW = "SELECT CONVERT(varchar(33), SYSUTCDATETIME(), 126) AS now"
UPDATEABLE = "SELECT CONVERT(nvarchar(60), DATABASEPROPERTYEX(DB_NAME(), N'Updateability')) AS word"
# The server's own zone is left by the difference of its two clocks. Azure SQL Database knows the second view.
REPLAYED = """SELECT CONVERT(varchar(33), SYSUTCDATETIME(), 126) AS now,
 CONVERT(varchar(33), DATEADD(minute, DATEDIFF(minute, SYSDATETIME(), SYSUTCDATETIME()), MIN(last_commit_time)), 126) AS replayed
 FROM sys.{view} WHERE database_id = DB_ID() AND is_local = 1"""
VIEWS = ("dm_hadr_database_replica_states", "dm_database_replica_states")
TICK_MS = 4  # the view's times are rounded to three hundredths of a second


class Clock(ReplicaClock):
    """The clock of one source."""

    def question(self, session: Asked, what: str) -> str:
        """What to ask before a snapshot is taken, so that the answer holds for it.

        Whether a server is a primary is asked once a connection, which a failover ends.
        """
        if session.standing == "unknown":
            writable = session.run(UPDATEABLE, what).rows[0][0] == "READ_WRITE"
            session.standing = "primary" if writable else _view(session, what)
        return NOW if session.standing in ("primary", "hidden") else REPLAYED.format(view=session.standing)

    def replay(self, session: Asked, row: Sequence[str | None]) -> Replay:
        """What the answer's row means."""
        now_ms = epoch_ms(row[0] or "", UTC)
        if session.standing in ("primary", "hidden"):
            return Replay("primary" if session.standing == "primary" else "hidden", now_ms)
        if row[1] is None:
            return Replay("stopped", now_ms)
        # In the hour that an autumn has twice, a local time may seem to lie ahead.
        return Replay("replica", now_ms, max(0, now_ms - epoch_ms(row[1], UTC)))


def _view(session: Asked, what: str) -> str:
    """The view that tells how far a replica has come; `hidden` where there is none, or the user may not ask."""
    for view in VIEWS:
        try:
            answer = session.attempt(REPLAYED.format(view=view), what, expected=(NO_OBJECT, *NOT_ALLOWED))
        except StatementFailed:
            continue
        if answer.rows[0][1] is not None:
            return view
    return "hidden"
