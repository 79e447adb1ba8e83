"""What a ClickHouse server is, and what the user may do beyond reading."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError
from smartico_sync.sources.kit.privileges import beyond_reading
from smartico_sync.sources.protocol import ServerFacts
from smartico_sync.sources.sql.names import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.sources.clickhouse.session import Session

__all__ = ["ask_facts", "listed"]

NO_FENCE = "ClickHouse has no transactions whose order could be seen"
SERVER = "SELECT version(), timezone(), currentUser()"
DELAY = "SELECT max(absolute_delay), countIf(is_readonly), count() FROM system.replicas"
GRANTS = "SHOW GRANTS"
HARMLESS = (
    "SELECT", "SHOW", "dictGet", "displaySecretsInShowAndSelect", "CHECK", "INTROSPECTION", "REMOTE", "TABLE ENGINE",
)  # fmt: skip
RELATIONS = """SELECT database, name FROM system.tables WHERE NOT is_temporary
 AND database NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA') AND name NOT LIKE '.inner%'
 AND (currentDatabase() = 'default' OR database = currentDatabase()) ORDER BY 1, 2 LIMIT 1000"""


def ask_facts(session: Session) -> ServerFacts:
    """Questions the user may not ask count as unanswered."""
    version, timezone, user = map(str, session.rows(SERVER, "the server")[0])
    delay_ms, told = None, []
    with suppress(SourceError):
        delay_s, cut_off, replicated = map(int, session.rows(DELAY, "the server")[0])
        delay_ms = delay_s * 1000 if replicated else None
        if cut_off:
            told.append(f"{cut_off} replicated tables are cut off from Keeper: they hear of nothing new")
    return ServerFacts(
        engine="clickhouse",
        version=version,
        role="primary",
        fence=NO_FENCE,
        replay_lag_ms=delay_ms,
        timezone=timezone,
        warnings=(*told, *_wide(session, user), *_locked(session)),
        encrypted=session.encrypted,
    )


def listed(session: Session) -> tuple[str, ...]:
    """Tables and views that the user may see, of the database in use, or of all when that is the default one."""
    return tuple(dotted(row) for row in session.rows(RELATIONS, "the server"))


def _wide(session: Session, user: str) -> tuple[str, ...]:
    found = []
    with suppress(SourceError):
        for row in session.rows(GRANTS, "the server"):
            rights, on, _ = str(row[0]).removeprefix("GRANT ").partition(" ON ")
            if on and not rights.startswith("REVOKE"):  # else a role, or what is taken away again
                found += [right.strip() for right in re.sub(r"\([^)]*\)", "", rights).split(", ")]
    return beyond_reading(user, [right for right in found if not right.startswith(HARMLESS)])


def _locked(session: Session) -> Iterator[str]:
    """What we would set, and may not."""
    known = session.settings
    if "readonly" in known and known["readonly"].value == "0" and known["readonly"].readonly:
        yield "the session is not read-only, and the user may not make it so: readonly = 2 in the user's profile"
    limit = known.get("max_execution_time")
    if limit is not None and limit.readonly and float(limit.value or 0) == 0:
        yield (
            "the server ends no query of ours, however long it runs: set max_execution_time in the user's profile, or "
            "readonly = 2 instead of 1"
        )
