"""`make bench`: the whole daemon beside a plain loop and a bare COPY, in one run on one PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psycopg

from bench.data import CASINO, USERS, casino_sql, users_sql
from servers.postgresql import Server, free_port
from smartico_sync.pii.keys import new_key

ROWS = int(os.environ.get("BENCH_ROWS", "1000000"))
PROFILES = int(os.environ.get("BENCH_PROFILES", "500000"))
COMMAND = Path(sys.executable).parent / "smartico-sync"
# As on any machine: modules are compiled once, not at every start.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
ENVIRONMENT["PYTHONPATH"] = f"{Path.cwd()}:{ENVIRONMENT.get('PYTHONPATH', '')}"
VIEWS = {
    "casino": f"{{name: %s, source: db, relation: {CASINO}, kind: casino_bets_and_wins, cursor: id, key: bet_id, "
    "late_commit: %s, type: {column: tx_type, bet: BET, win: WIN}}",
    "users": f"{{name: %s, source: db, relation: {USERS}, kind: users, cursor: dt_update, late_commit: %s}}",
}
FAR = "api_100ms_away"
SYNC, UNPROTECTED = [str(COMMAND)], [sys.executable, "-m", "bench.unprotected"]
# View, late_commit, command, faults of the API; each under a name of its own, so that its event ids are new to the API.
VARIANTS = {
    "casino": [
        ("fence", "fence", SYNC, []),
        ("gaps", "gaps", SYNC, []),
        ("unprotected", "auto", UNPROTECTED, []),
        (FAR, "fence", SYNC, ["latency=100ms"]),
    ],
    "users": [("fence", "fence", SYNC, [])],
}


def timed(command: list[str], cwd: Path) -> tuple[float, float, float]:
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


def line(name: str, rows: int, took: tuple[float, float, float], against: tuple[float, float, float] | None) -> None:
    """Print one row of the table."""
    seconds, cpu, peak = took
    ratio = f"{against[0] / seconds:6.2f} x {cpu / against[1]:6.2f} x" if against else ""
    print(f"  {name:<28}{rows / seconds:>12,.0f}/s{cpu / rows * 1e6:>9.1f} µs{peak:>8.0f} MB  {ratio}", flush=True)


def main() -> None:
    """Fill the database, then measure."""
    server = Server.create()
    home = Path(tempfile.mkdtemp(prefix="smartico-sync-bench-"))
    listen = f"127.0.0.1:{free_port()}"
    api = subprocess.Popen(
        [COMMAND, "sandbox", "--listen", listen, "--check", "count", "--requests-per-minute", "1000000"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://{listen}/api/external/events/v2"
    try:
        server.admin(*casino_sql(ROWS), *users_sql(PROFILES))
        database = server.url()
        print(f"{'':30}{'events':>14}{'CPU':>12}{'peak':>11}   speed    CPU, against the plain loop")
        for what, rows, view in (("casino", ROWS, CASINO), ("users", PROFILES, USERS)):
            print(f"{what}: {rows:,} rows")
            seconds = copied(database, view)
            print(f"  {'COPY to nowhere':<28}{rows / seconds:>12,.0f}/s")
            plain = timed([sys.executable, "-m", "bench.plain", what, database, url], Path.cwd())
            line("plain loop, no guarantees", rows, plain, None)
            near = None
            for name, late, command, faults in VARIANTS[what]:
                # The API's limit of requests a minute would cap the measurement, and the sandbox counts only.
                config = home / f"{what} {late}.yaml"
                config.write_text(
                    f"version: 1\nsmartico: {{url: '{url}', token: bench, requests_per_minute: 1000000}}\n"
                    f"state: './{what} {name}.db'\npii: {{key: {new_key()}}}\nhealth: {{listen: off}}\n"
                    f"sources: {{db: {{url: '{database}'}}}}\nviews: [{VIEWS[what] % (name, late)}]\n"
                )
                httpx.post(f"http://{listen}/faults", json=faults).raise_for_status()
                run = timed([*command, "run", "--once", "--config", str(config)], home)
                line(f"smartico-sync, {name}", rows, run, plain)
                near = near or run
                if faults:
                    print(f"{'':30}{near[0] / run[0]:.0%} of the speed with an API that answers at once")
    finally:
        api.terminate()
        server.remove()


if __name__ == "__main__":
    main()
