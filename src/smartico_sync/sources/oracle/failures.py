"""What Oracle and its driver say when they fail, told as our failures. Neither values nor passwords get through."""

from __future__ import annotations

import re
import socket
import ssl

import oracledb

from smartico_sync.errors import SourceCancelled, SourceError, SourceFull, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.kit.failures import COMPARE, NO_MORE, TOO_SLOW, alike, failure_of, meanings
from smartico_sync.sources.kit.network_failures import LESS, Hints, broken, unreachable

__all__ = ["failure", "number"]

NOT_ALLOWED = (1031, 1039, 1720, 41900)
READ_ONLY = (1456, 16000)
NONE_LEFT = (18, 20, 2391, 12516, 12518, 12519, 12520)
BUSY = (
    1033, 1034, 1035, 1089, 1090, 1109, 1219, 10458, 12521, 12526, 12527, 12528, 12537, 12564, 12571, 24454,
)  # fmt: skip
SEE_LIMITS = (
    "see its processes and sessions, and SESSIONS_PER_USER of the user's profile; `pool:` of the source asks for fewer"
)
FULL = "is it starting up, shutting down, mounted only, or full? see the processes and sessions parameters"
UNREGISTERED = "check the name in the url with `lsnrctl services`; a database that starts up registers within a minute"
TABLE = {
    **meanings(SourceCancelled, TOO_SLOW, {
        40: "the query ran longer than the server's resource plan allows",
        1013: "the query ran longer than `statement_timeout`, or somebody ended it",
        1555: "the server no longer keeps what the rows looked like when the read began",
        1652: "the server has no room to sort",
        2393: "the query used more CPU time than the user's profile allows",
        2395: "the query read more than the user's profile allows",
    }),
    **meanings(SourceCancelled, "tried again", {
        60: "the server ended the read to break a deadlock",
        1466: "the table has just been altered",
        3172: "the standby lags further behind than the session allows",
        4021: "somebody is changing the view",
        4030: "the server is out of memory",
        4031: "the server is out of memory",
        4036: "the server is out of memory",
        4068: "a package that the view uses has just been compiled",
        8103: "the table has just been truncated or rebuilt",
        8176: "the table has just been altered",
        16456: "the standby is changing its role",
    }),
    **meanings(SourceRefused, "check user and password in the url, and DBA_USERS.ACCOUNT_STATUS; after a change: smartico-sync reload", {
        1004: "the server gives nobody in without a password",
        1005: "the url names no password",
        1017: "user or password is refused",
        1045: "the user may not CREATE SESSION",
        1918: "the user does not exist",
        28000: "the account is locked",
        28001: "the password has expired",
        28009: "the user may connect as SYSDBA only",
        28040: "the server takes no login of this kind",
    }, "server"),
    **alike(SourceRefused, "GRANT READ on the view to the user", "permission denied", NOT_ALLOWED),
    **alike(SourceRefused, "a view must only read", "the transaction is read-only", READ_ONLY),
    # Their messages hold names and no values.
    **meanings(ViewBroken, COMPARE, {
        **dict.fromkeys((900, 903, 905, 907, 911, 923, 933, 936), "cannot be parsed"),
        904: "lacks a column that the configuration or the view names",
        918: "names a column that is in two tables",
        932: "compares values of two types",
        972: "has a name that is longer than this server allows",
        980: "is a synonym of something that is gone",
        997: "has a LONG column, which Oracle cannot put in order: convert it in the view",
        1775: "is a synonym of itself",
        4043: "does not exist",
        4063: "is invalid: something that it uses is gone or was changed",
        6575: "calls a package that is invalid",
        22848: "has a CLOB or BLOB as cursor or key, which Oracle cannot compare",
    }, "subject"),
    **meanings(ViewBroken, "GRANT READ on it to the user, or compare its name with views.yaml: `smartico-sync check`", {
        942: "does not exist, or the user may not read it",
    }, "subject"),
    **alike(SourceFull, SEE_LIMITS, NO_MORE, NONE_LEFT),
    **alike(SourceUnreachable, FULL, "the server cannot serve us now", BUSY),
    **meanings(SourceUnreachable, UNREGISTERED, {
        12514: "the listener does not know the service", 12505: "the listener does not know the SID",
    }, "server"),
}  # fmt: skip
LOST = (22, 28, 31, 600, 603, 1012, 1092, 2396, 2399, 3113, 3114, 3135, 12170, 12541, 12543, 12547, 12570)
# Of the driver itself: the connection broke, the call took too long.
BROKE = ("DPY-4011", "DPY-1001", "DPY-4035", "DPY-5000", "DPY-5004", "DPY-5005", "DPY-5006")
TOO_LONG = ("DPY-4024",)
ANOTHERS = ("DPY-6002", "DPY-6006")
CARRIED = ("the driver cannot carry a column's type", "convert the column in the view")
UNSUPPORTED = {
    "DPY-3010": ("the server is older than Oracle Database 12.1", "read from a newer standby"),
    "DPY-3015": (
        "the user's password is stored in a form of Oracle 10 only",
        "set the user's password again while SEC_CASE_SENSITIVE_LOGON is true",
    ),
    "DPY-3001": (
        "the server asks for something that the thin driver cannot do, native network encryption for instance",
        "let the listener offer tcps (TLS), and let SQLNET.ENCRYPTION_SERVER be accepted or requested instead of required",
    ),
}
HINTS = Hints(
    tls=f"check wallet_location or ssl_ca, and the port of tcps{LESS}",
    refused="check host and port in the url; is the listener running?",
)


def number(error: BaseException) -> int:
    """The ORA- number at the bottom of a failure; 0 for one of the driver's own."""
    code = int(getattr(_told(error), "code", 0) or 0)
    similar = re.search(r"\(Similar to ORA-(\d+)\)", str(getattr(_told(error), "message", "")))
    return code or (int(similar.group(1)) if similar else 0)


def failure(error: BaseException, place: str, what: str) -> SourceError:
    """The failure for what the driver raised while it connected, or ran a statement."""
    root = _root(error)
    code, driver = number(error), str(getattr(_told(error), "full_code", ""))
    if driver in TOO_LONG:
        return SourceCancelled(f"{place}: {what}: no answer within `statement_timeout` ({driver})", hint=TOO_SLOW)
    if code in LOST or driver in BROKE or (not code and isinstance(root, OSError)):
        return _unreached(root, place, what)
    if driver.startswith("DPY-3") and code not in TABLE:
        told, hint = UNSUPPORTED.get(driver, CARRIED)
        return SourceRefused(f"{place}: {what}: {told} ({driver})", hint=hint)
    if driver.startswith(("DPY-6", "DPY-4")) and code not in TABLE and what == "connecting":
        return _unreached(root, place, what)
    return failure_of(TABLE, code, place, what, shown=f"ORA-{code:05}" if code else driver or type(root).__name__)


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _told(error: BaseException) -> object:
    root = _root(error)
    source = root if isinstance(root, oracledb.Error) else error
    return source.args[0] if source.args else None


def _unreached(root: BaseException, place: str, what: str) -> SourceUnreachable:
    where = f"{place}: {what}"
    if isinstance(root, ssl.SSLError | TimeoutError | socket.gaierror | ConnectionRefusedError):
        return unreachable(root, where, HINTS)
    if any(code in str(root) for code in ANOTHERS):
        return SourceUnreachable(
            f"{where}: no TLS connection: the certificate is for another host",
            hint="write the host as the certificate names it, or set ssl_server_cert_dn",
        )
    if what != "connecting":
        return broken(place, what)
    return SourceUnreachable(
        f"{where}: what listens there ended the connection",
        hint="check host and port in the url; does the listener want tcps?",
    )
