"""Oracle: a real one where SYNC_TEST_ORACLE_URL names it, else SQLite behind Oracle's protocol and driver."""

from __future__ import annotations

import re

from engines.engine import Engine
from smartico_sync.sources.oracle.types import ORACLE

WEIGHT = "light"
STAND_IN = "a TNS listener of our own over SQLite"
LONGEST = 4000  # bytes of a VARCHAR2; a longer text is a CLOB


class Oracle(Engine):
    name = "oracle"
    types = {
        "integer": "NUMBER(19)",
        "text": "VARCHAR2(4000)",
        "timestamp": "TIMESTAMP(6)",
        "instant": "TIMESTAMP(6) WITH TIME ZONE",
        "decimal": "NUMBER(38,10)",
        "float": "BINARY_DOUBLE",
        "boolean": "NUMBER(1)",
        "date": "DATE",
    }
    # The listener has one service and answers at once; the driver's own limits are tested beside it. A socket that was reset is
    # forgotten by the driver and not closed, which Python's garbage collector then warns of, whenever it comes by.
    lacks = frozenset({"databases", "sleep", "silence", "resets", "refusals"})
    silent = None
    awkward = "a 'b' :c %(n)s"  # no double quote in a name, and an empty text is NULL

    def __init__(self, database):
        super().__init__(database.url)
        self.database = database
        self._families: dict[str, list[str]] = {}
        if not hasattr(database, "drop"):  # not Oracle's own: digits behind the fifteenth are only kept as text
            self.types = {**self.types, "decimal": "NUMBER TEXT(38,10)", "instant": "TIMESTAMP ZONE(6)"}

    def execute(self, *statements):
        return self.database.execute(*statements)

    def quoted(self, name):
        """As the database stores it: plain names in capitals."""
        return super().quoted(ORACLE.dialect.denormalize_name(name))

    def kept(self, text):
        return text or None

    def table(self, name, columns, rows=()):
        rows = list(rows)
        long = {column for row in rows for column, value in zip(columns, row, strict=True) if _long(value)}
        declared = ", ".join(
            f"{self.quoted(column)} {'CLOB' if column in long else self.types[family]}"
            for column, family in columns.items()
        )
        self.execute(f"CREATE TABLE {self.place(name)} ({declared})")
        self._families[name] = list(columns.values())
        self.insert(name, rows)

    def insert(self, name, rows):
        if rows := [tuple(row) for row in rows]:
            self.database.insert(self.place(name), rows, self._families[name])

    def index(self, relation, *columns):
        listed = ", ".join(self.quoted(column) for column in columns)
        self.execute(f"CREATE INDEX {relation}_{columns[0]} ON {self.place(relation)} ({listed})")

    def drop(self, name):
        found = self.execute("SELECT table_name FROM user_tables") if hasattr(self.database, "drop") else None
        if found is None:
            super().drop(name)
        elif (name.upper(),) in found:
            self.execute(f"DROP TABLE {self.place(name)} PURGE")

    def schema(self, name):
        """A schema is a user here: the test's own."""
        return re.sub(r":.*", "", self.url.partition("://")[2]).lower() if hasattr(self.database, "drop") else "main"


def _long(value):
    return isinstance(value, str) and len(value.encode()) > LONGEST


def bare(url: str, query: str) -> int:
    """Rows of a query by the driver's Arrow path."""
    import oracledb

    from servers.patient import patient
    from smartico_sync.sources.oracle.login import Login

    (address,) = Login(patient(url)).addresses()
    with oracledb.connect(params=address) as connection:
        return sum(batch.num_rows() for batch in connection.fetch_df_batches(query, size=10_000, fetch_decimals=True))


def serve(request):
    engine = Oracle(request.getfixturevalue("oracle"))
    yield engine
    engine.close()
