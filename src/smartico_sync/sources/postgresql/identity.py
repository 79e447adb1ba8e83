"""Which PostgreSQL server answers, behind an address of several hosts or a pooler."""

from __future__ import annotations

from typing import Any, Protocol

from smartico_sync.errors import SourceError, SourceUnreachable

__all__ = ["Asked", "answered", "identity"]


class Asked(Protocol):
    """What is needed of a session."""

    def run(self, script: str, what: str) -> Any:
        """See `Session.run`."""


# Two replicas share a system identifier and a timeline, but hardly the microsecond in which they were started. A standby that
# is promoted does not restart.
PROCESS = """concat_ws(' ', inet_server_addr(), inet_server_port(),
 extract(epoch FROM pg_postmaster_start_time()), CASE WHEN pg_is_in_recovery() THEN 'replays' END)"""
CLUSTER = """(SELECT system_identifier FROM pg_control_system()) || '/' || (SELECT timeline_id FROM pg_control_checkpoint())"""
MAY_ASK = """SELECT coalesce(has_function_privilege(to_regprocedure('pg_control_system()')::oid, 'execute')
 AND has_function_privilege(to_regprocedure('pg_control_checkpoint()')::oid, 'execute'), false)"""


def identity(session: Asked) -> str:
    """An SQL expression whose text differs from server to server; `NULL` where the server cannot be asked, as forks."""
    told = f"concat_ws(' ', {CLUSTER}, {PROCESS})"
    if answered(session, MAY_ASK) == "t" and answered(session, f"SELECT {told}"):
        return told
    return PROCESS if answered(session, f"SELECT {PROCESS}") else "NULL"


def answered(session: Asked, question: str) -> str | None:
    """One value, None when the server refuses. SourceUnreachable when nobody answers."""
    try:
        answer: str | None = session.run(question, "the server")[0].rows[0][0]
    except SourceUnreachable:
        raise
    except SourceError:
        return None
    return answer
