"""How the broker is reached, from the source's URL and options."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any

import pika
from pika.credentials import ExternalCredentials
from pika.exceptions import AMQPError, ProbableAccessDeniedError, ProbableAuthenticationError

from smartico_sync.catalogue.engines import RABBITMQ
from smartico_sync.core.discreet import Discreet
from smartico_sync.sources.kit.broker_login import BrokerLogin
from smartico_sync.sources.rabbitmq.deliveries import DeliveryConnection
from smartico_sync.sources.rabbitmq.failures import failure_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pika.adapters.blocking_connection import BlockingConnection

    from smartico_sync.config.models import SourceConfig

__all__ = ["Settings", "settings_of", "version_of"]

OWN_LIMIT = 20  # deliveries of a quorum queue's message on RabbitMQ 4, where no policy says otherwise
OWN_LIMIT_SINCE = 4
MOST = 65_535  # two bytes in the protocol
FILES = ("ca", "certificate", "key_file", "key_password")
GUEST = "guest"  # what brokers take for nobody, from their own machine only
# The client's own lines tell of hosts and users; failures are told by us.
logging.getLogger("pika").setLevel(logging.CRITICAL + 1)


class Settings(Discreet, frozen=True):
    """How to reach the broker. `place`: for messages. `limit`: of deliveries, as configured; 0 where it is not."""

    unprinted = frozenset({"password"})

    place: str
    hosts: Sequence[tuple[str, int]]
    vhost: str
    user: str
    password: str
    tls: ssl.SSLContext | None
    heartbeat_s: int
    silence_s: float
    prefetch: int
    limit: int
    client: str
    management: str
    encryption: str

    def connected(self, purpose: str) -> BlockingConnection:
        """A connection to the first host that answers. Raises SourceUnreachable and SourceRefused."""
        failed: Exception | None = None
        for host, port in self.hosts:
            try:
                return pika.BlockingConnection(self._parameters(host, port, purpose), DeliveryConnection)
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


class Login(BrokerLogin):
    """What the URL and the options say."""

    def port(self, host: str) -> int:  # noqa: ARG002  - the same for all
        """With TLS another one."""
        return self.engine.tls_port if self.secure else self.engine.port

    def count(self, name: str) -> int:
        """A number that fits into two bytes, as the protocol has it."""
        found = self.number(name)
        if not 1 <= found <= MOST:
            raise self.wrong(f"{name} is not between 1 and {MOST}", f"write {name}: {self.engine.defaults[name]}")
        return found

    def tls(self) -> ssl.SSLContext | None:
        """None without TLS."""
        ca, certificate, key, password = map(self.parameters.get, FILES)
        if not self.secure:
            if ca or certificate or key:
                raise self.wrong("certificates are for TLS, and the url is without", f"write {RABBITMQ.scheme}s://")
            return None
        try:
            context = ssl.create_default_context(cafile=ca)
            if certificate is not None:
                context.load_cert_chain(certificate, key, password)
            if self.encryption == "unverified":
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        except (OSError, ValueError) as error:
            raise self.wrong(
                f"a certificate or key cannot be read: {getattr(error, 'strerror', '') or error}",
                f"check the paths of {', '.join(FILES[:3])}",
            ) from None
        return context


def settings_of(name: str, config: SourceConfig) -> Settings:
    """Read the source. ConfigError for what cannot be meant."""
    login = Login(config)
    login.check()
    hosts = login.hosts()
    if not all(host for host, _ in hosts):
        raise login.wrong("the url names no host", f"write {RABBITMQ.scheme}://host:{RABBITMQ.port}")
    return Settings(
        f"source {name} ({login.place.rstrip('/')})",
        hosts,
        login.url.path or "/",
        login.url.user,
        login.url.password,
        login.tls(),
        login.count("heartbeat"),
        login.silence_s,
        login.count("prefetch"),
        login.number("delivery_limit") if "delivery_limit" in login.parameters else 0,
        login.given("client_name"),
        login.parameters.get("management", ""),
        login.standing,
    )
