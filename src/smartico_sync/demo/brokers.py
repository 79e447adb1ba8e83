"""Brokers that the demo's casino publishes to."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import urlsplit

from smartico_sync.catalogue.engines import KAFKA, RABBITMQ
from smartico_sync.errors import ConfigError, DriverMissing, SourceUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smartico_sync.catalogue.engines import Engine

__all__ = ["ANSWER_S", "BROKERS", "Broker", "encryption_of", "open_broker", "unreachable"]

ANSWER_S = 10.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Broker(Protocol):
    """Takes messages. `url`: where the daemon reads them; `encryption`: what the configuration says of the way there.

    Methods raise SourceUnreachable.
    """

    url: str
    encryption: Literal["", "off"]

    def place(self, view: str) -> str:
        """The topic or queue of a view, made where it is not there."""

    def put(self, view: str, messages: Iterable[tuple[str, bytes]]) -> None:
        """Publish to it, in order: keys and bodies. The broker has them when this returns."""

    def close(self) -> None:
        """Take away what was made, and let go."""


BROKERS: dict[str, tuple[Engine, str]] = {
    KAFKA.extra: (KAFKA, "smartico_sync.demo.topics"),
    RABBITMQ.extra: (RABBITMQ, "smartico_sync.demo.queues"),
}


def open_broker(name: str, url: str) -> Broker:
    """The broker of that name. ConfigError for a URL of another, DriverMissing without its client, SourceUnreachable."""
    engine, module = BROKERS[name]
    schemes = {engine.scheme, *(alias for alias in engine.aliases if name != KAFKA.extra)}
    if url and urlsplit(url).scheme not in schemes:
        raise ConfigError(
            f"--broker: the demo publishes to {engine.title} at {engine.scheme}:// URLs",
            hint=f"--broker {engine.scheme}://localhost:{engine.port}",
        )
    try:
        opened: Broker = import_module(module).connect(url)
    except ModuleNotFoundError as missing:
        raise DriverMissing(
            f"the driver for {engine.title} is not installed ({missing.name})",
            hint=f"pip install 'smartico-sync[{engine.extra}]'",
        ) from None
    return opened


def encryption_of(url: str) -> Literal["", "off"]:
    """What the configuration has to say of a way that is in the clear."""
    place = urlsplit(url)
    return "off" if place.scheme in (KAFKA.scheme, RABBITMQ.scheme) and place.hostname not in LOOPBACK else ""


def unreachable(engine: Engine, url: str, why: str = "") -> SourceUnreachable:
    """What is told of a broker that does not do as it is asked; nothing of the URL's password."""
    place = urlsplit(url)
    where = f"{place.scheme}://{place.hostname}:{place.port or engine.port}"
    return SourceUnreachable(
        f"{engine.title} at {where}: {why or 'does not answer'}", hint="give a broker that runs with --broker"
    )
