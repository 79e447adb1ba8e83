"""The end of the process: asked for by a signal, and over by one deadline whatever hangs."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import structlog

from smartico_sync.errors import ExitCode
from smartico_sync.observe.logs import flush

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

__all__ = ["STOP_S", "Ending", "all_at_once"]

STOP_S = (
    8.0  # Docker kills after 10 s, and says nothing; what was not acknowledged by then goes again under the same ids
)
SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = structlog.get_logger()


class Ending:
    """A context manager around the whole process, in its main thread. `stopping` is set by SIGINT, SIGTERM or whoever sets it.

    `STOP_S` after a signal the process ends, also when a thread still waits for a database, the API or a disk; a second signal ends it
    at once. `code` is the exit code in the former case.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._others: list[threading.Event] = []
        self.code = ExitCode.FINE
        self._told, self._tell = os.pipe()
        self._signals = 0
        self._before: dict[int, Any] = {}
        self._thread = threading.Thread(target=self._watch, name="ending", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._signalled)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        flush()
        if self._signals:
            return  # the deadline stands until the last thread has ended
        for number, before in self._before.items():
            signal.signal(number, before)
        os.close(self._tell)
        self._thread.join()
        os.close(self._told)

    def also(self, event: threading.Event) -> None:
        """Set this event, too, when the process is asked to end; at once when it was."""
        self._others.append(event)
        if self.stopping.is_set():
            event.set()

    def _signalled(self, number: int, _: Any) -> None:
        """Only what cannot wait for a lock: the signal may have interrupted whoever holds it."""
        self._signals += 1
        if self._signals > 1:
            os._exit(128 + number)
        os.write(self._tell, b"!")

    def _watch(self) -> None:
        """Wait for a signal, and then for the deadline."""
        if not os.read(self._told, 1):
            return
        self.stopping.set()
        for each in tuple(self._others):
            each.set()
        time.sleep(STOP_S)
        names = [thread.name for thread in threading.enumerate() if thread.name not in ("MainThread", "ending")]
        log.warning("ended", code=int(self.code), reason=f"not everything ended in {STOP_S:g} s", threads=names[:20])
        flush()
        os._exit(int(self.code))


def all_at_once(actions: Sequence[Callable[[], object]], patience_s: float) -> None:
    """Do them all, each in a thread of its own; those that take longer are left behind."""
    threads = [threading.Thread(target=action, name="farewell", daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    until = time.monotonic() + patience_s
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
