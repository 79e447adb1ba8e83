"""What a MySQL or MariaDB server is, and what its user may do beyond reading."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError
from smartico_sync.sources.kit.privileges import UNSEEN, beyond_reading, listed
from smartico_sync.sources.protocol import ServerFacts

if TYPE_CHECKING:
    from smartico_sync.sources.kit.server_clock import Replay
    from smartico_sync.sources.mysql.session import Session
    from smartico_sync.sources.protocol import Encrypted

__all__ = ["ask_facts"]

SERVER = "SELECT VERSION(), @@version_comment, @@system_time_zone, @@global.time_zone, CURRENT_USER()"
# What reading needs, and what tells about the server; everything else is too much.
HARMLESS = (
    "USAGE", "SELECT", "SHOW VIEW", "SHOW DATABASES", "PROCESS", "REPLICATION CLIENT", "BINLOG MONITOR", "REPLICA MONITOR",
    "SLAVE MONITOR", "SHOW CREATE ROUTINE", "EXECUTE",
)  # fmt: skip
NO_FENCE = "MySQL and MariaDB show no transaction ids of their snapshots"


def ask_facts(session: Session) -> ServerFacts:
    """Ask outside a transaction. Questions the user may not ask count as unanswered."""
    version, comment, system, zone, user = (value or "" for value in session.run(SERVER, "the server").rows[0])
    replay = session.clock.replay(session, "the server")
    return ServerFacts(
        engine=session.engine,
        version=_short(version, comment),
        role={"primary": "primary", "hidden": "unknown"}.get(replay.state, "logical replica"),
        fence=NO_FENCE,
        replay_lag_ms=replay.lag_ms,
        timezone=system if zone == "SYSTEM" else zone,
        warnings=(*_wide(session, user), *_blind(session, replay), *_unlimited(session)),
        encrypted=_encrypted(session),
    )


def _encrypted(session: Session) -> Encrypted:
    """By the server's own word."""
    with suppress(SourceError):
        ((_, cipher),) = session.run("SHOW SESSION STATUS LIKE 'Ssl_cipher'", "the server").rows
        return "yes" if cipher else "no"
    return "unknown"


def _wide(session: Session, user: str) -> tuple[str, ...]:
    """Rights beyond reading, from SHOW GRANTS."""
    grants: list[str] = []
    with suppress(SourceError):
        grants = [row[0] or "" for row in session.run("SHOW GRANTS", "the server").rows]
    found = []
    for grant in grants:
        parts = re.match(r"GRANT (.+?) ON (?:TABLE |FUNCTION |PROCEDURE )?(\S+) TO ", grant)
        given = re.split(r",\s*(?![^(]*\))", parts[1]) if parts else ()
        wide = [right for each in given if (right := re.sub(r"\(.*?\)", "", each).strip()) not in HARMLESS]
        if parts and wide:
            found.append(f"{listed(wide)} on {parts[2].replace('`', '')}")
    return beyond_reading(user, found, separator="; ")


def _blind(session: Session, replay: Replay) -> tuple[str, ...]:
    if replay.state == "hidden":
        right = "REPLICA MONITOR" if session.flavour == "mariadb" else "REPLICATION CLIENT"
        return (f"this looks like a replica, and {UNSEEN}: GRANT {right} ON *.* to the user",)
    if replay.state == "stopped":
        return ("this replica does not replay now: its clock stands still until it does",)
    return ()


def _unlimited(session: Session) -> tuple[str, ...]:
    if session.flavour != "neither":
        return ()
    return (
        "this server has no time limit for a statement (MySQL has one since 5.7.8, MariaDB since 10.1): after `statement_timeout` we hang up, and the statement goes on in the server until it ends; so let every cursor have its index",
    )


def _short(version: str, comment: str) -> str:
    found = re.search(r"\d+(\.\d+)*", version)
    number = found.group() if found else version
    return f"{number} (MariaDB)" if "MariaDB" in version + comment else number
