"""How to connect, from a URL as operators write it."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smartico_sync.catalogue.engines import ENGINES, MYSQL
from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.parameters import content, hosts_of, named, tls_context

if TYPE_CHECKING:
    from smartico_sync.sources.kit.url import Url

__all__ = ["CONNECT_TIMEOUT_S", "Login"]

DEFAULTS = MYSQL.defaults
CONNECT_TIMEOUT_S = float(DEFAULTS["connect_timeout"])
PORT = MYSQL.port
MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
CERTIFICATES = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password")
# Firewalls forget the silent.
KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


@dataclass(frozen=True, slots=True)
class Login:
    """A URL and what its parameters mean. `silence_s`: no byte for that long means that nobody is there.

    ConfigError for a parameter that is not known, a mode of TLS that does not exist, or a certificate that cannot be read.
    """

    url: Url
    silence_s: float
    options: tuple[tuple[str, str], ...] = ()

    @property
    def parameters(self) -> dict[str, str]:
        """The URL's parameters, then the source's options, by the names this page of the manual uses."""
        return named(self.url, self.options, ENGINES[self.url.scheme])

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
            "program_name": parameters.get("program_name", DEFAULTS["program_name"]),
            **self._tls(parameters),
        }
        if "server_public_key" in parameters:
            arguments["server_public_key"] = content("server_public_key", parameters["server_public_key"])
        return arguments

    def _tls(self, parameters: dict[str, str]) -> dict[str, Any]:
        given = parameters.get("ssl_mode", "VERIFY_IDENTITY" if "ssl_ca" in parameters else DEFAULTS["ssl_mode"])
        mode = given.upper().replace("-", "_")
        if mode not in MODES:
            raise ConfigError(
                f"{self.url.place}: no ssl_mode is called {given!r}", hint=f"use one of: {', '.join(MODES)}"
            )
        if mode == "DISABLED" or (mode == "PREFERRED" and "unix_socket" in parameters):
            return {"ssl_disabled": True}
        if mode == "PREFERRED" and "ssl_cert" not in parameters:
            return {}  # the driver's own: TLS where the server offers it, unverified
        context = tls_context(self.url.place, *map(parameters.get, CERTIFICATES))
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
        return tuple((host or "localhost", port) for host, port in hosts_of(self.url, PORT))

    def dial(self, host: str, port: int) -> socket.socket:
        """A connected socket; raises OSError."""
        parameters = self.parameters
        patience = min(float(parameters.get("connect_timeout", CONNECT_TIMEOUT_S)), self.silence_s)
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
