"""How to connect, from a URL as operators write it: with a password, or with what AWS knows of us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smartico_sync.catalogue.engines import REDSHIFT
from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.parameters import hosts_of, named, number, switch

if TYPE_CHECKING:
    from smartico_sync.sources.kit.url import Url

__all__ = ["Login"]

PORT = REDSHIFT.port
DEFAULTS = REDSHIFT.defaults
SESSION = ("query_group", "case_sensitive", "connect_timeout")  # not the driver's: the session's, and ours
SWITCHES = (
    "ssl", "iam", "auto_create", "force_lowercase", "allow_db_user_override", "iam_disable_cache", "ssl_insecure",
    "is_serverless", "group_federation", "database_metadata_current_db_only", "case_sensitive",
)  # fmt: skip
NUMBERS = (
    "connect_timeout", "idp_response_timeout", "listen_port", "tcp_keepalive_idle", "tcp_keepalive_interval",
    "tcp_keepalive_count",
)  # fmt: skip
LISTS = ("db_groups",)
MODES = ("verify-full", "verify-ca")
KEEPALIVE = ("tcp_keepalive_idle", "tcp_keepalive_interval", "tcp_keepalive_count")  # firewalls forget the silent


@dataclass(frozen=True, slots=True)
class Login:
    """A URL and what its parameters mean. `silence_s`: no byte for that long means that nobody is there.

    ConfigError for a parameter that the driver does not know, or a value that cannot be meant. Values may be secrets: none is
    ever repeated.
    """

    url: Url
    silence_s: float
    options: tuple[tuple[str, str], ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """The URL's parameters, then the source's options, as numbers and switches where they are such."""
        given = named(self.url, self.options, REDSHIFT)
        return {name: self._read(name, value) for name, value in given.items()}

    def _read(self, name: str, value: str) -> Any:
        if name in LISTS:
            return [part.strip() for part in value.split(",")]
        if name == "sslmode" and value not in MODES:
            raise ConfigError(
                f"{self.url.place}: no sslmode is called {value!r}",
                hint=f"use {' or '.join(MODES)}, or ssl=off for none",
            )
        if name in SWITCHES:
            return switch(self.url.place, name, value)
        if name in NUMBERS:
            return number(self.url.place, name, value)
        return value

    def hosts(self) -> tuple[tuple[str, int], ...]:
        """Hosts in the order in which they are tried; with IAM, AWS may know the host by the cluster's name."""
        found = tuple((host, port) for host, port in hosts_of(self.url, PORT) if host)
        if not found and not {"cluster_identifier", "serverless_work_group"} & set(self.parameters):
            raise ConfigError(
                f"{self.url.place}: the url names no host",
                hint="write redshift://user:password@host/database, or …/?iam=on&cluster_identifier=…&region=…",
            )
        return found or (("", PORT),)

    def arguments(self, host: tuple[str, int]) -> dict[str, Any]:
        """What the driver is told."""
        parameters = {name: value for name, value in self.parameters.items() if name not in SESSION}
        arguments = {
            "sslmode": DEFAULTS["sslmode"],  # the driver's own only warns when the name does not fit
            "application_name": DEFAULTS["application_name"],
            "timeout": min(self.parameters.get("connect_timeout", int(DEFAULTS["connect_timeout"])), self.silence_s),
            **{name: int(DEFAULTS[name]) for name in KEEPALIVE},
            **parameters,
            "user": self.url.user or None,
            "password": self.url.password or None,
            "database": self.url.path or None,
            "host": host[0] or None,
            "port": host[1],
        }
        if parameters.get("ssl") is False:
            del arguments["sslmode"]
        return {name: value for name, value in arguments.items() if value is not None}
