"""ClickHouse: a server of one's own where SYNC_TEST_CLICKHOUSE_URL names it, else its engine (chDB) behind HTTP.

It has no snapshot of several queries: each sees the parts that are there when it begins. Its index is the order of a
table or of a projection; granules of four rows make a small table large enough to have one. A connection that breaks is
asked again by its driver.
"""

from __future__ import annotations

import json
import urllib.request

import clickhouse_connect

from engines.engine import Engine
from servers.patient import patient
from smartico_sync.errors import SourceUnreachable
from smartico_sync.sources.clickhouse.login import Login

WEIGHT = "heavy"
STAND_IN = "chDB behind HTTP"
TABLE = "ENGINE = MergeTree ORDER BY tuple() SETTINGS index_granularity = 4, allow_nullable_key = 1"


class ClickHouse(Engine):
    name = "clickhouse"
    types = {
        "integer": "Nullable(Int64)",
        "text": "Nullable(String)",
        "timestamp": "Nullable(DateTime64(6))",
        "instant": "Nullable(DateTime64(6, 'UTC'))",
        "decimal": "Nullable(Decimal(38, 10))",
        "float": "Nullable(Float64)",
        "boolean": "Nullable(Bool)",
        "date": "Nullable(Date32)",
    }
    lacks = frozenset({"snapshots", "resets"})
    silent = "in time"
    closed = SourceUnreachable

    def __init__(self, database):
        super().__init__(database.url)
        self.execute = database.execute
        self.made = []

    def sleeping(self, seconds):
        """Numbers that nobody ever reaches the end of."""
        return f"SELECT count() AS id FROM numbers({seconds}000000000000) WHERE sipHash64(number) = {seconds}"

    def asleep(self, seconds):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/told") as answer:
            asked = [each["query"] for each in json.load(answer)]
        return any(f"sipHash64(number) = {seconds}" in query and "ORDER BY" in query for query in asked)

    def quoted(self, name):
        return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"

    def place(self, name):
        return self.quoted(name.strip('"')) if name.startswith('"') else super().place(name)

    def literal(self, value):
        """A backslash escapes; times are written in UTC and without it."""
        return super().literal(value).replace("\\", "\\\\").replace("+00'", "'")

    def table(self, name, columns, rows=()):
        declared = ", ".join(f"{self.quoted(column)} {self.types[family]}" for column, family in columns.items())
        self.execute(f"CREATE TABLE {self.place(name)} ({declared}) {TABLE}")
        self.insert(name, rows)

    def index(self, relation, *columns):
        listed = ", ".join(map(self.quoted, columns))
        self.execute(
            f"ALTER TABLE {self.place(relation)} ADD PROJECTION o (SELECT * ORDER BY {listed}), MATERIALIZE PROJECTION o"
        )

    def drop(self, name):
        self.execute(f"DROP TABLE IF EXISTS {self.place(name)} SYNC")

    def rename(self, name, to):
        self.execute(f"RENAME TABLE {self.place(name)} TO {self.place(to)}")

    def schema(self, name):
        self.execute(f"CREATE DATABASE {self.quoted(name)}")
        self.made.append(name)
        return name

    def close(self):
        super().close()
        for name in self.made:
            self.execute(f"DROP DATABASE {self.quoted(name)} SYNC")


def serve(request):
    engine = ClickHouse(request.getfixturevalue("clickhouse_database"))
    yield engine
    engine.close()


def bare(url: str, query: str) -> int:
    """How many rows the driver alone fetches, by Arrow."""
    login = Login(patient(url))
    client = clickhouse_connect.get_client(**login.arguments(*login.hosts()[0]))
    rows = client.query_arrow(query).num_rows
    client.close()
    return rows
