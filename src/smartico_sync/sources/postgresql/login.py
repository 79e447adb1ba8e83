"""How to connect, from a URL as operators write it."""

from __future__ import annotations

import os
import ssl
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import make_conninfo

from smartico_sync.sources.kit.login import BaseLogin

if TYPE_CHECKING:
    from smartico_sync.core.encryption import Encryption

__all__ = ["Login"]

CONNECT_TIMEOUT_S = 10  # a server that is there answers sooner, over any distance
MODES: dict[str, Encryption] = {
    "disable": "off", "allow": "off", "prefer": "off",  # the last two take what they get
    "require": "unverified", "verify-ca": "verified", "verify-full": "verified",
}  # fmt: skip
SSLMODE: dict[Encryption, str] = {"verified": "verify-full", "unverified": "require", "off": "disable"}
NO_CLEAR_TEXT = "!password"  # whoever answers may ask for the password itself
OWN_AUTHORITIES = Path("~/.postgresql/root.crt")  # where libpq looks for them


class Login(BaseLogin):
    """What libpq is told."""

    def check(self) -> None:
        """Tell what libpq does not know, before the first poll."""
        self.conninfo()

    def machines(self) -> tuple[str, ...]:
        """The hosts, wherever they are named; directories of Unix sockets are this machine, a service's host is not known."""
        parameters = self.parameters
        named = parameters.get("hostaddr") or parameters.get("host") or ",".join(super().machines())
        named = named or parameters.get("service", "") or os.environ.get("PGHOSTADDR") or os.environ.get("PGHOST", "")
        return tuple("" if host.startswith(("/", "@")) else host for host in named.split(","))

    def written(self) -> Encryption | None:
        """By `sslmode`; checking nothing but the authority is worth something where the authority is our own."""
        mode = self.parameters.get("sslmode")
        if mode is None:
            return None
        authority = self.parameters.get("sslrootcert", "system")
        if mode in ("verify-ca", "require"):
            return "unverified" if authority == "system" else "verified"
        return MODES.get(mode, "off")

    def _protected(self) -> dict[str, str]:
        """What the connection's encryption asks of libpq."""
        level, parameters = self.encryption, self.parameters
        told = {} if level == "usual" or "sslmode" in parameters else {"sslmode": SSLMODE[level]}
        if level == "verified":
            own = OWN_AUTHORITIES.expanduser()
            return told | ({} if own.exists() else {"sslrootcert": _authorities()})
        if self.remote and _password_passes(parameters.get("require_auth", NO_CLEAR_TEXT)):
            raise self.wrong(
                f"require_auth lets whoever answers have the password, as the connection is {self.standing}",
                "leave it out, or use verified TLS",
            )
        return told | {"require_auth": NO_CLEAR_TEXT}

    def conninfo(self) -> str:
        """Everything libpq is told: our defaults, then the URL's parameters, then the source's options."""
        url = self.url
        keywords: dict[str, Any] = {
            "host": ",".join(host for host, _ in url.hosts),
            "port": ",".join(port for _, port in url.hosts),
            "user": url.user,
            "password": url.password,
            "dbname": url.path,
            "application_name": "smartico-sync",
            "connect_timeout": min(CONNECT_TIMEOUT_S, ceil(self.silence_s)),
            "keepalives_idle": 30,  # firewalls forget silent connections after minutes
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": int(self.silence_s * 1000),
            **self._protected(),
            **self.parameters,
            "client_encoding": "UTF8",
        }
        try:
            return make_conninfo(**{name: value for name, value in keywords.items() if value not in ("", ",")})
        except psycopg.Error:
            known = {"host", "port", "user", "password", "dbname"}
            names = ", ".join(sorted(set(self.parameters) - known))
            hint = "see docs/databases/postgresql.md for those it takes"
            raise self.wrong(f"libpq does not know one of the url's parameters: {names}", hint) from None


def _authorities() -> str:
    """The machine's trust store: the libpq that comes with the driver would look for it where it was built."""
    return ssl.get_default_verify_paths().cafile or "system"


def _password_passes(required: str) -> bool:
    """Whether `require_auth`, a list of ways to log in that are wanted, or with `!` not, lets a server have the password itself."""
    ways = [way.strip() for way in required.split(",")]
    return "password" in ways or (all(way.startswith("!") for way in ways) and NO_CLEAR_TEXT not in ways)
