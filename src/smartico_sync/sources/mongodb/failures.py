"""What MongoDB and its driver say when they fail, told as our failures. Neither values nor secrets get through."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bson.errors import BSONError
from pymongo.errors import (
    ConfigurationError,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.kit.failures import Meaning, alike, failure_of, meanings
from smartico_sync.sources.kit.network_failures import LESS, Hints, fault_of, unreachable

if TYPE_CHECKING:
    from smartico_sync.sources.kit.network_failures import Fault

__all__ = ["FAILURES", "NO_SNAPSHOT", "failure"]

FAILURES = (PyMongoError, BSONError, ValueError, OverflowError)
# Not a member of a set, a capped collection, an option that this server does not know: reads of the majority serve there.
NO_SNAPSHOT = (20, 72, 115, 123, 263)
LOGIN = "check user, password and authSource: the database in which the user was made, mostly admin"
RIGHTS = "grant it: db.grantRolesToUser(USER, [{role: 'read', db: DATABASE}])"
TABLE = {
    **alike(SourceRefused, LOGIN, "the login is refused", (11, 18, 8000), "server"),
    **alike(SourceRefused, RIGHTS, "permission denied", (13, 33)),
    **meanings(SourceCancelled, "see `smartico-sync check` for the index of the poll; raise `statement_timeout` if it is there", {
        43: "the server gave up the cursor",
        50: "the query ran longer than `statement_timeout`",
        237: "somebody ended the query",
        239: "the snapshot is too old",
        246: "the server cannot give this snapshot any more",
        262: "the query ran longer than the server allows",
        292: "sorting needs more memory than the server allows",
        11601: "somebody ended the query",
    }),
    **meanings(ViewBroken, "compare its name", {26: "reads a collection that does not exist"}, "subject"),
    **meanings(ViewBroken, "make the view without collation", {
        167: "has a collation of its own, by which different keys may be equal",
    }, "subject"),
}  # fmt: skip
# These messages quote what failed.
OTHERWISE = Meaning(
    ViewBroken,
    "the server cannot compute it",
    "run the pipeline by hand in mongosh; a conversion or a division in it fails for some document",
)
NETWORK = "is the server up, the port right, the firewall open? a set's members must be reachable by the names that rs.conf() tells"
HINTS = Hints(
    tls=f"tls=true, and tlsCAFile for the CA that signed the server's certificate{LESS}",
    unknown_host=NETWORK, late=NETWORK, refused=NETWORK, broken=NETWORK,
)  # fmt: skip
SAID: tuple[tuple[Fault, re.Pattern[str]], ...] = (
    ("unknown_host", re.compile("Name or service|nodename|name resolution")),
    ("refused", re.compile("Connection refused")),
    ("late", re.compile("timed out")),
)


def failure(error: Exception, place: str, what: str) -> SourceError:
    """The failure of a question."""
    if isinstance(error, OperationFailure):
        return _operation(error, place, what)
    if isinstance(error, WaitQueueTimeoutError):
        return SourceCancelled(
            f"{place}: {what}: all connections are busy", hint="raise `pool:` of the source, or poll less often"
        )
    if isinstance(error, InvalidOperation):
        return SourceUnreachable(f"{place}: {what}: the source has been closed")
    if isinstance(error, ConfigurationError):
        hint = "mongodb+srv:// needs the SRV record of the host; dig SRV _mongodb._tcp.HOST shows it"
        return SourceUnreachable(f"{place}: {what}: the driver cannot find or use the servers", hint=hint)
    if isinstance(error, PyMongoError):
        return _silent(error, place, what)
    return SourceError(
        f"{place}: {what}: what the server sent cannot be read",
        hint="a document may be damaged: db.COLLECTION.validate()",
    )


def _operation(error: OperationFailure, place: str, what: str) -> SourceError:
    code = error.code or 0
    again = error.has_error_label("RetryableError") or error.has_error_label("TransientTransactionError")
    if again and code not in TABLE:
        return SourceUnreachable(f"{place}: {what}: the server cannot answer now ({code})", hint="tried again")
    return failure_of(TABLE, code, place, what, otherwise=OTHERWISE)


def _silent(error: PyMongoError, place: str, what: str) -> SourceError:
    """Nobody answers, or nobody that we understand."""
    if isinstance(error, ServerSelectionTimeoutError) and fault_of(error) != "tls":
        # It quotes what each server's connection said, where none is known at all; behind that stands what was waited for.
        said = str(error).partition(" (configured timeouts")[0]
        for fault, words in SAID:
            if words.search(said):
                return unreachable(fault, f"{place}: {what}", HINTS)
        hint = f"{NETWORK}; replicaSet and readPreference must fit"
        return SourceUnreachable(f"{place}: {what}: no server answers that may be read", hint=hint)
    return unreachable(error, f"{place}: {what}", HINTS)
