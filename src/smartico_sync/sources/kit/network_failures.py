"""Failures of the network: recognised and told alike for every engine."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from typing import TYPE_CHECKING, Literal, TypeVar

from msgspec import Struct

from smartico_sync.core.certificates import flaw, flaw_in_words
from smartico_sync.errors import SourceUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["LESS", "Fault", "Hints", "broken", "fault_of", "first_that_answers", "silent", "unreachable"]

Fault = Literal["tls", "unknown_host", "late", "refused", "broken", "descriptors"]
H = TypeVar("H")
T = TypeVar("T")
SAID: dict[Fault, str] = {
    "tls": "no TLS connection",
    "unknown_host": "the host name is unknown",
    "late": "nobody answered in time",
    "refused": "nobody answers",
    "broken": "the connection broke",
    "descriptors": "this process may open no more files",
}
KINDS: tuple[tuple[Fault, type[BaseException]], ...] = (
    ("tls", ssl.SSLError),
    ("unknown_host", socket.gaierror),
    ("late", TimeoutError),
    ("refused", ConnectionRefusedError),
    ("broken", ConnectionError),
)
# Drivers that tell no more than words: HTTP clients and libpq.
WORDS: tuple[tuple[Fault, re.Pattern[str]], ...] = (
    ("descriptors", re.compile("[Tt]oo many open files")),
    ("tls", re.compile("SSL|TLS|[Cc]ertificate")),
    ("unknown_host", re.compile("resolve|[Nn]ame or service|translate host|[Nn]ame ?[Rr]esolution")),
    ("late", re.compile("[Tt]ime(d )?-?out")),
    ("broken", re.compile("reset by peer|closed the connection|[Bb]roken pipe")),
)


# A source on another machine has to show a certificate that fits.
LESS = "; that less will do is said in words: `encryption: unverified` or `encryption: off` of the source"


class Hints(Struct, frozen=True):
    """What to do next about each fault; an engine names its own parameters."""

    tls: str = f"check the certificates that the url names{LESS}"
    unknown_host: str = "check the host in the url, and this machine's DNS"
    late: str = "check host, port and firewall"
    refused: str = "is the server running? check host and port in the url; after a change: smartico-sync reload"
    broken: str = "is the server running?"
    descriptors: str = "allow it more: LimitNOFILE= of the service, or `ulimit -n`; then a restart"


USUAL = Hints()
BEHIND = ("__cause__", "__context__", "reason", "original_exception")  # where drivers put what was behind a failure


def unreachable(why: BaseException | Fault, where: str, hints: Hints = USUAL, said: str = "") -> SourceUnreachable:
    """Nobody was reached, and why. `where` is the place and, where that matters, what was asked for. No value is repeated.

    `said`: the client's own words, where the fault alone is known; they are looked at, not repeated.
    """
    fault, causes = (why, []) if isinstance(why, str) else (fault_of(why), _causes(why))
    reason = _tls_reason(causes, said) if fault == "tls" else ""
    return SourceUnreachable(f"{where}: {SAID[fault]}{reason}", hint=getattr(hints, fault))


def _tls_reason(causes: Sequence[BaseException], said: str) -> str:
    """What is wrong with the certificate, or what OpenSSL calls the failure; empty where nothing is known."""
    failures = [each for each in causes if isinstance(each, ssl.SSLError)]
    for each in failures:
        if isinstance(each, ssl.SSLCertVerificationError):
            return f": the certificate {flaw(each)}"
    told = " ".join((said, *map(str, causes)))
    if found := flaw_in_words(told):
        return f": the certificate {found}"
    if "certificate verify failed" in told:
        return ": the certificate has expired, or is of an unknown authority"
    return f" ({failures[0].reason or 'the certificate does not fit'})" if failures else ""


def fault_of(error: BaseException) -> Fault:
    """What kind of fault it was, by the exceptions behind it, or else by their words."""
    causes = _causes(error)
    if any(isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE) for cause in causes):
        return "descriptors"
    for fault, kind in KINDS:
        if any(isinstance(cause, kind) for cause in causes):
            return fault
    told = " ".join(f"{type(cause).__name__} {cause}" for cause in causes)
    return next((fault for fault, words in WORDS if words.search(told)), "refused")


def silent(place: str, what: str, silence_s: float) -> SourceUnreachable:
    """Nobody answered for that long on a connection that was there."""
    return SourceUnreachable(
        f"{place}: {what}: no answer for {silence_s:g} s",
        hint="check the network between here and the database; `statement_timeout` sets how long to wait",
    )


def broken(place: str, what: str, code: str = "") -> SourceUnreachable:
    """A connection that was there is not any more."""
    return SourceUnreachable(
        f"{place}: {what}: the connection broke{f' ({code})' if code else ''}", hint="is the server running?"
    )


def first_that_answers(hosts: Iterable[H], connect: Callable[[H], T], place: str) -> T:
    """What `connect` gives for the first host that answers; a refusal counts as an answer. The last one's failure for none."""
    told = SourceUnreachable(f"{place}: nobody answers")
    for host in hosts:
        try:
            return connect(host)
        except SourceUnreachable as failure:
            told = failure
    raise told


def _causes(error: BaseException) -> list[BaseException]:
    """The error and all that is behind it."""
    found: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        cause = todo.pop(0)
        if isinstance(cause, BaseException) and not any(cause is other for other in found):
            found.append(cause)
            todo += [*cause.args, *(getattr(cause, name, None) for name in BEHIND)]
    return found
