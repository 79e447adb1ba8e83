"""How commands reach a running daemon: a socket beside the state, which only the daemon's user may open.

One request a connection: a line of JSON {"do": name, "with": {…}} and a line of JSON back, {"done": …} or
{"error": message, "hint": …, "code": exit code}.
"""

from __future__ import annotations

import json
import pwd
import select
import socket
import socketserver
import struct
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from smartico_sync.daemon.asking import short, socket_path
from smartico_sync.errors import ConfigError, SyncError, Unexpected
from smartico_sync.observe.logs import set_level

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from smartico_sync.daemon.operations import Operations

__all__ = ["Control", "Server", "no_reload"]

LONGEST = 64_000_000  # bytes of a request: positions of a few hundred thousand rows
UNTOLD = frozenset({"user", "places"})  # who is to be forgotten is not written down on the way
LOOKS = frozenset({"status"})  # requests that change nothing, and are no news in the log

log = structlog.get_logger()


class Asked(Protocol):
    """What may be asked for."""

    def asked_by(self, still_wanted: Callable[[], bool]) -> Operations:
        """For somebody who may go away."""
        ...


class Handler(socketserver.StreamRequestHandler):
    """One request."""

    server: Server

    def handle(self) -> None:
        """Do what is asked."""
        what, result = "nothing", "done"
        plan: dict[str, str] = {}
        line = self.rfile.readline(LONGEST)
        if not line:
            return  # somebody looked whether anybody listens
        try:
            request = json.loads(line)
            what = told(request)
            if request.get("plan"):
                plan["plan"] = "; ".join(request["plan"])
            answer: dict[str, Any] = {"done": self.done(request)}
        except SyncError as error:
            result = error.in_a_line
            answer = {"error": error.message, "hint": error.hint, "code": int(error.exit_code)}
        except Exception as error:  # noqa: BLE001 - whoever asked is told, whatever the reason
            mistake = Unexpected(error)
            result = mistake.message
            answer = {"error": mistake.message, "hint": mistake.hint, "code": int(mistake.exit_code)}
        if what not in LOOKS or result != "done":
            log.info("operator", who=caller(self.connection), what=what, **plan, result=result)
        with suppress(OSError):
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    def done(self, request: dict[str, Any]) -> Any:
        """Carry a request out, or look."""
        if request["do"] in LOOKS:
            return self.server.look()
        if request["do"] == "log-level":
            return set_level(**request["with"])
        if request["do"] == "reload":
            return self.server.reload()
        return self.server.operations.asked_by(self.still_there).call(request["do"], request["with"])

    def still_there(self) -> bool:
        """Whether whoever asked still waits for the answer."""
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return not readable or self.connection.recv(1, socket.MSG_PEEK) != b""
        except OSError:
            return False


def told(request: dict[str, Any]) -> str:
    """A request in a line: its name and its arguments, lists by their length, and not whom it is about."""
    arguments = {
        name: f"{len(value)} rows" if isinstance(value, list) and name in ("rows", "ids") else value
        for name, value in request["with"].items()
        if name not in UNTOLD
    }
    return " ".join(
        [str(request["do"]), *(f"{name}={value}" for name, value in arguments.items() if value is not None)]
    )


def caller(connection: socket.socket) -> str:
    """Who asks: the user and process at the other end, as the kernel knows them."""
    pid, uid, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    )
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid {uid}"
    return f"{name} (process {pid})"


class Server(socketserver.ThreadingUnixStreamServer):
    """Answers from threads that never keep the process alive."""

    daemon_threads = True
    operations: Asked
    look: Callable[[], dict[str, Any]]
    reload: Callable[[], dict[str, Any]]

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's signature
        """A caller that went away, or a mistake of ours: by its type, no traceback."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            log.error("control", reason=Unexpected(error).message)


def no_reload() -> dict[str, Any]:
    """What a process answers that reads its configuration once."""
    raise ConfigError("this is no daemon: it read its configuration once", hint="end it, then: smartico-sync run")


class Control:
    """Serves until `close`. `look` says how the daemon does, `reload` has it read its configuration again."""

    def __init__(
        self,
        state: Path,
        operations: Asked,
        look: Callable[[], dict[str, Any]] = dict,
        reload: Callable[[], dict[str, Any]] = no_reload,
    ) -> None:
        self.path = socket_path(state)
        self.path.unlink(missing_ok=True)
        with short(self.path) as name:
            self.server = Server(name, Handler)
        self.path.chmod(0o600)
        self.node = self.path.lstat().st_ino
        self.server.operations, self.server.look, self.server.reload = operations, look, reload
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.2,), name="control", daemon=True)
        self.thread.start()

    @property
    def listens(self) -> bool:
        """Whether the socket is still this one, and not another daemon's, or gone."""
        try:
            return self.path.lstat().st_ino == self.node
        except OSError:
            return False

    def close(self) -> None:
        """Stop serving, and take the socket away, unless it is another daemon's by now."""
        self.server.shutdown()
        self.server.server_close()
        if self.listens:
            with suppress(OSError):
                self.path.unlink()
