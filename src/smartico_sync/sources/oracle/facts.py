"""What an Oracle database is, and what its user may do beyond reading."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError
from smartico_sync.sources.kit.privileges import UNSEEN, beyond_reading, listed
from smartico_sync.sources.oracle.clock import STANDBY
from smartico_sync.sources.protocol import ServerFacts

if TYPE_CHECKING:
    from smartico_sync.sources.oracle.clock import Standing
    from smartico_sync.sources.oracle.session import Session

__all__ = ["ask_facts"]

SERVER = """SELECT (SELECT MAX(VERSION) FROM PRODUCT_COMPONENT_VERSION WHERE UPPER(PRODUCT) LIKE 'ORACLE%'),
 TO_CHAR(SYSTIMESTAMP, 'TZH:TZM'), USER, SYS_CONTEXT('USERENV', 'ISDBA') FROM DUAL"""
PRIVILEGES = "SELECT PRIVILEGE FROM SESSION_PRIVS ORDER BY PRIVILEGE"
WRITABLE = """SELECT COUNT(DISTINCT TABLE_SCHEMA || '.' || TABLE_NAME) FROM ALL_TAB_PRIVS
 WHERE GRANTEE IN (SELECT USER FROM DUAL UNION ALL SELECT ROLE FROM SESSION_ROLES)
 AND PRIVILEGE IN ('INSERT', 'UPDATE', 'DELETE', 'ALTER', 'INDEX')"""
OWNED = "SELECT COUNT(*) FROM USER_TABLES"
UNORDERED = """SELECT SEQUENCE_OWNER || '.' || SEQUENCE_NAME FROM ALL_SEQUENCES
 WHERE ORDER_FLAG = 'N' AND CACHE_SIZE > 0
 AND SEQUENCE_OWNER NOT IN (SELECT USERNAME FROM ALL_USERS WHERE ORACLE_MAINTAINED = 'Y') ORDER BY 1"""
# Whether several instances write to one database can be asked by everybody, but not in SQL.
CLUSTERED = "BEGIN IF DBMS_UTILITY.IS_CLUSTER_DATABASE THEN RAISE_APPLICATION_ERROR(-20001, 'clustered'); END IF; END;"
YES = 20001
HARMLESS = (
    "CREATE SESSION", "ALTER SESSION", "SET CONTAINER", "SELECT ANY TABLE", "READ ANY TABLE", "SELECT ANY DICTIONARY",
)  # fmt: skip
ROLES = {
    "PRIMARY": "primary",
    STANDBY: "physical standby",
    "LOGICAL STANDBY": "logical replica",
    "SNAPSHOT STANDBY": "unknown",
}
NO_FENCE = "Oracle shows a reader neither its snapshot's transactions nor those that are still open"


def ask_facts(session: Session) -> ServerFacts:
    """Ask outside a transaction. Questions the user may not ask count as unanswered."""
    standing = session.clock.standing(session, "the server")
    _, ((version, offset, user, dba),) = session.execute(SERVER, "the server")
    return ServerFacts(
        engine="oracle",
        version=version or "",
        role=ROLES.get(standing.role, "unknown"),
        fence=NO_FENCE,
        replay_lag_ms=standing.lag_ms,
        timezone="UTC" if offset == "+00:00" else f"UTC{offset}",
        warnings=(*_wide(session, user or "", dba or ""), *_standby(standing), *_clustered(session)),
        encrypted=session.encrypted,
    )


def _wide(session: Session, user: str, dba: str) -> tuple[str, ...]:
    """Rights beyond reading."""
    if dba == "TRUE":
        return (f"{user} is connected with the rights of a DBA: a user that may only read the views is enough",)
    wide = [right for right in _column(session, PRIVILEGES) if right not in HARMLESS]
    told = [listed(wide)] if wide else []
    if writable := _number(session, WRITABLE):
        told.append(f"change {writable} tables or views")
    if owned := _number(session, OWNED):
        told.append(f"change the {owned} tables that it owns")
    return beyond_reading(user, told, "CREATE SESSION, and READ on the views,", "; ")


def _standby(standing: Standing) -> tuple[str, ...]:
    if standing.role == STANDBY and standing.lag_ms is None:
        return (f"this is a standby, and {UNSEEN}: GRANT SELECT ON SYS.V_$DATAGUARD_STATS to the user",)
    return ()


def _clustered(session: Session) -> tuple[str, ...]:
    """On RAC each instance hands out ids of a range of its own, unless the sequence is ORDER."""
    try:
        session.execute(CLUSTERED, "the server", YES)
    except SourceError as answer:
        if getattr(answer, "code", 0) != YES:
            return ()
    else:
        return ()
    names = _column(session, UNORDERED)
    unordered = f" (NOORDER: {listed(names)})" if names else ""
    return (
        f"this is a RAC database, whose instances hand out ids in an order of their own{unordered}: let cursors be timestamps",
    )


def _column(session: Session, query: str) -> list[str]:
    """The first column; empty when the server refuses."""
    with suppress(SourceError):
        return [str(row[0]) for row in session.execute(query, "the server")[1]]
    return []


def _number(session: Session, query: str) -> int:
    answer = _column(session, query)
    return int(answer[0]) if answer else 0
