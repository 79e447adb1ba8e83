"""`make bench`: the whole daemon beside loops that people write, interleaved, in one run on one PostgreSQL.

BENCH_ROWS and BENCH_PROFILES say how much, twice over: a tenth of each is measured too, so that start-up and steady rate stand
apart; `python -m bench guard` compares two minutes' worth only, and ends with 1 where the daemon costs more CPU than it may.
BENCH_RUNS of each are interleaved; printed are medians, and the spread of CPU. BENCH_JSON names a file for the figures.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psycopg

from bench.data import CASINO, USERS, casino_sql, users_sql
from bench.figures import keep
from bench.plain import LEVELS
from servers.postgresql import Server, free_port
from smartico_sync.pii.keys import new_key

ROWS = int(os.environ.get("BENCH_ROWS", "1000000"))
PROFILES = int(os.environ.get("BENCH_PROFILES", "500000"))
COMMAND = Path(sys.executable).parent / "smartico-sync"
# As on any machine: modules are compiled once, not at every start.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
ENVIRONMENT["RUNTIME__DLTHUB_TELEMETRY"] = "false"
ENVIRONMENT["PYTHONPATH"] = f"{Path.cwd()}:{ENVIRONMENT.get('PYTHONPATH', '')}"
VIEWS = {
    "casino": f"{{name: %s, source: db, relation: {CASINO}, kind: casino_bets_and_wins, cursor: id, key: bet_id, "
    "late_commit: %s, type: {column: tx_type, bet: BET, win: WIN}}",
    "users": f"{{name: %s, source: db, relation: {USERS}, kind: users, cursor: dt_update, late_commit: %s}}",
}
RUNS = int(os.environ.get("BENCH_RUNS", "5"))
SMALLER = 10  # times fewer rows in the smaller size
SYNC, UNPROTECTED = [str(COMMAND)], [sys.executable, "-m", "bench.unprotected"]
BASELINE = "same JSON"


@dataclass(frozen=True)
class Rival:
    """Who does the work: a loop of that level, or the daemon with that mechanism for late rows."""

    name: str
    level: str = ""
    late: str = "fence"
    command: tuple[str, ...] = tuple(SYNC)
    faults: tuple[str, ...] = ()


GUARDED = "smartico-sync, fence"
# CPU an event of the daemon against a loop, start-up apart: what two cores that others kept busy showed, and a third or so.
BOUNDS = {"casino": ("loop, same JSON", 1.4), "users": ("loop, remembered", 1.2)}
LOOPS = tuple(Rival(f"loop, {level}", level) for level in LEVELS)
DLT = Path(".bench-dlt/bin/python")  # an environment of its own, which `make bench` makes
OTHERS = (Rival("dlt, as Arrow", command=(str(DLT.absolute()), "-m", "bench.dlt_loop")),) if DLT.exists() else ()
RIVALS = {
    "casino": (
        *(loop for loop in LOOPS if loop.level != "encrypted"),  # nothing of it is private
        *OTHERS,
        Rival("smartico-sync, fence"),
        Rival("smartico-sync, gaps", late="gaps"),
        Rival("smartico-sync, unprotected", late="auto", command=tuple(UNPROTECTED)),
        Rival("smartico-sync, API 100 ms away", faults=("latency=100ms",)),
        Rival("smartico-sync, API 500 ms away", faults=("latency=500ms",)),
    ),
    "users": (*LOOPS, *OTHERS, Rival("smartico-sync, fence")),
}


Took = tuple[float, float, float]


def timed(command: list[str], cwd: Path) -> Took:
    """Seconds, CPU seconds and peak MB of a process."""
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=cwd, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def copied(url: str, view: str) -> float:
    """Seconds of COPY to nowhere."""
    began = time.monotonic()
    with psycopg.connect(url) as connection, connection.cursor().copy(f"COPY (SELECT * FROM {view}) TO STDOUT") as copy:
        for _ in copy:
            pass
    return time.monotonic() - began


def line(name: str, rows: int, runs: list[Took], against: list[Took]) -> dict[str, Any]:
    """Print one row of the table, and return it."""
    seconds, cpu, peak = (median(each) for each in zip(*runs, strict=True))
    plain_seconds, plain_cpu, _ = (median(each) for each in zip(*against, strict=True))
    low, high = (pick(each[1] for each in runs) / rows * 1e6 for pick in (min, max))
    print(
        f"  {name:<32}{cpu / rows * 1e6:>7.1f} µs ({low:.1f} to {high:.1f}) {cpu / plain_cpu:5.2f} x"
        f"{rows / seconds:>12,.0f}/s {plain_seconds / seconds:5.2f} x{peak:>8.0f} MB",
        flush=True,
    )
    return {
        "rival": name, "rows": rows, "runs": runs, "cpu_s": cpu, "seconds": seconds, "cpu_us": cpu / rows * 1e6, "cpu_ratio": cpu / plain_cpu,
        "rows_per_s": rows / seconds, "speed_ratio": plain_seconds / seconds, "peak_mb": peak,
    }  # fmt: skip


def measured(what: str, rival: Rival, number: int, bench: Bench) -> Took:
    """One run of one rival, in a state of its own, against an API with no other faults than the rival's."""
    httpx.post(f"http://{bench.listen}/faults", json=list(rival.faults)).raise_for_status()
    url = f"http://{bench.listen}/api/external/events/v2"
    if rival.level:
        return timed([sys.executable, "-m", "bench.plain", what, bench.database, url, rival.level], Path.cwd())
    if rival in OTHERS:
        return timed([*rival.command, what, bench.database, url], Path.cwd())
    # A name of its own each time, so that its event ids are new to the API.
    name = f"{what}_{number}"
    home = Path(tempfile.mkdtemp(dir=bench.home))
    config = home / "views.yaml"
    # The API's limit of requests a minute would cap the measurement, and the sandbox counts only.
    config.write_text(
        f"version: 1\nsmartico: {{url: '{url}', token: bench, requests_per_minute: 1000000}}\n"
        f"state: ./state.db\npii: {{key: {new_key()}}}\nhealth: {{listen: off}}\n"
        f"sources: {{db: {{url: '{bench.database}'}}}}\nviews: [{VIEWS[what] % (name, rival.late)}]\n"
    )
    took = timed([*rival.command, "run", "--once", "--config", str(config)], home)
    shutil.rmtree(home)
    return took


def compared(what: str, rows: int, bench: Bench) -> list[dict[str, Any]]:
    """All rivals over a view of that size, in turns."""
    print(f"{what}: {rows:,} rows, {RUNS} runs of each in turns")
    seconds = copied(bench.database, {"casino": CASINO, "users": USERS}[what])
    print(f"  {'COPY to nowhere':<32}{'':34}{rows / seconds:>12,.0f}/s")
    rivals = [rival for rival in RIVALS[what] if not bench.only or rival.name in bench.only]
    runs: dict[str, list[Took]] = {rival.name: [] for rival in rivals}
    for turn in range(RUNS):
        for rival in rivals if turn % 2 == 0 else reversed(rivals):
            runs[rival.name].append(measured(what, rival, next(bench.numbers), bench))
    plain = runs[f"loop, {BASELINE}"]
    return [line(rival.name, rows, runs[rival.name], plain) | {"view": what} for rival in rivals]


@dataclass(frozen=True)
class Bench:
    """Where it takes place."""

    home: Path
    listen: str
    database: str
    only: Collection[str] = ()  # rivals, where not all of them
    numbers: Iterator[int] = field(default_factory=count)


def steady(figures: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """CPU µs an event without the start, by view and rival: what the larger size took beyond the smaller one."""
    sizes: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in figures:
        sizes.setdefault((each["view"], each["rival"]), []).append(each)
    found: dict[str, dict[str, float]] = {}
    print("steady, start-up apart")
    for (view, rival), (small, large) in sizes.items():
        more = large["rows"] - small["rows"]
        found.setdefault(view, {})[rival] = cpu = (large["cpu_s"] - small["cpu_s"]) / more * 1e6
        rate = more / max(1e-9, large["seconds"] - small["seconds"])
        ratio = cpu / found[view].get(f"loop, {BASELINE}", cpu)
        print(f"  {view + ': ' + rival:<40}{cpu:>7.1f} µs {ratio:5.2f} x{rate:>12,.0f}/s", flush=True)
    return found


def over_bounds(found: dict[str, dict[str, float]]) -> list[str]:
    """What costs more than it may against the loop with which it is compared."""
    told = []
    for view, (loop, most) in BOUNDS.items():
        ratio = found[view][GUARDED] / found[view][loop]
        print(f"  {view}: {ratio:.2f} x the CPU of {loop}, at most {most}")
        if ratio > most:
            told.append(f"{view} costs {ratio:.2f} x the CPU of {loop}, and may cost {most}")
    return told


def main() -> None:
    """Fill the database, then measure."""
    home = Path(tempfile.mkdtemp(prefix="smartico-sync-bench-"))
    listen = f"127.0.0.1:{free_port()}"
    api = subprocess.Popen(
        [COMMAND, "sandbox", "--listen", listen, "--check", "count", "--requests-per-minute", "1000000"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    figures: list[dict[str, Any]] = []
    guards = sys.argv[1:] == ["guard"]
    only = {GUARDED, f"loop, {BASELINE}", *(loop for loop, _ in BOUNDS.values())} if guards else ()
    try:
        print(f"{'':34}CPU an event, against the loop{'events':>14}, against it{'peak':>9}")
        for part in (SMALLER, 1):
            server = Server.create()
            try:
                rows, profiles = ROWS // part, PROFILES // part
                server.admin(*casino_sql(rows), *users_sql(profiles))
                bench = Bench(home, listen, server.url(), only)
                figures += [*compared("casino", rows, bench), *compared("users", profiles, bench)]
            finally:
                server.remove()
    finally:
        api.terminate()
        shutil.rmtree(home, ignore_errors=True)
    without_start = steady(figures)
    keep("figures", figures)
    keep("steady_cpu_us", without_start)
    if guards and (told := over_bounds(without_start)):
        raise SystemExit("; ".join(told))


if __name__ == "__main__":
    main()
