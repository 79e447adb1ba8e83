"""How far a standby is behind its primary, and whether it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.replication import UNKNOWN, Replication
from smartico_sync.sources.postgresql.transaction import FIRST_WITH_FENCE

if TYPE_CHECKING:
    from smartico_sync.sources.postgresql.session import Session

__all__ = ["ask_replication"]

# Everybody may ask. A standby that has replayed all that it received is behind only when it receives nothing any more:
# the primary may just have nothing to say.
STANDING = """SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, pg_is_in_recovery(),
 CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END,
 CASE WHEN pg_is_in_recovery() THEN (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint END,
 CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn() END,
 EXISTS (SELECT FROM pg_stat_wal_receiver)"""
PAUSED = "on the replica: SELECT pg_wal_replay_resume()"
SILENT = "the replica receives nothing from its primary: look at its log, and at `primary_conninfo` and pg_stat_wal_receiver there"


def ask_replication(session: Session, what: str) -> Replication:
    """Ask inside an open transaction. Raises SourceError where a fork does not know the functions."""
    if session.version < FIRST_WITH_FENCE:
        return UNKNOWN
    now, standby, paused, behind, level, receiving = session.run(STANDING, what)[0].rows[0]
    now_ms, lag_ms = int(now or 0), max(0, int(behind or 0))
    if standby != "t":
        return Replication("primary", now_ms)
    if paused == "t":
        return Replication("stopped", now_ms, lag_ms, PAUSED)
    if receiving != "t" and level is not None:  # one that is fed from an archive has never received anything
        return Replication("stopped", now_ms, lag_ms, SILENT)
    return Replication("replica", now_ms, 0 if level == "t" else lag_ms)
