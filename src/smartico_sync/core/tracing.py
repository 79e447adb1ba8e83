"""Traces, as far as everybody has to know of them: a span that may be recorded, and the one that is under way.

Facts are names, counts and words of ours. A span never holds a key, a value of a row, or personal data.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

__all__ = ["UNDER_WAY", "UNTRACED", "Fact", "Span", "Tracer", "ends_with", "within"]

Fact = str | int | float


class Span(Protocol):
    """Something that takes a while. Thread-safe; recorded when it ends, and never where it does not."""

    def note(self, **facts: Fact) -> None:
        """Say more of it."""

    def past(self, name: str, seconds: float, problem: str = "", **facts: Fact) -> None:
        """A part of it is over, and took so long. `problem`: why it failed, empty where it did not."""

    def end(self, problem: str = "") -> None:
        """It is over; what is said later counts for nothing."""


class Tracer(Protocol):
    """Begins traces."""

    def begin(self, name: str, **facts: Fact) -> Span:
        """The first span of a trace, from now on."""

    def close(self) -> None:
        """Hand over what is recorded, within a bounded time."""


class Untraced:
    """A tracer and its span where nothing is recorded."""

    def begin(self, name: str, **facts: Fact) -> Self:  # noqa: ARG002 - the protocol's
        """Nothing."""
        return self

    def note(self, **facts: Fact) -> None:
        """Nothing."""

    def past(self, name: str, seconds: float, problem: str = "", **facts: Fact) -> None:
        """Nothing."""

    def end(self, problem: str = "") -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


UNTRACED = Untraced()
UNDER_WAY: ContextVar[Span] = ContextVar("span", default=UNTRACED)


@contextmanager
def within(span: Span) -> Iterator[None]:
    """What is sent in here belongs to the span, and what fails in here ends it."""
    before = UNDER_WAY.set(span)
    try:
        yield
    except BaseException as error:
        span.end(type(error).__name__)
        raise
    finally:
        UNDER_WAY.reset(before)


def ends_with(span: Span, receipt: Future[Any], when: Literal["over", "failed"]) -> None:
    """End a span when its events have their receipt, or only when they get none."""

    def over(done: Future[Any]) -> None:
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            span.end("withdrawn" if error is None else type(error).__name__)
        elif when == "over":
            span.end()

    if span is not UNTRACED:
        receipt.add_done_callback(over)
