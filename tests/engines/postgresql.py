"""PostgreSQL, the real thing."""

from __future__ import annotations

from engines.engine import Engine

WEIGHT = "light"


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


def serve(request):
    engine = PostgreSQL(request.getfixturevalue("postgresql"))
    yield engine
    engine.close()
