"""`python -m bench.slow_player`: what other players wait while the API is slow with one of them.

An API of our own is slow with requests that hold an event of that player:

    held for 3 s          each is answered after that time
    refused for 63 s      each gets 503 until its first event was refused for that long
    unanswered for 30 s   each is left without an answer until the daemon gives it up, and only then taken

Each time the slow player bets his profile changes as well. Printed is how long the bets of all others took from the source's
row to the API's acknowledgement, beside a run in which nothing is wrong; how often an event of the slow player was sent; and
the longest time between two such tries. All run at the same time, each with a daemon, tables and an API of its own: what else
the machine does falls on each alike.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import orjson
import psycopg

from bench.__main__ import COMMAND, ENVIRONMENT
from bench.figures import keep
from servers.postgresql import Server
from smartico_sync.config.delivery_models import API_TIMEOUT_MS

PLAYERS = 5_000
BET_EVENT = "casino_bet"
SLOW = 7
SLOW_EVERY_S = 10.0  # the slow player's own pace
TICK_S = 0.05
EXTRA_S = 90.0  # within which all must have arrived at the end
HELD_S = 3.0
# What the pauses of the official document, 1, 2, 4, 8, 16 and 32 s, add up to. The daemon's own pauses of a request end at 8 s
# (and up to a fifth more) while the API answers others, so it comes back more often than that.
REFUSED_S = 63.0
UNANSWERED_S = API_TIMEOUT_MS / 1000  # the daemon waits for so long, and then sends the same again
SILENT_S = UNANSWERED_S + 10.0  # after which an answer comes that nobody waits for any more
TABLE = """CREATE TABLE {0} (id bigserial PRIMARY KEY, ext_brand_id text DEFAULT 'b', user_ext_id bigint, bet_id text,
    bet_date timestamptz, bet_amount numeric DEFAULT 1.25, game_name text DEFAULT 'Book')"""
BETS = "INSERT INTO {0} (user_ext_id, bet_id, bet_date) SELECT 100 + (random() * %s)::int, 'r' || currval('{0}_id_seq'), clock_timestamp() FROM generate_series(1, %s)"
BET = "INSERT INTO {0} (user_ext_id, bet_id, bet_date) VALUES (%s, 's' || clock_timestamp(), clock_timestamp())"
USERS = """CREATE TABLE {0} (user_ext_id bigint PRIMARY KEY, ext_brand_id text DEFAULT 'b', core_username text,
    dt_update timestamptz DEFAULT clock_timestamp())"""
PROFILE = """INSERT INTO {0} (user_ext_id, core_username) VALUES (%s, clock_timestamp()) ON CONFLICT (user_ext_id)
    DO UPDATE SET core_username = excluded.core_username, dt_update = excluded.dt_update"""
PROFILES = "{{name: users, source: db, relation: {0}, kind: users, cursor: dt_update, every: 500ms}}"
VIEW = "{{name: bets, source: db, relation: {0}, kind: casino_bets, cursor: id, every: 500ms}}"
HELD, REFUSED, UNANSWERED = (
    f"held for {HELD_S:.0f} s",
    f"refused for {REFUSED_S:.0f} s",
    f"unanswered for {UNANSWERED_S:.0f} s",
)
MODES = ("undisturbed", HELD, REFUSED, UNANSWERED)


@dataclass
class Api:
    """Acknowledges everything, but for the slow player as `mode` says."""

    mode: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: dict[str, float] = field(default_factory=dict)
    tries: dict[str, list[float]] = field(default_factory=dict)  # of the slow player's events: when each came
    requests: int = 0

    def answer(self, body: bytes) -> tuple[int, float]:
        """The status, and the seconds after which it is given."""
        events = orjson.loads(body)
        mine = [event["eid"] for event in events if event["user_ext_id"] == str(SLOW)]
        now = time.time()
        with self.lock:
            self.requests += 1
            for eid in mine:
                self.tries.setdefault(eid, []).append(now)
            first = min((self.tries[eid][0] for eid in mine), default=now)
        if mine and self.mode == HELD:
            time.sleep(HELD_S)
        if mine and self.mode == REFUSED and now - first < REFUSED_S:
            return 503, 0
        if mine and self.mode == UNANSWERED and now - first < UNANSWERED_S:
            return 200, SILENT_S
        now = time.time()
        with self.lock:
            for event in events:
                if event["user_ext_id"] != str(SLOW) and event["event_type"] == BET_EVENT:
                    self.seen.setdefault(event["eid"], now - event["event_date"] / 1000)
        return 200, 0

    def retried(self) -> tuple[int, float]:
        """How often an event of the slow player came at most, and the longest time in seconds between two tries of one."""
        with self.lock:
            gaps = [later - at for tries in self.tries.values() for at, later in pairwise(tries)]
            return max(map(len, self.tries.values()), default=0), max(gaps, default=0.0)


def serve(api: Api) -> ThreadingHTTPServer:
    """The API on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            status, late = api.answer(self.rfile.read(int(self.headers["Content-Length"])))
            if late:
                time.sleep(late)
            body = b'{"err_code":0}'
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def run(mode: str, server: Server, ready: threading.Barrier, rate: int, seconds: float) -> tuple[list[float], Api]:
    """Write for a while under one mode, as soon as all are ready; the others' latencies, sorted, and the API."""
    api, table, users = Api(mode), "bets_" + mode.replace(" ", "_"), "users_" + mode.replace(" ", "_")
    http = serve(api)
    home = Path(tempfile.mkdtemp(prefix="smartico-sync-slow-"))
    server.admin(
        f"DROP TABLE IF EXISTS {table}, {users}",
        TABLE.format(table),
        USERS.format(users),
        f"CREATE INDEX ON {users} (dt_update, user_ext_id)",
        f"INSERT INTO {users} (user_ext_id, core_username) VALUES (1, 'one')",
        f"INSERT INTO {table} (user_ext_id, bet_id, bet_date) VALUES (1, 'r0', now())",
    )
    (home / "views.yaml").write_text(
        f"version: 1\nsmartico: {{url: 'http://127.0.0.1:{http.server_port}/', token: bench, encryption: off}}\n"
        f"state: ./state.db\npii: {{mode: plain}}\nhealth: {{listen: off}}\nsources: {{db: {{url: '{server.url()}'}}}}\nviews: [{PROFILES.format(users)}, {VIEW.format(table)}]\n"
    )
    with (home / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [COMMAND, "run", "--config", str(home / "views.yaml")], stdout=log, stderr=log, env=ENVIRONMENT
        )
    try:
        while not api.seen and daemon.poll() is None:
            time.sleep(TICK_S)
        if daemon.poll() is not None:
            ready.abort()
            raise RuntimeError((home / "log").read_text())
        ready.wait()
        written, others, slow_due, began = 0, 0, 0.0, time.monotonic()
        with psycopg.connect(server.admin_url(), autocommit=True) as connection:
            while (passed := time.monotonic() - began) < seconds:
                if passed >= slow_due:
                    connection.execute(PROFILE.format(users), (SLOW,))
                    connection.execute(BET.format(table), (SLOW,))
                    slow_due += SLOW_EVERY_S
                due = int(passed * rate) - written
                if due:
                    connection.execute(BETS.format(table), (PLAYERS, due))
                    written += due
                time.sleep(TICK_S)
        others, until = written + 1, time.monotonic() + EXTRA_S
        while len(api.seen) < others and time.monotonic() < until:
            time.sleep(TICK_S)
        if len(api.seen) < others:
            raise RuntimeError(
                f"{mode}: {others - len(api.seen)} events of others had not arrived {EXTRA_S:.0f} s after the last row"
            )
        return sorted(api.seen.values()), api
    finally:
        daemon.terminate()
        daemon.wait()
        http.shutdown()


def quantile(ordered: list[float], part: float) -> float:
    """The value that so much of them is at or below."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def main() -> None:
    """All modes at the same time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("BENCH_SLOW_SECONDS", "90")))
    parser.add_argument("--modes", nargs="*", default=MODES)
    chosen = parser.parse_args()
    server = Server.create()
    try:
        ready, figures = threading.Barrier(len(chosen.modes)), {}
        print(
            f"{chosen.rate} events/s of {PLAYERS:,} players, one of them slow every {SLOW_EVERY_S:.0f} s; the others' seconds to the API"
        )
        with ThreadPoolExecutor(len(chosen.modes)) as pool:
            found = list(pool.map(lambda mode: run(mode, server, ready, chosen.rate, chosen.seconds), chosen.modes))
        usual = quantile(found[0][0], 0.99)
        for mode, (waited, api) in zip(chosen.modes, found, strict=True):
            p50, p99, most = (quantile(waited, part) for part in (0.5, 0.99, 1.0))
            tries, apart = api.retried()
            figures[mode] = {
                "p50_s": p50, "p99_s": p99, "most_s": most, "p99_ratio": p99 / usual, "requests": api.requests,
                "tries": tries, "longest_pause_s": apart,
            }  # fmt: skip
            print(
                f"  {mode:<19} p50 {p50:6.2f}  p99 {p99:6.2f}  most {most:6.2f}   p99 {p99 / usual:5.2f} x  {api.requests} requests; "
                f"the slow player's sent {tries} times at most, {apart:.1f} s apart at most",
                flush=True,
            )
        keep("slow_player", figures)
    finally:
        server.remove()
        sys.stdout.flush()


if __name__ == "__main__":
    main()
