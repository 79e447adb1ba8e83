"""What a process took: its seconds, its CPU and its memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.rivals import ENVIRONMENT

__all__ = ["Took", "daemon", "ended", "timed"]

LOOK_S = 0.05

Took = tuple[float, float, float]


def timed(command: list[str], cwd: Path) -> Took:
    """Seconds, CPU seconds and peak MB of a process. SystemExit where it fails."""
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=cwd, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    code, took = ended(process, began)
    if code:
        raise SystemExit(f"{command} ended with {code}")
    return took


@contextmanager
def daemon(config: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon over this configuration, started by these words; what it prints goes into `log` beside it."""
    with (config.parent / "log").open("wb") as log:
        process = subprocess.Popen(
            [*words, "run", "--config", str(config)], cwd=config.parent, stdout=log, stderr=log, env=ENVIRONMENT
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def ended(process: subprocess.Popen[bytes], began: float) -> tuple[int, Took]:
    """Wait for a process that began then; its exit code and what it took.

    The kernel's own peak of a process counts whoever started it until it became another program: this looks itself.
    """
    peak = [0]
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            peak[0] = max(peak[0], resident_kb(process.pid))

    watch = threading.Thread(target=look)
    watch.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
    except BaseException:
        process.kill()
        raise
    finally:
        over.set()
        watch.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, (seconds, usage.ru_utime + usage.ru_stime, peak[0] / 1024)


def resident_kb(process: int) -> int:
    """The peak of a process so far; 0 when it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
