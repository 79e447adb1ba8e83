"""How to connect, from a URL as operators write it."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from smartico_sync.catalogue.engines import CLICKHOUSE
from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.login import BaseLogin

if TYPE_CHECKING:
    from smartico_sync.core.encryption import Encryption

__all__ = ["SETTINGS", "Login"]

PORTS = {"https": CLICKHOUSE.tls_port, "http": CLICKHOUSE.port}
SECURE = "clickhouse+https"
SECURE_PORTS = (str(CLICKHOUSE.tls_port), "443")
CLOUD = (".clickhouse.cloud", ".clickhouse-staging.com")
# Settings of ClickHouse that are the operator's to choose; all others belong into the user's profile.
SETTINGS = (
    "final", "join_use_nulls", "select_sequential_consistency", "session_timezone", "max_threads", "max_memory_usage",
    "priority", "workload", "max_replica_delay_for_distributed_queries", "fallback_to_stale_replicas_for_distributed_queries",
    "log_comment", "role",
)  # fmt: skip


class Login(BaseLogin):
    """Where servers of one cluster listen, and what the driver is told."""

    files = ("ca_file", "client_cert", "client_key", "access_token_file")

    @property
    def settings(self) -> dict[str, str]:
        """What the operator wants ClickHouse to do otherwise."""
        return {name: value for name, value in self.parameters.items() if name in SETTINGS}

    def port(self, host: str) -> int:
        """HTTP's, or HTTPS's where the host speaks that."""
        return PORTS[self._interface(host, "")]

    def hosts(self) -> tuple[tuple[str, int], ...]:
        """Where servers of one cluster listen for HTTP, in the order in which they are tried."""
        found = tuple((host, port) for host, port in super().hosts() if host)
        if not found:
            hint = "write clickhouse://user@host:8443/database?secure=true"
            raise ConfigError(f"{self.url.scheme}:// names no host", hint=hint)
        return found

    def arguments(self, host: str, port: int) -> dict[str, Any]:
        """What the driver is told; files are read anew each time, so that a secret may be changed."""
        parameters = self.parameters
        token = self.content("access_token_file").decode(errors="replace").strip()
        certificate = parameters.get("client_cert")
        return {
            "interface": self._interface(host, str(port)),
            "host": host,
            "port": port,
            "database": self.url.path or None,
            **({"access_token": token} if token else {"username": self.url.user, "password": self.url.password}),
            "connect_timeout": self.number("connect_timeout"),
            "send_receive_timeout": ceil(self.silence_s),
            "query_retries": 0,  # the daemon tries again, and tells meanwhile
            "verify": self.encryption != "unverified" and self.switch("verify"),
            "ca_cert": parameters.get("ca_file"),
            "client_cert": certificate,
            "client_cert_key": parameters.get("client_key"),
            # A certificate alone says who we are; beside a password it only opens the door.
            "tls_mode": ("strict" if self.url.password or token else "mutual") if certificate else None,
            "server_host_name": parameters.get("server_host_name"),
            "proxy_path": parameters.get("proxy_path", ""),
            "http_proxy": parameters.get("http_proxy"),
            "https_proxy": parameters.get("https_proxy"),
            "client_name": "smartico-sync",
            "tz_source": "server",
            "autogenerate_session_id": False,  # so that any server behind a balancer may answer
            "show_clickhouse_errors": "scrub",
            "dedicated_pool": True,
        }

    def check(self) -> None:
        """Tell what cannot be used, before the first poll."""
        super().check()
        for host, port in self.hosts():
            self.arguments(host, port)

    def written(self) -> Encryption | None:
        """By scheme, ports and `secure`, the least of all hosts; then by `verify`."""
        hosts = self.url.hosts
        if "secure" in self.parameters:
            secure: bool | None = self.switch("secure")
        else:
            secure = (bool(hosts) and all(self._secure(*each) for each in hosts)) or None
        if secure is None:
            return None
        return "off" if not secure else "verified" if self.switch("verify") else "unverified"

    def _secure(self, host: str, port: str) -> bool:
        return self.url.scheme == SECURE or port in SECURE_PORTS or host.endswith(CLOUD)

    def _interface(self, host: str, port: str) -> str:
        level = self.encryption
        if level == "usual":
            return "https" if self._secure(host, port) else "http"
        if level != "off" and port == str(self.engine.port) and "secure" not in self.parameters:
            raise self.wrong(
                f"port {port} is where ClickHouse speaks HTTP, in the clear",
                f"write port {self.engine.tls_port}; or `secure=true` if it speaks TLS there; or say it in words: "
                "`encryption: off` of the source",
            )
        return "http" if level == "off" else "https"
