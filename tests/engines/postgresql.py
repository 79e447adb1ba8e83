"""PostgreSQL, the real thing."""

from __future__ import annotations

from engines.engine import Engine

WEIGHT = "light"
STAND_IN = ""


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


def bare(url: str, query: str) -> int:
    """Rows of a query, binary: the driver's fastest way to values. (COPY is faster, and gives bytes that nobody has parsed.)"""
    import psycopg

    with psycopg.connect(url) as connection, connection.cursor(binary=True) as cursor:
        return len(cursor.execute(query).fetchall())


def serve(request):
    engine = PostgreSQL(request.getfixturevalue("postgresql"))
    yield engine
    engine.close()
