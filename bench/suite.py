"""`make bench`: every part in turn, and at the end the table of what we aim at, from this run alone.

Usage: python -m bench.suite all|table
`table` runs what fills the table only, and less often what no ratio is of: less than 25 minutes. BENCH_QUICK=1 is the same for
`all`. BENCH_JSON says where the figures are kept; what was there is replaced. A part that fails is told at the end, and the
others go on. BENCH_STATE names the numbers of profiles of the state, 100 million among them where that is wanted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from bench import targets
from bench.figures import keep, kept

__all__ = ["PARTS", "Part"]

FILE = ".bench/figures.json"
PYTHON = (sys.executable,)


class Part(msgspec.Struct, frozen=True):
    """A program of the bench. `fills`: rows of the table, or figures of its own. `quick` is its environment where time is short."""

    name: str
    words: tuple[str, ...]
    fills: Literal["table", "other"] = "table"
    quick: tuple[tuple[str, str], ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        """What is run."""
        return (*PYTHON, "-m", *self.words)


SOURCES = ("pytest", "-q", "-s", "-rs", "-p", "conftest", "-p", "no:randomly", "-W", "ignore", "bench/sources.py")
PARTS = (
    Part("compared", ("bench",), quick=(("BENCH_FEW", "1"), ("BENCH_PROFILES", "100000"))),
    Part("startup", ("bench.startup",), quick=(("BENCH_STARTS", "5"),)),
    Part("repolls", ("bench.repolls",), quick=(("BENCH_PROFILES", "100000"),)),
    Part("live", ("bench.live",)),
    Part("trickle", ("bench.trickle",), quick=(("BENCH_SECONDS", "10"),)),
    Part("slow_player", ("bench.slow_player",)),
    Part("memory", ("bench.memory",)),
    Part("state_size", ("bench.state_size",)),
    Part("kafka", ("bench.kafka",), "other"),
    Part("rabbitmq", ("bench.rabbitmq",), "other"),
    Part("waiting_streams", ("bench.waiting_streams",), "other"),
    Part("repeated_keys", ("bench.repeated_keys",), "other"),
    Part("shared_state", ("bench.shared_state",), "other"),
    Part("sources", SOURCES, "other"),
)


def ran(part: Part, environ: Mapping[str, str]) -> int:
    """Run a part; its exit code."""
    print(f"\n== {part.name}", flush=True)
    return subprocess.run(part.command, env=environ, check=False).returncode


def main(which: str = "all") -> int:
    """Run the parts, print the table; 1 where a part failed."""
    file = Path(os.environ.setdefault("BENCH_JSON", FILE)).absolute()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    quick = which == "table" or os.environ.get("BENCH_QUICK") == "1"
    chosen = [part for part in PARTS if which == "all" or part.fills == "table"]
    took: dict[str, float] = {}
    failed: dict[str, int] = {}
    for part in chosen:
        began = time.monotonic()
        # What somebody sets himself is meant.
        environ = {**(dict(part.quick) if quick else {}), **os.environ, "BENCH_JSON": str(file)}
        if code := ran(part, environ):
            failed[part.name] = code
        took[part.name] = time.monotonic() - began
        print(f"   {took[part.name]:.0f} s", flush=True)
    keep("suite", {"which": which, "took_s": took, "failed": failed})
    print(f"\n== what we aim at, from the figures in {file}, after {sum(took.values()) / 60:.0f} minutes")
    targets.main(str(file))
    for name, code in failed.items():
        print(f"{name} failed with {code}")
    return 1 if failed or not kept(file) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
