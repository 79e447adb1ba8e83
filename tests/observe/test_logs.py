"""Whoever has something to say never waits for whoever should read it."""

from __future__ import annotations

import json
import os
import re
import select
import threading
from pathlib import Path

import pytest
import structlog

from smartico_sync.observe import logs
from smartico_sync.observe.logs import LogWriter
from smartico_sync.observe.metrics import exposition
from waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pipe():
    """A pipe that nobody reads: (end to read, end to write)."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def held(end):
    """What is in the pipe now."""
    found = b""
    while select.select([end], [], [], 0)[0]:
        found += os.read(end, 1_000_000)
    return found


def test_a_pipe_that_nobody_reads_holds_nobody_up(pipe, monkeypatch):
    """Lines beyond the bound are dropped and counted; those before it arrive when somebody reads, and what is missing is told."""
    monkeypatch.setattr(logs, "MOST_LINES", 100)
    writer = LogWriter(pipe[1])
    monkeypatch.setattr(logs, "_writers", [writer])
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()], logger_factory=lambda *_: writer, cache_logger_on_first_use=False
    )  # fmt: skip
    try:
        for number in range(2_000):  # far more than a pipe and the bound hold together
            writer.msg(f"{number:>1000}")
        assert writer.dropped >= 1_000
        assert f"smartico_sync_log_lines_dropped_total {float(writer.dropped)}" in exposition((), (), logs.dropped_lines()).decode()  # fmt: skip
        read = bytearray()
        until(lambda: read.extend(held(pipe[0])) or sum(accounted(bytes(read))) == 2_000, 0.001)
    finally:
        structlog.reset_defaults()
    numbers, _ = accounted(bytes(read))
    assert numbers >= 100


def accounted(read):
    """How many lines arrived, in their order, and how many were told to be missing."""
    whole = read[: read.rfind(b"\n") + 1].decode().splitlines()
    numbers = [int(line) for line in whole if not line.startswith("{")]
    assert numbers == sorted(set(numbers))
    return len(numbers), sum(json.loads(line)["lines"] for line in whole if line.startswith("{"))


def test_a_line_takes_no_lock(pipe, monkeypatch):
    """Also while the writer hangs in the middle of a line, whoever holds a lock of the daemon can say something."""
    writer = LogWriter(pipe[1])
    writer.msg("x" * 1_000_000)
    lock = threading.Lock()

    def speaks():
        with lock:
            writer.msg("something")

    threads = [threading.Thread(target=speaks) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lock.acquire(blocking=False)
    while not writer._lines.empty():
        held(pipe[0])
    writer.flush()


def test_a_disk_that_is_full_loses_lines_and_nothing_else():
    """Each is counted, and the next one is tried."""
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123 - a device
        writer = LogWriter(full.fileno())
        for _ in range(5):
            writer.msg("something")
        until(lambda: writer.dropped == 5)
        writer.flush()


def test_a_reader_that_went_away_loses_lines_and_nothing_else(pipe):
    """A broken pipe is counted likewise."""
    other = os.pipe()
    os.close(other[0])
    writer = LogWriter(other[1])
    writer.msg("something")
    until(lambda: writer.dropped == 1)
    writer.flush()
    os.close(other[1])


def test_what_was_said_is_written_at_the_end(pipe):
    """`flush` waits for the lines before it."""
    writer = LogWriter(pipe[1])
    for number in range(200):
        writer.msg(str(number))
    writer.flush()
    assert held(pipe[0]).split() == [b"%d" % number for number in range(200)]


def test_every_event_is_on_the_page():
    """Whoever searches the log for a word finds what it means."""
    sources = (file.read_text("utf-8") for file in (ROOT / "src").rglob("*.py"))
    events = {
        event for text in sources for event in re.findall(r'\blog\.(?:info|warning|error|debug)\(\s*"([a-z_.]+)"', text)
    }
    page = (ROOT / "docs" / "log.md").read_text("utf-8")
    known = set(re.findall(r"`([a-z_.]+)`", page))
    assert len(events) > 40
    assert {event for event in events if not event.startswith("backfill.")} - known == set()
