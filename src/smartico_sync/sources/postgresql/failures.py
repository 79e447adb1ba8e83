"""What PostgreSQL says when it fails, told as our failures. Neither values nor passwords get through."""

from __future__ import annotations

from smartico_sync.errors import SourceCancelled, SourceError, SourceFull, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.kit.failures import COMPARE, NO_MORE, SEE_ROW, TOO_SLOW, Meaning, alike, failure_of, meanings
from smartico_sync.sources.kit.network_failures import LESS, Hints, unreachable

__all__ = ["connecting", "failure"]

HINTS = Hints(tls=f"`sslrootcert` names the authority of the server's certificate{LESS}")
# What libpq says where the server asks for another way to log in than `require_auth` grants.
NOT_GRANTED, CLEAR_TEXT = "authentication method requirement", "requested a cleartext password"
BUSY = ("starting up", "shutting down", "not yet accepting", "recovery mode")
FULL = ("too many", "remaining connection slots")
SEE_LIMITS = (
    "see its max_connections, and the CONNECTION LIMIT of user and database; `pool:` of the source asks for fewer"
)
CONVERT = "convert it in the view: convert_from(column::bytea, 'LATIN1') for a database whose encoding is SQL_ASCII"
SEE_CAST = "SELECT from the view by hand to see the row; let the view cast only what it can, such as CASE WHEN x ~ '^[0-9]+$' THEN x::bigint END"
# By SQLSTATE, or by its class.
TABLE = {
    **meanings(SourceCancelled, TOO_SLOW, {
        "57014": "the server cancelled the query, or it ran longer than `statement_timeout`",
    }),
    **meanings(SourceCancelled, "tried again", {
        "40001": "the standby had to end the read to go on replaying",
        "40P01": "the server ended the read to break a deadlock",
        "57P01": "the server's administrator ended the connection",
        "57P05": "the server ended an idle session",
        "25P03": "the server ended an idle transaction",
        "25P04": "the transaction ran longer than the server allows",
        "53200": "the server is out of memory",
        "53400": "the server's configured limit is reached",
    }),
    **meanings(SourceRefused, "GRANT SELECT on the view, and USAGE on its schema, to the user", {"42501": ""}),
    **meanings(SourceRefused, "check the url", {
        "3D000": "the database does not exist", "25006": "the session is read-only", "28": "the login is refused",
    }),
    **alike(SourceFull, SEE_LIMITS, NO_MORE, ("53300",)),
    **alike(SourceUnreachable, "is it starting up?", "the server cannot serve us now", ("08", "57P", "53")),
    **alike(ViewBroken, COMPARE, "", ("42", "3F")),
    # These messages quote the value that failed.
    **alike(ViewBroken, CONVERT, "some row holds a text that cannot be converted to UTF-8", ("22021", "22P05")),
    **alike(ViewBroken, SEE_CAST, "a cast in the view fails for some row", ("22P02", "22P03", "22007", "22008", "22018", "22003")),
    **alike(ViewBroken, SEE_ROW, "the view divides by zero for some row", ("22012",)),
    **alike(ViewBroken, SEE_ROW, "the view cannot be computed for some row", ("22", "P0", "21", "2F", "39", "38")),
}  # fmt: skip
OTHERWISE = Meaning(SourceError, "the server failed", "see the server's log")


def failure(code: str, message: str, place: str, what: str) -> SourceError:
    """The failure for an SQLSTATE; `message` is the server's primary message, used only where it tells a name.

    A cast to `regclass` and what a function raises tell a value instead: no address gets through.
    """
    return failure_of(TABLE, code, place, what, said=message, otherwise=OTHERWISE)


def connecting(error: BaseException, code: str | None, message: str, place: str) -> SourceError:
    """A failure to connect. libpq often gives no SQLSTATE there, so a server that answered FATAL has refused us."""
    if code is not None and code[:2] not in ("08", ""):
        return failure(code, message, place, "connecting")
    lines = [line for line in message.splitlines() if "FATAL" in line]
    if not lines and CLEAR_TEXT in message:
        return SourceRefused(
            f"{place}: the server asks for the password, and the connection is not encrypted and verified: whoever answers there "
            "would have it",
            hint="use verified TLS (`sslrootcert` names its authority), or let pg_hba.conf ask for scram-sha-256",
        )
    if not lines and NOT_GRANTED in message:
        return SourceRefused(
            f"{place}: the server wants another way to log in than `require_auth` of the url grants",
            hint="let pg_hba.conf ask for one of them, or leave `require_auth` out",
        )
    if not lines:
        return unreachable(error, place, HINTS)
    if any(word in lines[-1] for word in FULL):
        return SourceFull(f"{place}: {NO_MORE}", hint=SEE_LIMITS)
    if any(word in lines[-1] for word in BUSY):
        return SourceUnreachable(f"{place}: the server takes no connection now", hint="is it starting up?")
    reason = lines[-1].partition("FATAL:")[2].strip() or "the login is refused"
    return SourceRefused(
        f"{place}: {reason}",
        hint="check user, password and database in the url, and the server's pg_hba.conf; after a change: smartico-sync reload",
    )
