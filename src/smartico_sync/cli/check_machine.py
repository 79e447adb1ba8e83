"""What the daemon needs of the machine it runs on: a state that it may write, and a port for its page."""

from __future__ import annotations

import errno
import socket
import tempfile
from typing import TYPE_CHECKING

from smartico_sync.cli.findings import Finding, failed
from smartico_sync.daemon import asking
from smartico_sync.daemon.wiring import tracer_of
from smartico_sync.errors import StateMissing, StateUnwritable, SyncError
from smartico_sync.state.key_file import AS_WHOM
from smartico_sync.state.place import FilePlace, ServerPlace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from smartico_sync.config.models import Tracing
    from smartico_sync.state.place import Place

__all__ = ["machine_findings", "taken", "tracing_findings"]

NO_ADDRESS = "that is no HOST:PORT"


def machine_findings(state: Place, listen: str) -> Iterator[Finding]:
    """Whether the state can be read and written, and whether the page's port is free. Leaves nothing behind."""
    try:
        known = tried(state) if isinstance(state, FilePlace) else asked(state)
    except SyncError as error:
        yield failed("state", error)
    else:
        yield Finding("fine", "state", known)
    if listen != "off" and not daemon_runs(state) and (reason := taken(listen)):
        yield Finding(
            "advice",
            "health",
            f"cannot listen on {listen}: {reason}; the daemon would deliver, without page and metrics",
            "free it, choose another port in `health.listen`, or write `health: {listen: off}`",
        )


def tracing_findings(tracing: Tracing) -> Iterator[Finding]:
    """Whether traces can be made, and whether their collector takes a post without any span. Nothing where none are wanted."""
    try:
        tracer_of(tracing).close()
    except SyncError as error:
        yield failed("tracing", error)
        return
    if tracing.endpoint is None:
        return
    from smartico_sync.observe import tracing as traces  # noqa: PLC0415 - only where they are wanted

    if traces.taken(tracing):
        yield Finding("fine", "tracing", "the collector takes spans")
    else:
        hint = "look whether it listens at `tracing.endpoint`, and at `headers`; nothing but spans is lost meanwhile"
        yield Finding("advice", "tracing", "the collector does not take spans", hint)


def asked(state: ServerPlace) -> str:
    """Ask the server about the state. Raises SyncError."""
    try:
        with state.open("read") as store:
            views = store.views()
    except StateMissing:
        return f"a state will be made in {state} at the first start"
    holders = "".join(f"; {each.member} holds it since {each.since}" for each in state.holders() if each.live)
    return f"{state} can be read; it knows {len(views)} view{'s' * (len(views) != 1)}{holders}"


def tried(place: FilePlace) -> str:
    """Read the state, if there is one, and write beside it. Raises StateError."""
    state = place.path
    there = place.there  # first: whether this user may look into its folder, which is told as by every command
    folder = state.parent if state.parent.is_dir() else state.parent.parent
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".smartico-sync-") as file:
            file.write(b"\0")
            file.flush()
    except OSError as error:
        raise StateUnwritable(
            f"nothing can be written into {folder}, where {state} {'is' if there else 'is to be'}: {(error.strerror or '').lower()}",
            hint=remedy(error, state.parent),
        ) from None
    if not there:
        return f"{state.name} will be made at the first start"
    with place.open("read") as store:
        views = store.views()
    return f"{state.name} can be read and written; it knows {len(views)} view{'s' * (len(views) != 1)}"


def remedy(error: OSError, folder: Path) -> str:
    """What lets a state be written in its folder."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"make room on the disk of {folder}"
    if error.errno == errno.EROFS:
        return f"mount the disk of {folder} so that it can be written to, or name another place with `state:`"
    if folder.is_dir():
        return f"{AS_WHOM}; where you are the daemon's user, let it write into {folder}"
    return f"make it for the daemon's user, or name another place with `state:`: mkdir -p {folder}"


def daemon_runs(state: Place) -> bool:
    """Whether a daemon that holds this state answers."""
    try:
        return "views" in asking.ask(state.path, "status", {}, asking.LOOK_S)
    except (SyncError, OSError):
        return False


def taken(listen: str) -> str:
    """Why nobody can listen there; empty where somebody can."""
    host, colon, port = listen.rpartition(":")
    host = host.strip("[]")
    if not colon:
        return NO_ADDRESS
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
    except OSError as error:
        return (error.strerror or "no such address").lower()
    except (ValueError, OverflowError):
        return NO_ADDRESS
    return ""
