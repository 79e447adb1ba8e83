"""The clocks of this machine. Bounds and ages come from the database's clock, waits from the steady one.

What must survive a restart is stored by the wall clock, which may be set forward or back. It is given up only when both clocks agree
that its time is over: `agreed_ms`.
"""

from __future__ import annotations

import threading
import time
from collections import deque

__all__ = ["WallClock", "agreed_ms", "now_ms", "steady_ms"]

STEP_MS = 100  # a clock that is slewed moves by less from one look to the next
KEPT_MS = 3_456_000_000  # forty days: beyond any retention


def now_ms() -> int:
    """Wall clock, epoch ms: for records only, never for decisions."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """A clock that never jumps, ms."""
    return time.monotonic_ns() // 1_000_000


class WallClock:
    """Remembers by how much the wall clock was ahead of the steady one, as often as somebody looks. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offsets: deque[tuple[int, int]] = deque()  # until when (steady ms) the wall clock was so far ahead (ms)
        self.agreed_ms(0)

    def agreed_ms(self, span_ms: int) -> int:
        """The time (epoch ms) by which to judge whether `span_ms` have passed since a moment that was read from the wall clock.

        It is the wall clock's, less what that was set forward by within the span: nothing is over before it is by the steady clock, too.
        """
        steady = steady_ms()
        ahead = now_ms() - steady
        with self._lock:
            if self._offsets and abs(self._offsets[-1][1] - ahead) < STEP_MS:
                ahead = self._offsets.pop()[1]
            self._offsets.append((steady, ahead))
            while self._offsets[0][0] < steady - KEPT_MS:
                self._offsets.popleft()
            return steady + min(ahead for until, ahead in self._offsets if until >= steady - max(0, span_ms))


clock = WallClock()


def agreed_ms(span_ms: int) -> int:
    """See `WallClock`: that of this process."""
    return clock.agreed_ms(span_ms)
