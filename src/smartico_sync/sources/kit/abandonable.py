"""Calls of a driver that nobody can interrupt, and that one can walk away from."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AbandonableCalls", "Abandoned"]

T = TypeVar("T")


class Abandoned(Exception):
    """Nobody waits for the call any longer: it took too long, or somebody said so. It ends by itself, unseen."""


class AbandonableCalls:
    """Calls of a driver that nothing interrupts, one at a time, each in a thread of its own.

    `run` belongs to one thread; `abandon` may be called by any.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._under_way: Future[Any] | None = None
        self.abandoned = False

    def run(self, call: Callable[[], T], patience_s: float) -> T:
        """What the call returns or raises; Abandoned after `patience_s` seconds, or when abandoned."""
        outcome: Future[T] = Future()
        with self._lock:
            if self.abandoned:
                raise Abandoned
            self._under_way = outcome
        Thread(target=_carry_out, args=(call, outcome), daemon=True).start()
        try:
            return outcome.result(patience_s)
        except CancelledError:
            raise Abandoned from None
        except TimeoutError:
            if outcome.done():  # the call's own, or in this very moment
                return outcome.result()
            self.abandoned = True
            raise Abandoned from None

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
