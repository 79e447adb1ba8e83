"""A server that somebody wrote for tests, in a process and an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent / "emulators"
PATIENCE_S = 120  # the first start of a machine reads a gigabyte from disk


@dataclass
class Emulator:
    """`tests/servers/emulators/NAME.py`, run by `.servers/NAME`. It prints one line of JSON when it is ready.

    `told` is that line: where it listens, most of all. It ends when its standard input is closed.
    """

    name: str
    process: subprocess.Popen
    told: dict

    @classmethod
    def start(cls, name: str, *arguments: object) -> Emulator:
        """Skips the test, with the way to mend it, where the emulator is not installed."""
        python = ROOT / ".servers" / name / "bin" / "python"
        if not python.exists():
            pytest.skip(f"the {name} emulator is not installed: tests/servers/provision all")
        command = [str(python), "-P", str(HERE / f"{name}.py"), *map(str, arguments)]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        watch = threading.Timer(PATIENCE_S, process.kill)
        watch.start()
        line = process.stdout.readline()
        watch.cancel()
        if not line:
            process.kill()
            raise RuntimeError(f"the {name} emulator did not start:\n{process.communicate()[1][-3000:]}")
        # Nobody reads what it says from now on; a full pipe would stop it.
        for stream in (process.stdout, process.stderr):
            threading.Thread(target=drained, args=(stream,), daemon=True).start()
        return cls(name, process, json.loads(line))

    def stop(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def drained(stream) -> None:
    """Read to the end, and close."""
    with stream:
        while stream.read(65_536):
            pass
