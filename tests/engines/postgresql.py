"""PostgreSQL, the real thing."""

from __future__ import annotations

from engines.engine import Engine

WEIGHT = "light"
STAND_IN = ""
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"


class PostgreSQL(Engine):
    name = "postgresql"
    types = {
        "integer": "bigint",
        "text": "text",
        "timestamp": "timestamp",
        "instant": "timestamptz",
        "decimal": "numeric(38,10)",
        "float": "double precision",
        "boolean": "boolean",
        "date": "date",
    }

    def __init__(self, database):
        super().__init__(database.url)
        self.execute = database.execute

    def sleeping(self, seconds):
        return f"SELECT 1 AS id, pg_sleep({seconds})::text AS slept"

    def asleep(self, seconds):
        return self.execute(ASLEEP) == [(1,)]


def bare(url: str, query: str) -> int:
    """Rows of a query, binary: the driver's fastest way to values. (COPY is faster, and gives bytes that nobody has parsed.)"""
    import psycopg

    with psycopg.connect(url) as connection, connection.cursor(binary=True) as cursor:
        return len(cursor.execute(query).fetchall())


def serve(request):
    engine = PostgreSQL(request.getfixturevalue("postgresql"))
    yield engine
    engine.close()
