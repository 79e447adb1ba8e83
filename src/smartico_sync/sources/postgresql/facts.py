"""What a PostgreSQL server is, and whether its snapshots can serve as a fence."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError
from smartico_sync.sources.kit.privileges import administrator, writer
from smartico_sync.sources.postgresql.transaction import FIRST_WITH_FENCE
from smartico_sync.sources.protocol import ServerFacts
from smartico_sync.sources.sql.source import transaction

if TYPE_CHECKING:
    from smartico_sync.sources.postgresql.session import Session

__all__ = ["ask_facts", "ask_pins"]

FORKS = ("Redshift", "CockroachDB", "YugabyteDB", "-YB-", "Greenplum", "Materialize", "Vertica")
SERVER = """SELECT version(), pg_is_in_recovery(),
 EXISTS (SELECT FROM pg_proc WHERE proname = 'aurora_version'),
 (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
 (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE 'pg\\_%' AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')),
 (SELECT setting FROM pg_settings WHERE name = 'default_transaction_read_only'),
 (SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'), quote_ident(current_user)"""
LAG = """SELECT CASE WHEN pg_last_wal_receive_lsn() IS NOT DISTINCT FROM pg_last_wal_replay_lsn() THEN 0
 ELSE (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint END"""
SUBSCRIBED = """SELECT count(*) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
 WHERE d.datname = current_database() AND s.subenabled"""
CACHED = "SELECT schemaname || '.' || sequencename FROM pg_sequences WHERE cache_size > 1 ORDER BY 1 LIMIT 3"

# Transaction ids are the whole cluster's. Others' are shown to members of pg_read_all_stats only. A replication slot keeps old
# versions of rows, by its xmin or catalog_xmin, and no transaction open: the snapshot's xmin passes it.
PINS = (
    """SELECT format('process %s of %s in database %s, a transaction since %s', pid, usename, datname,
 to_char(xact_start, 'YYYY-MM-DD HH24:MI:SS TZ')) FROM pg_stat_activity WHERE backend_xid IS NOT NULL
 ORDER BY age(backend_xid) DESC LIMIT 1""",
    """SELECT format('the prepared transaction %L of database %s, since %s', gid, database,
 to_char(prepared, 'YYYY-MM-DD HH24:MI:SS TZ')) FROM pg_prepared_xacts ORDER BY age(transaction) DESC LIMIT 1""",
)


def ask_facts(session: Session) -> ServerFacts:
    """Questions the user may not ask count as unanswered."""
    with transaction(session, "the server"):
        return _asked(session)


def _asked(session: Session) -> ServerFacts:
    row = session.run(SERVER, "the server")[0].rows[0]
    version, recovering, aurora, superuser, writable, read_only, timezone, user = (value or "" for value in row)
    standby = recovering == "t"
    subscribed = not standby and _number(session, SUBSCRIBED) > 0
    role = "physical standby" if standby else "logical replica" if subscribed else "primary"
    fence, cached = _no_fence(session, version, role, "aurora" if aurora == "t" else ""), _column(session, CACHED)
    told = f"sequences with CACHE > 1 hand out ids ahead of their use: {', '.join(cached)}" if cached else ""
    return ServerFacts(
        engine="postgresql",
        version=_short(version),
        role=role,
        fence=fence or told,
        fence_for="nothing" if fence else "times",
        replay_lag_ms=_number(session, LAG) if standby else None,
        timezone=timezone,
        warnings=_warnings(superuser, writable, read_only, user),
        encrypted=session.encrypted,
    )


def ask_pins(session: Session) -> str:
    """Ask inside an open transaction what keeps the oldest transaction id; the words name no statement and no value."""
    return "; ".join(found for question in PINS if (found := next(iter(_column(session, question)), "")))


def _no_fence(session: Session, version: str, role: str, storage: str) -> str:
    fork = next((name for name in FORKS if name in version), None)
    if fork is not None:
        return f"this is {fork.strip('-')}, whose snapshots mean something else"
    if session.version < FIRST_WITH_FENCE:
        return "PostgreSQL before 10"
    if role == "logical replica":
        return "a logical replica commits in its own order, with its own transaction ids"
    if storage == "aurora" and role == "physical standby":
        return "an Aurora reader replays without the standby's snapshots"
    return ""


def _warnings(superuser: str, writable: str, read_only: str, user: str) -> tuple[str, ...]:
    told = (administrator(user, "superuser"),) if superuser == "t" else writer(user, writable)
    lock = f"as a second lock: ALTER ROLE {user} SET default_transaction_read_only = on"
    return (*told, lock) if told and read_only != "on" else told


def _short(version: str) -> str:
    found = re.search(r"\d+(\.\d+)*", version)
    return found.group() if found else version


def _column(session: Session, query: str) -> list[str]:
    """The first column; empty when the server refuses. A savepoint keeps the transaction alive."""
    with suppress(SourceError):
        return [row[0] or "" for row in session.run(f"SAVEPOINT question;{query}", "the server")[-1].rows]
    with suppress(SourceError):
        session.run("ROLLBACK TO SAVEPOINT question", "the server")
    return []


def _number(session: Session, query: str) -> int:
    answer = _column(session, query)
    return int(answer[0] or 0) if answer else 0
