"""What a start costs: `run --once` over views that have nothing, from the process to its first poll, and to its end.

When the first page is asked for, PostgreSQL's own log tells. With PostgreSQL, with SQLite, and with many views more, whose
price is what they add. BENCH_STARTS of each in turns, over a state that another start has left, as nearly every start is;
the very first one, which makes the state and writes its SQL, is told beside it.

Usage: python -m bench.startup
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median

from bench.__main__ import timed
from bench.data import CASINO, casino_sql
from bench.figures import keep
from bench.rivals import COMMAND
from servers.postgresql import Server
from smartico_sync.pii.keys import new_key
from smartico_sync.sandbox.api import Sandbox

STARTS = int(os.environ.get("BENCH_STARTS", "7"))
MORE = 50  # views
VIEW = (
    f"  - {{{{name: casino{{}}, source: db, relation: {CASINO}, kind: casino_bets_and_wins, cursor: id, key: bet_id, "
    "late_commit: auto, type: {{column: tx_type, bet: BET, win: WIN}}}}\n"
)


# Whoever reads is written down with the time, in seconds since 1970, at which a statement came.
LOGGED = (
    "ALTER SYSTEM SET log_line_prefix = '%n '", "SELECT pg_reload_conf()", "ALTER ROLE reader SET log_statement = 'all'",
    "ALTER ROLE reader SET log_min_messages = 'log'",
)  # fmt: skip
ENTRY = re.compile(r"^(\d+\.\d+) ", re.MULTILINE)
# A page has each column of the view. What the daemon asks before it (the columns' types, sequences, NULLs, the last row, a
# plan) does not name this one, or explains instead of reading.
PAGE_COLUMN = '"game_provider"'
# Seconds and CPU seconds of a run, and seconds until its first poll was asked for; None of SQLite, which keeps no log.
Started = tuple[float, float, float | None]


def first_page(log: str) -> float | None:
    """When the first page of a view was asked for, in seconds since 1970; None where the log does not tell.

    Several statements may travel together, so each entry is looked at statement by statement.
    """
    _, *entries = ENTRY.split(log)
    asked = zip(entries[::2], entries[1::2], strict=True)
    return next((float(at) for at, text in asked if any(map(is_page, text.split(";")))), None)


def is_page(statement: str) -> bool:
    """Whether it reads rows of the view, in their order."""
    named = (f'FROM "{CASINO}"', PAGE_COLUMN, "ORDER BY", "LIMIT")
    return all(word in statement for word in named) and "EXPLAIN" not in statement


def started(api: str, database: str, views: int, log: Path) -> tuple[Started, Started]:
    """A first run over so many views, whose state knows nothing, and one after it."""

    def run() -> Started:
        behind, began = log.stat().st_size, time.time()
        took, cpu = timed([str(COMMAND), "run", "--once", "--config", str(config)], home)[:2]
        asked = first_page(log.read_bytes()[behind:].decode())
        return took, cpu, None if asked is None else asked - began

    home = Path(tempfile.mkdtemp(prefix="smartico-sync-startup-"))
    config = home / "views.yaml"
    config.write_text(
        f"version: 1\nsmartico: {{url: '{api}', token: bench}}\nstate: ./state.db\npii: {{key: {new_key()}}}\n"
        f"health: {{listen: off}}\nsources: {{db: {{url: '{database}'}}}}\nviews:\n{''.join(map(VIEW.format, range(views)))}"
    )
    config.chmod(0o600)
    try:
        first, later = run(), run()
    finally:
        shutil.rmtree(home)
    return first, later


def embedded(home: Path) -> str:
    """A SQLite replica with the same view, of which nothing is there either."""
    file = home / "replica.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(
            "CREATE TABLE casino_base (id INTEGER PRIMARY KEY, ext_brand_id TEXT, user_ext_id INTEGER, tx_type TEXT, bet_id TEXT,"
            " bet_date TIMESTAMP, bet_amount NUMERIC, bet_amount_real NUMERIC, bet_amount_bonus NUMERIC, win_amount NUMERIC,"
            " win_amount_real NUMERIC, game_name TEXT, game_id TEXT, game_category TEXT, game_provider TEXT);"
            f"CREATE VIEW {CASINO} AS SELECT * FROM casino_base"
        )
    return f"sqlite:///{file}"


def main() -> None:
    """Start it again and again."""
    server, home = Server.create(), Path(tempfile.mkdtemp(prefix="smartico-sync-startup-"))
    took: dict[str, list[Started]] = {}
    anew: dict[str, list[Started]] = {}
    try:
        server.admin(*casino_sql(0), *LOGGED)
        works = {"postgresql": (server.url(), 1), "sqlite": (embedded(home), 1), "more views": (server.url(), 1 + MORE)}
        with Sandbox(check="count") as api:
            for _ in range(STARTS):
                for name, (database, views) in works.items():
                    first, later = started(api.url, database, views, server.home / "log")
                    anew.setdefault(name, []).append(first)
                    took.setdefault(name, []).append(later)
    finally:
        server.remove()
        shutil.rmtree(home)
    for name, runs in took.items():
        cpu = [each[1] for each in runs]
        print(
            f"  {name:<12}{median(each[0] for each in runs):6.2f} s, {median(cpu):.2f} s CPU ({min(cpu):.2f} to {max(cpu):.2f}); "
            f"the very first {median(each[0] for each in anew[name]):.2f} s, {median(each[1] for each in anew[name]):.2f} s CPU"
        )
    whole, one = ([each[0] for each in took["postgresql"]], [each[1] for each in took["postgresql"]])
    asked, very_first = ([at for *_, at in starts["postgresql"] if at is not None] for starts in (took, anew))
    added = [(each[1] - median(one)) / MORE * 1000 for each in took["more views"]]
    print(
        f"  until the first poll is asked for{median(asked):6.2f} s ({min(asked):.2f} to {max(asked):.2f}); "
        f"the very first {median(very_first):.2f} s ({min(very_first):.2f} to {max(very_first):.2f})"
    )
    print(f"  a further view{median(added):6.1f} ms CPU ({min(added):.1f} to {max(added):.1f})", flush=True)
    keep("startup", {
        "first_poll_s": median(asked), "first_poll_spread_s": (min(asked), max(asked)), "run_s": median(whole), "run_cpu_s": median(one),
        "very_first_poll_s": median(very_first), "very_first_poll_spread_s": (min(very_first), max(very_first)),
        "view_ms": median(added), "view_spread_ms": (min(added), max(added)), "runs": took, "very_first": anew,
    })  # fmt: skip


if __name__ == "__main__":
    main()
