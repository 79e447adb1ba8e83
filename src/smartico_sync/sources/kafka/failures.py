"""What the client's errors mean."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException

from smartico_sync.errors import SourceError, SourceRefused, SourceUnreachable, ViewBroken

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["failure_of", "translated"]

REFUSED = frozenset({
    KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL,  # noqa: SLF001 - the client's names
    KafkaError.UNSUPPORTED_SASL_MECHANISM, KafkaError.ILLEGAL_SASL_STATE,
})  # fmt: skip
FORBIDDEN = frozenset({
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED,
})  # fmt: skip
MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})  # noqa: SLF001 - as above


def failure_of(error: KafkaError, place: str, what: str = "") -> SourceError:
    """The failure that an error stands for; `what`: a topic or group, for the message."""
    code, about = error.code(), f"{place}{': ' + what if what else ''}"
    if code == KafkaError._SSL:  # noqa: SLF001 - the client's name
        return SourceRefused(
            f"{about}: no TLS with the broker: its certificate is not believed, or ours is not",
            hint="check `ca`, `certificate` and `key_file`, and that the port is the one with TLS",
        )
    if code in REFUSED:
        return SourceRefused(
            f"{about}: the broker refuses the login ({error.name()})",
            hint="check user, password, `sasl` and the certificates; kafkas:// is with TLS, kafka:// without",
        )
    if code in FORBIDDEN:
        return SourceRefused(
            f"{about}: the user may not read it ({error.name()})",
            hint="allow it: kafka-acls --add --allow-principal User:NAME --operation Read --topic TOPIC --group GROUP-PREFIX --resource-pattern-type prefixed",
        )
    if code in MISSING:
        return ViewBroken(
            f"{about}: there is no such topic",
            hint="check `relation`; smartico-sync check names the topics that are there",
        )
    return SourceUnreachable(
        f"{about}: {error.name().strip('_').lower().replace('_', ' ')}",
        hint="check that the brokers run and can be reached from here",
    )


@contextmanager
def translated(place: str, what: str = "") -> Iterator[None]:
    """Raise failures in place of the client's exceptions."""
    try:
        yield
    except KafkaException as error:
        cause = error.args[0]
        if isinstance(cause, KafkaError):
            raise failure_of(cause, place, what) from None
        raise SourceUnreachable(f"{place}: the client failed", hint="look at the broker's log") from None
    except RuntimeError:  # a client that was closed
        raise SourceUnreachable(f"{place}: the client is closed", hint="nothing: it is opened again") from None
