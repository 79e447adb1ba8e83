"""What the servers are, how far a secondary is behind, and what the user may do beyond reading."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from smartico_sync.errors import SourceError
from smartico_sync.sources.kit.privileges import beyond_reading
from smartico_sync.sources.mongodb.cluster_time import cluster_time_of, role_of
from smartico_sync.sources.protocol import ServerFacts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from smartico_sync.sources.mongodb.session import Session

__all__ = ["ask_facts"]

NO_FENCE = "MongoDB tells no reader which transactions are under way"
WRITING = frozenset({
    "insert", "update", "remove", "createCollection", "dropCollection", "dropDatabase", "createIndex", "dropIndex", "collMod",
    "renameCollectionSameDB", "bypassDocumentValidation", "anyAction", "createUser", "grantRole", "shutdown", "replSetConfigure",
    "restore", "enableSharding",
})  # fmt: skip


def ask_facts(session: Session) -> ServerFacts:
    """Questions the user may not ask count as unanswered."""
    hello = session.command({"hello": 1}, "the server")
    # What needs no login proves none; this does.
    session.collections("the server")
    version = session.command({"buildInfo": 1}, "the server", "admin")
    secondary = bool(hello.get("secondary"))
    return ServerFacts(
        engine="mongodb",
        version=str(version.get("version", "")),
        role=role_of(hello),
        fence=NO_FENCE,
        replay_lag_ms=max(0, _now_ms(hello) - cluster_time_of(session, "the server").clock_ms) if secondary else None,
        warnings=(*_open(session), *_bare(hello)),
        encrypted=session.servers.login.encrypted,
    )


def _now_ms(hello: Mapping[str, Any]) -> int:
    return int(hello["localTime"].timestamp() * 1000)


def _bare(hello: Mapping[str, Any]) -> Iterator[str]:
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        yield (
            "the server is no member of a replica set: a reading has no snapshot, and rows may be read that a crash takes back; "
            "read a set's secondary"
        )


def _open(session: Session) -> tuple[str, ...]:
    """Privileges that are too wide."""
    info: dict[str, Any] = {"authenticatedUsers": [{}]}
    with suppress(SourceError):
        status = session.command({"connectionStatus": 1, "showPrivileges": True}, "the server", "admin")
        info = status.get("authInfo", {})
    users = [str(each.get("user", "")) for each in info.get("authenticatedUsers", ())]
    if not users:
        return ("nobody logged in: whoever reaches the server may do what this user may; turn on authorization",)
    held = [
        f"{action} on {_resource(privilege.get('resource', {}))}"
        for privilege in info.get("authenticatedUserPrivileges", ())
        for action in privilege.get("actions", ())
        if action in WRITING
    ]
    return beyond_reading(users[0], held, "the role read on the database")


def _resource(resource: Mapping[str, Any]) -> str:
    if "db" not in resource:
        return "the cluster"
    return f"{resource['db'] or 'any database'}.{resource.get('collection') or '*'}"
