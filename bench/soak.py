"""`make soak`: ten minutes at 2,000 events a second on a real PostgreSQL while a fifth of the API's answers are faulty.

Meanwhile clocks are set, nobody reads the log, connections break and the token becomes another: see `disturbances`.

Memory must stay flat, the lag bounded, and in the end the API holds every row of the source, once. Ends with 1 when it does not.
With faults like these a request may fail many times in a row, and its rows are late then. Lost is what is missing while the
daemon has nothing left to send, and nothing waits.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg

from bench.disturbances import Disturbances
from bench.drain import Accepted, Truth, drain
from bench.trickle import listens
from servers.postgresql import Server, free_port
from smartico_sync.pii.keys import new_key
from waiting import until

COMMAND = Path(sys.executable).parent / "smartico-sync"
FAULTS = ("503:0.06", "429:0.04", "reset-before:0.03", "reset-after:0.04", "garbage:0.02", "hang-after=2s:0.01")
TICK_S = 0.1
SAMPLE_S = 5.0
WARM_S = 60.0  # until here memory may grow: windows fill (the views' lookback), allocators settle
GROWTH = 1.15  # that much more than when it was warm is not flat any more
CACHE_MB = 32.0  # but for what SQLite keeps of a state that grows
LAG_S = 120.0  # a request fails eight times in a row by one chance in 400,000, and backs off for 45 s until then
PLAYERS = 20_000
TABLES = (
    "CREATE TABLE users (user_ext_id bigint PRIMARY KEY, ext_brand_id text DEFAULT 'b', core_username text, user_email text, dt_update timestamptz)",
    "CREATE INDEX ON users (dt_update, ext_brand_id, user_ext_id)",
    f"INSERT INTO users SELECT g, 'b', 'p' || g, 'p' || g || '@example.com', now() FROM generate_series(1, {PLAYERS}) g",
    """CREATE TABLE bets (id bigserial PRIMARY KEY, ext_brand_id text DEFAULT 'b', user_ext_id bigint, bet_id text,
        bet_date timestamptz, bet_amount numeric, game_name text DEFAULT 'Book')""",
    """CREATE TABLE deposits (transaction_id bigserial PRIMARY KEY, ext_brand_id text DEFAULT 'b', user_ext_id bigint,
        dt_finalized timestamptz, transaction_date timestamptz, deposit_amount numeric)""",
    "CREATE INDEX ON deposits (dt_finalized, transaction_id)",
)
VIEWS = """
  - {name: users, source: db, relation: users, kind: users, cursor: dt_update, every: 500ms, lookback: 60s}
  - {name: bets, source: db, relation: bets, kind: casino_bets, cursor: id, key: bet_id, every: 500ms, lookback: 60s}
  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt_finalized, key: transaction_id, every: 500ms, lookback: 60s}
"""
BETS = (
    "INSERT INTO bets (user_ext_id, bet_id, bet_date, bet_amount) "
    "SELECT 1 + (random() * %s)::int, 'r' || nextval('bets_id_seq'), clock_timestamp(), 1.25 FROM generate_series(1, %s)"
)
DEPOSITS = (
    "INSERT INTO deposits (user_ext_id, dt_finalized, transaction_date, deposit_amount) "
    "SELECT 1 + (random() * %s)::int, clock_timestamp(), clock_timestamp(), 20 FROM generate_series(1, %s)"
)
LOGINS = (
    "UPDATE users SET core_username = core_username || '.', dt_update = clock_timestamp() WHERE user_ext_id = ANY(%s)"
)


def write(url: str, rate: int, seconds: float) -> None:
    """Nine bets of ten events, and a deposit and a changed profile of twenty each, as evenly as ticks allow."""
    began, done = time.monotonic(), 0
    with psycopg.connect(url, autocommit=True) as connection:
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * rate) - done
            if due >= 20:
                connection.execute(BETS, (PLAYERS - 2, due * 18 // 20))
                connection.execute(DEPOSITS, (PLAYERS - 2, due // 20))
                connection.execute(LOGINS, ([1 + (done + 977 * number) % PLAYERS for number in range(due // 20)],))
                done += due * 18 // 20 + 2 * (due // 20)
            time.sleep(TICK_S)


@dataclass
class Samples:
    """What the daemon looked like, over time: resident MB, and the worst lag of a view in seconds."""

    page: str
    process: int
    megabytes: list[tuple[float, float]] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)

    def follow(self, ended: threading.Event) -> None:
        """Take samples, and print one line a minute."""
        began = time.monotonic()
        while not ended.wait(SAMPLE_S):
            status = (Path("/proc") / str(self.process) / "status").read_text()
            resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
            with urllib.request.urlopen(f"{self.page}/status.json") as answer:
                views = json.load(answer)["views"]
            at = time.monotonic() - began
            self.megabytes.append((at, resident))
            self.lags.append(max(view["lag_ms"] for view in views) / 1000)
            if at % 60 < SAMPLE_S:
                sent = sum(view["counts"].get("delivered", 0) + view["counts"].get("duplicate", 0) for view in views)
                print(f"  {at:5.0f} s {sent:>12,} delivered {resident:7.0f} MB, lag {self.lags[-1]:.1f} s", flush=True)

    def verdict(self) -> list[str]:
        """What was not as it must be."""
        problems = [f"the lag grew to {max(self.lags):.0f} s"] if max(self.lags) > LAG_S else []
        warm = [size for at, size in self.megabytes if WARM_S <= at < 2 * WARM_S]
        last = [size for at, size in self.megabytes][-len(warm) or -1 :]
        if warm and min(last) > GROWTH * max(warm) + CACHE_MB:
            problems.append(f"memory grew from {max(warm):.0f} to {min(last):.0f} MB")
        return problems


def main() -> int:
    """Write, watch, compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=int, default=2_000, help="events a second")
    parser.add_argument("--seed", default="7", help="other seeds, other faults")
    given = parser.parse_args()
    with ExitStack() as stack:
        server = Server.create()
        stack.callback(server.remove)
        server.admin(*TABLES)
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="smartico-sync-soak-")))
        api, page = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        disturbances = Disturbances(home, int(api.rpartition(":")[2]))
        stack.callback(disturbances.close)
        faults = [part for fault in FAULTS for part in ("--fault", fault)]
        sandbox = subprocess.Popen(
            [COMMAND, "sandbox", "--listen", api, "--log", home / "accepted.jsonl", "--seed", given.seed, *faults],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        stack.callback(sandbox.wait, 20)
        stack.callback(sandbox.terminate)
        (home / "views.yaml").write_text(
            f"version: 1\nsmartico: {{url: 'http://{api}/api/external/events/v2', token_file: token, timeout: 1s}}\nstate: ./state.db\n"
            f"pii: {{key: {new_key()}}}\nhealth: {{listen: '{page}'}}\nsources: {{db: {{url: '{server.url()}'}}}}\nviews:{VIEWS}"
        )
        daemon = subprocess.Popen(
            [COMMAND, "run", "--config", home / "views.yaml", "--log", "json"],
            stderr=subprocess.PIPE,
            env=disturbances.environ,
        )
        stack.callback(daemon.wait, 30)
        stack.callback(daemon.terminate)
        for work in (partial(disturbances.read, daemon.stderr), disturbances.disturb):
            threading.Thread(target=work, daemon=True).start()
        until(lambda: listens(f"http://{page}"), SAMPLE_S)
        print(
            f"{given.rate:,} events a second for {given.seconds:.0f} s; faults: {' '.join(FAULTS)}; {disturbances.told}",
            flush=True,
        )
        samples, ended = Samples(f"http://{page}", daemon.pid), threading.Event()
        watcher = threading.Thread(target=samples.follow, args=(ended,), daemon=True)
        watcher.start()
        write(server.admin_url(), given.rate, given.seconds)
        accepted = Accepted(home / "accepted.jsonl")
        problems = drain(accepted, samples.page, Truth.of(server))
        ended.set()
        watcher.join()
        with urllib.request.urlopen(f"http://{api}/stats") as answer:
            stats = json.load(answer)
        problems += [f"{count} times {what}" for what, count in stats["violations"].items()]
        if accepted.twice:
            problems.append(f"{accepted.twice} event ids were taken more than once")
        problems += samples.verdict()
        sizes = [size for _, size in samples.megabytes]
        lags = sorted(samples.lags)
        print(
            f"  delivered {accepted.taken:,} events, {stats['duplicates']:,} resends dropped by the API, {stats['requests']:,} requests"
        )
        print(
            f"  memory {sizes[len(sizes) // 4]:.0f} MB after a quarter, {sizes[-1]:.0f} MB in the end, at most {max(sizes):.0f} MB"
        )
        print(f"  lag at most {lags[-1]:.1f} s, usually {lags[len(lags) // 2]:.1f} s")
        print("  nothing is lost" if not problems else "  NOT WELL: " + "; ".join(problems))
        return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
