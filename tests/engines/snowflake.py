"""Snowflake: an account of one's own where SYNC_TEST_SNOWFLAKE_URL names it, else fakesnow.

It has no indexes: it prunes micro-partitions, which `plan` judges. It has no snapshot of several statements, so each
question of a reading has one of its own. It has one address, and fakesnow takes any password and database.
"""

from __future__ import annotations

import re

import snowflake.connector

from engines.engine import Engine
from servers.patient import patient
from smartico_sync.errors import SourceUnreachable
from smartico_sync.sources.snowflake.login import Login

WEIGHT = "heavy"
STAND_IN = "fakesnow over DuckDB"


class Snowflake(Engine):
    name = "snowflake"
    types = {
        "integer": "NUMBER(38,0)",
        "text": "VARCHAR",
        "timestamp": "TIMESTAMP_NTZ(9)",
        "instant": "TIMESTAMP_LTZ(9)",
        "decimal": "NUMBER(38,10)",
        "float": "FLOAT",
        "boolean": "BOOLEAN",
        "date": "DATE",
    }
    lacks = frozenset({"indexes", "snapshots", "hosts", "users", "databases", "resets"})
    silent = "in time"
    closed = SourceUnreachable

    def __init__(self, schema):
        super().__init__(schema.url)
        self.execute = schema.execute
        self.account = schema.account
        self.made = []

    def sleeping(self, seconds):
        return f"SELECT SYSTEM$WAIT({seconds}) AS id"

    def asleep(self, seconds):
        return any(f"SYSTEM$WAIT({seconds})" in text for text in self.account.told()["statements"])

    def quoted(self, name):
        """What nobody quotes is stored in capitals."""
        return super().quoted(name.upper() if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else name)

    def literal(self, value):
        """A backslash escapes."""
        return super().literal(value).replace("\\", "\\\\")

    def schema(self, name):
        self.made.append(super().schema(name))
        return name

    def close(self):
        super().close()
        for name in self.made:
            self.execute(f"DROP SCHEMA {self.quoted(name)} CASCADE")


def serve(request):
    engine = Snowflake(request.getfixturevalue("snowflake_schema"))
    yield engine
    engine.close()


def bare(url: str, query: str) -> int:
    """How many rows the driver alone fetches, by Arrow."""
    arguments = Login(patient(url)).arguments()
    with snowflake.connector.connect(**arguments) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return sum(table.num_rows for table in cursor.fetch_arrow_batches())
