"""`python -m bench.slow_player`: what other players wait while the API is slow with one of them.

An API of our own holds, refuses or never answers each request that holds an event of that player. Printed is how long the
events of all others took from the source's row to the API's acknowledgement, beside a run in which nothing is wrong.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import psycopg

from bench.__main__ import COMMAND, ENVIRONMENT
from bench.figures import keep
from servers.postgresql import Server

PLAYERS = 5_000
SLOW = 7
SLOW_EVERY_S = 10.0  # the slow player's own pace
TICK_S = 0.05
EXTRA_S = 90.0  # within which all must have arrived at the end
RETRIED_S = 63.0  # pauses of 1, 2, 4, 8, 16 and 32 seconds
TABLE = """CREATE TABLE bets (id bigserial PRIMARY KEY, ext_brand_id text DEFAULT 'b', user_ext_id bigint, bet_id text,
    bet_date timestamptz, bet_amount numeric DEFAULT 1.25, game_name text DEFAULT 'Book')"""
BETS = "INSERT INTO bets (user_ext_id, bet_id, bet_date) SELECT 100 + (random() * %s)::int, 'r' || currval('bets_id_seq'), clock_timestamp() FROM generate_series(1, %s)"
BET = "INSERT INTO bets (user_ext_id, bet_id, bet_date) VALUES (%s, 's' || clock_timestamp(), clock_timestamp())"
VIEW = "{name: bets, source: db, relation: bets, kind: casino_bets, cursor: id, every: 500ms}"
MODES = ("undisturbed", "held for 3 s", "retried for 32 s", "never answered")


@dataclass
class Api:
    """Acknowledges everything, but for the slow player as `mode` says."""

    mode: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: dict[str, float] = field(default_factory=dict)
    slow_since: dict[str, float] = field(default_factory=dict)
    requests: int = 0

    def answer(self, body: bytes) -> tuple[int, float]:
        """The status, and the seconds after which it is given."""
        events = orjson.loads(body)
        mine = [event["eid"] for event in events if event["user_ext_id"] == str(SLOW)]
        now = time.time()
        with self.lock:
            self.requests += 1
            first = min((self.slow_since.setdefault(eid, now) for eid in mine), default=now)
        if mine and self.mode == "held for 3 s":
            time.sleep(3.0)
        if mine and self.mode == "retried for 32 s" and now - first < RETRIED_S:
            return 503, 0
        if mine and self.mode == "never answered" and now - first < 25.0:
            return 200, 40.0
        now = time.time()
        with self.lock:
            for event in events:
                if event["user_ext_id"] != str(SLOW):
                    self.seen.setdefault(event["eid"], now - event["event_date"] / 1000)
        return 200, 0


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


def run(mode: str, server: Server, rate: int, seconds: float) -> list[float]:
    """Write for a while under one mode; the others' latencies, sorted."""
    api = Api(mode)
    http = serve(api)
    home = Path(tempfile.mkdtemp(prefix="smartico-sync-slow-"))
    server.admin(
        "DROP TABLE IF EXISTS bets", TABLE, "INSERT INTO bets (user_ext_id, bet_id, bet_date) VALUES (1, 'r0', now())"
    )
    (home / "views.yaml").write_text(
        f"version: 1\nsmartico: {{url: 'http://127.0.0.1:{http.server_port}/', token: bench, encryption: off}}\n"
        f"state: ./state.db\npii: {{mode: plain}}\nhealth: {{listen: off}}\nsources: {{db: {{url: '{server.url()}'}}}}\nviews: [{VIEW}]\n"
    )
    with (home / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [COMMAND, "run", "--config", str(home / "views.yaml")], stdout=log, stderr=log, env=ENVIRONMENT
        )
    try:
        while not api.seen and daemon.poll() is None:
            time.sleep(TICK_S)
        if daemon.poll() is not None:
            raise SystemExit((home / "log").read_text())
        written, others, slow_due, began = 0, 0, 0.0, time.monotonic()
        with psycopg.connect(server.admin_url(), autocommit=True) as connection:
            while (passed := time.monotonic() - began) < seconds:
                if passed >= slow_due:
                    connection.execute(BET, (SLOW,))
                    slow_due += SLOW_EVERY_S
                due = int(passed * rate) - written
                if due:
                    connection.execute(BETS, (PLAYERS, due))
                    written += due
                time.sleep(TICK_S)
        others, until = written + 1, time.monotonic() + EXTRA_S
        while len(api.seen) < others and time.monotonic() < until:
            time.sleep(TICK_S)
        if len(api.seen) < others:
            print(f"    {others - len(api.seen)} events of others had not arrived {EXTRA_S:.0f} s after the last row")
        print(f"    {api.requests} requests for {len(api.seen)} events")
        return sorted(api.seen.values())
    finally:
        daemon.terminate()
        daemon.wait()
        http.shutdown()


def main() -> None:
    """Each mode in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--modes", nargs="*", default=MODES)
    chosen = parser.parse_args()
    server = Server.create()
    try:
        usual, figures = None, {}
        print(
            f"{chosen.rate} events/s of {PLAYERS:,} players, one of them slow every {SLOW_EVERY_S:.0f} s; the others' seconds to the API"
        )
        for mode in chosen.modes:
            waited = run(mode, server, chosen.rate, chosen.seconds)
            p50, p99, most = (waited[min(len(waited) - 1, int(len(waited) * part))] for part in (0.5, 0.99, 1.0))
            usual = usual or p99
            figures[mode] = {"p50_s": p50, "p99_s": p99, "most_s": most, "p99_ratio": p99 / usual}
            print(
                f"  {mode:<18} p50 {p50:6.2f}  p99 {p99:6.2f}  most {most:6.2f}   p99 {p99 / usual:5.2f} x", flush=True
            )
        keep("slow_player", figures)
    finally:
        server.remove()
        sys.stdout.flush()


if __name__ == "__main__":
    main()
