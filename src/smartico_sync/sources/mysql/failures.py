"""What MySQL and MariaDB say when they fail, told as our failures. Neither values nor passwords get through."""

from __future__ import annotations

import re

from smartico_sync.errors import SourceCancelled, SourceError, SourceFull, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.kit.failures import COMPARE, NO_MORE, RUN, TOO_SLOW, alike, failure_of, meanings

__all__ = ["NOT_ALLOWED", "NO_SYNTAX", "NO_VARIABLE", "failure"]

NO_SYNTAX, NO_VARIABLE, TWICE = 1064, 1193, 1060
NOT_ALLOWED = (1142, 1143, 1227, 1345, 1370)
READ_ONLY = (1792, 1290, 1836)
NONE_LEFT = (1040, 1203, 1226)
BUSY = (1053, 1047, 1077, 1078, 1079, 1080, 1152, 1153, 1158, 1159, 1160, 1161, 1184)
LOST = (0, 2002, 2003, 2006, 2013, 2014, 2027, 2055)
RIGHTS = "GRANT SELECT on the view to the user: `SHOW GRANTS` tells"
FULL = "is it starting up, shutting down or full?"
SEE_LIMITS = "see max_connections, and max_user_connections of server and user; `pool:` of the source asks for fewer"
TABLE = {
    **meanings(SourceCancelled, TOO_SLOW, {
        1969: "the query ran longer than `statement_timeout`",
        3024: "the query ran longer than `statement_timeout`",
        1205: "a lock of somebody who changes the table lasted longer than `statement_timeout`",
        1038: "the server has too little memory to sort",
        1114: "the server has no room for a temporary table",
    }),
    **meanings(SourceCancelled, "tried again", {
        1317: "somebody ended the query",
        1927: "somebody ended the connection",
        1213: "the server ended the read to break a deadlock",
        1412: "the table has just been altered",
        1615: "the view has just been altered",
        1037: "the server is out of memory",
        1041: "the server is out of memory",
        1021: "the server's disk is full",
    }),
    **meanings(SourceRefused, "check user, password and database in the url, and the user's host; after a change: smartico-sync reload", {
        1045: "user or password is refused",
        1044: "the user may not use this database",
        1049: "the database does not exist",
        1130: "the server takes no connections from this host",
        1129: "the server has blocked this host after too many failures",
        1251: "the user's way to authenticate is not supported",
        1396: "the user does not exist",
        1698: "user or password is refused",
        1862: "the password has expired",
        1820: "the password has expired",
        3118: "the account is locked",
        4151: "the account is locked",
        3159: "the server takes connections with TLS only",
        3955: "the account is locked after too many failures",
    }, "server"),
    **alike(SourceRefused, RIGHTS, "permission denied", NOT_ALLOWED),
    **alike(SourceRefused, "a view must only read", "the session is read-only", READ_ONLY),
    # Their messages hold names and no values.
    **meanings(ViewBroken, COMPARE, {
        1146: "does not exist",
        1054: "lacks a column that the configuration or the view names",
        1356: "uses a table, a column or a right that is gone",
        1449: "has a definer who does not exist",
        1305: "calls a function that does not exist",
        1052: "names a column that is in two tables",
        TWICE: "has two columns of one name",
        1109: "names a table that it does not have",
        1347: "is not a view",
        1267: "compares texts of two collations",
        1271: "compares texts of two collations",
    }, "subject"),
    **alike(SourceUnreachable, "is the server running?", "the connection broke", LOST),
    **alike(SourceFull, SEE_LIMITS, NO_MORE, NONE_LEFT),
    **alike(SourceUnreachable, FULL, "the server cannot serve us now", BUSY),
    **meanings(ViewBroken, RUN, {NO_SYNTAX: "the server cannot parse it"}),
}  # fmt: skip


def failure(code: int, place: str, what: str, message: str = "") -> SourceError:
    """The failure for an error number of the server or of the driver; its message is used only where it names a column."""
    named = re.search("'([^']+)'", message) if code == TWICE else None
    return failure_of(TABLE, code, place, what, named=f": {named[1]}" if named else "")
