"""What systemd is told (sd_notify): that the daemon is there, that it turns, that it ends. Nothing where nobody asks.

A unit of `Type=notify` names a socket in NOTIFY_SOCKET, and with `WatchdogSec=` how often it wants to hear in WATCHDOG_USEC.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

__all__ = ["ServiceManager"]

SHARE = 3  # signs of life in one period of the watchdog: one may be late


class ServiceManager:
    """A context manager around the daemon's work. `alive` says whether it turns: a daemon that is stuck gives no sign."""

    def __init__(self, alive: Callable[[], bool], environ: Mapping[str, str] = os.environ) -> None:
        self.alive = alive
        self.address = environ.get("NOTIFY_SOCKET", "")
        own = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        period = environ.get("WATCHDOG_USEC", "") if own else ""
        self.every_s = int(period) / 1_000_000 / SHARE if period.isdigit() else 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self.tell("READY=1")
        if self.address and self.every_s:
            self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self.tell("STOPPING=1")

    def watch(self) -> None:
        """Give a sign of life until the end."""
        while not self.ended.wait(self.every_s):
            if self.alive():
                self.tell("WATCHDOG=1")

    def tell(self, what: str) -> None:
        """Send one word; where nobody listens, nothing is lost."""
        if not self.address:
            return
        name = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
            wire.sendto(what.encode(), name)
