"""What others ask of a view's loop: each wish is a turn with a deadline, and whoever asked learns what became of it."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import CancelledError, Future, wait
from concurrent.futures import TimeoutError as NotYet
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from smartico_sync.errors import SyncError, ViewAltered

if TYPE_CHECKING:
    from collections.abc import Callable

    from smartico_sync.tracking.session import Session
    from smartico_sync.tracking.workplace import Workplace

__all__ = ["Mailbox", "OperatorTurn", "Turn", "TurnUnfinished", "TurnWithdrawn", "ViewTurn"]

GLANCE_S = 0.2  # how often whoever waits for a turn looks whether its caller is still there
FINISH_S = 10.0  # what has begun is short, a transaction or a page: it is waited for this much longer
T = TypeVar("T")


class TurnWithdrawn(SyncError):
    """The turn did not come in time and will not come later: nothing was changed."""


class TurnUnfinished(SyncError):
    """The turn has begun and has not ended in time: what it does may still happen."""


class Turn(Generic[T]):
    """Something the loop is to do between two pages, at the latest `patience_s` seconds after it was asked for.

    `what` is for people: "rewind", "backfill page". Thread-safe.
    """

    def __init__(self, what: str, patience_s: float) -> None:
        self.what = what
        self.deadline = time.monotonic() + patience_s
        self.outcome: Future[T] = Future()

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for it to begin."""
        return not self.outcome.done() and time.monotonic() < self.deadline

    def begin(self) -> Literal["begun", "withdrawn"]:
        """Called by the loop: from here on the turn cannot be withdrawn."""
        if not self.wanted:
            self.outcome.cancel()
        return "begun" if self.outcome.set_running_or_notify_cancel() else "withdrawn"

    def result(self, view: str, still_wanted: Callable[[], bool] = lambda: True) -> T:
        """What the turn returned or raised.

        TurnWithdrawn when it had not begun by its deadline, or `still_wanted` said no before; TurnUnfinished when it has
        begun and does not end.
        """
        try:
            return self._awaited(still_wanted)
        except CancelledError:
            raise TurnWithdrawn(
                f"view {view} did not come to it in time: {self.what} is withdrawn, nothing was changed",
                hint="smartico-sync status says what the view is doing; then run the command again",
            ) from None
        except NotYet:
            raise TurnUnfinished(
                f"view {view} is still at it: {self.what} has begun and may yet be done",
                hint=f"smartico-sync watermark show {view} says whether it was",
            ) from None

    def _awaited(self, still_wanted: Callable[[], bool]) -> T:
        """What the turn returned or raised; CancelledError when it is withdrawn, NotYet when it does not end."""
        while not self.outcome.done() and time.monotonic() < self.deadline and still_wanted():
            wait([self.outcome], min(GLANCE_S, max(0.0, self.deadline - time.monotonic())))
        self.outcome.cancel()  # changes nothing once it has begun
        return self.outcome.result(FINISH_S)


class OperatorTurn(Turn[T]):
    """A change of the state, by a person: it goes before everything, and the view begins again from what the state says."""

    def __init__(self, what: str, action: Callable[[], T], patience_s: float) -> None:
        super().__init__(what, patience_s)
        self._action = action

    def carry_out(self) -> None:
        """Do it, if it is still wanted."""
        if self.begin() == "begun":
            finish(self.outcome, self._action)


class ViewTurn(Turn[T]):
    """Something done with the view as it is at work; it waits for its place between pages."""

    def __init__(self, what: str, action: Callable[[Session, Workplace], T], patience_s: float) -> None:
        super().__init__(what, patience_s)
        self._action = action

    def carry_out(self, session: Session, workplace: Workplace) -> None:
        """Do it, if it is still wanted. Raises what whoever waits is told, where the view must be described again."""
        if self.begin() == "begun":
            finish(self.outcome, lambda: self._action(session, workplace))
            if isinstance(error := self.outcome.exception(), ViewAltered):
                raise error


def finish(outcome: Future[T], action: Callable[[], T]) -> None:
    """Run an action and put what it returns or raises where somebody waits for it."""
    try:
        result = action()
    except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits
        outcome.set_exception(error)
    else:
        outcome.set_result(result)


class Mailbox:
    """The one way to a view's loop. Every method may be called from any thread and returns at once, but for `wait`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._operator: deque[OperatorTurn[object]] = deque()
        self._view: deque[ViewTurn[object]] = deque()
        self._news: Literal["none", "some"] = "none"
        self._poll: Literal["not due", "due"] = "not due"

    def post(self, turn: Turn[T]) -> Turn[T]:
        """Ask for a turn."""
        with self._changed:
            turns: deque[Any] = self._operator if isinstance(turn, OperatorTurn) else self._view
            turns.append(turn)
            while turns and not turns[0].wanted:
                turns.popleft()
            self._tell()
        return turn

    def ask_to_poll(self) -> None:
        """It is time to look for something new; asked twice it is done once."""
        with self._changed:
            self._poll = "due"
            self._tell()

    def wake(self) -> None:
        """Something the loop waits for has happened: a receipt, the end."""
        with self._changed:
            self._tell()

    def _tell(self) -> None:
        self._news = "some"
        self._changed.notify_all()

    def wait(self, timeout_s: float | None) -> None:
        """Wait until something is there that was not when this was called last, or for that long; by the loop only."""
        with self._changed:
            if self._news == "none":
                self._changed.wait(timeout_s)
            self._news = "none"

    def poll_due(self) -> bool:
        """Whether it is time to poll."""
        with self._changed:
            return self._poll == "due"

    def poll_begins(self) -> None:
        """The poll that was asked for begins."""
        with self._changed:
            self._poll = "not due"

    def operator_waits(self) -> bool:
        """Whether a person waits."""
        with self._changed:
            return any(turn.wanted for turn in self._operator)

    def next_operator(self) -> OperatorTurn[object] | None:
        """The next turn of a person."""
        with self._changed:
            return self._operator.popleft() if self._operator else None

    def next_view(self) -> ViewTurn[object] | None:
        """The next turn of somebody who works beside the polls."""
        with self._changed:
            return self._view.popleft() if self._view else None
