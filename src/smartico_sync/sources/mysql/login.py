"""How to connect, from a URL as operators write it."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

from smartico_sync.sources.kit.login import BaseLogin

if TYPE_CHECKING:
    from smartico_sync.core.encryption import Encryption
    from smartico_sync.sources.mysql.wire import Secrecy

__all__ = ["Login"]

MODES: dict[str, Encryption] = {
    "DISABLED": "off", "PREFERRED": "off",  # the latter takes what it gets
    "REQUIRED": "unverified", "VERIFY_CA": "verified", "VERIFY_IDENTITY": "verified",
}  # fmt: skip
MODE: dict[Encryption, str] = {"verified": "VERIFY_IDENTITY", "unverified": "REQUIRED", "off": "DISABLED"}
# Firewalls forget the silent.
KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


class Login(BaseLogin):
    """Hosts or a Unix socket, and what PyMySQL is told."""

    files = ("server_public_key",)

    @property
    def place(self) -> str:
        """Where the database is, for messages."""
        return self.url.place or self.parameters.get("unix_socket", "")

    def check(self) -> None:
        """Tell what the driver cannot use, before the first poll."""
        self.arguments()
        self.hosts()
        _ = self.connect_timeout_s

    def arguments(self) -> dict[str, Any]:
        """What PyMySQL is told."""
        parameters = self.parameters
        arguments: dict[str, Any] = {
            "user": self.url.user or None,
            "password": self.url.password.encode(),  # as text the driver would take it for Latin-1
            "database": self.url.path or None,
            "charset": "utf8mb4",
            "autocommit": None,
            "use_unicode": False,
            "read_timeout": self.silence_s,
            "write_timeout": self.silence_s,
            "program_name": self.given("program_name"),
            **self._tls(parameters),
        }
        if "server_public_key" in parameters:
            arguments["server_public_key"] = self.content("server_public_key")
        return arguments

    def written(self) -> Encryption | None:
        """By `ssl_mode`; checking nothing but the authority is worth something where the authority is our own."""
        parameters = self.parameters
        if "ssl_mode" not in parameters:
            return "verified" if "ssl_ca" in parameters else None
        mode = self._written_mode()
        return "unverified" if mode == "VERIFY_CA" and "ssl_ca" not in parameters else MODES[mode]

    def _written_mode(self) -> str:
        return self.one_of(tuple(MODES), "ssl_mode", self.given("ssl_mode").upper().replace("-", "_"))

    def machines(self) -> tuple[str, ...]:
        """The hosts; a Unix socket is this machine."""
        return () if "unix_socket" in self.parameters else super().machines()

    @property
    def secrecy(self) -> Secrecy:
        """What of the password a server may ask for."""
        if self.encryption == "verified" or "unix_socket" in self.parameters:
            return "password"
        return "proof" if self.remote else "encrypted"

    def _tls(self, parameters: dict[str, str]) -> dict[str, Any]:
        level = self.encryption
        mode = self._written_mode() if "ssl_mode" in parameters or level == "usual" else MODE[level]
        if mode == "DISABLED" or (mode == "PREFERRED" and "unix_socket" in parameters):
            return {"ssl_disabled": True}
        if mode == "PREFERRED" and "ssl_cert" not in parameters:
            return {}  # the driver's own: TLS where the server offers it, unverified
        context = self.tls_context()
        # The certificates that MySQL makes for itself are not strictly what RFC 5280 asks for.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.check_hostname = mode == "VERIFY_IDENTITY"
        if mode in ("PREFERRED", "REQUIRED"):
            context.verify_mode = ssl.CERT_NONE
        return {"ssl": context}

    def hosts(self) -> tuple[tuple[str, int], ...]:
        """Hosts in the order in which they are tried; none for a Unix socket."""
        if "unix_socket" in self.parameters:
            return ()
        return tuple((host or "localhost", port) for host, port in super().hosts())

    def dial(self, host: str, port: int) -> socket.socket:
        """A connected socket; raises OSError."""
        parameters, patience = self.parameters, self.connect_timeout_s
        if not host:
            wire = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                wire.settimeout(patience)
                wire.connect(parameters["unix_socket"])
            except OSError:
                wire.close()
                raise
            return wire
        bound = (parameters["bind_address"], 0) if "bind_address" in parameters else None
        wire = socket.create_connection((host, port), patience, bound)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            wire.setsockopt(socket.IPPROTO_TCP, option, value)
        return wire
