"""Where the daemon's CPU goes: shares by verb, by module, and by library where `perf` is there.

read, map, diff, protect, deliver, HTTP and commit are the way of a row; `start` is the interpreter, imports and configuration;
`watch` status and logs. See `bench/sampling.py` for how it is told.

Usage: python -m bench.profile casino|users|idle|trickle|live     BENCH_ROWS and BENCH_PROFILES say how much is read
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from bench.__main__ import PROFILES, ROWS
from bench.data import casino_sql, users_sql
from bench.live import level, written
from bench.rivals import COMMAND, ENVIRONMENT, VIEWS
from bench.sampling import OVER, VERBS, WRITE_EVERY_S
from bench.trickle import BEGUN_S, LATER_S, SECONDS, trickling, watched
from servers.postgresql import Server
from smartico_sync.pii.keys import new_key
from smartico_sync.sandbox.api import Sandbox

MODULES, LIBRARIES = 12, 8  # that are printed
LOOKS = 2.5  # ours, perf's, and what lies between
RARELY_S = "0.002"  # between samples of what goes on for long
STOPPED_S = 3.0  # without a word of the sampler, which writes twice a second
SAMPLED = (sys.executable, "-m", "bench.sampling")
PERF = ("perf", "record", "-q", "-e", "cpu-clock", "-F", "499")
Spent = dict[str, dict[str, float]]


def loaded(what: str) -> None:
    """A first load, from nothing to its end."""
    rows = {"casino": ROWS, "users": PROFILES}[what]
    server, home = Server.create(), Path(tempfile.mkdtemp(prefix="smartico-sync-profile-"))
    try:
        server.admin(*{"casino": casino_sql, "users": users_sql}[what](rows))
        run(what, home, server, *SAMPLED, str(home / "spent"))
        told(json.loads((home / "spent").read_text()), rows, "µs an event")
        if shutil.which("perf"):
            data = home / "perf.data"
            run(what, home, server, *PERF, "-o", str(data), "--", str(COMMAND))
            libraries(data)
    finally:
        server.remove()
        shutil.rmtree(home, ignore_errors=True)


def run(what: str, home: Path, server: Server, *words: str) -> None:
    """Track the view from nothing, started by these words."""
    for each in home.glob("state.db*"):
        each.unlink()
    config = home / "views.yaml"
    with Sandbox(check="count", requests_per_minute=1_000_000) as api:
        config.write_text(
            f"version: 1\nsmartico: {{url: '{api.url}', token: bench, requests_per_minute: 1000000}}\n"
            f"state: ./state.db\npii: {{key: {new_key()}}}\nhealth: {{listen: off}}\n"
            f"sources: {{db: {{url: '{server.url()}'}}}}\nviews: [{VIEWS[what] % (what, 'fence')}]\n"
        )
        config.chmod(0o600)
        done = subprocess.run(
            [*words, "run", "--once", "--config", str(config)], cwd=home, env=ENVIRONMENT, capture_output=True, check=False
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr.decode())


@contextmanager
def rows_all_the_time(server: Server) -> Iterator[None]:
    """A thousand a second, for as long as it is looked at."""
    writer = threading.Thread(target=written, args=(server, BEGUN_S + LOOKS * SECONDS))
    writer.start()
    try:
        time.sleep(BEGUN_S)
        yield
    finally:
        writer.join()


WRITERS = {"trickle": trickling, "live": rows_all_the_time}


def at_work(what: str) -> None:
    """One view with rows all the time; or many, once what follows a start is over, idle or with a row a second each."""
    ENVIRONMENT.setdefault("BENCH_SAMPLE_S", RARELY_S)
    with tempfile.TemporaryDirectory(prefix="smartico-sync-profile-") as home:
        file = Path(home) / "spent"
        with (level if what == "live" else watched)(*SAMPLED, str(file)) as at:
            time.sleep(0 if what == "live" else LATER_S)
            with WRITERS.get(what, nullcontext)(at.server):
                before, began = json.loads(file.read_text()), time.monotonic()
                time.sleep(SECONDS)
                if time.time() - file.stat().st_mtime > STOPPED_S:
                    raise SystemExit(
                        "the daemon ended under the sampler, as it does now and then on Python 3.11: run it again"
                    )
                after, took = json.loads(file.read_text()), time.monotonic() - began
                told(less(after, before), took * 1000, "ms a second")
                if shutil.which("perf"):
                    data = Path(home) / "perf.data"
                    file.with_suffix(OVER).touch()
                    time.sleep(2 * WRITE_EVERY_S)
                    words = [*PERF, "-o", str(data), "-p", str(at.daemon.pid), "--", "sleep", str(SECONDS)]
                    subprocess.run(words, check=False, stderr=subprocess.DEVNULL)
                    libraries(data)


def less(after: Spent, before: Spent) -> Spent:
    """What came between two looks."""
    return {
        part: {name: value - before[part].get(name, 0.0) for name, value in after[part].items()} if isinstance(after[part], dict) else after[part] - before[part]
        for part in after
    }  # fmt: skip


def told(spent: Any, number: float, unit: str) -> None:
    """Print shares; `number` of what there were."""
    whole = sum(spent["verbs"].values())
    print(
        f"{whole:.2f} s CPU of the {spent['process_s']:.2f} s that the process took, the sampler among them; {spent['missed']} samples missed"
    )
    for verb in VERBS:
        if seconds := spent["verbs"].get(verb):
            print(f"  {verb:<10}{100 * seconds / whole:5.1f} %{seconds / number * 1e6:8.2f} {unit}")
    print("  by our modules, with all that they call")
    for name, seconds in sorted(spent["modules"].items(), key=lambda each: -each[1])[:MODULES]:
        print(f"    {100 * seconds / whole:5.1f} %  {name or 'native threads'}")


def libraries(data: Path) -> None:
    """Print shares by library, as `perf` tells them."""
    words = ["perf", "report", "-i", str(data), "--no-children", "-g", "none", "--sort", "dso", "--stdio", "-q"]
    found = subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()
    print("  by library (perf)")
    for each in [line.strip() for line in found if line.strip()][:LIBRARIES]:
        print(f"    {each}")


def main(what: str) -> None:
    """Profile one kind of work."""
    with suppress(BrokenPipeError):
        (loaded if what in VIEWS else at_work)(what)


if __name__ == "__main__":
    main(*sys.argv[1:])
