"""How to connect, from a URL as operators write it."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from smartico_sync.sources.kit.login import BaseLogin

__all__ = ["Login"]

MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
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

    def _tls(self, parameters: dict[str, str]) -> dict[str, Any]:
        verified = "ssl_ca" in parameters and "ssl_mode" not in parameters
        given = "VERIFY_IDENTITY" if verified else self.given("ssl_mode")
        mode = self.one_of(MODES, "ssl_mode", given.upper().replace("-", "_"))
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
