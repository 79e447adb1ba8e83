"""SQLite in Oracle's clothes: the few words of Oracle's SQL that the source uses, as functions and small rewritings.

What it can show is that positions, pages and ranges are right, and that the real driver carries them. What it cannot show is
that Oracle itself takes the statements.
"""

from __future__ import annotations

import re
import sqlite3
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from stand_ins.oracle.values import Answer, Asked, Field

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

NO_TABLE, NO_COLUMN, CANNOT_PARSE, READ_ONLY = 942, 904, 900, 1456
TEXT, NUMBER = Field("T"), Field("N", "NUMBER", 0, -127)
SORT = "USE TEMP B-TREE FOR ORDER BY"


def owned(path: Path, statements: Iterable[str], rows: Sequence[Sequence[Any]] = ()) -> list[tuple]:
    """Run statements as the owner; with rows, the one statement for each."""
    connection = sqlite3.connect(path, isolation_level=None)
    found: list[tuple] = []
    for statement in statements:
        if rows:
            connection.execute("BEGIN")
            connection.executemany(statement, [[_stored(value) for value in row] for row in rows])
            connection.execute("COMMIT")
        else:
            found = connection.execute(statement).fetchall()
    connection.close()
    return found


class SQLiteDesk:
    """One connection's."""

    def __init__(self, path: Path):
        self.database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.plan: list[tuple[str, ...]] = []
        for name, function in FUNCTIONS.items():
            self.database.create_function(name, -1, function, deterministic=True)

    def end(self) -> None:
        if self.database.in_transaction:
            self.database.execute("ROLLBACK")

    def named(self, told: dict[str, str]) -> None:
        pass

    def answer(self, asked: Asked) -> Answer | None:
        text = re.sub(r"/\*.*?\*/\s*", "", asked.text, flags=re.DOTALL).strip()
        if text == "SET TRANSACTION READ ONLY":
            self.database.execute("BEGIN")
            self.database.execute("SELECT count(*) FROM sqlite_master").fetchall()  # takes the snapshot
            return None
        if text.startswith(("ALTER SESSION", "BEGIN")):
            return None
        if text.startswith("EXPLAIN PLAN"):
            self.plan = self._plan(text.partition(" FOR ")[2])
            return None
        if not text.startswith(("SELECT", "WITH")):
            return Answer(error=READ_ONLY)
        return self._known(text) or self._queried(text, [value for _, value in asked.binds])

    def _known(self, text: str) -> Answer | None:
        """The catalogue, and the server itself."""
        for word, answer in CATALOGUE.items():
            if word in text:
                return answer
        if "SYSTIMESTAMP" in text:
            now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            return Answer([TEXT, TEXT], [(now, "PRIMARY")])
        if "ALL_TABLES" in text and "UNION" in text:
            names = self.database.execute(
                "SELECT 'MAIN', name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY 2"
            )
            return Answer([TEXT, TEXT], names.fetchall())
        if "VIEW_NAME, TEXT FROM ALL_VIEWS" in text:
            views = self.database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'")
            return Answer([TEXT, TEXT], views.fetchall())
        if "FROM PLAN_TABLE" in text:
            return Answer([TEXT] * 6, self.plan)
        if "DBMS_XPLAN" in text:
            return Answer([TEXT], [(" ".join(step[:2]),) for step in self.plan])
        return None

    def _queried(self, text: str, binds: list[Any]) -> Answer:
        try:
            query = _translated(text, binds)
            fields = self._described(query, text)
            rows = self.database.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            code = (
                NO_TABLE
                if "no such table" in str(error)
                else NO_COLUMN
                if "no such column" in str(error)
                else CANNOT_PARSE
            )
            return Answer(error=code)
        return Answer(fields, [tuple(map(_given, fields, row)) for row in rows])

    def _described(self, query: str, text: str) -> list[Field]:
        """SQLite tells the declared type of a column through views and subqueries, and none for an expression."""
        self.database.execute(f"CREATE TEMP VIEW described AS {query}")
        columns = self.database.execute("PRAGMA temp.table_info(described)").fetchall()
        self.database.execute("DROP VIEW temp.described")
        return [_field(name, declared, text) for _, name, declared, *_ in columns]

    def _plan(self, text: str) -> list[tuple[str, ...]]:
        self.database.execute(
            "SELECT count(*) FROM sqlite_master"
        ).fetchall()  # a plan alone would not notice a new index
        steps = [row[3] for row in self.database.execute(f"EXPLAIN QUERY PLAN {_translated(text, [])}")]
        sorted_by = re.findall(r'"\w+"\."\w+"', text.rpartition("ORDER BY")[2].partition(")")[0])
        projection = f"(#keys={len(sorted_by)}) " + ", ".join(f"{name}[NUMBER,22]" for name in sorted_by)
        plan = [("SORT", "ORDER BY STOPKEY", "", "", "", projection)] if SORT in steps else []
        for step in steps:
            if found := re.match(r"(SCAN|SEARCH) (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step):
                how, table, index = found.groups()
                alias = f'"{table}"@"SEL$2"'
                if index:
                    scan = "FULL SCAN" if how == "SCAN" else "RANGE SCAN"
                    plan.append(("TABLE ACCESS", "BY INDEX ROWID", "", table, alias, ""))
                    plan.append(("INDEX", scan, "", index, alias, ""))
                else:
                    plan.append(("TABLE ACCESS", "FULL", "", table, alias, ""))
        return plan


def _translated(text: str, binds: list[Any]) -> str:
    values = iter(binds)
    parts = re.split(r"""('(?:[^']|'')*'|"[^"]*"|--[^\n]*|:\w+)""", text)
    filled = "".join(_constant(next(values)) if part.startswith(":") else part for part in parts)
    return re.sub(r"\bWHERE ROWNUM <= (\d+)", r"LIMIT \1", filled)


def _constant(value: Any) -> str:
    return (
        str(value) if isinstance(value, Decimal) else "NULL" if value is None else "'" + value.replace("'", "''") + "'"
    )


def _field(name: str, declared: str, text: str) -> Field:
    kind, *digits = re.findall(r"[A-Z][A-Z0-9_]*|\d+", declared.upper()) or [
        "NUMBER" if "count(*)" in text else "VARCHAR2"
    ]
    numbers = [int(word) for word in digits if word.isdigit()]
    if kind == "NUMBER":
        return Field(name, "NUMBER", numbers[0], *numbers[1:2]) if numbers else Field(name, "NUMBER", 0, -127)
    if kind == "TIMESTAMP":
        return Field(name, "TIMESTAMP WITH TIME ZONE" if "ZONE" in declared else "TIMESTAMP", 0, numbers[0])
    return Field(name, kind)


def _given(field: Field, value: Any) -> Any:
    if value is None or value == "":
        return None
    return Decimal(str(value)) if field.kind == "NUMBER" else str(value)


def _stored(value: Any) -> Any:
    """Times with nine digits, so that their texts compare; an empty text is NULL."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds") + "000"
    return None if value == "" else value


def _printed(value: Any, form: str = "") -> str | None:
    if value is None or not form or form == "TM9":
        return None if value is None else str(value)
    whole, _, fraction = value.partition(".")
    whole = whole if " " in whole else f"{whole} 00:00:00"  # a DATE has a time of day
    digits = int(form[-1]) if "FF" in form else 0
    return f" {whole}" + (f".{fraction:0<9}"[: digits + 1] if digits else "")


FUNCTIONS = {
    "to_char": _printed,
    "to_timestamp": lambda text, form: text.strip(),
    "to_date": lambda text, form: text.strip().removesuffix(" 00:00:00"),
    "to_number": lambda text: int(text) if re.fullmatch(r"-?\d+", text) else float(text),
    "from_tz": lambda text, zone: text,
    "sys_extract_utc": lambda text: text,
    "hextoraw": bytes.fromhex,
}
CATALOGUE = {
    "PRODUCT_COMPONENT_VERSION": Answer([TEXT] * 4, [("19.0.0.0.0", "+02:00", "READER", "FALSE")]),
    "SESSION_PRIVS": Answer([TEXT], [("CREATE SESSION",)]),
    "ALL_TAB_PRIVS": Answer([NUMBER], [(0,)]),
    "USER_TABLES": Answer([NUMBER], [(0,)]),
}
