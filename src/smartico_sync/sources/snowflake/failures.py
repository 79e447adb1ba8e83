"""What Snowflake and its driver say when they fail, told as our failures. Neither values nor secrets get through."""

from __future__ import annotations

import re

from snowflake.connector import errors

from smartico_sync.errors import ConfigError, SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.kit.failures import COMPARE, RUN, SEE_ROW, Meaning, alike, failure_of, meanings
from smartico_sync.sources.kit.network_failures import Hints, unreachable

__all__ = ["connecting", "failure"]

LOGINS = 390_000  # numbers from here on tell of a login
SECRETS = (
    "check user, role and secret of the source; `SELECT * FROM TABLE(INFORMATION_SCHEMA.LOGIN_HISTORY())` tells more"
)
REFUSED_LOGIN = Meaning(SourceRefused, "the login is refused", SECRETS, "server")
SLOW = (
    "raise `statement_timeout` if the warehouse needs longer to wake up; `smartico-sync check` tells what a poll reads"
)
UNSEEN = "does it exist, and does the role have SELECT on it and USAGE on its schema? Snowflake tells the two apart for nobody"
EXPIRED = (390111, 390112, 390114, 390115, 390195)  # the session is over: the next one is new
TABLE = {
    **meanings(SourceRefused, SECRETS, {
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
    }, "server"),
    **alike(SourceUnreachable, "tried again with a new one", "the session has expired", EXPIRED),
    **meanings(SourceCancelled, SLOW, {
        604: "somebody ended the query",
        608: "the warehouse was suspended during the query",
        625: "the query waited too long for a lock",
        630: "the query ran, or waited for the warehouse, longer than `statement_timeout`",
        639: "the query waited for the warehouse longer than `statement_timeout`",
    }),
    **meanings(SourceRefused, "name one: ?warehouse=NAME in the url, and GRANT USAGE ON WAREHOUSE to the role", {
        606: "no warehouse is in use",
    }),
    **meanings(SourceRefused, "GRANT SELECT on the view, USAGE on its database and schema, to the role", {
        3001: "permission denied",
    }),
    **meanings(SourceRefused, "raise its quota, or wait until it begins anew", {
        90073: "a resource monitor has stopped the warehouse",
    }),
    **meanings(SourceRefused, "write it into the `url`: snowflake://user@account/database/schema", {
        90105: "no database is in use", 90106: "no schema is in use",
    }),
    **alike(ViewBroken, UNSEEN, "reads what does not exist, or what the role may not see", (2003, 2043), "subject"),
    **meanings(ViewBroken, COMPARE, {904: "names a column that is not there"}, "subject"),
    **alike(ViewBroken, RUN, "the server cannot compile it", (1003, 2031)),
}  # fmt: skip
# By SQLSTATE, or by its class, for all other numbers.
STATES = {
    **meanings(SourceCancelled, SLOW, {"57014": "the server ended the query"}),
    **meanings(ViewBroken, RUN, {"42": "the server cannot compile it"}),
    # These messages quote the value that failed.
    **alike(ViewBroken, SEE_ROW, "the view cannot be computed for some row", ("22", "P0")),
}  # fmt: skip
OTHERWISE = Meaning(SourceError, "the server failed", "see QUERY_HISTORY for the query's tag")
HINTS = Hints(
    tls="a proxy of your own may be in between: ca_file names its CA",
    late="check account, proxy and firewall; `statement_timeout` sets how long to wait",
    refused="check account, proxy and firewall; is Snowflake up? https://status.snowflake.com",
    broken="is Snowflake up? https://status.snowflake.com",
)


def failure(error: errors.Error, place: str, what: str) -> SourceError:
    """The failure of a statement, by its number, or else by its SQLSTATE."""
    number, state = error.errno or 0, error.sqlstate or ""
    if number in TABLE or number >= LOGINS:
        named = re.search(r"invalid identifier '([\w\"$. ]+)'", error.raw_msg or "") if number == 904 else None
        name = f": {named[1]}" if named else ""
        return failure_of(TABLE, number, place, what, shown=f"{number:06}", named=name, otherwise=REFUSED_LOGIN)
    if 100_000 <= number < 200_000 and not state.startswith("42"):
        state = "22"
    network = isinstance(error, errors.OperationalError | errors.InterfaceError)
    if network and not {state, state[:2]} & set(STATES):
        return _silent(error, place, what)
    return failure_of(STATES, state, place, what, shown=f"{number:06}", otherwise=OTHERWISE)


def connecting(error: errors.Error, place: str) -> ConfigError | SourceError:
    """A failure to log in."""
    code, told = error.errno or 0, error.raw_msg or ""
    if code >= 390_000:
        return failure_of(TABLE, code, place, "connecting", otherwise=REFUSED_LOGIN)
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


def _silent(error: errors.Error, place: str, what: str) -> SourceError:
    """Nobody answers, or nobody that we understand."""
    told = (error.raw_msg or "").lower()
    if "invalidcontenttype" in told or "tls" in told:
        return unreachable("tls", place, HINTS, told)
    if "lookup" in told or "error status: 40" in told:
        return SourceUnreachable(
            f"{place}: no such account answers", hint="the account is the part before .snowflakecomputing.com"
        )
    return unreachable(error, f"{place}: {what}", HINTS)
