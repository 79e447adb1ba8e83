"""Requests a minute, shared by all that send with one token."""

from __future__ import annotations

import threading
import time
from collections import deque

__all__ = ["MinuteLimit"]

WINDOW_S = 60.0
HEADROOM = 0.98  # the API's minute and ours do not begin together


class MinuteLimit:
    """Never more than the limit in any 60 seconds; requests of the last minute are remembered by their start."""

    def __init__(self, per_minute: int) -> None:
        self.most = max(1, int(per_minute * HEADROOM))
        self.starts: deque[float] = deque()
        self.lock = threading.Lock()

    def wait_s(self) -> float:
        """Take a turn and return 0, or how many seconds until there may be one."""
        now = time.monotonic()
        with self.lock:
            while self.starts and now - self.starts[0] >= WINDOW_S:
                self.starts.popleft()
            if len(self.starts) < self.most:
                self.starts.append(now)
                return 0.0
            return WINDOW_S - (now - self.starts[0])

    def used(self) -> int:
        """Requests of the last minute."""
        return len(self.starts)
