"""What servers behind an API need: calls that one can walk away from, and a clock that is asked seldom."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DistantClock", "Errands", "Left"]

FRESH_S = 600.0  # clocks of two machines drift apart by some ten milliseconds in that time
T = TypeVar("T")


class Left(Exception):
    """Nobody waits for the call any longer: it took too long, or somebody said so. It ends by itself, unseen."""


class Errands:
    """Calls of a driver that nothing interrupts, one at a time, each in a thread of its own.

    `run` belongs to one thread; `abandon` may be called by any.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._under_way: Future[Any] | None = None
        self.abandoned = False

    def run(self, call: Callable[[], T], patience_s: float) -> T:
        """What the call returns or raises; Left after `patience_s` seconds, or when abandoned."""
        outcome: Future[T] = Future()
        with self._lock:
            if self.abandoned:
                raise Left
            self._under_way = outcome
        Thread(target=_carry_out, args=(call, outcome), daemon=True).start()
        try:
            return outcome.result(patience_s)
        except CancelledError:
            raise Left from None
        except TimeoutError:
            if outcome.done():  # the call's own, or in this very moment
                return outcome.result()
            self.abandoned = True
            raise Left from None

    def abandon(self) -> None:
        """Let the waiting thread go, now; later calls are not made at all."""
        with self._lock:
            self.abandoned = True
            if self._under_way is not None:
                self._under_way.cancel()


def _carry_out(call: Callable[[], T], outcome: Future[T]) -> None:
    try:
        answer = call()
    except BaseException as error:  # noqa: BLE001  - it is raised where somebody waits
        with suppress(InvalidStateError):
            outcome.set_exception(error)
    else:
        with suppress(InvalidStateError):
            outcome.set_result(answer)


class DistantClock:
    """A server's now. Between two answers our steady clock carries it on.

    It is never ahead of the server: the way that an answer travelled is not added.
    """

    def __init__(self) -> None:
        self._told: tuple[int, float] | None = None

    def tell(self, server_ms: int) -> None:
        """The server's epoch ms, from an answer that has just arrived."""
        self._told = (server_ms, time.monotonic())

    def now_ms(self) -> int | None:
        """The server's epoch ms; None when it must be asked."""
        told = self._told
        if told is None:
            return None
        passed = time.monotonic() - told[1]
        return told[0] + int(passed * 1000) if passed < FRESH_S else None
