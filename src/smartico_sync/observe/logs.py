"""Logs: JSON lines for machines, plain ones for a terminal; no secrets, no personal data.

A line is handed to a thread that writes it. Whoever has something to say never waits for a disk that is full or a pipe that nobody
reads: beyond `MOST_LINES` lines are dropped, and counted.
"""

from __future__ import annotations

import logging
import os
import re
import select
import sys
import threading
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

import structlog

from smartico_sync.core.printable import printable

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["LEVELS", "Level", "LogWriter", "configure", "dropped_lines", "flush", "redacted", "set_level"]

SECRET_KEYS = re.compile(r"token|password|secret|authorization|pii_key", re.IGNORECASE)
URL_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]+@")
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
Level = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
USUAL: Level = "info"
MOST_LINES = 10_000  # a few megabytes: a reader that is restarted misses nothing
FLUSH_S = 1.0  # at the end, for a reader that is slow


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last line of defence: nothing that looks like a secret or an address passes, nor a control character."""
    for key, value in event.items():
        if SECRET_KEYS.search(key):
            event[key] = "…"
        elif isinstance(value, str):
            event[key] = printable(redacted(value))
    return event


def redacted(text: str) -> str:
    """A text without passwords in URLs and without addresses."""
    return EMAIL.sub("…@…", URL_PASSWORD.sub(r"\1…@", text))


class LogWriter:
    """Writes lines to a file descriptor from a thread of its own. Every method may be called from any thread.

    `msg` takes no lock and waits for nothing. What cannot be written is dropped and counted; the next line is tried again, and once one
    is written it is told how many are missing.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: SimpleQueue[bytes | threading.Event] = SimpleQueue()
        self._overflow = count(1)
        self._overflown = self._failed = self._told = 0
        threading.Thread(target=self._write, name="log", daemon=True).start()

    @property
    def dropped(self) -> int:
        """Lines that were not written."""
        return self._overflown + self._failed

    def msg(self, message: str) -> None:
        """Have a line written."""
        if self._lines.qsize() >= MOST_LINES:
            self._overflown = next(self._overflow)
        else:
            self._lines.put(message.encode("utf-8", "backslashreplace") + b"\n")

    # structlog calls a logger's method by the level.
    debug = info = warning = warn = error = critical = exception = fatal = log = msg

    def flush(self, patience_s: float = FLUSH_S) -> None:
        """Wait until all is written, for so long at most."""
        written = threading.Event()
        self._lines.put(written)
        written.wait(patience_s)

    def _write(self) -> None:
        begin = b""
        while True:
            line = self._lines.get()
            if isinstance(line, threading.Event):
                line.set()
                continue
            left = begin + line
            try:
                while left:
                    left = left[self._written(left) :]
            except OSError:
                self._failed += 1
                begin = b"\n" if len(left) < len(line) else begin  # a part of it is there
                continue
            begin = b""
            if self.dropped > self._told and self._lines.qsize() < MOST_LINES // 2:
                missing, self._told = self.dropped - self._told, self.dropped
                structlog.get_logger().warning("log.dropped", lines=missing)

    def _written(self, data: bytes) -> int:
        """How many bytes could be written; waits for a reader, if need be."""
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:  # somebody else made it so
            select.select([], [self._descriptor], [])
            return 0


class Foreign(logging.Handler):
    """What libraries have to say takes the same way: their words, and neither values nor tracebacks."""

    def emit(self, record: logging.LogRecord) -> None:
        """Hand it on."""
        structlog.get_logger().warning("library", name=record.name, reason=str(record.msg))


_writers: list[LogWriter] = []
_lock = threading.Lock()
_level: list[Level] = [USUAL]
_timers: list[threading.Timer] = []


def dropped_lines() -> int:
    """Lines of this process that were not written."""
    return sum(writer.dropped for writer in _writers)


def flush() -> None:
    """Wait a moment until what was said is written."""
    for writer in _writers:
        writer.flush()


def set_level(level: Level | None = None, seconds: float | None = None) -> dict[str, str]:
    """Write down what is of that level and above, for good or for so many seconds; None only asks. The level now, and before."""
    with _lock:
        before = _level[0]
        if level is not None:
            if _timers:
                _timers.pop().cancel()
            _level[0] = level
            structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
            if seconds is not None:
                timer = threading.Timer(seconds, set_level, (USUAL,))
                timer.daemon = True
                timer.start()
                _timers.append(timer)
        return {"level": _level[0], "before": before}


def configure(form: Literal["auto", "json", "console"]) -> Literal["json", "console"]:
    """Send logs to standard error in that form; auto: console on a terminal, else JSON. Which it is."""
    chosen: Literal["json", "console"] = form if form != "auto" else ("console" if sys.stderr.isatty() else "json")
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if chosen == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    flush()
    writer = LogWriter(sys.stderr.fileno())
    _writers[:] = [writer]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_level[0]),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=False,
    )
    logging.lastResort = Foreign(logging.WARNING)
    for name in ("httpx", "httpcore", "urllib3", "apscheduler"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return chosen
