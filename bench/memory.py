"""`python -m bench.memory`: the most memory that the daemon's process takes, whatever it reads.

Rows dated ahead of the clock, wide rows, long texts, profiles and an API far away, each from nothing to the last acknowledgement.
Printed is the peak of its resident set, and how fast it went: rows as wide as these are in no other bench.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import httpx

from bench.__main__ import COMMAND, ENVIRONMENT
from bench.data import users_sql
from bench.figures import keep
from bench.processes import ended
from servers.postgresql import Server, free_port
from smartico_sync.pii.keys import new_key

if TYPE_CHECKING:
    from collections.abc import Callable

START_S = 0.1
COLUMNS = 100
LONG = 625  # times 32 characters: 20 kB, of which no two are alike
ROW = """n AS transaction_id, 'b' AS ext_brand_id, 'p' || n % 5000 AS user_ext_id, 12.50::numeric AS deposit_amount,
    now() - interval '1 day' + n * interval '10 ms' AS transaction_date"""


@dataclass(frozen=True, slots=True)
class Work:
    """Rows of a table of their `kind` and how they are read.

    `more`: further columns of deposits, in SQL; `faults` of the API; so many `views` of it.
    """

    rows: int
    more: str = ""
    cursor: str = "transaction_id"
    faults: tuple[str, ...] = ()
    views: int = 1
    kind: Literal["deposits", "users"] = "deposits"

    @property
    def statements(self) -> tuple[str, ...]:
        """What makes the table."""
        if self.kind == "users":
            made = (f"CREATE VIEW users_{number} AS SELECT * FROM user_base" for number in range(self.views))
            return (*users_sql(self.rows), *made, f"GRANT SELECT ON {', '.join(self.names)} TO public")
        more = f", {self.more}" if self.more else ""
        return (
            "DROP TABLE IF EXISTS deposits CASCADE",
            f"CREATE TABLE deposits AS SELECT {ROW}{more} FROM generate_series(1, {self.rows}) AS n",
            f"CREATE UNIQUE INDEX ON deposits ({self.cursor}, transaction_id)",
            "ALTER TABLE deposits ADD PRIMARY KEY (transaction_id)",
            "GRANT SELECT ON deposits TO public",
            "ANALYZE deposits",
            *(f"CREATE VIEW deposits_{number} AS SELECT * FROM deposits" for number in range(self.views)),
            *(f"GRANT SELECT ON deposits_{number} TO public" for number in range(self.views)),
        )

    @property
    def names(self) -> list[str]:
        """Of its views."""
        return [f"{self.kind}_{number}" for number in range(self.views)]


WIDE = ", ".join(f"'value ' || (n * {each}) AS \"wide_{each}\"" for each in range(1, COLUMNS - 4))
TEXTS = f"(SELECT string_agg(md5((n * 1000 + part)::text), '') FROM generate_series(1, {LONG}) AS part) AS long_text"
WORKS = {
    "400,000 rows dated ahead": Work(400_000, "now() + interval '30 days' + n * interval '1 ms' AS dated", "dated"),
    "100 columns": Work(60_000, WIDE),
    "20 kB texts": Work(10_000, TEXTS),
    "API 100 ms away": Work(400_000, faults=("latency=100ms",)),
    "profiles, API 1 s away": Work(200_000, cursor="dt_update", faults=("latency=1s",), kind="users"),
    "8 views of 100 columns": Work(15_000, WIDE, faults=("latency=1s",), views=8),
    "8 views of 20 kB texts": Work(3_000, TEXTS, faults=("latency=1s",), views=8),
}


def tracked(work: Work, url: str, execute: Callable[..., object]) -> dict[str, float]:
    """Track the table from its first row to its last: MB that were resident at most, seconds and CPU seconds."""
    execute(*work.statements)
    home = Path(tempfile.mkdtemp(prefix="smartico-sync-memory-"))
    listen = f"127.0.0.1:{free_port()}"
    options = [word for fault in work.faults for word in ("--fault", fault)]
    api = subprocess.Popen(
        [COMMAND, "sandbox", "--listen", listen, "--check", "count", "--requests-per-minute", "1000000", *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT,
    )  # fmt: skip
    try:
        views = ", ".join(
            f"{{name: {name}, source: db, relation: {name}, kind: {work.kind}, cursor: {work.cursor}}}"
            for name in work.names
        )
        config = home / "views.yaml"
        config.write_text(
            f"version: 1\nsmartico: {{url: 'http://{listen}/api/external/events/v2', token: bench, requests_per_minute: 1000000}}\n"
            f"state: ./sync.db\npii: {{key: {new_key()}}}\nhealth: {{listen: off}}\nsources: {{db: {{url: '{url}'}}}}\n"
            f"views: [{views}]\n"
        )
        config.chmod(0o600)
        while True:
            try:
                httpx.get(f"http://{listen}/stats")
                break
            except httpx.TransportError:
                time.sleep(START_S)
        with (home / "log").open("wb") as log:
            began = time.monotonic()
            daemon = subprocess.Popen(
                [COMMAND, "run", "--once", "--config", str(config)], stdout=log, stderr=log, env=ENVIRONMENT
            )
        code, (seconds, cpu, peak) = ended(daemon, began)
        accepted = httpx.get(f"http://{listen}/stats").json()["accepted"]
        if code or accepted != work.rows * work.views:
            raise SystemExit(
                f"{accepted} of {work.rows * work.views} events, exit code {code}\n{(home / 'log').read_text()}"
            )
        return {"peak_mb": peak, "seconds": seconds, "cpu_s": cpu}
    finally:
        api.terminate()
        api.wait()


def main() -> None:
    """Each work in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--works", nargs="*", default=list(WORKS))
    chosen = parser.parse_args()
    server, figures = Server.create(), {}
    try:
        for name in chosen.works:
            rows = WORKS[name].rows * WORKS[name].views
            figures[name] = found = {"rows": rows, **tracked(WORKS[name], server.url(), server.admin)}
            print(
                f"  {name:<26}{rows:>9,} rows{found['peak_mb']:>7.0f} MB{rows / found['seconds']:>10,.0f}/s"
                f"{found['cpu_s'] / rows * 1e6:>8.1f} µs CPU a row",
                flush=True,
            )
        keep("memory", figures)
    finally:
        server.remove()


if __name__ == "__main__":
    main()
