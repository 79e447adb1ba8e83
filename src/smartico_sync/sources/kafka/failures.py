"""What the client's errors mean."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException

from smartico_sync.errors import SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.kit.network_failures import unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.sources.kit.network_failures import Fault

__all__ = ["REFUSED", "UNREACHED", "failure_of", "translated"]

REFUSED = frozenset({
    KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL,  # noqa: SLF001 - the client's names
    KafkaError.UNSUPPORTED_SASL_MECHANISM, KafkaError.ILLEGAL_SASL_STATE,
})  # fmt: skip
FORBIDDEN = frozenset({
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED,
})  # fmt: skip
MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})  # noqa: SLF001 - as above
UNREACHED = frozenset({KafkaError._RESOLVE, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT})  # noqa: SLF001 - as above
SAID: tuple[tuple[Fault, re.Pattern[str]], ...] = (
    ("unknown_host", re.compile("Failed to resolve")),
    ("refused", re.compile("Connection refused")),
    ("late", re.compile("[Tt]imed out")),
    ("broken", re.compile("Disconnected|reset by peer|closed")),
)
# What a broker's side of TLS says of our certificate: after the handshake, so that the client holds it for a broken connection.
ALERT = re.compile(r"alert (certificate [a-z]+|bad certificate|unsupported certificate|unknown ca|access denied)\b")
REACH = "check that the brokers run and can be reached from here"


def failure_of(error: KafkaError, place: str, what: str = "") -> SourceError:
    """The failure that an error stands for; `what`: a topic or group, for the message."""
    code, about = error.code(), f"{place}{': ' + what if what else ''}"
    if alert := ALERT.search(error.str()):
        return SourceRefused(
            f"{about}: the broker refuses our certificate: {alert[1]}",
            hint="`certificate` and `key_file` name one that is valid, of an authority which the brokers trust",
        )
    if code == KafkaError._SSL and "certificate verify failed" in error.str():  # noqa: SLF001 - the client's name
        return SourceRefused(
            f"{about}: the broker's certificate is not believed: it is of another authority than `ca`, for another name, or has expired",
            hint="openssl s_client -connect HOST:PORT shows it; `ca` names the file of its authority",
        )
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
            hint="check `relation`, and that the user may describe the topic",
        )
    if code in UNREACHED:
        fault = next((fault for fault, words in SAID if words.search(error.str())), None)
        return unreachable(fault, about) if fault else SourceUnreachable(f"{about}: no broker answers", hint=REACH)
    return SourceUnreachable(f"{about}: {error.name().strip('_').lower().replace('_', ' ')}", hint=REACH)


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
