"""Calls of a driver that nobody can interrupt, and that one can walk away from. How many are left behind has a bound.

A call lasts too long, or its source is closed: whoever waits is let go, and the call goes on in its thread, unseen, until the
driver ends it. While as many calls of one source go on like this as `most_abandoned`, it makes no further call: each fails at
once with SourceUnreachable, and threads do not pile up. The first of them that ends lets the source ask again.
"""

from __future__ import annotations

from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from smartico_sync.errors import SourceUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_ABANDONED", "AbandonableCalls", "UnattendedCalls"]

MOST_ABANDONED = 8  # twice the connections of a source's usual pool: a network that comes and goes twice leaves no more
T = TypeVar("T")
Work = tuple["Callable[[], Any]", "Future[Any]", "Callable[[Any], object] | None"]


class UnattendedCalls:
    """The calls of one source that nobody waits for and that have not ended. Any thread may use it."""

    def __init__(self, most_abandoned: int = MOST_ABANDONED) -> None:
        self.most_abandoned = most_abandoned
        self._lock = Lock()
        self._alive = 0

    def __len__(self) -> int:
        return self._alive

    @property
    def full(self) -> bool:
        """Whether so many are alive that no call may be made."""
        return self._alive >= self.most_abandoned

    def count(self, change: int) -> None:
        """One more is alive, or one less."""
        with self._lock:
            self._alive += change

    def run_once(
        self,
        place: str,
        call: Callable[[], T],
        patience_s: float,
        what: str,
        discard: Callable[[T], object] | None = None,
    ) -> T:
        """One call in a thread of its own, a login for instance: see AbandonableCalls.run."""
        calls = AbandonableCalls(self, place)
        try:
            return calls.run(call, patience_s, what, discard)
        finally:
            calls.close()

    def farewell(self, call: Callable[[], object]) -> None:
        """Make a call that nobody will wait for, or none where the bound is met; what it raises is of no interest."""
        if not self.full:
            self.count(1)
            Thread(target=self._carry_out, args=(call,), name="source-farewell", daemon=True).start()

    def _carry_out(self, call: Callable[[], object]) -> None:
        with suppress(Exception):
            call()
        self.count(-1)


class AbandonableCalls:
    """Calls of a driver that nothing interrupts, one at a time, in a thread of their own; `place` is for messages.

    `run` belongs to one thread; `abandon` and `close` may be called by any. The thread starts with the first call and ends
    with `close`.
    """

    def __init__(self, unattended: UnattendedCalls, place: str) -> None:
        self._unattended = unattended
        self._place = place
        self._lock = Lock()
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._under_way: Future[Any] | None = None
        self.abandoned = False

    def run(
        self, call: Callable[[], T], patience_s: float, what: str, discard: Callable[[T], object] | None = None
    ) -> T:
        """What the call returns or raises. `what` names the view for messages.

        SourceUnreachable after `patience_s` seconds, when abandoned, or when the bound is met. What an abandoned call returns after
        all is handed to `discard`.
        """
        outcome: Future[T] = Future()
        with self._lock:
            if self.abandoned:
                raise self._left(what)
            if self._unattended.full:
                raise SourceUnreachable(
                    f"{self._place}: {what}: not asked, for {len(self._unattended)} earlier calls still hang, unanswered",
                    hint="check the network; the source is asked again when one of them ends, at the latest by the system's own timeout",
                )
            self._under_way = outcome
            self._work.put((call, outcome, discard))
            if self._thread is None:
                self._thread = Thread(target=self._carry_out, name="source-calls", daemon=True)
                self._thread.start()
        try:
            return outcome.result(patience_s)
        except CancelledError:
            if not outcome.cancelled():  # the call's own
                raise
            raise self._left(what) from None
        except TimeoutError:
            if not self._leave(outcome):  # the call's own, or it ended in this very moment
                return outcome.result()
            raise SourceUnreachable(
                f"{self._place}: {what}: no answer in time",
                hint="check the network; `statement_timeout` sets how long to wait",
            ) from None
        finally:
            self._under_way = None

    def abandon(self) -> None:
        """Let the waiting thread go, now; later calls are not made at all."""
        with self._lock:
            self.abandoned = True
            waiting = self._under_way
        if waiting is not None:
            self._leave(waiting)

    def close(self, last: Callable[[], object] | None = None) -> None:
        """End the thread behind the call under way, with one that nobody waits for; later calls are not made at all."""
        with self._lock:
            self.abandoned = True
        if last is not None:
            self._work.put((last, Future(), None))
        self._work.put(None)

    def _leave(self, outcome: Future[Any]) -> bool:
        """Stop waiting; False where the call has ended."""
        with self._lock:
            if not outcome.cancelled():
                self._unattended.count(1)
                if not outcome.cancel():
                    self._unattended.count(-1)
                    return False
            self.abandoned = True
            return True

    def _left(self, what: str) -> SourceUnreachable:
        return SourceUnreachable(
            f"{self._place}: {what}: nobody waits for the answer any more", hint="the source was closed meanwhile"
        )

    def _carry_out(self) -> None:
        while (work := self._work.get()) is not None:
            call, outcome, discard = work
            answer: Any = None
            try:
                answer = call()
            except BaseException as error:  # noqa: BLE001  - it is raised where somebody waits
                with suppress(InvalidStateError):
                    outcome.set_exception(error)
            else:
                try:
                    outcome.set_result(answer)
                except InvalidStateError:
                    if discard is not None:
                        with suppress(Exception):
                            discard(answer)
            if outcome.cancelled():
                self._unattended.count(-1)
            del work, call, outcome, discard, answer  # while nothing is asked, nothing is kept
