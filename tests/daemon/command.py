"""The command in a process of its own, forked from one that has imported it already: a test need not wait for imports."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from smartico_sync.observe import pending_alerts

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [f"smartico_sync.cli.{name}" for name in ("run", "backfill", "check", "reconcile", "status", "trace", "watermark")]
    + [f"smartico_sync.cli.{name}" for name in ("dead_letters", "keys", "preview", "state", "stopped")]
    + [f"smartico_sync.sources.{name}" for name in ("mysql", "postgresql", "sqlite")]
    + [f"smartico_sync.{name}" for name in ("daemon.cluster_view", "pii.aes_gcm", "state.open_state", "state.store")]
    + ["encodings.idna", "encodings.utf_8_sig"]  # of host names, of files
)


class Command:
    """`smartico-sync` with these words, at work in a folder; what it says goes to the files."""

    def __init__(
        self,
        words: list[object],
        home: Path,
        out: IO[bytes] | None = None,
        err: IO[bytes] | None = None,
        clock: Path | None = None,
        quiet_s: float | None = None,
    ) -> None:
        """`clock`: a file that holds by how many seconds the process takes it to be later than it is. `quiet_s`: for how long a change waits before a webhook is told."""
        self.words = [str(word) for word in words]
        names = [None if file is None else file.name for file in (out, err)]
        # A daemon of this module ends with the tests, come what may.
        self._process = FORKS.Process(
            target=main, args=(self.words, str(home), *names, clock and str(clock), quiet_s), daemon=True
        )
        self._process.start()
        self.pid = self._process.pid
        self.terminate, self.kill = self._process.terminate, self._process.kill

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, negative for a signal. subprocess.TimeoutExpired when it is still at work."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.words, timeout or 0)
        return self._process.exitcode


def run(words: list[object], home: Path, timeout: float) -> subprocess.CompletedProcess:
    """Run the command to its end."""
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
        command = Command(words, home, out, err)
        try:
            code = command.wait(timeout)
        finally:
            command.kill()
        return subprocess.CompletedProcess(command.words, code, out.read().decode(), err.read().decode())


def main(
    words: list[str], home: str, out: str | None, err: str | None, clock: str | None, quiet_s: float | None
) -> None:
    """What the forked process does: become the command."""
    if clock is not None:
        set_clock(Path(clock))
    if quiet_s is not None:
        pending_alerts.SETTLE_S = pending_alerts.QUIET_S = quiet_s
    for target, name in ((1, out), (2, err)):
        file = os.open(name or os.devnull, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, target)
        os.close(file)
    os.chdir(home)
    os.environ["NO_COLOR"] = "1"
    sys.argv = ["smartico-sync", *words]
    from smartico_sync.cli import main as command

    with contextlib.closing(sys.stdin):
        command()


def set_clock(file: Path) -> None:
    """Have this process read a clock that is ahead by what the file says at that moment."""
    seconds, nanoseconds = time.time, time.time_ns

    def ahead() -> int:
        return int(file.read_text() or "0")

    time.time = lambda: seconds() + ahead()
    time.time_ns = lambda: nanoseconds() + 10**9 * ahead()
