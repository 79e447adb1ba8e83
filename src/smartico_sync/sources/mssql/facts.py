"""What a SQL Server is, and what its user may do beyond reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.kit.privileges import UNSEEN, administrator, writer
from smartico_sync.sources.mssql.reading import COMMITTED, isolation
from smartico_sync.sources.protocol import ServerFacts

if TYPE_CHECKING:
    from smartico_sync.sources.kit.server_clock import Replay
    from smartico_sync.sources.mssql.session import Session

__all__ = ["ask_facts"]

SERVER = """SELECT CONVERT(nvarchar(128), SERVERPROPERTY(N'ProductVersion')) AS version,
 CONVERT(int, SERVERPROPERTY(N'EngineEdition')) AS edition,
 CONVERT(nvarchar(60), DATABASEPROPERTYEX(DB_NAME(), N'IsInStandBy')) AS standby,
 DATEDIFF(minute, SYSUTCDATETIME(), SYSDATETIME()) AS minutes, DB_NAME() AS place, SUSER_SNAME() AS account,
 IS_SRVROLEMEMBER(N'sysadmin') AS administrator, OBJECT_ID(N'dbo.MSreplication_subscriptions') AS subscribed"""
VERSIONED = "SELECT is_read_committed_snapshot_on AS versioned FROM sys.databases WHERE name = DB_NAME()"
THING = "QUOTENAME(s.name) + N'.' + QUOTENAME(o.name), N'OBJECT'"
WRITABLE = f"""SELECT COUNT(*) AS writable FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
 WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0 AND (HAS_PERMS_BY_NAME({THING}, N'INSERT') = 1
 OR HAS_PERMS_BY_NAME({THING}, N'UPDATE') = 1 OR HAS_PERMS_BY_NAME({THING}, N'DELETE') = 1)"""  # noqa: S608  - constants only
RELEASES = {11: "2012", 12: "2014", 13: "2016", 14: "2017", 15: "2019", 16: "2022", 17: "2025"}
AZURE = {5: "Azure SQL Database", 8: "Azure SQL Managed Instance"}
NO_FENCE = (
    "SQL Server shows no transaction ids of its snapshots, and MIN_ACTIVE_ROWVERSION() can be later than the snapshot it "
    "would have to belong to"
)


def ask_facts(session: Session) -> ServerFacts:
    """Ask outside a transaction."""
    row = session.run(SERVER, "the server").rows[0]
    version, edition, standby, minutes, place, account, sysadmin, subscribed = row
    question = session.clock.question(session, "the server")
    replay = session.clock.replay(session, session.run(question, "the server").rows[0])
    role = {"primary": "primary", "hidden": "unknown"}.get(replay.state, "physical standby")
    if standby == "1":
        role = "physical standby"
    elif subscribed is not None and role == "primary":
        role = "logical replica"
    return ServerFacts(
        engine="mssql",
        version=_named(str(version), int(edition or 0)),
        role=role,
        fence=NO_FENCE,
        replay_lag_ms=replay.lag_ms,
        timezone=_zone(int(minutes or 0)),
        warnings=(
            *(
                (administrator(str(account), "sysadmin"),)
                if sysadmin == 1
                else writer(str(account), session.run(WRITABLE, "the server").rows[0][0])
            ),
            *_unversioned(session, str(place), replay),
            *_blind(replay, role),
        ),
        encrypted=session.encrypted,
    )


def _named(version: str, edition: int) -> str:
    if edition in AZURE:
        return f"{version} ({AZURE[edition]})"
    release = RELEASES.get(int(version.partition(".")[0] or 0))
    return f"{release} ({version})" if release else version


def _zone(minutes: int) -> str:
    if not minutes:
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'+' if minutes > 0 else '-'}{hours:02}:{rest:02}"


def _unversioned(session: Session, place: str, replay: Replay) -> tuple[str, ...]:
    """A replica that answers reads does so from snapshots, whatever its database says."""
    if replay.state != "primary" or isolation(session, "the server") != COMMITTED:
        return ()
    rows = session.run(VERSIONED, "the server").rows
    waits = "" if rows and rows[0][0] else ", and they wait for whoever writes"
    name = place.replace("]", "]]")
    told = f"the database has no SNAPSHOT isolation, so each statement of a reading sees a moment of its own{waits}"
    return (f"{told}: ALTER DATABASE [{name}] SET ALLOW_SNAPSHOT_ISOLATION ON",)


def _blind(replay: Replay, role: str) -> tuple[str, ...]:
    if replay.state == "hidden":
        right = "GRANT VIEW SERVER STATE (in Azure SQL Database VIEW DATABASE STATE) to the login"
        return (f"this database is read-only, a secondary or a restored copy, and {UNSEEN}: for a secondary {right}",)
    if role == "logical replica":
        return (f"this database subscribes to a publication, and {UNSEEN}",)
    if replay.state == "stopped":
        return ("this secondary has not replayed anything yet: its clock stands still until it does",)
    return ()
