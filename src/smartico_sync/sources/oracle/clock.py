"""Up to which moment a database's data is complete: its own now, or on a standby the time it has applied up to."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Protocol

from msgspec import Struct

from smartico_sync.sources.kit.failures import StatementFailed

__all__ = ["STANDBY", "Clock", "Standing"]


class Asked(Protocol):
    """What the clock needs of a session."""

    def execute(self, statement: str, what: str, *expected: int) -> Any:
        """See `Session.execute`."""


NOW = """SELECT TO_CHAR(SYS_EXTRACT_UTC(SYSTIMESTAMP), 'YYYY-MM-DD HH24:MI:SS.FF3'),
 SYS_CONTEXT('USERENV', 'DATABASE_ROLE') FROM DUAL"""
# Both as the standby computed them when redo last arrived, DATUM_TIME: while nothing arrives, they stand still.
LAG = """SELECT VALUE, ROUND((SYSDATE - TO_DATE(DATUM_TIME, 'MM/DD/YYYY HH24:MI:SS')) * 86400)
 FROM V$DATAGUARD_STATS WHERE NAME = 'apply lag'"""
STANDBY = "PHYSICAL STANDBY"
HIDDEN = (942, 1031)
TICK_MS = 1_000  # the lag counts whole seconds


class Standing(Struct, frozen=True):
    """What a database is now. `lag_ms`: how far it is behind its primary, None where that cannot be known."""

    role: str
    now_ms: int
    lag_ms: int | None = None


class Clock:
    """The clock of one source, whichever of its connections asks. Never runs backwards, nor ahead of a standby's redo."""

    def __init__(self) -> None:
        self._applied_ms = 0

    def read(self, session: Asked, what: str) -> int:
        """Epoch ms up to which this database knows everything. Ask before the snapshot: then it holds for the snapshot."""
        standing = self.standing(session, what)
        if standing.role != STANDBY or (standing.lag_ms is None and not self._applied_ms):
            return standing.now_ms
        if standing.lag_ms is not None:
            self._applied_ms = max(self._applied_ms, standing.now_ms - standing.lag_ms - TICK_MS)
        return self._applied_ms

    def standing(self, session: Asked, what: str) -> Standing:
        """Ask the database; a role changes when another one takes over."""
        _, ((now, role),) = session.execute(NOW, what)
        now_ms = round(datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp() * 1000)
        return Standing(role or "", now_ms, _lag(session, what) if role == STANDBY else None)


def _lag(session: Asked, what: str) -> int | None:
    try:
        _, rows = session.execute(LAG, what, *HIDDEN)
    except StatementFailed:
        return None
    # No redo has come yet, or the server's clock was set back.
    if not rows or None in rows[0] or rows[0][1] < 0:
        return None
    parts = re.fullmatch(r"([+-])(\d+) (\d+):(\d+):(\d+)(?:\.\d+)?", rows[0][0].strip())
    if parts is None:
        return None
    days, hours, minutes, seconds = map(int, parts.groups()[1:])
    return (((days * 24 + hours) * 60 + minutes) * 60 + seconds + int(rows[0][1])) * 1000
