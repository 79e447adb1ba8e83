"""What pages, metrics and commands ask the state: nobody who looks waits for it longer than a moment."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from smartico_sync.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Glance"]

MOMENT_S = 1.0  # monitoring gives a scrape up after five or ten
T_co = TypeVar("T_co", covariant=True)


class Glance(Generic[T_co]):
    """One question to the state. While it hangs the last answer has to do, and no further question is put. Safe from any thread."""

    def __init__(self, question: Callable[[], T_co | None]) -> None:
        self._question = question
        self._lock = threading.Lock()
        self._under_way: Future[T_co | None] | None = None
        self._last: T_co | None = None

    def answer(self) -> T_co | None:
        """What it answers now, or answered last where it does not in a moment; None while it cannot."""
        with self._lock:
            asked = self._under_way
            if asked is None or asked.done():
                asked = self._under_way = Future()
                threading.Thread(target=self._ask, args=(asked,), name="state-glance", daemon=True).start()
        with suppress(TimeoutError):
            self._last = asked.result(MOMENT_S)
        return self._last

    def _ask(self, asked: Future[T_co | None]) -> None:
        try:
            asked.set_result(self._question())
        except (StateError, OSError, sqlite3.Error):
            asked.set_result(None)  # its disk or its server is in trouble, which is told as a finding
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits
            asked.set_exception(error)
