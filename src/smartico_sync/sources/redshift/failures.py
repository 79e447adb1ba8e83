"""What Redshift, its driver and AWS say when they fail, told as our failures. Neither values nor passwords get through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewAltered, ViewBroken
from smartico_sync.sources.kit.failures import COMPARE, alike, failure_of, meanings
from smartico_sync.sources.kit.network_failures import Hints, unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["failure", "told", "unreached"]

HINTS = Hints(
    tls="check the host in the url; a CA of your own goes into the file that SSL_CERT_FILE names; `encryption: off` of the source for none",
    unknown_host="check the host in the url; it needs an IPv4 address",
    late="check host, port, the VPC's routes and its security groups",
    refused="check host and port in the url; is the cluster running?",
    broken="is the cluster running?",
)
PAUSED = "is the cluster paused, resizing or full?"
ALTERED = "0A000"  # of a statement that was prepared: it would go on failing on its connection
# By SQLSTATE, or by its class.
TABLE = {
    **meanings(SourceCancelled, "raise `statement_timeout`, or see `smartico-sync check` for a sort key", {
        "57014": "the query ran longer than `statement_timeout`, or a queue's rule ended it",
    }),
    **meanings(SourceCancelled, "tried again", {
        "40001": "the server ended the read to keep transactions in order",
        "40P01": "the server ended the read to break a deadlock",
        "57P01": "the server's administrator ended the connection",
        "57P05": "the server ended an idle session",
        "53200": "the server is out of memory",
        "53100": "the server's disk is full",
        "53400": "the server's configured limit is reached",
    }),
    **meanings(SourceRefused, "GRANT SELECT on the view, and USAGE on its schema, to the user", {"42501": "permission denied"}),
    **meanings(SourceRefused, "check user, password and database in the url; after a change: smartico-sync reload", {
        "3D000": "the database does not exist", "25006": "the transaction is read-only", "28": "the login is refused",
    }),
    **meanings(ViewAltered, "tried again", {ALTERED: "the view has just been altered"}),
    **alike(SourceUnreachable, PAUSED, "the server cannot serve us now", ("08", "57P", "53")),
    **alike(ViewBroken, COMPARE, "", ("42", "3F")),
}  # fmt: skip
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
    table = TABLE if code != ALTERED or "cached plan" in message else {}
    return failure_of(table, code, place, what, shown=code or "no code", said=message)


def unreached(error: BaseException, place: str) -> SourceError:
    """Why there is no connection, when it was not the server who said so."""
    words = str(error)
    if any(isinstance(each, OSError) for each in (error, *error.args, error.__cause__, error.__context__)):
        return unreachable(error, place, HINTS)
    if "SSL" in words:
        return SourceUnreachable(
            f"{place}: the server offers no TLS",
            hint="let the server have a certificate, or say `encryption: off` of the source in words",
        )
    if "closed" in words or "BrokenPipe" in words:
        return SourceUnreachable(
            f"{place}: what listens there ended the connection",
            hint="check host and port in the url; is it a Redshift cluster?",
        )
    return SourceRefused(
        f"{place}: AWS gives no credentials for the cluster ({type(error).__name__})",
        hint="check iam, region, cluster_identifier and db_user in the url, and the role's redshift:GetClusterCredentials",
    )
