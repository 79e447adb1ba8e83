"""What the client's exceptions mean."""

from __future__ import annotations

import re
import socket
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pika.exceptions import (
    AMQPError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from smartico_sync.core.certificates import flaw
from smartico_sync.errors import SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.kit.network_failures import unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.sources.kit.network_failures import Fault

__all__ = ["failure_of", "translated"]

# Reply codes of AMQP.
FORBIDDEN, MISSING, PRECONDITION, NO_VHOST = 403, 404, 406, 530
# What a broker's side of TLS says of our certificate: after the handshake, so that the client holds it for something else.
ALERT = re.compile(r"ALERT_(CERTIFICATE_[A-Z]+|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)\b")
REACH = "check that the broker runs and can be reached from here"
KINDS: tuple[tuple[Fault, type[BaseException]], ...] = (
    ("unknown_host", socket.gaierror),
    ("refused", ConnectionRefusedError),
    ("late", TimeoutError),
    ("broken", ConnectionError),
)


def failure_of(error: Exception, place: str, queue: str = "") -> SourceError:
    """The failure that an exception of the client, or the loss of a channel, stands for; `queue`: for the message."""
    about = f"{place}{': queue ' + queue if queue else ''}"
    if isinstance(error, ProbableAuthenticationError | ProbableAccessDeniedError):
        return SourceRefused(
            f"{about}: the broker refuses the login",
            hint="check user, password and virtual host of the url; rabbitmqctl list_permissions -p VHOST shows who may",
        )
    if alert := ALERT.search(str(error)):
        return SourceRefused(
            f"{about}: the broker refuses our certificate: {alert[1].lower().replace('_', ' ')}",
            hint="`certificate` and `key_file` name one that is valid, of an authority which the broker trusts",
        )
    if isinstance(error, ssl.SSLError):
        why = error.reason or "no common ground"
        if isinstance(error, ssl.SSLCertVerificationError):
            why = f"the broker's certificate {flaw(error)}"
        return SourceUnreachable(
            f"{about}: TLS fails: {why}",
            hint="amqps:// is with TLS, amqp:// without; `ca` names the authority of the broker's certificate",
        )
    if not isinstance(error, ChannelClosedByBroker | ConnectionClosedByBroker):
        fault = next((fault for fault, kind in KINDS if any(isinstance(each, kind) for each in behind(error))), None)
        if fault is not None:
            return unreachable(fault, about)
        return SourceUnreachable(f"{about}: nobody answers, or the connection broke", hint=REACH)
    match error.reply_code:
        case 404:
            return ViewBroken(f"{about}: there is no such queue", hint="check `relation`, and the url's virtual host")
        case 403 if "exclusive" in error.reply_text:
            return SourceRefused(f"{about}: another consumer has it for itself alone", hint="stop the other consumer")
        case 403:
            return SourceRefused(
                f"{about}: the user may not read it",
                hint="allow it: rabbitmqctl set_permissions -p VHOST USER '' '' '^QUEUE$'",
            )
        case 530:
            return SourceRefused(
                f"{about}: the user may not use this virtual host", hint="check what stands after the url's last /"
            )
        case 406 if "timed out" in error.reply_text:
            return SourceUnreachable(
                f"{about}: the broker waited for an acknowledgement longer than its consumer_timeout",
                hint="raise consumer_timeout of the broker to an hour at least",
            )
    return SourceUnreachable(f"{about}: the broker ended it ({error.reply_code})", hint="look at the broker's log")


def behind(error: BaseException) -> Iterator[BaseException]:
    """The exception, and those that it holds: the client puts what the socket said inside its own."""
    yield error
    for each in (error.__cause__, getattr(error, "exception", None), *error.args):
        if isinstance(each, BaseException):
            yield from behind(each)


@contextmanager
def translated(place: str, queue: str = "") -> Iterator[None]:
    """Raise failures in place of the client's exceptions."""
    try:
        yield
    except (AMQPError, OSError) as error:
        raise failure_of(error, place, queue) from None
