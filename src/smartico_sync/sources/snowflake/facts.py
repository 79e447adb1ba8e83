"""What a Snowflake account is, what the role may do beyond reading, and what a poll is likely to cost."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from smartico_sync.errors import SourceError
from smartico_sync.sources.kit.privileges import beyond_reading
from smartico_sync.sources.protocol import ServerFacts
from smartico_sync.sources.snowflake.types import SNOWFLAKE
from smartico_sync.sources.sql.names import constant, quoted, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.sources.snowflake.session import Session

__all__ = ["ask_facts", "listed"]

SERVER = "SELECT CURRENT_VERSION(), CURRENT_USER(), CURRENT_ROLE(), CURRENT_WAREHOUSE()"
OBJECTS = "SHOW TERSE OBJECTS"
NO_FENCE = "Snowflake shows no transaction ids of its snapshots"
ADMINISTRATORS = ("ACCOUNTADMIN", "ORGADMIN", "SECURITYADMIN", "SYSADMIN", "USERADMIN", "GLOBALORGADMIN")
HARMLESS = ("USAGE", "SELECT", "MONITOR", "REFERENCES", "OPERATE", "READ")  # what reading needs, and what only shows
IDLE_S = 60  # the least that a warehouse is billed for when it wakes up: to stay awake longer only costs


def ask_facts(session: Session) -> ServerFacts:
    """Questions the role may not ask count as unanswered; none of these wakes a warehouse."""
    version, user, role, warehouse = (str(value or "") for value in session.rows(SERVER, "the server")[1][0])
    return ServerFacts(
        engine="snowflake",
        version=version,
        role="primary",
        fence=NO_FENCE,
        warnings=(*_wide(session, user, role), *_dear(session, warehouse)),
        encrypted="yes",
    )


def listed(session: Session, kind: str = "") -> tuple[str, ...]:
    """Tables and views of the database in use, or those of a kind, by names that `describe` takes."""
    return tuple(
        ".".join(written(SNOWFLAKE.dialect, row[part]) for part in ("schema_name", "name"))
        for row in _shown(session, OBJECTS)
        if row["schema_name"] != "INFORMATION_SCHEMA" and kind in ("", row["kind"])
    )


def _wide(session: Session, user: str, role: str) -> tuple[str, ...]:
    if role in ADMINISTRATORS:
        return (f"{user} reads as {role}: a role that may only SELECT from the views is enough",)
    with suppress(SourceError):
        held = _shown(session, f"SHOW GRANTS TO ROLE {quoted(role)}")
        wide = [f"{row['privilege']} on {row['name']}" for row in held if row["privilege"] not in HARMLESS]
        return beyond_reading(role, wide)
    return ()


def _dear(session: Session, warehouse: str) -> Iterator[str]:
    """What about the warehouse costs without making a poll faster."""
    if not warehouse:
        yield "no warehouse is in use: name one with ?warehouse=NAME in the url"
        return
    with suppress(SourceError):
        for row in _shown(session, f"SHOW WAREHOUSES LIKE {constant(warehouse)}"):
            if row["name"] != warehouse:
                continue
            idle_s = int(row.get("auto_suspend") or 0)
            if not 0 < idle_s <= IDLE_S:
                after = f"only after {idle_s} s" if idle_s else "never"
                yield (
                    f"warehouse {warehouse} goes to sleep {after}, and is billed until then after each poll that finds a changed "
                    f"table: ALTER WAREHOUSE {quoted(warehouse)} SET AUTO_SUSPEND = {IDLE_S}"
                )
            if (size := row.get("size")) not in (None, "X-Small"):
                yield f"warehouse {warehouse} is {size}: X-Small serves polls as fast, for less"


def _shown(session: Session, statement: str) -> list[dict[str, Any]]:
    names, rows = session.rows(statement, "the server")
    return [dict(zip(names, row, strict=True)) for row in rows]
