"""What SQL Server and its ODBC drivers say when they fail, told as our failures. Neither values nor passwords get through."""

from __future__ import annotations

import re

from smartico_sync.errors import (
    ConfigError,
    DriverMissing,
    SourceCancelled,
    SourceRefused,
    SourceUnreachable,
    SyncError,
    ViewBroken,
)
from smartico_sync.sources.kit.failures import COMPARE, SMALLER, TOO_SLOW, alike, failure_of, meanings
from smartico_sync.sources.kit.network_failures import LESS, Hints, broken, unreachable

__all__ = ["NOT_ALLOWED", "NO_OBJECT", "NO_SNAPSHOT", "NO_TIME_LEFT", "connecting", "diagnostic", "failure"]

NO_OBJECT, NO_SNAPSHOT = 208, 3952
NO_TIME_LEFT = "HYT00"
NOT_ALLOWED = (229, 230, 262, 297, 300, 371, 916, 15247)
READ_ONLY = (3906, 3992, 3993)
BUSY = (
    923, 924, 927, 976, 983, 921, 922, 945, 6005, 17142, 17187, 17197, 18401, 10928, 10929, 10936, 40197, 40501, 40613, 49918,
    49919, 49920,
)  # fmt: skip
# Their messages hold names, or a word of the query: never a value of a row.
NAMED = (
    102, 156, 195, 207, 208, 209, 306, 319, 402, 411, 451, 468, 1033, 4104, 4121, 4413, 4429, 4502, 8120, 8155, 8156,
)  # fmt: skip
RIGHTS = "GRANT SELECT ON the view TO the user; a view over other owners' tables or databases needs rights there too"
FULL = "is it starting up, shutting down, failing over or at its limit?"
LOGIN = {
    **meanings(SourceRefused, "check user, password and database in the url, and that the login has a user there; after a change: smartico-sync reload", {
        18456: "user or password is refused",
        18452: "the login is from a domain that the server does not trust",
        18470: "the account is disabled",
        18486: "the account is locked",
        18487: "the password has expired",
        18488: "the password must be changed",
        4060: "the user may not use this database, or it does not exist",
        4064: "the user's default database cannot be opened",
        40615: "the server's firewall takes no connections from this address",
        40914: "the server's firewall takes no connections from this network",
    }, "server"),
    **meanings(SourceRefused, "set application_intent=readonly in the url", {
        978: "this replica only takes connections whose intent is to read",
    }, "server"),
    **meanings(SourceRefused, "set application_intent=readwrite in the url", {
        979: "this database takes no connections whose intent is to read",
    }, "server"),
    **alike(SourceRefused, RIGHTS, "", NOT_ALLOWED),
    **alike(SourceUnreachable, FULL, "the server cannot serve us now", BUSY),
}  # fmt: skip
TABLE = {
    **LOGIN,
    **meanings(SourceCancelled, SMALLER, {
        1205: "the server ended the read to break a deadlock",
        1222: "a lock of somebody who changes the table lasted longer than `statement_timeout`",
        596: "the server's administrator ended the connection",
        601: "the data moved while it was read",
        3960: "the snapshot ended with a conflict",
        3958: "the server keeps too few row versions for this snapshot",
        3959: "the server has no room for row versions in tempdb",
        3961: "the table has just been altered",
        3966: "the server keeps too few row versions for this snapshot",
        3967: "the server has no room for row versions in tempdb",
        701: "the server is out of memory",
        802: "the server is out of memory",
        8645: "the server has too little memory to run it",
        8649: "the query costs more than the server's governor allows",
        8651: "the server has too little memory to run it",
        1101: "the server has no room in tempdb",
        1105: "the server has no room in tempdb",
        9002: "the server's log is full",
        1204: "the server has no locks left",
    }),
    **alike(SourceRefused, "a view must only read", "the database is read-only", READ_ONLY),
    **meanings(SourceRefused, "ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON", {
        NO_SNAPSHOT: "SNAPSHOT isolation is not allowed in a database that it reads",
    }),
    **alike(ViewBroken, COMPARE, "", NAMED),
}  # fmt: skip
HINTS = Hints(
    tls=f"is the server's certificate signed by an authority this machine trusts? see hostname_in_certificate{LESS}"
)
TLS = ("SSL", "certificate", "TLS", "ncryption")
FREETDS = range(20_000, 20_100)  # its own failures, mostly of the network
ABSENT = ("IM002", "IM003", "IM004", "IM005")


def diagnostic(arguments: tuple[object, ...]) -> tuple[str, int, str]:
    """SQLSTATE, the server's number and its message, of a driver's exception; number 0 where the driver itself speaks."""
    state, text = ([str(each) for each in arguments] + ["", ""])[:2]
    numbers = re.findall(r"\((-?\d+)\) \(SQL\w+\)", text)
    number = int(numbers[0]) if numbers and "[SQL Server]" in text else 0
    first = text.partition(f" ({numbers[0]}) (SQL")[0] if numbers else text
    return state, 0 if number in FREETDS else max(number, 0), re.sub(r"^(?:\[[^]]*\]\s*)+", "", first)


def failure(state: str, number: int, message: str, place: str, what: str) -> SyncError:
    """The failure for an SQLSTATE and a number of the server."""
    if number not in TABLE and state in (NO_TIME_LEFT, "HY008"):
        return SourceCancelled(
            f"{place}: {what}: the query ran longer than `statement_timeout`, or somebody ended it", hint=TOO_SLOW
        )
    if number not in TABLE and (state.startswith(("08", "HYT")) or not number):
        return broken(place, what, state)
    return failure_of(TABLE, number, place, what, said=message)


def connecting(state: str, number: int, message: str, place: str) -> SyncError:
    """A failure to connect."""
    if state in ABSENT or "Can't open lib" in message:
        return DriverMissing(
            f"{place}: the ODBC driver cannot be loaded",
            hint="install Microsoft's msodbcsql18, or apt-get install tdsodbc, or pip install mssql-python; `driver=` in the url names one",
        )
    if number in LOGIN:
        return failure(state, number, message, place, "connecting")
    if state == "28000":
        return SourceRefused(
            f"{place}: user or password is refused",
            hint="check user and password in the url; after a change: smartico-sync reload",
        )
    if any(word in message for word in TLS):
        return unreachable("tls", place, HINTS, message)
    if state.startswith("HYT"):
        return unreachable("late", place)
    if state == "01S00" or state.startswith("HY"):
        return ConfigError(
            f"{place}: the ODBC driver does not take a parameter of the url ({state})",
            hint="see docs/databases/mssql.md",
        )
    return SourceUnreachable(
        f"{place}: nobody answers ({state})", hint="check host and port in the url; is the server running?"
    )
