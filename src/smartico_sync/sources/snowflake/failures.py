"""What Snowflake and its driver say when they fail, told as our failures. Neither values nor secrets get through."""

from __future__ import annotations

import re

from snowflake.connector import errors

from smartico_sync.errors import (
    ConfigError,
    SourceCancelled,
    SourceError,
    SourceRefused,
    SourceUnreachable,
    SyncError,
    ViewBroken,
)

__all__ = ["connecting", "failure"]

LOGIN = {
    390100: "user or password is refused",
    390101: "the user is disabled",
    390102: "the user is locked for a while after too many failures",
    390106: "the password has expired",
    390144: "the key is refused: the user has no such RSA_PUBLIC_KEY, or this machine's clock is wrong",
    390189: "the role does not exist, or the user may not have it",
    390191: "the user may not log in in this way",
    390197: "the user needs a second factor: use a key or a token for a service",
    390201: "the database, the schema or the warehouse does not exist, or the role may not use it",
    390303: "the token is refused",
    390318: "the token has expired",
    390422: "the account's network policy does not allow this machine's address",
    390432: "the account's network policy does not allow this machine's address",
    394400: "the programmatic access token is refused",
}
EXPIRED = (390111, 390112, 390114, 390115, 390195)  # the session is over: the next one is new
SECRETS = (
    "check user, role and secret of the source; `SELECT * FROM TABLE(INFORMATION_SCHEMA.LOGIN_HISTORY())` tells more"
)
CANCELLED = {
    604: "somebody ended the query",
    608: "the warehouse was suspended during the query",
    625: "the query waited too long for a lock",
    630: "the query ran, or waited for the warehouse, longer than statement_timeout",
    639: "the query waited for the warehouse longer than statement_timeout",
}
REFUSED = {
    606: ("no warehouse is in use", "name one: ?warehouse=NAME in the url, and GRANT USAGE ON WAREHOUSE to the role"),
    3001: ("permission denied", "GRANT SELECT on the view, USAGE on its database and schema, to the role"),
    90073: ("a resource monitor has stopped the warehouse", "raise its quota, or wait until it begins anew"),
    90105: ("no database is in use", "write it into the url: snowflake://user@account/database/schema"),
    90106: ("no schema is in use", "write it into the url, or in front of the relation's name"),
}
GONE = (2003, 2043)
GRANT = "does it exist, and does the role have SELECT on it and USAGE on its schema? Snowflake tells the two apart for nobody"
COMPARE = "compare the view with views.yaml: `sync check`"


def failure(error: errors.Error, place: str, what: str) -> SourceError:
    """The failure of a statement."""
    code, state = error.errno or 0, error.sqlstate or ""
    if code in CANCELLED or state == "57014":
        reason = CANCELLED.get(code, "the server ended the query")
        return SourceCancelled(
            f"{place}: {what}: {reason} ({code:06})",
            hint="raise statement_timeout if the warehouse needs longer to wake up; `sync check` tells what a poll reads",
        )
    if code in REFUSED:
        reason, hint = REFUSED[code]
        return SourceRefused(f"{place}: {what}: {reason} ({code:06})", hint=hint)
    if code in EXPIRED:
        return SourceUnreachable(
            f"{place}: {what}: the session has expired ({code})", hint="tried again with a new one"
        )
    if code >= 390_000:
        return _login(code, place)
    if code in GONE:
        return ViewBroken(
            f"{place}: {what} reads what does not exist, or what the role may not see ({code:06})", hint=GRANT
        )
    if code == 904:
        named = re.search(r"invalid identifier '([\w\"$. ]+)'", error.raw_msg or "")
        told = f" {named[1]}" if named else ""
        return ViewBroken(f"{place}: {what} names a column{told} that is not there (000904)", hint=COMPARE)
    if state.startswith("42") or code in (1003, 2031):
        return ViewBroken(f"{place}: {what}: the server cannot compile it ({code:06})", hint="run the query: by hand")
    if state.startswith(("22", "P0")) or 100_000 <= code < 200_000:
        # These messages quote the value that failed.
        return ViewBroken(
            f"{place}: {what}: the view cannot be computed for some row ({code:06})",
            hint="SELECT from the view by hand to see the row; a cast or a division in it fails",
        )
    if isinstance(error, errors.OperationalError | errors.InterfaceError):
        return _silent(error, place, what)
    return SourceError(f"{place}: {what}: the server failed ({code:06})", hint="see QUERY_HISTORY for the query's tag")


def connecting(error: errors.Error, place: str) -> SyncError:
    """A failure to log in."""
    code, told = error.errno or 0, error.raw_msg or ""
    if code >= 390_000:
        return _login(code, place)
    if isinstance(error, errors.ProgrammingError):
        named = getattr(error, "parameter", None) or "one of the parameters"
        return ConfigError(
            f"{place}: the driver cannot use {named}, or misses it", hint="see docs/databases/snowflake.md"
        )
    if "Authentication failed" in told:
        return SourceRefused(
            f"{place}: the private key cannot be read",
            hint="it must be PKCS#8 in PEM form; is private_key_passphrase_file the right one?",
        )
    return _silent(error, place, "connecting")


def _login(code: int, place: str) -> SourceError:
    return SourceRefused(f"{place}: {LOGIN.get(code, 'the login is refused')} ({code})", hint=SECRETS)


def _silent(error: errors.Error, place: str, what: str) -> SourceError:
    """Nobody answers, or nobody that we understand."""
    told = (error.raw_msg or "").lower()
    if "certificate" in told or "tls" in told or "invalidcontenttype" in told:
        return SourceUnreachable(
            f"{place}: no TLS connection", hint="a proxy of your own may be in between: ca_file names its CA"
        )
    if "lookup" in told or "error status: 40" in told:
        return SourceUnreachable(
            f"{place}: no such account answers", hint="the account is the part before .snowflakecomputing.com"
        )
    if "timed out" in told or "timeout" in told:
        return SourceUnreachable(
            f"{place}: {what}: nobody answered in time",
            hint="check account, proxy and firewall; statement_timeout sets how long to wait",
        )
    return SourceUnreachable(
        f"{place}: {what}: the connection broke", hint="is Snowflake up? https://status.snowflake.com"
    )
