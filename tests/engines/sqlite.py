"""SQLite, in a file of the test's own."""

from __future__ import annotations

import sqlite3

from engines.engine import Engine

WEIGHT = "light"
STAND_IN = ""


class SQLite(Engine):
    name = "sqlite"
    types = {
        "integer": "INTEGER",
        "text": "TEXT",
        "timestamp": "TIMESTAMP",
        "instant": "TIMESTAMPTZ",
        "decimal": "TEXT",
        "float": "REAL",
        "boolean": "BOOLEAN",
        "date": "DATE",
    }

    def __init__(self, path):
        super().__init__(f"sqlite:///{path}")
        self.writer = sqlite3.connect(path, isolation_level=None)
        self.writer.execute("PRAGMA journal_mode=WAL")

    def execute(self, *statements):
        rows = []
        for statement in statements:
            rows = self.writer.execute(statement).fetchall()
        return rows

    def schema(self, name):
        return "main"  # SQLite's only one

    def close(self):
        super().close()
        self.writer.close()


def bare(url: str, query: str) -> int:
    """Rows of a query by the driver's only path."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    try:
        return len(connection.execute(query).fetchall())
    finally:
        connection.close()


def serve(request):
    engine = SQLite(request.getfixturevalue("tmp_path") / "replica.db")
    yield engine
    engine.close()
