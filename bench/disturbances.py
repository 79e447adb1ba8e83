"""What happens to a daemon in a data centre, one thing after the other: for `make soak`."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import IO

from servers.gateway import Gateway

FAKETIME = tuple(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))  # apt install faketime
EVERY_S = 7.0  # a connection is idle, a clock wrong and a log unread for so long
STEPS = ("+0", "-3h", "+0", "+400d")  # of the daemon's wall clock


class Disturbances:
    """The daemon's environment, and what changes in it.

    The wall clock is set forward and back, nobody reads the log for a while, the proxy breaks every connection, and the token is
    written anew.
    """

    def __init__(self, home: Path, api_port: int) -> None:
        self.home = home
        self.proxy = Gateway(api_port)
        self.clock, self.token = home / "clock", home / "token"
        self.set_clock("+0")
        self.token.write_text("soak")
        self.reading = threading.Event()
        self.reading.set()
        self.ended = threading.Event()

    @property
    def environ(self) -> dict[str, str]:
        """What the daemon is started with; without libfaketime its clock stays right."""
        faked = {
            "LD_PRELOAD": str(FAKETIME[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        } if FAKETIME else {}  # fmt: skip
        return {**os.environ, **faked, "HTTP_PROXY": self.proxy.origin}

    @property
    def told(self) -> str:
        """What happens, in words."""
        clock = ("clock steps",) if FAKETIME else ()
        return ", ".join((*clock, "an unread log", "broken connections of a proxy", "a token that is written anew"))

    def set_clock(self, offset: str) -> None:
        """Set the daemon's wall clock; at once, so that it never reads half of it."""
        draft = self.clock.with_suffix(".new")
        draft.write_text(offset)
        draft.replace(self.clock)

    def read(self, log: IO[bytes]) -> None:
        """Read the daemon's log into a file, while anybody does."""
        with (self.home / "log").open("wb") as file:
            while line := log.readline():
                self.reading.wait()
                file.write(line)

    def disturb(self) -> None:
        """One thing after the other, until the end."""
        steps = cycle(STEPS)
        actions = (
            lambda: self.set_clock(next(steps)),
            self.reading.clear,
            self.break_connections,
            self.reading.set,
            lambda: self.token.write_text("soak\n"),
        )
        for action in cycle(actions):
            if self.ended.wait(EVERY_S):
                break
            action()
        self.reading.set()

    def break_connections(self) -> None:
        """As a proxy that is restarted does."""
        links, self.proxy._open = self.proxy._open, []  # noqa: SLF001 - the proxy is ours
        for link in links:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End."""
        self.ended.set()
        self.reading.set()
        self.proxy.close()
