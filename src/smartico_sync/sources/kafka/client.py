"""A consumer that remembers what brokers refuse: the client library tells it beside its answers, which only say that none came."""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException

from smartico_sync.errors import SourceUnreachable
from smartico_sync.sources.kafka.failures import REFUSED, UNREACHED, failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["QUIET", "Client"]

QUIET = logging.getLogger("smartico_sync.sources.client")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = (
    False  # the client's own lines name hosts, and settings where it is told to debug; failures are told by us
)


class Heard:
    """What a client said that belongs to no answer."""

    def __init__(self, also: Callable[[KafkaError], None] | None) -> None:
        self._also = also
        self.refused: KafkaError | None = None
        self.unreached: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """The client says something, inside `poll`."""
        if error.code() in REFUSED:
            self.refused = error
        elif error.code() in UNREACHED and (self.unreached is None or error.code() != KafkaError._ALL_BROKERS_DOWN):  # noqa: SLF001 - the client's name
            self.unreached = error
        if self._also is not None:
            self._also(error)


class Client(Consumer):
    """See the module. Raises what Consumer raises for its settings."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._heard = Heard(settings.get("error_cb"))
        super().__init__({**settings, "error_cb": self._heard}, logger=QUIET)

    @contextmanager
    def asked(self, place: str) -> Iterator[None]:
        """Questions before anything is read: why no answer came, where a broker refused or was not reached, in place of SourceUnreachable."""
        try:
            yield
        except SourceUnreachable:
            with suppress(KafkaException, RuntimeError):
                self.poll(0)  # where the client says what it has not said yet
            told = self._heard.refused or self._heard.unreached
            if told is not None:
                raise failure_of(told, place) from None
            raise
