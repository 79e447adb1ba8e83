"""Up to which moment a server's data is complete: its own now, or on a replica the time it has replayed up to."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError
from smartico_sync.sources.kit.failures import StatementFailed
from smartico_sync.sources.kit.server_clock import Replay, ReplicaClock
from smartico_sync.sources.mysql.failures import NO_SYNTAX, NOT_ALLOWED

if TYPE_CHECKING:
    from smartico_sync.sources.kit.server_clock import Asked, State

__all__ = ["TICK_MS", "Clock"]


NOW = "SELECT FLOOR(UNIX_TIMESTAMP(NOW(6)) * 1000), CONCAT(@@hostname, ':', @@port, ' ', @@server_id)"
# MariaDB knows the first, for all its primaries; MySQL the second, older ones the third.
QUESTIONS = ("SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS", "SHOW SLAVE STATUS")
BEHIND = ("Seconds_Behind_Master", "Seconds_Behind_Source")
STATES = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Uptime', 'Slaves_running', 'Slave_running')"
TICK_MS = 1_000  # Seconds_Behind counts whole seconds: the replica may be that much further behind


class Clock(ReplicaClock):
    """The clock of one source."""

    def read(self, session: Asked, what: str) -> tuple[int, str]:
        """Epoch ms up to which this server knows everything, and its name.

        Ask before the snapshot: then it holds for the snapshot.
        """
        replay = self.replay(session, what)
        if replay.state == "stopped" and not self.replayed_ms(replay):
            # Stopped since before we looked: what it knows is older than the server process.
            self.stopped_at(replay, replay.now_ms - session.run(STATES, what).pairs["Uptime"] * 1000)
        return self.complete_ms(replay), replay.server

    def replay(self, session: Asked, what: str) -> Replay:
        """Ask the server; a primary is asked once a connection."""
        state, lag_ms = _state(session, what)
        now, server = session.run(NOW, what).rows[0]
        return Replay(state, int(now or 0), lag_ms, server or "")


def _state(session: Asked, what: str) -> tuple[State, int | None]:
    if session.standing in ("primary", "hidden"):
        return ("primary", None) if session.standing == "primary" else ("hidden", None)
    for question in (session.standing,) if session.standing in QUESTIONS else QUESTIONS:
        try:
            answer = session.attempt(question, what, expected=(NO_SYNTAX, *NOT_ALLOWED))
        except StatementFailed as failed:
            if failed.code == NO_SYNTAX:
                continue
            session.standing = "hidden" if _replicates(session, what) else "primary"
            return _state(session, what)
        if not answer.values:
            session.standing = "primary"
            return "primary", None
        session.standing = question
        behind = next(index for index, name in enumerate(answer.names) if name in BEHIND)
        lags = [row[behind] for row in answer.rows]
        if None in lags:
            return "stopped", None
        return "replica", max(int(lag or 0) for lag in lags) * 1000
    session.standing = "primary"
    return "primary", None


def _replicates(session: Asked, what: str) -> bool:
    """Whether a server that does not tell its replication status looks like a replica."""
    with suppress(SourceError):
        states = session.run(STATES, what).rows
        if any(value not in ("0", "OFF") for name, value in states if name != "Uptime"):
            return True
    with suppress(SourceError):
        return bool(session.run("SELECT @@global.read_only", what).rows[0][0] == "1")
    return False
