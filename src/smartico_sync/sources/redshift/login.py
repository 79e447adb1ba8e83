"""How to connect, from a URL as operators write it: with a password, or with what AWS knows of us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from smartico_sync.sources.kit.login import BaseLogin

if TYPE_CHECKING:
    from smartico_sync.core.encryption import Encryption

__all__ = ["Login"]

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


class Login(BaseLogin):
    """Hosts, and what the driver is told."""

    levels: ClassVar[tuple[Encryption, ...]] = ("verified", "off")
    usual: ClassVar[Encryption] = "verified"

    def written(self) -> Encryption | None:
        """By `ssl`, and `sslmode`."""
        if "ssl" in self.parameters:
            return "verified" if self.switch("ssl") else "off"
        return "verified" if "sslmode" in self.parameters else None

    def machines(self) -> tuple[str, ...]:
        """The hosts; where there is none AWS names it."""
        return super().machines() or ("amazonaws.com",)

    def check(self) -> None:
        """Tell what the driver cannot use, before the first poll."""
        for host in self.hosts():
            self.arguments(host)

    @property
    def typed(self) -> dict[str, Any]:
        """The parameters as numbers, switches and lists where they are such."""
        return {name: self._typed(name, value) for name, value in self.parameters.items()}

    def _typed(self, name: str, value: str) -> Any:
        if name in LISTS:
            return [part.strip() for part in value.split(",")]
        if name == "sslmode":
            return self.one_of(MODES, name, value, f"use {' or '.join(MODES)}, or ssl=off for none")
        if name in SWITCHES:
            return self.switch(name)
        return self.number(name) if name in NUMBERS else value

    def hosts(self) -> tuple[tuple[str, int], ...]:
        """Hosts in the order in which they are tried; with IAM, AWS may know the host by the cluster's name."""
        found = tuple((host, port) for host, port in super().hosts() if host)
        if not found and not {"cluster_identifier", "serverless_work_group"} & set(self.parameters):
            hint = "write redshift://user:password@host/database, or …/?iam=on&cluster_identifier=…&region=…"
            raise self.wrong("the url names no host", hint)
        return found or (("", self.engine.port),)

    def arguments(self, host: tuple[str, int]) -> dict[str, Any]:
        """What the driver is told."""
        parameters = {name: value for name, value in self.typed.items() if name not in SESSION}
        arguments = {
            "sslmode": self.given("sslmode"),  # the driver's own only warns when the name does not fit
            "application_name": self.given("application_name"),
            "timeout": self.connect_timeout_s,
            **{name: self.number(name) for name in KEEPALIVE},
            **parameters,
            "user": self.url.user or None,
            "password": self.url.password or None,
            "database": self.url.path or None,
            "host": host[0] or None,
            "port": host[1],
        }
        if self.encryption == "off":
            arguments["ssl"] = False
            del arguments["sslmode"]
        return {name: value for name, value in arguments.items() if value is not None}
