"""How to connect, from a URL as operators write it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from smartico_sync.catalogue.engines import CLICKHOUSE
from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.parameters import content, named, number

if TYPE_CHECKING:
    from smartico_sync.sources.kit.url import Url

__all__ = ["SETTINGS", "Login"]

DEFAULTS = CLICKHOUSE.defaults
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
FILES = ("ca_file", "client_cert", "client_key", "access_token_file")
WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class Login:
    """A URL and what its parameters mean. `silence_s`: no answer for that long means that nobody is there.

    ConfigError for a parameter that is not known or no number, a file that cannot be read, or no host.
    """

    url: Url
    timeout_ms: int
    silence_s: float
    options: tuple[tuple[str, str], ...] = ()

    @property
    def parameters(self) -> dict[str, str]:
        """The URL's parameters, then the source's options."""
        return named(self.url, self.options, CLICKHOUSE)

    @property
    def settings(self) -> dict[str, str]:
        """What the operator wants ClickHouse to do otherwise."""
        return {name: value for name, value in self.parameters.items() if name in SETTINGS}

    @property
    def hosts(self) -> tuple[tuple[str, int], ...]:
        """Where servers of one cluster listen for HTTP, in the order in which they are tried."""
        found = []
        for host, port in self.url.hosts:
            if not host:
                continue
            if port and not port.isdigit():
                raise ConfigError(f"{self.url.place}: the port is not a number", hint="write host:8443, for instance")
            found.append((host, int(port) if port else PORTS[self._interface(host, port)]))
        if not found:
            raise ConfigError(
                f"{self.url.scheme}:// names no host", hint="write clickhouse://user@host:8443/database?secure=true"
            )
        return tuple(found)

    def arguments(self, host: str, port: int) -> dict[str, Any]:
        """What the driver is told; files are read anew each time, so that a secret may be changed."""
        parameters = self.parameters
        interface = self._interface(host, str(port))
        token = (
            content("access_token_file", parameters["access_token_file"]).decode(errors="replace").strip()
            if "access_token_file" in parameters
            else ""
        )
        certificate = parameters.get("client_cert")
        return {
            "interface": interface,
            "host": host,
            "port": port,
            "database": self.url.path or None,
            **({"access_token": token} if token else {"username": self.url.user, "password": self.url.password}),
            "connect_timeout": number(
                self.url.place, "connect_timeout", parameters.get("connect_timeout", DEFAULTS["connect_timeout"])
            ),
            "send_receive_timeout": ceil(self.silence_s),
            "query_retries": 0,  # the daemon tries again, and tells meanwhile
            "verify": _truth("verify", parameters.get("verify", DEFAULTS["verify"])),
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
        """Tell what cannot be used before the first poll."""
        parameters = self.parameters
        for host, port in self.hosts:
            self.arguments(host, port)
        for name in FILES:
            if name in parameters:
                content(name, parameters[name])

    def _interface(self, host: str, port: str) -> str:
        secure = self.url.scheme == SECURE or port in SECURE_PORTS or host.endswith(CLOUD)
        return "https" if _truth("secure", self.parameters.get("secure", str(secure))) else "http"


def _truth(name: str, value: str) -> bool:
    if value.lower() not in WORDS:
        raise ConfigError(f"{name} is true or false, not {value!r}")
    return WORDS[value.lower()]
