"""`make torture`: a primary whose writers do their worst, a replica that lags, and every way to poll it side by side.

On the stage `worst` writers also take `now()` long before they write, run with clocks that are behind, and use up blocks of
ids in their own time. Writers take ids and times early (as ORMs do), insert a moment later, stay open (3 % of them for up to 20 s), roll back. The daemon
polls the replica through views, as a user that may only SELECT; naive readers poll the same views. Everything a reader has
sent is compared with what was committed. Ends with 1 when the daemon lost a row or sent one twice.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson

from bench.stages import Mysql, Postgres, Stage, Worst

COMMAND = Path(sys.executable).parent / "smartico-sync"
POLL_S = 0.1
DRAIN_S = 120.0  # after the last writer, until everything that will ever arrive has arrived


class Sink(ThreadingHTTPServer):
    """An ingest API that takes everything and remembers when each row came, by event type."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taker)
        self.lock = threading.Lock()
        self.arrived: dict[str, dict[int, float]] = {}
        self.twice: Counter[str] = Counter()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def take(self, events: list[dict]) -> None:
        now = time.time()
        with self.lock:
            for event in events:
                rows = self.arrived.setdefault(event["event_type"], {})
                number = int(event["payload"]["copy"])
                if number in rows:
                    self.twice[event["event_type"]] += 1
                rows.setdefault(number, now)


class Taker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.server.take(orjson.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        body = b'{"err_code": 0}'
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Naive:
    """What everybody writes first: on from the highest value seen, or from a little before it."""

    name: str
    cursor: str
    back: str = ""
    arrived: dict[int, float] = field(default_factory=dict)
    twice: int = 0
    read: int = 0

    def follow(self, stage: Stage, stopping: threading.Event) -> None:
        """Poll until told to stop."""
        with stage.reader() as ask:
            last = None
            while not stopping.is_set():
                rows = ask(stage.naive(self.cursor, last, self.back))
                now = time.time()
                for number, value in rows:
                    self.read += 1
                    self.arrived.setdefault(number, now)
                    last = value if last is None or value > last else last
                stopping.wait(POLL_S)


@dataclass(frozen=True)
class Result:
    """What one reader made of it. Latencies in ms, of rows in order (their writer did not wait) and of all."""

    name: str
    committed: int
    lost: int
    twice: int
    reread: int
    p50: float
    p99: float

    def line(self) -> str:
        share = 100 * self.lost / max(1, self.committed)
        return (
            f"  {self.name:<26}{self.lost:>8,} lost {share:>6.2f} %{self.twice:>8,} twice{self.reread:>12,} re-read"
            f"{self.p50:>9.0f} ms{self.p99:>9.0f} ms"
        )


def torture(stage: Stage, seconds: float, longest_s: float, drain_s: float = DRAIN_S) -> list[Result]:
    """Run writers for so long, then wait until the readers have had their time; one result a reader."""
    naive = [Naive(*given) for given in stage.naive_readers]
    stopping = threading.Event()
    threads = [threading.Thread(target=reader.follow, args=(stage, stopping), daemon=True) for reader in naive]
    with Sink() as sink, tempfile.TemporaryDirectory(prefix="smartico-sync-torture-") as name, ExitStack() as stack:
        home = Path(name)
        (home / "views.yaml").write_text(stage.configuration(f"http://127.0.0.1:{sink.server_address[1]}/"))
        log = stack.enter_context((home / "log").open("wb"))
        stack.callback(sink.shutdown)
        daemon = subprocess.Popen(
            [COMMAND, "run", "--config", home / "views.yaml", "--log", "json"], cwd=home, stderr=log
        )
        stack.callback(daemon.wait, 30)
        stack.callback(daemon.terminate)
        for thread in threads:
            thread.start()
            stack.callback(thread.join, 10)
        stack.callback(stopping.set)
        stage.write(seconds, longest_s)
        committed = stage.committed()
        end = time.monotonic() + drain_s
        while time.monotonic() < end and any(len(sink.arrived.get(view, {})) < len(committed) for view in stage.views):
            time.sleep(0.5)
        time.sleep(3 * POLL_S)
        reread = rescanned(home, daemon)
    return [
        *(result(view, committed, sink.arrived.get(view, {}), sink.twice[view], reread[view]) for view in stage.views),
        *(result(reader.name, committed, reader.arrived, 0, reader.read - len(reader.arrived)) for reader in naive),
    ]


def rescanned(home: Path, daemon: subprocess.Popen) -> dict[str, int]:
    """How many keys each view has read again, as the daemon tells."""
    if daemon.poll() is not None:
        raise SystemExit((home / "log").read_text()[-3000:])
    told = subprocess.run(
        [COMMAND, "status", "--json", "--config", home / "views.yaml"], capture_output=True, text=True, check=False
    )
    views = json.loads(told.stdout)["views"]
    return {view["name"]: view.get("late", {}).get("rescanned_keys", 0) for view in views}


def result(name: str, committed: dict[int, float], arrived: dict[int, float], twice: int, reread: int) -> Result:
    """Compare what was committed with what arrived."""
    late = sorted(1000 * (arrived[number] - at) for number, at in committed.items() if number in arrived)
    lost = sum(number not in arrived for number in committed)
    p50 = statistics.median(late) if late else 0.0
    p99 = late[int(0.99 * (len(late) - 1))] if late else 0.0
    return Result(name, len(committed), lost, twice, reread, p50, p99)


def main() -> int:
    """Print what every reader lost; 1 when the daemon lost a row or sent one twice."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--longest", type=float, default=20, help="seconds that the longest writers stay open")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--stage", choices=["postgresql", "worst", "mariadb", "all"], default="all")
    given = parser.parse_args()
    broken = 0
    for kind in (Postgres, Worst, Mysql):
        if given.stage not in ("all", kind.name):
            continue
        for run in range(given.runs):
            with kind() as stage:
                results = torture(stage, given.seconds, given.longest)
                print(
                    f"{kind.name}, run {run + 1}: {results[0].committed:,} rows committed in {given.seconds:.0f} s by "
                    f"{stage.writers} writers, the longest open for {given.longest:.0f} s"
                )
                for each in results:
                    print(each.line(), flush=True)
                broken += sum(each.lost + each.twice for each in results if each.name in stage.views)
    print("  nothing is lost, nothing sent twice" if not broken else f"  NOT WELL: {broken:,} rows lost or sent twice")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
