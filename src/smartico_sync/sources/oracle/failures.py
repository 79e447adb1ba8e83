"""What Oracle and its driver say when they fail, told as our failures. Neither values nor passwords get through."""

from __future__ import annotations

import re
import socket
import ssl

import oracledb

from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken

__all__ = ["failure", "number"]

CANCELLED = {
    40: "the query ran longer than the server's resource plan allows",
    60: "the server ended the read to break a deadlock",
    1013: "the query ran longer than statement_timeout, or somebody ended it",
    1466: "the table has just been altered",
    1555: "the server no longer keeps what the rows looked like when the read began",
    1652: "the server has no room to sort",
    2393: "the query used more CPU time than the user's profile allows",
    2395: "the query read more than the user's profile allows",
    3172: "the standby lags further behind than the session allows",
    4021: "somebody is changing the view",
    4030: "the server is out of memory",
    4031: "the server is out of memory",
    4036: "the server is out of memory",
    4068: "a package that the view uses has just been compiled",
    8103: "the table has just been truncated or rebuilt",
    8176: "the table has just been altered",
    16456: "the standby is changing its role",
}
SLOW = (40, 1013, 1555, 1652, 2393, 2395)
LOGIN = {
    1004: "the server gives nobody in without a password",
    1005: "the url names no password",
    1017: "user or password is refused",
    1045: "the user may not CREATE SESSION",
    1918: "the user does not exist",
    28000: "the account is locked",
    28001: "the password has expired",
    28009: "the user may connect as SYSDBA only",
    28040: "the server takes no login of this kind",
}
NOT_ALLOWED = (1031, 1039, 1720, 41900)
READ_ONLY = (1456, 16000)
# Their messages hold names and no values.
BROKEN = {
    904: "lacks a column that the configuration or the view names",
    900: "cannot be parsed", 903: "cannot be parsed", 905: "cannot be parsed", 907: "cannot be parsed",
    911: "cannot be parsed", 923: "cannot be parsed", 933: "cannot be parsed", 936: "cannot be parsed", 942: "does not exist, or the user may not read it",
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
}  # fmt: skip
BUSY = (
    18, 20, 1033, 1034, 1035, 1089, 1090, 1109, 1219, 2391, 10458, 12514, 12505, 12516, 12518, 12519, 12520, 12521, 12526,
    12527, 12528, 12537, 12564, 12571, 24454,
)  # fmt: skip
LOST = (22, 28, 31, 600, 603, 1012, 1092, 2396, 2399, 3113, 3114, 3135, 12170, 12541, 12543, 12547, 12570)
# Of the driver itself: the connection broke, the call took too long, no such version or login.
BROKE = ("DPY-4011", "DPY-1001", "DPY-4035", "DPY-5000", "DPY-5004", "DPY-5005", "DPY-5006")
TOO_LONG = ("DPY-4024",)
UNKNOWN_PLACE = {"DPY-6001": 12514, "DPY-6003": 12505}


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
        return SourceCancelled(
            f"{place}: {what}: no answer within statement_timeout ({driver})",
            hint="raise statement_timeout, or see `sync check` for a missing index",
        )
    if code in LOST or driver in BROKE or (not code and isinstance(root, OSError)):
        return _unreached(root, place, what)
    if code in CANCELLED:
        hint = "raise statement_timeout, or see `sync check` for a missing index" if code in SLOW else "tried again"
        return SourceCancelled(f"{place}: {what}: {CANCELLED[code]} (ORA-{code:05})", hint=hint)
    if code in LOGIN:
        return SourceRefused(
            f"{place}: {LOGIN[code]} (ORA-{code:05})",
            hint="check user and password in the url, and DBA_USERS.ACCOUNT_STATUS",
        )
    if code in NOT_ALLOWED:
        return SourceRefused(
            f"{place}: {what}: permission denied (ORA-{code:05})", hint="GRANT READ on the view to the user"
        )
    if code in READ_ONLY:
        return SourceRefused(
            f"{place}: {what}: the transaction is read-only (ORA-{code:05})", hint="a view must only read"
        )
    if code in BROKEN:
        hint = "GRANT READ on it to the user, or compare its name" if code == 942 else "compare the view"
        return ViewBroken(
            f"{place}: {what} {BROKEN[code]} (ORA-{code:05})", hint=f"{hint} with views.yaml: `sync check`"
        )
    if code in BUSY:
        return _busy(code, place, what)
    if driver.startswith("DPY-3"):
        return SourceRefused(f"{place}: {what}: {_unsupported(driver)} ({driver})", hint=_instead(driver))
    if driver.startswith(("DPY-6", "DPY-4")) and what == "connecting":
        return _unreached(root, place, what)
    told = f"ORA-{code:05}" if code else driver or type(root).__name__
    return ViewBroken(
        f"{place}: {what}: the view cannot be computed ({told})",
        hint="SELECT from the view by hand to see the server's own words; a row's value may be in them",
    )


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _told(error: BaseException) -> object:
    root = _root(error)
    source = root if isinstance(root, oracledb.Error) else error
    return source.args[0] if source.args else None


def _busy(code: int, place: str, what: str) -> SourceUnreachable:
    if code in UNKNOWN_PLACE.values():
        return SourceUnreachable(
            f"{place}: the listener does not know the {'service' if code == 12514 else 'SID'} (ORA-{code})",
            hint="check the name in the url with `lsnrctl services`; a database that starts up registers within a minute",
        )
    return SourceUnreachable(
        f"{place}: {what}: the server cannot serve us now (ORA-{code:05})",
        hint="is it starting up, shutting down, mounted only, or full? see the processes and sessions parameters",
    )


def _unreached(root: BaseException, place: str, what: str) -> SourceUnreachable:
    match root:
        case ssl.SSLError():
            told, hint = (
                f"no TLS connection ({root.reason or 'the certificate does not fit'})",
                "check wallet_location or ssl_ca, and the port of tcps",
            )
        case TimeoutError():
            told, hint = "nobody answered in time", "check host, port and firewall"
        case socket.gaierror():
            told, hint = "the host name is unknown", "check the host in the url"
        case ConnectionRefusedError():
            told, hint = "nobody answers", "check host and port in the url; is the listener running?"
        case _ if "DPY-6002" in str(root) or "DPY-6006" in str(root):
            told, hint = (
                "the server's certificate is another's",
                "write the host as the certificate names it, or set ssl_server_cert_dn",
            )
        case _ if what == "connecting":
            told, hint = (
                "what listens there ended the connection",
                "check host and port in the url; does the listener want tcps?",
            )
        case _:
            told, hint = "the connection broke", "is the server running?"
    return SourceUnreachable(f"{place}: {what}: {told}", hint=hint)


def _unsupported(driver: str) -> str:
    match driver:
        case "DPY-3010":
            return "the server is older than Oracle Database 12.1"
        case "DPY-3015":
            return "the user's password is stored in a form of Oracle 10 only"
        case "DPY-3001":
            return (
                "the server asks for something that the thin driver cannot do, native network encryption for instance"
            )
        case _:
            return "the driver cannot carry a column's type"


def _instead(driver: str) -> str:
    match driver:
        case "DPY-3015":
            return "set the user's password again while SEC_CASE_SENSITIVE_LOGON is true"
        case "DPY-3001":
            return "let the listener offer tcps (TLS), and let SQLNET.ENCRYPTION_SERVER be accepted or requested instead of required"
        case "DPY-3010":
            return "read from a newer standby"
        case _:
            return "convert the column in the view"
