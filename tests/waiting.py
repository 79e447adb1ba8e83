"""Waiting for what other threads and processes do. How long that may take is the test's own timeout, see pyproject.toml."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["now_ms", "until"]


def until(happened: Callable[[], object], every_s: float = 0.05) -> None:
    """Wait until it is so."""
    while not happened():
        time.sleep(every_s)


def now_ms() -> float:
    """This machine's clock."""
    return time.time() * 1000
