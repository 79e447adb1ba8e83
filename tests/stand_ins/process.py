"""A stand-in that runs as a process of its own, and where it needs other versions than we do, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PATIENCE_S = 120  # the first start of a machine reads a gigabyte from disk


@dataclass
class StandIn:
    """`python -m stand_ins.NAME`, run by `.servers/NAME` where it has requirements of its own, else by us.

    It prints one line of JSON when it is ready. `told` is that line: where it listens, most of all. It ends when its
    standard input is closed.
    """

    name: str
    process: subprocess.Popen
    told: dict

    @classmethod
    def start(cls, name: str, *arguments: object) -> StandIn:
        """Skips the test, with the way to mend it, where the stand-in is not installed."""
        python = interpreter(name)
        if not python.exists():
            pytest.skip(f"the {name} stand-in is not installed: tests/servers/provision all")
        command = [str(python), "-P", "-m", f"stand_ins.{name}", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        watch = threading.Timer(PATIENCE_S, process.kill)
        watch.start()
        line = process.stdout.readline()
        watch.cancel()
        if not line:
            process.kill()
            raise RuntimeError(f"the {name} stand-in did not start:\n{process.communicate()[1][-3000:]}")
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


def interpreter(name: str) -> Path:
    """What runs a stand-in, whether it is installed or not."""
    own = (HERE / name / "requirements.txt").exists()
    return ROOT / ".servers" / name / "bin" / "python" if own else Path(sys.executable)


def drained(stream) -> None:
    """Read to the end, and close."""
    with stream:
        while stream.read(65_536):
            pass
