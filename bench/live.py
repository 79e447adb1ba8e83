"""What is new all the time: how long a row takes from its commit to the API, and the CPU of the daemon, at a thousand rows a second.

Usage: python -m bench.live; BENCH_SECONDS says for how long, BENCH_RATE how many rows a second, BENCH_EVERY how often the view is
polled. The API of this bench counts, and notes when each event arrives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import psycopg

from bench.__main__ import COMMAND
from bench.data import CASINO, casino_sql
from bench.figures import keep
from bench.processes import daemon
from bench.slow_player import serve
from bench.trickle import spent
from servers.postgresql import Server
from waiting import until

SECONDS = float(os.environ.get("BENCH_SECONDS", "40"))
RATE = int(os.environ.get("BENCH_RATE", "1000"))
EVERY = os.environ.get("BENCH_EVERY", "1s")
THERE = 1000  # rows at the start
SETTLE_S = 12.0  # what is done once at the start, and rows that are looked for behind it, are no part of it
TICK_S = 0.05
LEFT_S = 30.0  # within which all must have arrived at the end
VIEW = f"{{name: casino, source: db, relation: {CASINO}, kind: casino_bets_and_wins, cursor: id, key: bet_id, every: {EVERY}, "
BETS = """INSERT INTO casino_base SELECT g, 'brand' || g %% 3, (g * 7919::bigint) %% 50000, 'BET', 'n' || g, clock_timestamp(),
    (g %% 10000)::numeric(18,2) / 100, 1.5, 0.10, NULL, NULL, 'Book of ' || g %% 300, 'game-' || g %% 300, 'slots', 'provider ' || g %% 20
    FROM generate_series(%s::bigint, %s::bigint) AS g"""


@dataclass
class Arrivals:
    """An API that takes everything, and when it took the bets of this bench, by their numbers."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    at: dict[int, float] = field(default_factory=dict)
    events: int = 0
    requests: int = 0

    def answer(self, body: bytes) -> tuple[int, float]:
        """Take a request."""
        now = time.monotonic()
        events = orjson.loads(body)
        bets = [event["payload"].get("casino_last_bet_id", "") for event in events]
        with self.lock:
            self.events += len(events)
            self.requests += 1
            for bet in bets:
                if bet.startswith("n"):
                    self.at.setdefault(int(bet[1:]), now)
        return 200, 0


def written(server: Server, seconds: float = SECONDS) -> dict[int, float]:
    """Write for a while at a steady rate; when each row was committed."""
    committed: dict[int, float] = {}
    last, began = THERE, time.monotonic()
    with psycopg.connect(server.admin_url(), autocommit=True) as connection:
        while (passed := time.monotonic() - began) < seconds:
            upto = THERE + int(passed * RATE)
            if upto > last:
                connection.execute(BETS, (last + 1, upto))
                committed.update(dict.fromkeys(range(last + 1, upto + 1), time.monotonic()))
                last = upto
            time.sleep(TICK_S)
    return committed


@dataclass(frozen=True)
class Live:
    """A daemon over one view that is level, the server that it reads from, and what has arrived."""

    daemon: subprocess.Popen[bytes]
    server: Server
    api: Arrivals


@contextmanager
def level(*words: str) -> Iterator[Live]:
    """The daemon, started by these words, once it has settled."""
    server, api = Server.create(), Arrivals()
    http, home = serve(api), Path(tempfile.mkdtemp(prefix="smartico-sync-live-"))
    try:
        server.admin(*casino_sql(THERE))
        config = home / "views.yaml"
        config.write_text(
            f"version: 1\nsmartico: {{url: 'http://127.0.0.1:{http.server_port}/', token: bench, encryption: off}}\n"
            f"state: ./state.db\npii: {{mode: plain}}\nhealth: {{listen: off}}\nsources: {{db: {{url: '{server.url()}'}}}}\n"
            f"views: [{VIEW} type: {{column: tx_type, bet: BET, win: WIN}}}}]\n"
        )
        config.chmod(0o600)
        with daemon(config, *words) as process:
            until(lambda: api.events >= THERE or process.poll() is not None, 0.1)
            time.sleep(SETTLE_S)
            if process.poll() is not None:
                raise SystemExit((home / "log").read_text())
            yield Live(process, server, api)
    finally:
        http.shutdown()
        server.remove()
        shutil.rmtree(home, ignore_errors=True)


def main() -> None:
    """Start the daemon over a view that is level, write, and print."""
    with level(str(COMMAND)) as at:
        api, before, began = at.api, spent(at.daemon), time.monotonic()
        requests = api.requests
        committed = written(at.server)
        cpu, took, requests = spent(at.daemon) - before, time.monotonic() - began, api.requests - requests
        end = time.monotonic() + LEFT_S
        while len(api.at) < len(committed) and time.monotonic() < end:
            time.sleep(TICK_S)
        if missing := len(committed) - len(api.at):
            raise SystemExit(f"{missing} rows had not arrived {LEFT_S:.0f} s after the last one")
    lags = sorted(api.at[number] - at for number, at in committed.items())
    p50, p99, most = (lags[min(len(lags) - 1, int(len(lags) * part))] for part in (0.5, 0.99, 1.0))
    print(f"{len(committed) / took:,.0f} rows/s, polled every {EVERY}, {took:.0f} s, {requests} requests")
    print(
        f"  lag p50 {p50:.2f} s, p99 {p99:.2f} s, most {most:.2f} s; {cpu / took * 100:.1f} % of a core, "
        f"{cpu / len(committed) * 1e6:.0f} µs a row"
    )
    keep(
        "live",
        {
            "rows_per_s": len(committed) / took, "seconds": took, "requests": requests, "p50_s": p50, "p99_s": p99, "most_s": most,
            "core_percent": cpu / took * 100, "cpu_us": cpu / len(committed) * 1e6,
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
