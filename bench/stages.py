"""Where the torture takes place: a primary, a replica of it, writers, and views that a reader may only SELECT from."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

import psycopg
import pymysql

from servers import mariadb, postgresql
from smartico_sync.pii.keys import new_key

__all__ = ["Mysql", "Postgres", "Stage", "Worst"]

LONG_SHARE = 0.03
ROLLED_BACK = 0.05
ROWS = 10  # a transaction; the first one's id is taken early
EARLY_S = 0.2  # an id or a time is taken at most so long before the insert

PAUSE_S = 6.0  # between the begin of a transaction, whose now() is the row's time, and its first write
BEHIND_S = 4.0  # a clock of an application server
BLOCK, NODES = 50, 6  # ids that a node keeps in memory

VIEW = (
    "  - {{name: {name}, source: db, relation: {relation}, kind: custom, event_type: {name}, cursor: {cursor}, key: [number], \
event_date: ts, every: 100ms, late_commit: {late}, gaps_wait: {wait}s, lookback: {wait}s}}\n"
)


class Stage(Protocol):
    """A primary and a replica with 24 writers or more."""

    name: str
    writers: int
    views: tuple[str, ...]
    naive_readers: tuple[tuple[str, ...], ...]

    def configuration(self, url: str) -> str:
        """The daemon's configuration."""

    def write(self, seconds: float, longest_s: float) -> None:
        """Let the writers work for so long; returns when the last transaction has ended."""

    def committed(self) -> dict[int, float]:
        """The numbers of all committed rows, and when each was committed (epoch seconds)."""

    def reader(self) -> Any:
        """A connection of the SELECT-only user to the replica: a context that gives `ask(query) -> rows`."""

    def naive(self, cursor: str, last: Any, back: str) -> str:
        """The naive query."""


def configured(url: str, database: str, views: list[tuple[str, str, str]], wait: int) -> str:
    """views.yaml over these (name, cursor, late_commit)."""
    with postgresql_free_port() as port:
        head = (
            f"version: 1\nsmartico: {{url: '{url}', token: any}}\nstate: ./state.db\npii: {{key: {new_key()}}}\n"
            f"health: {{listen: '127.0.0.1:{port}'}}\nsources: {{db: {{url: '{database}', pool: 8}}}}\nviews:\n"
        )
    return head + "".join(
        VIEW.format(name=name, relation="rows_seen", cursor=cursor, late=late, wait=wait)
        for name, cursor, late in views
    )


@contextmanager
def postgresql_free_port() -> Iterator[int]:
    """A port that is free now."""
    yield postgresql.free_port()


class Postgres:
    """PostgreSQL with pgbench as the writers."""

    name = "postgresql"
    writers = 24
    views = ("id_fence", "id_gaps", "ts_fence", "ts_lookback")
    naive_readers = (
        ("naive: id > W", "number"), ("naive: ts > W", "ts"), ("naive: ts > W - 3 s", "ts", "3 seconds"),
        ("naive: ts > W - 8 s", "ts", "8 seconds"),
    )  # fmt: skip

    def __enter__(self) -> Self:
        self.primary = postgresql.Server.create()
        self.primary.admin(
            "ALTER SYSTEM SET track_commit_timestamp = on",
            "CREATE TABLE written (number bigserial PRIMARY KEY, ts timestamptz NOT NULL, player int NOT NULL)",
            "CREATE INDEX ON written (ts, number)",
            "CREATE VIEW rows_seen AS SELECT number, number AS copy, ts, 'b' AS ext_brand_id, player AS user_ext_id FROM written",
        )
        self.primary.restart()
        self.replica = self.primary.create_standby()
        self.wait_s = 45
        return self

    def __exit__(self, *_: object) -> None:
        self.replica.remove()
        self.primary.remove()

    def configuration(self, url: str) -> str:
        views = [("id_fence", "number", "fence"), ("id_gaps", "number", "gaps"), ("ts_fence", "ts", "fence"),
                 ("ts_lookback", "ts", "lookback")]  # fmt: skip
        return configured(url, self.replica.url(), views, self.wait_s)

    def write(self, seconds: float, longest_s: float) -> None:
        script = Path(tempfile.mkdtemp(prefix="sync-torture-")) / "writer.sql"
        script.write_text(self.script(longest_s))
        script.chmod(0o644)
        script.parent.chmod(0o755)
        command = [
            postgresql.binaries() / "pgbench", "-n", "-M", "simple", "-c", str(self.writers), "-j", "2",
            "-T", str(int(seconds)), "-f", str(script), "-h", str(self.primary.home), "-p", str(self.primary.port),
            "-U", "admin", "postgres",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        shutil.rmtree(script.parent)
        if done.returncode:
            raise SystemExit(done.stderr)

    def script(self, longest_s: float) -> str:
        """One transaction of one writer."""
        return (
            "\\set kind random(1, 1000)\n\\set pause random(0, 200)\n\\set rest random(0, 60)\n"
            f"\\if :kind <= {int(LONG_SHARE * 1000)}\n\\set hold random(1000, {int(longest_s * 1000)})\n"
            "\\else\n\\set hold random(0, 30)\n\\endif\nBEGIN;\n"
            "SELECT nextval('written_number_seq') AS number, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS ts \\gset\n"
            "\\if :kind <= 200\n\\sleep :pause ms\n\\endif\n"
            "INSERT INTO written VALUES (:number, to_timestamp(:ts / 1000000.0), :kind);\n"
            f"INSERT INTO written SELECT nextval('written_number_seq'), clock_timestamp(), g FROM generate_series(2, {ROWS}) g;\n"
            "\\sleep :hold ms\n"
            f"\\if :kind > {1000 - int(ROLLED_BACK * 1000)}\nROLLBACK;\n\\else\nCOMMIT;\n\\endif\n\\sleep :rest ms\n"
        )

    def committed(self) -> dict[int, float]:
        rows = self.primary.admin("SELECT number, extract(epoch FROM pg_xact_commit_timestamp(xmin)) FROM written")
        return {number: float(at) for number, at in rows}

    @contextmanager
    def reader(self) -> Iterator[Callable[[str], list[tuple]]]:
        with psycopg.connect(self.replica.url(), autocommit=True) as connection:
            yield lambda query: connection.execute(query).fetchall()

    def naive(self, cursor: str, last: Any, back: str) -> str:
        if last is None:
            return f"SELECT number, {cursor} FROM rows_seen ORDER BY {cursor}"
        since = f"'{last}'" + (f"::timestamptz - interval '{back}'" if back else "")
        return f"SELECT number, {cursor} FROM rows_seen WHERE {cursor} > {since} ORDER BY {cursor}"


class Worst(Postgres):
    """The same, with writers that do what a fence does not know of.

    A third of them takes `DEFAULT now()` and writes seconds later, a third runs on machines whose clock is behind, and all
    use up blocks of ids in a time of their own. `auto` has to find every row.
    """

    name = "worst"
    views = ("id_auto", "ts_auto", "ts_lookback")
    naive_readers = (("naive: id > W", "number"), ("naive: ts > W", "ts"))

    def __enter__(self) -> Self:
        super().__enter__()
        self.primary.admin(
            f"CREATE SEQUENCE written_block_seq INCREMENT BY {BLOCK}",
            f"CREATE TABLE nodes AS SELECT node, 0::bigint AS used, 0::bigint AS last FROM generate_series(0, {NODES - 1}) node",
            f"""CREATE FUNCTION hand_out(which int) RETURNS bigint LANGUAGE plpgsql AS $$
                DECLARE taken bigint;
                BEGIN
                  UPDATE nodes SET used = used + 1 WHERE node = which AND used < last RETURNING used INTO taken;
                  IF taken IS NULL THEN
                    taken := nextval('written_block_seq');
                    UPDATE nodes SET used = taken, last = taken + {BLOCK - 1} WHERE node = which;
                  END IF;
                  RETURN taken;
                END $$""",
            "ALTER TABLE written ALTER ts SET DEFAULT now()",
        )
        return self

    def configuration(self, url: str) -> str:
        views = [("id_auto", "number", "auto"), ("ts_auto", "ts", "auto"), ("ts_lookback", "ts", "lookback")]
        return configured(url, self.replica.url(), views, self.wait_s)

    def script(self, longest_s: float) -> str:
        return (
            f"\\set kind random(1, 1000)\n\\set node random(0, {NODES - 1})\n\\set pause random(0, {int(PAUSE_S * 1000)})\n"
            f"\\set behind random(0, {int(BEHIND_S * 1000)})\n\\set rest random(0, 60)\n"
            f"\\if :kind <= {int(LONG_SHARE * 1000)}\n\\set hold random(1000, {int(longest_s * 1000)})\n"
            "\\else\n\\set hold random(0, 30)\n\\endif\n"
            "SELECT hand_out(:node) AS number \\gset\nBEGIN;\nSELECT now();\n"
            "\\if :kind <= 333\n\\sleep :pause ms\nINSERT INTO written (number, player) VALUES (:number, :kind);\n"
            "\\elif :kind <= 667\n"
            "INSERT INTO written VALUES (:number, clock_timestamp() - :behind * interval '1 ms', :kind);\n"
            "\\else\nINSERT INTO written VALUES (:number, clock_timestamp(), :kind);\n\\endif\n\\sleep :hold ms\n"
            f"\\if :kind > {1000 - int(ROLLED_BACK * 1000)}\nROLLBACK;\n\\else\nCOMMIT;\n\\endif\n\\sleep :rest ms\n"
        )


class Mysql:
    """MariaDB with threads as the writers: they mostly sleep."""

    name = "mariadb"
    writers = 24
    views = ("id_gaps", "ts_lookback")
    naive_readers = (("naive: id > W", "number"), ("naive: ts > W", "ts"))

    def __enter__(self) -> Self:
        self.primary = mariadb.Server.create("--log-bin")
        self.replica = self.primary.create_replica()
        self.primary.admin("CREATE DATABASE casino")
        self.primary.admin(
            "CREATE TABLE written (number BIGINT PRIMARY KEY AUTO_INCREMENT, ts TIMESTAMP(6) NOT NULL, player INT NOT NULL, "
            "KEY (ts, number))",
            "CREATE TABLE ids (number BIGINT PRIMARY KEY AUTO_INCREMENT)",
            "CREATE VIEW rows_seen AS SELECT number, number AS copy, ts, 'b' AS ext_brand_id, player AS user_ext_id FROM written",
            database="casino",
        )
        self.replica.admin("GRANT REPLICA MONITOR ON *.* TO reader@'127.0.0.1'")
        while not self.replica.admin("SELECT 1 FROM information_schema.VIEWS WHERE TABLE_NAME = 'rows_seen'"):
            time.sleep(0.1)
        self.wait_s = 45
        self.ends: dict[int, float] = {}
        return self

    def __exit__(self, *_: object) -> None:
        self.replica.remove()
        self.primary.remove()

    def configuration(self, url: str) -> str:
        views = [("id_gaps", "number", "gaps"), ("ts_lookback", "ts", "lookback")]
        return configured(url, self.replica.url("casino"), views, self.wait_s)

    def write(self, seconds: float, longest_s: float) -> None:
        end = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self.writer, args=(seed, end, longest_s), daemon=True)
            for seed in range(self.writers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def writer(self, seed: int, end: float, longest_s: float) -> None:
        """One writer: an id and a time early, the insert later, the end later still."""
        dice = random.Random(seed)
        connection = self.primary.owner("casino")
        connection.autocommit(False)
        with connection, connection.cursor() as cursor:
            while time.monotonic() < end:
                cursor.execute("START TRANSACTION")
                cursor.execute("INSERT INTO ids VALUES (NULL)")
                number = cursor.lastrowid
                cursor.execute("SELECT SYSDATE(6)")
                ((moment,),) = cursor.fetchall()
                if dice.random() < 0.2:
                    time.sleep(dice.random() * EARLY_S)
                cursor.execute("INSERT INTO written VALUES (%s, %s, %s)", (number, moment, dice.randrange(1000)))
                long = dice.random() < LONG_SHARE
                time.sleep(1 + dice.random() * (longest_s - 1) if long else dice.random() * 0.03)
                if dice.random() < ROLLED_BACK:
                    connection.rollback()
                else:
                    connection.commit()
                    self.ends[number] = time.time()
                time.sleep(dice.random() * 0.06)

    def committed(self) -> dict[int, float]:
        rows = self.primary.admin("SELECT number FROM written", database="casino")
        return {number: self.ends[number] for (number,) in rows}

    @contextmanager
    def reader(self) -> Iterator[Callable[[str], list[tuple]]]:
        url = self.replica
        connection = pymysql.connect(
            host="127.0.0.1", port=url.port, user="reader", password=mariadb.PASSWORD.encode(), database="casino",
            autocommit=True, init_command="SET time_zone='+00:00'", ssl_disabled=True,
        )  # fmt: skip

        def ask(query: str) -> list[tuple]:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return list(cursor.fetchall())

        with connection:
            yield ask

    def naive(self, cursor: str, last: Any, back: str) -> str:  # noqa: ARG002 - no margin here
        since = "" if last is None else f"WHERE {cursor} > '{last}'"
        return f"SELECT number, {cursor} FROM rows_seen {since} ORDER BY {cursor}"
