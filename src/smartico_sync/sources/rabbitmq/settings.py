"""How the broker is reached, from the source's URL and options."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pika
from pika.credentials import ExternalCredentials
from pika.exceptions import AMQPError, ProbableAccessDeniedError, ProbableAuthenticationError

from smartico_sync.catalogue.engines import RABBITMQ
from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.parameters import connection_of, hosts_of, named, number, tls_context
from smartico_sync.sources.rabbitmq.failures import failure_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from pika.adapters.blocking_connection import BlockingConnection

    from smartico_sync.config.models import SourceConfig

__all__ = ["Settings", "settings_of", "version_of"]

OWN_LIMIT = 20  # deliveries of a quorum queue's message on RabbitMQ 4, where no policy says otherwise
OWN_LIMIT_SINCE = 4
MOST = 65_535  # two bytes in the protocol
GUEST = "guest"  # what brokers take for nobody, from their own machine only
# The client's own lines tell of hosts and users; failures are told by us.
logging.getLogger("pika").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach the broker. `place`: for messages. `limit`: of deliveries, as configured; 0 where it is not."""

    place: str
    hosts: Sequence[tuple[str, int]]
    vhost: str
    user: str
    password: str = field(repr=False)
    tls: ssl.SSLContext | None
    heartbeat_s: int
    silence_s: float
    prefetch: int
    limit: int
    client: str
    management: str

    def connected(self, purpose: str) -> BlockingConnection:
        """A connection to the first host that answers. Raises SourceUnreachable and SourceRefused."""
        failed: Exception | None = None
        for host, port in self.hosts:
            try:
                return pika.BlockingConnection(self._parameters(host, port, purpose))
            except (ProbableAccessDeniedError, ProbableAuthenticationError) as error:
                failed = error
                break
            except (AMQPError, OSError) as error:
                failed = error
        raise failure_of(failed or OSError(), self.place) from None

    def _parameters(self, host: str, port: int, purpose: str) -> pika.ConnectionParameters:
        external = self.tls is not None and not self.user
        return pika.ConnectionParameters(
            host,
            port,
            self.vhost,
            ExternalCredentials() if external else pika.PlainCredentials(self.user or GUEST, self.password or GUEST),
            heartbeat=self.heartbeat_s,
            socket_timeout=self.silence_s,
            stack_timeout=self.silence_s,
            ssl_options=pika.SSLOptions(self.tls, host) if self.tls else None,
            client_properties={"connection_name": f"{self.client} {purpose}"},
        )

    def deliveries(self, version: str) -> int:
        """How often a message of a quorum queue is delivered before the broker gives it up; 0 where nobody knows."""
        major = version.partition(".")[0]
        own = OWN_LIMIT if major.isdecimal() and int(major) >= OWN_LIMIT_SINCE else 0
        return self.limit or own


def version_of(connection: BlockingConnection) -> str:
    """What the broker calls its version."""
    told: Any = connection._impl.server_properties or {}  # noqa: SLF001 - the client has no other way
    return str(told.get("version", ""))


def settings_of(name: str, config: SourceConfig) -> Settings:
    """Read the source. ConfigError for what cannot be meant."""
    url, silence_s, options = connection_of(config)
    place = f"source {name} ({url.place})"
    given = {**RABBITMQ.defaults, **named(url, options, RABBITMQ)}
    secure = url.scheme.endswith("+tls")
    hosts = hosts_of(url, RABBITMQ.tls_port if secure else RABBITMQ.port)
    if not hosts[0][0]:
        raise ConfigError(f"{place}: the url names no host", hint=f"write {RABBITMQ.scheme}://host:{RABBITMQ.port}")
    files = [given.get(each) for each in ("ca", "certificate", "key_file", "key_password")]
    if not secure and any(files):
        raise ConfigError(
            f"{place}: certificates are for TLS, and the url is without", hint=f"write {RABBITMQ.scheme}s://"
        )
    counts = {each: number(place, each, given[each]) for each in ("heartbeat", "prefetch")}
    for each, count in counts.items():
        if not 1 <= count <= MOST:
            raise ConfigError(f"{place}: {each} is not between 1 and 65535", hint=f"write {each}: {given[each]}")
    return Settings(
        place,
        hosts,
        url.path or "/",
        url.user,
        url.password,
        tls_context(place, *files) if secure else None,
        counts["heartbeat"],
        silence_s,
        counts["prefetch"],
        number(place, "delivery_limit", given.get("delivery_limit", "0")),
        given["client_name"],
        given.get("management", ""),
    )
