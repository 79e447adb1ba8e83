"""How a command asks the running daemon: over the socket beside the state. See `control` for the other end."""

from __future__ import annotations

import json
import os
import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from smartico_sync.errors import ExitCode, StateLocked, SyncError
from smartico_sync.state.key_file import is_there

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["LOOK_S", "DaemonHangs", "answered", "ask", "listens", "short", "socket_path"]

LOOK_S = 15.0  # a daemon that is busy lets somebody look sooner
PATIENCE_S = 90.0  # longer than the daemon's own, so that it is the daemon that says what became of it


def socket_path(state: Path) -> Path:
    """Where a running daemon listens."""
    return state.with_name(state.name + ".sock")


def knock(state: Path) -> None:
    """Connect, and ask nothing. Raises OSError where nobody listens, or this user is not let in."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire, short(socket_path(state)) as path:
        wire.settimeout(LOOK_S)
        wire.connect(path)


def answered(state: Path) -> bool:
    """Whether somebody listens there who lets this user in."""
    try:
        knock(state)
    except OSError:
        return False
    return True


def listens(state: Path) -> bool:
    """Whether a daemon listens there, also one that lets this user not in; the socket of one that was killed stays behind.

    Raises StateUnwritable where this user may not look into its folder.
    """
    if not is_there(socket_path(state)):
        return False
    try:
        knock(state)
    except OSError as error:
        return not isinstance(error, (FileNotFoundError, ConnectionRefusedError))
    return True


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A path by a name that the kernel takes for a socket, which is 108 bytes at most."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


class Refused(SyncError):
    """What the daemon answered, with its own exit code."""

    def __init__(self, message: str, *, hint: str, code: ExitCode) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = code  # type: ignore[misc]


class DaemonHangs(StateLocked):
    """A daemon is there, and does not answer in time."""


def ask(
    state: Path, name: str, arguments: dict[str, Any], patience_s: float = PATIENCE_S, plan: Sequence[str] = ()
) -> Any:
    """Ask the running daemon; `plan`, what the operator was told would follow, is for its log. Raises what it refuses with, DaemonHangs when it does not answer in time, and StateLocked when it does not listen."""
    holder = 0
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
            wire.settimeout(patience_s)
            with short(socket_path(state)) as path:
                wire.connect(path)
            holder, _, _ = struct.unpack(
                "3i", wire.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            )
            wire.sendall(json.dumps({"do": name, "with": arguments, "plan": list(plan)}).encode() + b"\n")
            with wire.makefile("rb") as answers:
                answer = json.loads(answers.readline())
    except TimeoutError:
        raise DaemonHangs(
            f"the daemon (process {holder}) that uses the state {state} has not answered for {patience_s:g} s",
            hint=f"it hangs; have it start again: systemctl restart smartico-sync, or kill -9 {holder} and then smartico-sync run",
        ) from None
    except (OSError, ValueError) as error:
        raise StateLocked(
            f"the state {state} is in use, and the daemon that uses it does not answer ({type(error).__name__})",
            hint="run the command as the daemon's user, or stop the daemon first",
        ) from None
    if "error" in answer:
        raise Refused(answer["error"], hint=answer["hint"], code=ExitCode(answer["code"]))
    return answer["done"]
