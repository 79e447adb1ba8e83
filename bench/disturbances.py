"""What happens to a daemon in a data centre, one thing after the other: for `make soak`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from itertools import count, cycle
from pathlib import Path
from typing import IO

from servers.gateway import Gateway

COMPILER = shutil.which("cc")
WALL_CLOCK = Path(__file__).with_name("wall_clock.c")
HOUR_S = 3_600
EVERY_S = 7.0  # a connection is idle, a clock wrong and a log unread for so long
STEPS = (0, -3 * HOUR_S, 0, 400 * 24 * HOUR_S)  # seconds by which the daemon's wall clock is ahead


def faked_clock(home: Path, clock: Path) -> dict[str, str]:
    """What a process is started with whose wall clock `set_ahead` sets; nothing without a C compiler: its clock stays right."""
    if COMPILER is None:
        return {}
    library = home / "wall_clock.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O2", "-o", library, WALL_CLOCK], check=True)
    return {"LD_PRELOAD": str(library), "WALL_CLOCK_AHEAD": str(clock)}


def set_ahead(clock: Path, seconds: int) -> None:
    """Set a process's wall clock, which it reads from the very bytes that are written here."""
    with clock.open("r+b" if clock.exists() else "wb") as file:
        file.write(seconds.to_bytes(8, sys.byteorder, signed=True))


class Disturbances:
    """The daemon's environment, and what changes in it.

    The wall clock is set forward and back, nobody reads the log for a while, the proxy breaks every connection, and the token
    becomes another.
    """

    def __init__(self, home: Path, api_port: int) -> None:
        self.home = home
        self.proxy = Gateway(api_port)
        self.clock, self.token = home / "clock", home / "token"
        self.set_clock(0)
        self.token.write_text("soak")
        self.reading = threading.Event()
        self.reading.set()
        self.ended = threading.Event()

    @property
    def environ(self) -> dict[str, str]:
        """What the daemon is started with; without a C compiler its clock stays right."""
        return {**os.environ, "HTTP_PROXY": self.proxy.origin, **faked_clock(self.home, self.clock)}

    @property
    def told(self) -> str:
        """What happens, in words."""
        clock = ("clock steps",) if COMPILER is not None else ()
        return ", ".join((*clock, "an unread log", "broken connections of a proxy", "a token that becomes another"))

    def set_clock(self, ahead_s: int) -> None:
        """Set the daemon's wall clock, which it reads from the very bytes that are written here."""
        set_ahead(self.clock, ahead_s)

    def read(self, log: IO[bytes]) -> None:
        """Read the daemon's log into a file, while anybody does."""
        with (self.home / "log").open("wb") as file:
            while line := log.readline():
                self.reading.wait()
                file.write(line)

    def disturb(self) -> None:
        """One thing after the other, until the end."""
        steps, tokens = cycle(STEPS), count()
        actions = (
            lambda: self.set_clock(next(steps)),
            self.reading.clear,
            self.break_connections,
            self.reading.set,
            lambda: self.token.write_text(f"soak-{next(tokens)}\n"),
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
