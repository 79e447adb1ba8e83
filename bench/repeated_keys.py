"""What it costs to compare the keys of rows with each other and with what was sent: `python -m bench.repeated_keys`.

The whole daemon reads deposits by a time, where keys alone tell rows apart. The comparison's own CPU time is measured inside
the process that does the rest as well, so that what else the machine does falls on both; a run over no rows is taken off.
What Polars' own thread does meanwhile counts too, for whomever: a little too much rather than too little. BENCH_ROWS and BENCH_RUNS say how much and how often.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from bench.figures import keep
from smartico_sync.cli import main as command
from smartico_sync.pii.keys import new_key
from smartico_sync.sandbox.api import Sandbox
from smartico_sync.tracking.key_watch import KeyWatch

ROWS = int(os.environ.get("BENCH_ROWS", "300000"))
RUNS = int(os.environ.get("BENCH_RUNS", "5"))
TABLE = """
CREATE TABLE deposits (dt TIMESTAMP, transaction_id TEXT, ext_brand_id TEXT, user_ext_id INTEGER, transaction_date TIMESTAMP,
  deposit_amount NUMERIC, currency TEXT, payment_method TEXT, is_first INTEGER);
CREATE INDEX deposits_dt ON deposits (dt, transaction_id);
"""
FILL = """
WITH RECURSIVE n(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM n WHERE g < %d)
INSERT INTO deposits SELECT strftime('%%Y-%%m-%%d %%H:%%M:%%f', '2026-01-01', (g * 0.037) || ' seconds'), 't' || g, 'brand' || g %% 3,
  g * 7919 %% 50000, strftime('%%Y-%%m-%%d %%H:%%M:%%f', '2026-01-01', (g * 0.037) || ' seconds'), g %% 10000 / 100.0, 'EUR', 'card', 0 FROM n
"""
CONFIGURATION = """
version: 1
smartico: {url: "%s", token: t}
state: ./sync.db
pii: {key: %s}
health: {listen: "off"}
sources: {db: {url: "sqlite:///%s"}}
views:
  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt, late_commit: lookback}
"""


def replica(home: Path, rows: int) -> Path:
    """A database of that many deposits."""
    file = home / f"replica-{rows}.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(TABLE)
        if rows:
            connection.execute(FILL % rows)
        connection.commit()
    return file


def cpu_s(file: Path) -> tuple[float, float]:
    """CPU seconds of one run over all rows, and those of the comparison among them."""
    with tempfile.TemporaryDirectory() as folder, Sandbox(check="count") as sandbox:
        config, told = Path(folder) / "views.yaml", Path(folder) / "told"
        config.touch(0o600)
        config.write_text(CONFIGURATION % (sandbox.url, new_key(), file))
        words = [sys.executable, "-m", "bench.repeated_keys", str(told), "run", "--once", "--config", str(config)]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(words, stdout=quiet, stderr=quiet, env={**os.environ, "POLARS_MAX_THREADS": "1"})
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f"the daemon ended with {os.waitstatus_to_exitcode(status)}")
        return used.ru_utime + used.ru_stime, float(told.read_text())


def measure() -> None:
    """Some runs, and what the comparison takes of each."""
    with tempfile.TemporaryDirectory() as folder:
        idle, _ = cpu_s(replica(Path(folder), 0))
        full = replica(Path(folder), ROWS)
        runs = [cpu_s(full) for _ in range(RUNS)]
    shares = [100 * keys / (whole - idle) for whole, keys in runs]
    row_us = 1e6 * median(keys for _, keys in runs) / ROWS
    spread = f"{min(shares):.1f} to {max(shares):.1f}"
    print(f"{row_us:.2f} µs a row, {median(shares):.1f} % of the daemon's CPU (median of {RUNS} runs; {spread})")
    keep("repeated keys", {"us": row_us, "share_percent": median(shares)})


def pool_s() -> float:
    """CPU seconds of the threads of Polars so far."""
    tasks = [
        task for task in Path("/proc/self/task").iterdir() if task.joinpath("comm").read_text().startswith("polars")
    ]
    return sum(int(task.joinpath("schedstat").read_text().split()[0]) for task in tasks) / 1e9


def timed(told: Path) -> None:
    """Be the daemon, and write down what the comparison took."""
    look, spent = KeyWatch.look, [0.0]

    def looked(*arguments: Any) -> Any:
        began = time.thread_time() + pool_s()
        try:
            return look(*arguments)
        finally:
            spent[0] += time.thread_time() + pool_s() - began

    KeyWatch.look = looked  # type: ignore[method-assign]
    try:
        command()
    finally:
        told.write_text(str(spent[0]))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        timed(Path(sys.argv.pop(1)))
    else:
        measure()
