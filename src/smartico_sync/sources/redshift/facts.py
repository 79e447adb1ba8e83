"""What a Redshift cluster is, and what its user may do beyond reading."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError
from smartico_sync.sources.kit.privileges import administrator, writer
from smartico_sync.sources.protocol import ServerFacts

if TYPE_CHECKING:
    from smartico_sync.sources.redshift.session import Session

__all__ = ["ask_facts"]

SERVER = """SELECT version(), current_user,
 (SELECT usesuper FROM pg_user WHERE usename = current_user)"""
WRITABLE = """SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'v') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\\\_%'
 AND (has_table_privilege(c.oid, 'INSERT') OR has_table_privilege(c.oid, 'UPDATE') OR has_table_privilege(c.oid, 'DELETE'))"""
NO_FENCE = "Redshift's transaction ids do not tell which transactions a snapshot does not see"


def ask_facts(session: Session) -> ServerFacts:
    """Ask outside a transaction. Questions the user may not ask count as unanswered."""
    version, user, superuser = (value or "" for value in session.run(SERVER, "the server").texts[0])
    return ServerFacts(
        engine="redshift",
        version=_short(version),
        role="primary",
        fence=NO_FENCE,
        warnings=_warnings(session, user, superuser),
        encrypted=session.encrypted,
    )


def _warnings(session: Session, user: str, superuser: str) -> tuple[str, ...]:
    if superuser == "t":
        return (administrator(user, "superuser"),)
    with suppress(SourceError):
        return writer(user, session.run(WRITABLE, "the server").texts[0][0])
    return ()


def _short(version: str) -> str:
    found = re.search(r"Redshift (\d+(?:\.\d+)*)", version) or re.search(r"(\d+(?:\.\d+)*)", version)
    return found.group(1) if found else version
