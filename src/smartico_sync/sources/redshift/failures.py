"""What Redshift, its driver and AWS say when they fail, told as our failures. Neither values nor passwords get through."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from smartico_sync.core.redaction import from_database
from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["failure", "silent", "told", "unreached"]

CANCELLED = {
    "57014": "the query ran longer than statement_timeout, or a queue's rule ended it",
    "40001": "the server ended the read to keep transactions in order",
    "0A000": "the view has just been altered",
    "40P01": "the server ended the read to break a deadlock",
    "57P01": "the server's administrator ended the connection",
    "57P05": "the server ended an idle session",
    "53200": "the server is out of memory",
    "53100": "the server's disk is full",
    "53400": "the server's configured limit is reached",
}
REFUSED = {"3D000": "the database does not exist", "25006": "the transaction is read-only"}
# Redshift tells much as an internal error; these words of its own decide what it is.
WORDS = (
    ("serializable isolation violation", "40001"), ("cancelled", "57014"), ("canceled", "57014"), ("disk full", "53100"),
    ("permission denied", "42501"), ("read-only", "25006"),
)  # fmt: skip


def told(error: BaseException) -> Mapping[str, str]:
    """The server's own fields (`C` its code, `M` its message) of what the driver raised; empty when it was not the server."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, dict) else {}


def failure(fields: Mapping[str, str], place: str, what: str) -> SourceError:
    """The failure for what the server said; its message is used only where it tells a name."""
    code, message = fields.get("C", ""), fields.get("M", "")
    if code in ("XX000", ""):
        code = next((known for words, known in WORDS if words in message.lower()), code)
    if code in CANCELLED and (code != "0A000" or "cached plan" in message):
        hint = "raise statement_timeout, or see `sync check` for a sort key" if code == "57014" else "tried again"
        return SourceCancelled(f"{place}: {what}: {CANCELLED[code]} ({code})", hint=hint)
    if code == "42501":
        return SourceRefused(
            f"{place}: {what}: permission denied ({code})",
            hint="GRANT SELECT on the view, and USAGE on its schema, to the user",
        )
    if code in REFUSED or code.startswith("28"):
        return SourceRefused(
            f"{place}: {what}: {REFUSED.get(code, 'the login is refused')} ({code})",
            hint="check user, password and database in the url",
        )
    if code.startswith(("08", "57P", "53")):
        return SourceUnreachable(
            f"{place}: {what}: the server cannot serve us now ({code})", hint="is the cluster paused, resizing or full?"
        )
    if code.startswith(("42", "3F")):
        said = from_database(message)
        return ViewBroken(f"{place}: {what}: {said} ({code})", hint="compare the view with views.yaml: `sync check`")
    return ViewBroken(
        f"{place}: {what}: the view cannot be computed ({code or 'no code'})",
        hint="SELECT from the view by hand to see the server's own words; a row's value may be in them",
    )


def silent(place: str, what: str, silence_s: float) -> SourceUnreachable:
    """Nobody answered for that long."""
    return SourceUnreachable(
        f"{place}: {what}: no answer for {silence_s:g} s",
        hint="check the network between here and the cluster; statement_timeout sets how long to wait",
    )


def unreached(error: BaseException, place: str) -> SourceError:
    """Why there is no connection, when it was not the server who said so."""
    cause = next(
        (each for each in (*error.args, error.__cause__, error.__context__) if isinstance(each, OSError)), error
    )
    match cause:
        case ssl.SSLError():
            why = f"no TLS connection ({getattr(cause, 'reason', None) or 'the certificate does not fit'})"
            hint = "check the host in the url; a CA of your own goes into the file that SSL_CERT_FILE names; ssl=off for none"
        case TimeoutError():
            why, hint = "nobody answered in time", "check host, port, the VPC's routes and its security groups"
        case socket.gaierror():
            why, hint = "the host name is unknown, or has no IPv4 address", "check the host in the url"
        case ConnectionRefusedError():
            why, hint = "nobody answers", "check host and port in the url; is the cluster running?"
        case OSError():
            why, hint = "the connection broke", "is the cluster running?"
        case _ if "SSL" in str(error):
            why, hint = "the server offers no TLS", "set ssl=off in the url, or let the server have a certificate"
        case _ if "closed" in str(error) or "BrokenPipe" in str(error):
            why, hint = (
                "what listens there ended the connection",
                "check host and port in the url; is it a Redshift cluster?",
            )
        case _:
            return SourceRefused(
                f"{place}: AWS gives no credentials for the cluster ({type(error).__name__})",
                hint="check iam, region, cluster_identifier and db_user in the url, and the role's redshift:GetClusterCredentials",
            )
    return SourceUnreachable(f"{place}: {why}", hint=hint)
