"""What it costs to poll profiles again whose rows were touched: CPU of `smartico-sync run --once` a profile, start-up apart.

A first load fills the state. Then `dt_update` of all rows moves on, as an hourly job makes it: with nothing else (`touched`), and with
another value in one column (`one changed`). Each is polled with `payload: full` and `payload: changed`, from a table of
BENCH_PROFILES and from one of a fifth of it, in turns: what the larger one takes beyond the smaller one is no start. Medians of
BENCH_RUNS.

Usage: python -m bench.repolls
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from bench.__main__ import COMMAND, timed
from bench.data import USERS, users_sql
from bench.figures import keep
from servers.postgresql import Server, free_port
from smartico_sync.pii.keys import new_key

PROFILES = int(os.environ.get("BENCH_PROFILES", "200000"))
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
SMALLER = 5  # times fewer profiles in the smaller size
PAYLOADS = ("full", "changed")
TOUCH = "UPDATE user_base SET dt_update = dt_update + interval '1 day'"
# The table is as large as before when it is polled: dead rows are the database's cost, not the daemon's.
ROUNDS = {
    "first load": (),
    "touched": (TOUCH, "VACUUM user_base"),
    "one changed": (f"{TOUCH}, user_last_name = user_last_name || 'x'", "VACUUM user_base"),
}

Spent = dict[tuple[str, str], list[float]]


def polled(server: Server, api: str, payload: str, spent: Spent) -> None:
    """One first load and each of the polls after it, in a state of their own; CPU seconds by payload and round."""
    home = Path(tempfile.mkdtemp(prefix="smartico-sync-repolls-"))
    # A name of its own, so that its event ids are new to the API.
    name = f"users_{home.name[-8:]}"
    config = home / "views.yaml"
    config.write_text(
        f"version: 1\nsmartico: {{url: '{api}', token: bench, requests_per_minute: 1000000}}\n"
        f"state: ./state.db\npii: {{key: {new_key()}}}\nhealth: {{listen: off}}\n"
        f"sources: {{db: {{url: '{server.url()}'}}}}\n"
        f"views: [{{name: {name}, source: db, relation: {USERS}, kind: users, cursor: dt_update, payload: {payload}}}]\n"
    )
    try:
        for what, statements in ROUNDS.items():
            for statement in statements:
                server.admin(statement)
            _, cpu, _ = timed([str(COMMAND), "run", "--once", "--config", str(config)], home)
            spent.setdefault((payload, what), []).append(cpu)
    finally:
        shutil.rmtree(home)


def measured(sizes: tuple[int, ...], api: str) -> list[Spent]:
    """CPU seconds of every run over a table of each size, in that order; sizes and payloads in turns."""
    servers: list[Server] = []
    spent = [Spent() for _ in sizes]
    try:
        for profiles in sizes:
            servers.append(Server.create())
            servers[-1].admin(*users_sql(profiles))
        works = [work for payload in PAYLOADS for work in zip(servers, (payload,) * len(sizes), spent, strict=True)]
        for turn in range(RUNS):
            for server, payload, into in works if turn % 2 == 0 else reversed(works):
                polled(server, api, payload, into)
    finally:
        for server in servers:
            server.remove()
    return spent


def main() -> None:
    """Measure both sizes, and print what a profile more costs."""
    listen = f"127.0.0.1:{free_port()}"
    api = subprocess.Popen(
        [COMMAND, "sandbox", "--listen", listen, "--check", "count", "--requests-per-minute", "1000000"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = f"http://{listen}/api/external/events/v2"
        small, large = measured((PROFILES // SMALLER, PROFILES), url)
    finally:
        api.terminate()
        api.wait()
    more = PROFILES - PROFILES // SMALLER
    print(f"{PROFILES:,} profiles beyond {PROFILES // SMALLER:,}, {RUNS} runs of each: CPU a profile, start-up apart")
    figures = []
    for (payload, what), runs in large.items():
        cpu = (median(runs) - median(small[payload, what])) / more * 1e6
        low, high = ((pick(runs) - median(small[payload, what])) / more * 1e6 for pick in (min, max))
        print(f"  payload: {payload:<10}{what:<14}{cpu:>6.1f} µs ({low:.1f} to {high:.1f})", flush=True)
        figures.append({"payload": payload, "what": what, "cpu_us": cpu, "runs": runs, "small": small[payload, what]})
    keep("repolls", {"profiles": PROFILES, "figures": figures})


if __name__ == "__main__":
    main()
