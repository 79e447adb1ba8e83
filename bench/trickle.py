"""What many quiet views cost: CPU of the daemon with 50 views polled each second, idle and with one row a second each.

`loaded` is the half minute after a first load, whose rows are looked at for late commits meanwhile; `idle` a minute later.

Usage: python -m bench.trickle; BENCH_VIEWS and BENCH_SECONDS say how many views, and how long each is looked at.
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
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.data import CASINO, USERS, casino_sql, users_sql
from bench.figures import keep
from bench.processes import daemon
from bench.rivals import COMMAND
from servers.postgresql import Server, free_port
from smartico_sync.pii.keys import new_key
from waiting import until

VIEWS = int(os.environ.get("BENCH_VIEWS", "50"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "20"))
ROWS = 1000  # there at the start
SETTLE_S = 12.0  # what is done once, and what is put off until the start is over, is no part of it
LATER_S = 60.0  # until late commits are awaited for no row of the first load any more
BEGUN_S = 3.0  # until the first rows of a trickle are through
TICKS = os.sysconf("SC_CLK_TCK")
CASINO_VIEW = (
    f"  - {{{{name: casino{{}}, source: db, relation: {CASINO}, kind: casino_bets_and_wins, cursor: id, key: bet_id, every: 1s, "
    "type: {{column: tx_type, bet: BET, win: WIN}}}}\n"
)
USERS_VIEW = f"  - {{{{name: users{{}}, source: db, relation: {USERS}, kind: users, cursor: dt_update, every: 1s}}}}\n"
ONE_BET = (
    "INSERT INTO casino_base SELECT max(id) + 1, 'brand1', 7, 'BET', 'n' || max(id), now(), 1, 1, 0, NULL, NULL, "
    "'Book', 'game-1', 'slots', 'p' FROM casino_base"
)
ONE_PROFILE = (
    "UPDATE user_base SET dt_update = now(), user_country = CASE user_country WHEN 'MT' THEN 'DE' ELSE 'MT' END "
    "WHERE user_ext_id = 7"
)


def spent(process: subprocess.Popen[bytes]) -> float:
    """CPU seconds of a process until now."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def looked_at(daemon: subprocess.Popen[bytes], page: str) -> tuple[float, float, float]:
    """Percent of a core over a while, and of it ms a poll and ms a row."""
    before, began, counts = spent(daemon), time.monotonic(), totals(page)
    time.sleep(SECONDS)
    cpu, took, after = spent(daemon) - before, time.monotonic() - began, totals(page)
    polls, rows = (new - old for new, old in zip(after, counts, strict=True))
    return cpu / took * 100, cpu / max(1, polls) * 1000, cpu / rows * 1000 if rows else 0.0


def listens(page: str) -> bool:
    """Whether the daemon has come so far that it answers."""
    try:
        httpx.get(f"{page}/healthz")
    except httpx.TransportError:
        return False
    return True


def totals(page: str) -> tuple[int, int]:
    """Polls expected until now, and events delivered."""
    views = httpx.get(f"{page}/status.json").raise_for_status().json()["views"]
    delivered = sum(view["counts"].get("delivered", 0) for view in views)
    return round(time.monotonic() * VIEWS), delivered


@contextmanager
def watched(*words: str) -> Iterator[Watched]:
    """The daemon over many views, started by these words, once it has settled."""
    server = Server.create()
    home = Path(tempfile.mkdtemp(prefix="smartico-sync-trickle-"))
    listen, health = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    api = subprocess.Popen(
        [COMMAND, "sandbox", "--listen", listen, "--check", "count", "--requests-per-minute", "1000000"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        server.admin(*casino_sql(ROWS), *users_sql(ROWS))
        views = (USERS_VIEW.format(number) if number % 2 else CASINO_VIEW.format(number) for number in range(VIEWS))
        config = home / "views.yaml"
        config.write_text(
            f"version: 1\nsmartico: {{url: 'http://{listen}/api/external/events/v2', token: bench, requests_per_minute: 1000000}}\n"
            f"state: ./state.db\npii: {{key: {new_key()}}}\nhealth: {{listen: '{health}'}}\n"
            f"sources: {{db: {{url: '{server.url()}'}}}}\nviews:\n{''.join(views)}"
        )
        config.chmod(0o600)
        with daemon(config, *words) as process:
            until(lambda: listens(f"http://{health}"), 0.5)
            time.sleep(SETTLE_S)
            yield Watched(process, f"http://{health}", server)
    finally:
        api.terminate()
        api.wait()
        server.remove()
        shutil.rmtree(home, ignore_errors=True)


@dataclass(frozen=True)
class Watched:
    """A daemon at work, its page, and the server that it reads from."""

    daemon: subprocess.Popen[bytes]
    page: str
    server: Server


@contextmanager
def trickling(server: Server) -> Iterator[None]:
    """One row a second in each view."""
    over = threading.Event()

    def trickle() -> None:
        while not over.wait(1.0):
            server.admin(ONE_BET, ONE_PROFILE)

    writer = threading.Thread(target=trickle)
    writer.start()
    try:
        time.sleep(BEGUN_S)
        yield
    finally:
        over.set()
        writer.join()


def main() -> None:
    """Start the daemon, let it settle, and look at it: first idle, then with a row a second in each view."""
    with watched(str(COMMAND)) as at:
        print(f"{VIEWS} views, {SECONDS:.0f} s each; until then {spent(at.daemon):.2f} s CPU", flush=True)
        figures: dict[str, object] = {"views": VIEWS}
        for when, settle_s in ("loaded", 0.0), ("idle", LATER_S):
            time.sleep(settle_s)
            share, poll, _ = looked_at(at.daemon, at.page)
            print(f"  {when:8} {share:6.1f} % of a core, {poll:5.2f} ms a poll", flush=True)
            figures[when] = {"core_percent": share, "poll_ms": poll}
        with trickling(at.server):
            share, poll, row = looked_at(at.daemon, at.page)
        print(f"  trickle  {share:6.1f} % of a core, {poll:5.2f} ms a poll, {row:5.2f} ms a row", flush=True)
        keep("trickle", figures | {"trickle": {"core_percent": share, "poll_ms": poll, "row_ms": row}})


if __name__ == "__main__":
    main()
