"""SQL Server's protocol and drivers over DuckDB; the real thing where SYNC_TEST_MSSQL_URL names it.

On a real server keys are texts as its collations compare them: `a` and `a ` are one there, whatever the collation.
"""

from __future__ import annotations

import datetime as dt
import struct

from engines.engine import Engine
from smartico_sync.sources.kit.url import parse

WEIGHT = "heavy"
STAND_IN = "a TDS server of our own over DuckDB"
DATETIMEOFFSET = -155  # pyodbc does not know it, and leaves it to a converter


class SQLServer(Engine):
    name = "mssql"
    types = {
        "integer": "bigint",
        "text": "nvarchar(max) COLLATE Latin1_General_100_BIN2",
        "timestamp": "datetime2(7)",
        "instant": "datetimeoffset(7)",
        "decimal": "decimal(38,10)",
        "float": "float",
        "boolean": "bit",
        "date": "date",
    }

    lacks = frozenset({"sleep"})  # WAITFOR is no query

    def __init__(self, database):
        super().__init__(database.url)
        self.execute = database.execute
        self.database = database

    def quoted(self, name):
        return "[" + name.replace("]", "]]") + "]"

    def literal(self, value):
        text = super().literal(value)
        if not isinstance(value, str):
            return text.replace("+00'", "+00:00'")
        # A backslash at the end of a line would swallow the line's end.
        return "N" + text.replace("\\\n", "\\' + N'\n").replace("\\\r", "\\' + N'\r")

    def rename(self, name, to):
        self.execute(f"EXEC sp_rename N'{name}', N'{to}'")

    def place(self, name):
        return self.quoted(name[1:-1].replace('""', '"')) if name.startswith('"') else super().place(name)


def serve(request):
    engine = SQLServer(request.getfixturevalue("mssql"))
    yield engine
    engine.close()


def bare(url: str, query: str) -> int:
    """Fetch a whole query by the fastest way that pyodbc documents."""
    from servers.mssql import connection

    told = parse(url)
    host, port = told.hosts[0]
    parameters = told.parameters
    link = connection(parameters["driver"], host, int(port), told.user, told.password, told.path, parameters["encrypt"])
    link.add_output_converter(DATETIMEOFFSET, _instant)
    try:
        return len(link.execute(query).fetchall())
    finally:
        link.close()


def _instant(data: bytes) -> dt.datetime:
    *wall_clock, nanoseconds, hours, minutes = struct.unpack("<6hI2h", data)
    zone = dt.timezone(dt.timedelta(hours=hours, minutes=minutes))
    return dt.datetime(*wall_clock, nanoseconds // 1000, tzinfo=zone)
