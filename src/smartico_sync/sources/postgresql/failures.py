"""What PostgreSQL says when it fails, told as our failures. Neither values nor passwords get through."""

from __future__ import annotations

from smartico_sync.core.redaction import from_database
from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken

__all__ = ["connecting", "failure"]

CANCELLED = {
    "40001": "the standby had to end the read to go on replaying",
    "40P01": "the server ended the read to break a deadlock",
    "57014": "the server cancelled the query, or it ran longer than statement_timeout",
    "57P01": "the server's administrator ended the connection",
    "57P05": "the server ended an idle session",
    "25P03": "the server ended an idle transaction",
    "25P04": "the transaction ran longer than the server allows",
    "53200": "the server is out of memory",
    "53400": "the server's configured limit is reached",
}
REFUSED = {"42501": "permission denied", "3D000": "the database does not exist", "25006": "the session is read-only"}
BUSY = ("starting up", "shutting down", "not yet accepting", "recovery mode", "too many", "remaining connection slots")


def failure(code: str, message: str, place: str, what: str) -> SourceError:
    """The failure for an SQLSTATE; `message` is the server's primary message, used only where it tells a name.

    A cast to `regclass` and what a function raises tell a value instead: no address gets through.
    """
    if code in CANCELLED:
        hint = "raise statement_timeout, or see `sync check` for a missing index" if code == "57014" else "tried again"
        return SourceCancelled(f"{place}: {what}: {CANCELLED[code]} ({code})", hint=hint)
    if code in REFUSED or code.startswith("28"):
        reason = from_database(message) if code == "42501" else REFUSED.get(code, "the login is refused")
        hint = "GRANT SELECT on the view, and USAGE on its schema, to the user" if code == "42501" else "check the url"
        return SourceRefused(f"{place}: {what}: {reason} ({code})", hint=hint)
    if code.startswith(("08", "57P", "53")):
        return SourceUnreachable(f"{place}: {what}: the server cannot serve us now ({code})", hint="is it starting up?")
    if code.startswith(("42", "3F")):
        return ViewBroken(
            f"{place}: {what}: {from_database(message)} ({code})", hint="compare the view with views.yaml: `sync check`"
        )
    if code.startswith(("22", "P0", "21", "2F", "39", "38")):
        # These messages quote the value that failed.
        return ViewBroken(
            f"{place}: {what}: the view cannot be computed for some row ({code})",
            hint="SELECT from the view by hand to see the row; a cast or a division in it fails",
        )
    return SourceError(f"{place}: {what}: the server failed ({code})", hint="see the server's log")


def connecting(code: str | None, message: str, place: str) -> SourceError:
    """A failure to connect. libpq often gives no SQLSTATE there, so a server that answered FATAL has refused us."""
    if code is not None and code[:2] not in ("08", ""):
        return failure(code, message, place, "connecting")
    lines = [line for line in message.splitlines() if "FATAL" in line]
    if lines and not any(word in lines[-1] for word in BUSY):
        reason = lines[-1].partition("FATAL:")[2].strip() or "the login is refused"
        return SourceRefused(
            f"{place}: {reason}", hint="check user, password and database in the url, and the server's pg_hba.conf"
        )
    if lines:
        return SourceUnreachable(
            f"{place}: the server takes no connection now", hint="is it starting up, or full? see max_connections"
        )
    if "certificate" in message or "SSL" in message:
        return SourceUnreachable(f"{place}: no TLS connection", hint="check sslmode and sslrootcert in the url")
    if "timeout" in message or "timed out" in message:
        return SourceUnreachable(f"{place}: nobody answered in time", hint="check host, port and firewall")
    if "resolve" in message or "Name or service" in message or "translate host" in message:
        return SourceUnreachable(f"{place}: the host name is unknown", hint="check the host in the url")
    return SourceUnreachable(f"{place}: nobody answers", hint="check host and port in the url; is the server running?")
