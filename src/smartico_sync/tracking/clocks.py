"""The clocks of this machine. Bounds and ages come from the database's clock, waits from the steady one."""

from __future__ import annotations

import time

__all__ = ["now_ms", "steady_ms"]


def now_ms() -> int:
    """Wall clock, epoch ms: for records only, never for decisions."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """A clock that never jumps, ms."""
    return time.monotonic_ns() // 1_000_000
