"""The start of the daemon: what will pass is waited for, as the running daemon would; a mistake ends it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, TypeVar

import structlog

from smartico_sync.errors import SecretsMissing, StateHeld, StateLocked, StateUnwritable, SyncError
from smartico_sync.observe.finding import Finding
from smartico_sync.observe.health import Health

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from smartico_sync.observe.endpoint import Endpoint
    from smartico_sync.observe.journal import Journal, Look

__all__ = ["ONCE_PATIENCE_S", "Start", "Stopped"]

ONCE_PATIENCE_S = 30.0  # `--once` retries whatever is unavailable for this long
SECRETS_S = 20.0  # a volume that is mounted, or an agent that writes a secret, takes seconds; a wrong path stays wrong
LOOK_S = 0.5  # how often it is tried again: a new daemon takes over soon after the old one has ended
REPEAT_S = 60.0  # how often the log says what is waited for
PASSING = (StateLocked, StateUnwritable, SecretsMissing)

log = structlog.get_logger()
T = TypeVar("T")


class Stopped(SyncError):
    """Somebody asked the daemon to end before it had begun."""


class Start:
    """Tries what a start needs. `patience_s`: how long a state that is locked or cannot be written is waited for."""

    def __init__(self, stopping: threading.Event, patience_s: float = math.inf) -> None:
        self.stopping, self.patience_s = stopping, patience_s
        self.endpoint: Endpoint | None = None
        self.journal: Journal | None = None
        self.waits_for: SyncError | None = None

    def look(self) -> Look:
        """What the start waits for, for log and webhooks; another daemon that has the state works, and is no trouble."""
        waits = self.waits_for
        found: tuple[Finding, ...] = ()
        if waits is not None and not isinstance(waits, StateHeld):
            found = (Finding("critical", "start", waits.message, waits.hint, code="start"),)
        return Health("alive", "starting", found, found), ()

    def until(self, attempt: Callable[[], T]) -> T:
        """What the attempt returns once it goes well.

        Raises at once what no waiting mends, the last error when the patience is over, and Stopped.
        """
        began, told, told_at = time.monotonic(), "", -math.inf
        if self.journal is not None:
            self.journal.watch(self.look)
        while not self.stopping.is_set():
            try:
                made = attempt()
            except PASSING as error:
                now = time.monotonic()
                patience_s = min(self.patience_s, SECRETS_S) if isinstance(error, SecretsMissing) else self.patience_s
                if now - began >= patience_s:
                    raise
                self.waits_for = error
                if self.endpoint is not None:
                    self.endpoint.waits_for = error
                if error.message != told or now - told_at >= REPEAT_S:
                    told, told_at = error.message, now
                    log.warning("start.waits", reason=error.message, hint=error.hint)
            else:
                self.waits_for = None
                if self.journal is not None:
                    self.journal.watch(None)
                return made
            self.stopping.wait(LOOK_S)
        raise Stopped("the daemon was stopped before it had begun")
