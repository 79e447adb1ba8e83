"""SQLite files that another process writes: the embedded default."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Column, Family, Relation, Snapshot
from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources import groups, sql
from smartico_sync.sources.frames import frame, position_text, schema
from smartico_sync.sources.pool import Pool
from smartico_sync.sources.protocol import Plan, ServerFacts
from smartico_sync.sources.url import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.sources.sql import Expression, Statement

__all__ = ["SqliteReading", "SqliteSource", "connect"]

STEPS = 20_000  # virtual machine steps between two looks at the clock: a few milliseconds
SAMPLED = 1_000  # rows that tell the type of a column declared without one
FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"BOOL", "boolean"),
    (r"TIMESTAMPTZ|DATETIMETZ|WITH TIME ZONE", "instant"),
    (r"DATETIME|TIMESTAMP", "timestamp"),
    (r"^DATE", "date"),
    (r"JSON", "json"),
    (r"UUID|GUID", "uuid"),
    (r"INT", "integer"),
    (r"CHAR|CLOB|TEXT|STRING", "text"),
    (r"BLOB|BINARY", "binary"),
    (r"REAL|FLOA|DOUB", "float"),
    (r"DEC|NUM|MONEY", "decimal"),
)
STORED: dict[str, Family] = {"integer": "integer", "real": "float", "text": "text", "blob": "binary"}


class SqliteGrammar:
    """SQLite compares by the column's affinity; parameters arrive as Python values of the column's family."""

    dialect: sa.Dialect = SQLiteDialect(paramstyle="named")

    def bind(self, column: Column, name: str) -> Expression:  # noqa: ARG002  - see _value
        """The parameter as it is."""
        return sa.bindparam(name)

    def project(self, column: Column, expression: Expression) -> Expression:  # noqa: ARG002
        """The column as it is."""
        return expression

    def position(self, column: Column, expression: Expression) -> Expression | None:  # noqa: ARG002
        """Python's values hold everything."""
        return None

    def order(self, above: tuple[Expression, ...], binds: tuple[Expression, ...]) -> Expression:
        """The form every planner understands."""
        return sql.either(above, binds)


SQLITE = SqliteGrammar()


def connect(name: str, config: SourceConfig) -> SqliteSource:
    """The source of that name; the first question opens the file."""
    return SqliteSource(name, config)


class _File:
    """One read-only connection, and the file it was opened on."""

    def __init__(self, path: Path, busy_s: float) -> None:
        self.path = path
        try:
            self.identity = _identity(path)
            self.connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro",
                uri=True,
                timeout=busy_s,
                isolation_level=None,
                check_same_thread=False,
            )
            self.connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        except OSError as error:
            raise SourceUnreachable(
                f"{path}: {error.strerror or 'not readable'}",
                hint="check the path in the source's url; it is relative to the current directory",
            ) from None
        except sqlite3.Error as error:
            raise _failure(error, str(path), "opening") from None

    def usable(self) -> bool:
        """Whether the file is still the one that was opened: a restored copy has another identity."""
        try:
            return not self.connection.in_transaction and _identity(self.path) == self.identity
        except (OSError, sqlite3.ProgrammingError):
            return False

    def abort(self) -> None:
        with suppress(sqlite3.Error):
            self.connection.interrupt()

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.connection.close()


class SqliteReading:
    """One deferred transaction: a snapshot from its first question on."""

    snapshot: Snapshot | None = None

    def __init__(self, connection: sqlite3.Connection, relation: Relation, place: str) -> None:
        self._connection = connection
        self._relation = relation
        self._place = place
        self.clock_ms = time.time_ns() // 1_000_000  # file and daemon share one clock

    def page(self, after: Position | None, limit: int, through: str | None = None) -> pl.DataFrame:
        """Rows after the position, in order."""
        bound = "open" if through is None else "through"
        statement = sql.page(SQLITE, self._relation, sql.shape(self._relation, after), bound)
        values = sql.position_parameters(after) | ({} if through is None else {"through": through})
        return self._whole_groups(statement, values, limit)

    def keys(self, low: str | None, high: str, limit: int, after: Position | None = None) -> pl.DataFrame:
        """Cursor and key of a range."""
        statement = sql.keys(SQLITE, self._relation, sql.shape(self._relation, after), "open" if low is None else "low")
        return self._whole_groups(statement, sql.position_parameters(after) | sql.count_parameters(low, high), limit)

    def rows(self, positions: Iterable[Position]) -> pl.DataFrame:
        """The rows at these positions."""
        wanted = list(positions)
        if not wanted:
            return pl.DataFrame(schema=schema(self._relation))
        size, values = sql.among_parameters(self._relation, wanted)
        return sql.exactly(self._relation, self._frame(sql.rows(SQLITE, self._relation, size), values), wanted)

    def by_cursor(self, values: Iterable[str]) -> pl.DataFrame:
        """The rows with one of these cursors."""
        wanted = [Position(value) for value in values]
        if not wanted:
            return pl.DataFrame(schema=schema(self._relation))
        size, parameters = sql.among_parameters(replace(self._relation, key=()), wanted)
        return self._frame(sql.by_cursor(SQLITE, self._relation, size), parameters)

    def head(self) -> str | None:
        """The highest cursor."""
        rows = self._told(sql.head(SQLITE, self._relation), {})
        return position_text(rows[0][0]) if rows else None

    def null_cursors(self) -> int:
        """How many rows have no place in the order."""
        return int(self._told(sql.null_cursors(SQLITE, self._relation), {})[0][0])

    def count(self, low: str | None, high: str) -> int:
        """How many rows are in the range."""
        statement = sql.count(SQLITE, self._relation, "open" if low is None else "low")
        return int(self._told(statement, sql.count_parameters(low, high))[0][0])

    def explained(self, after: Position | None, limit: int) -> list[str]:
        """SQLite's plan for the page, one line a step."""
        statement = sql.page(SQLITE, self._relation, sql.shape(self._relation, after), "open")
        values = self._bound(sql.position_parameters(after)) | {"n": limit} | dict(statement.constants)
        # Python keeps prepared statements, and a prepared EXPLAIN does not notice a new index: make each its own.
        fresh = f"EXPLAIN QUERY PLAN /* {time.monotonic_ns()} */ {statement.text}"
        return [row[3] for row in self.ask(fresh, values)]

    def ask(self, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        try:
            try:
                return self._connection.execute(statement, dict(values)).fetchall()
            except sqlite3.OperationalError as error:
                if "decode to UTF-8" not in str(error):
                    raise
                return self._tolerant(statement, values)
        except sqlite3.Error as error:
            raise _failure(error, self._place, f"view {self._relation.name}") from None

    def _tolerant(self, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Text that is not UTF-8 arrives as bytes, and so spoils its own row only."""
        self._connection.text_factory = _text_or_bytes
        try:
            return self._connection.execute(statement, dict(values)).fetchall()
        finally:
            self._connection.text_factory = str

    def _whole_groups(self, statement: Statement, values: dict[str, str], limit: int) -> pl.DataFrame:
        if self._relation.key:
            return self._frame(statement, values, limit)
        return groups.complete(lambda rows: self._frame(statement, values, rows), limit)

    def _frame(self, statement: Statement, values: dict[str, str], limit: int | None = None) -> pl.DataFrame:
        rows = self._told(statement, values, limit)
        positions = [
            pl.Series(name, [position_text(row[index]) for row in rows], dtype=pl.String)
            for name, index in statement.positions
        ]
        if not statement.columns:
            return pl.DataFrame(positions)
        return frame(statement.columns, rows, self._relation.timezone).hstack(positions)

    def _told(self, statement: Statement, values: Mapping[str, str], limit: int | None = None) -> list[tuple[Any, ...]]:
        return self.ask(statement.text, self._bound(values) | dict(statement.constants) | {"n": limit})

    def _bound(self, values: Mapping[str, str]) -> dict[str, Any]:
        """Parameters as values of their columns; `k3` and `k3_17` belong to the key's part 3, all others to the cursor."""
        bound = {}
        for parameter, text in values.items():
            part = re.fullmatch(r"k(\d+)(_\d+)?", parameter)
            column = self._relation.column(self._relation.key[int(part.group(1))] if part else self._relation.cursor)
            bound[parameter] = text if column is None else _value(column.family, text)
        return bound


class SqliteSource:
    """Read-only connections to one file."""

    engine = "sqlite"

    def __init__(self, name: str, config: SourceConfig) -> None:
        self.name = name
        url = parse(config.url.get_secret_value())
        path = Path(url.path or url.place)
        self._timeout_s = config.statement_timeout / 1000
        self._place = f"source {name} ({path})"
        self._pool: Pool[_File] = Pool(lambda: _File(path, self._timeout_s), config.pool, self._timeout_s)

    def describe(self, relation: Relation) -> Relation:
        """The relation with its columns."""
        bare = replace(relation, columns=())
        with self.reading(bare) as reading:
            try:
                reading.ask(f"CREATE TEMP VIEW smartico_sync_described AS {sql.star(SQLITE, bare)}", {})
                listed = reading.ask("PRAGMA temp.table_info(smartico_sync_described)", {})
            except ViewBroken as broken:
                near = get_close_matches(relation.relation or "", self._names(reading), n=3, cutoff=0.5)
                raise ViewBroken(
                    broken.message, hint=f"did you mean {', '.join(near)}?" if near else broken.hint
                ) from None
            names = [row[1] for row in listed]
            for column in (relation.cursor, *relation.key):
                if column not in names:
                    near = get_close_matches(column, names, n=3, cutoff=0.5)
                    hint = f"did you mean {', '.join(near)}?" if near else f"it has: {', '.join(names)}"
                    raise ViewBroken(f"{self._place}: view {relation.name} has no column {column!r}", hint=hint)
            columns = tuple(Column(row[1], row[2], _family(row[2])) for row in listed)
            described = replace(relation, columns=columns)
            return replace(relation, columns=tuple(_sampled(reading, described, column) for column in columns))

    @contextmanager
    def reading(self, relation: Relation) -> Iterator[SqliteReading]:
        """A transaction over a described relation."""
        with self._pool.link() as file:
            connection = file.connection
            deadline = time.monotonic() + self._timeout_s
            connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
            try:
                connection.execute("BEGIN")
                yield SqliteReading(connection, relation, self._place)
            except sqlite3.Error as error:
                raise _failure(error, self._place, f"view {relation.name}") from None
            finally:
                connection.set_progress_handler(None, 0)
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")

    def facts(self) -> ServerFacts:
        """What SQLite is: a file, always the primary."""
        with self._pool.link():
            return ServerFacts(
                "sqlite", sqlite3.sqlite_version, "primary", "SQLite has no snapshot ids: it has one writer"
            )

    def plan(self, relation: Relation, after: Position | None, limit: int) -> Plan:
        """How the poll runs at the head."""
        with self.reading(relation) as reading:
            head = reading.head()  # also makes SQLite notice an index that has just been created
            if after is None and head is not None:
                after = Position(head)
            lines = reading.explained(after, limit)
            loops = [line for line in lines if line.startswith(("SCAN", "SEARCH"))]
            sorts = any(line.startswith("USE TEMP B-TREE FOR ORDER BY") for line in lines)
            searched = bool(loops) and (loops[0].startswith("SEARCH") or (after is None and " USING " in loops[0]))
            if searched and not sorts:
                return Plan(uses_index=True, text="\n".join(lines))
            return Plan(uses_index=False, text="\n".join(lines), advice=_advice(reading, relation, loops))

    def relations(self) -> tuple[str, ...]:
        """Tables and views of the file."""
        with self.reading(Relation("relations", "", ())) as reading:
            return tuple(self._names(reading))

    def close(self) -> None:
        """Close the file; what is under way ends with SourceCancelled."""
        self._pool.close()

    def _names(self, reading: SqliteReading) -> list[str]:
        listed = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1"
        return [row[0] for row in reading.ask(listed, {})]


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  - the hot path of an idle poll
    return status.st_dev, status.st_ino


def _family(declared: str) -> Family:
    upper = declared.upper()
    return next((family for pattern, family in FAMILIES if re.search(pattern, upper)), "other")


def _sampled(reading: SqliteReading, relation: Relation, column: Column) -> Column:
    """A column declared without a type (an expression, a count) has that of its first values."""
    if column.family != "other":
        return column
    name = SQLITE.dialect.identifier_preparer.quote_identifier(column.name)
    described = sql.star(SQLITE, replace(relation, columns=())).replace("WHERE 1 = 0", f"LIMIT {SAMPLED}")
    query = f"SELECT typeof({name}) FROM ({described}) WHERE {name} IS NOT NULL LIMIT 1"  # noqa: S608  - quoted above
    rows = reading.ask(query, {})
    return replace(column, family=STORED.get(rows[0][0], "other")) if rows else column


def _value(family: Family, text: str) -> int | float | str | bytes:
    """A position's text as SQLite stores it."""
    with suppress(ValueError):
        match family:
            case "integer" | "boolean":
                number = int(text)
                return number if -(2**63) <= number < 2**63 else text
            case "float":
                return float(text)
            case "decimal":
                return text  # numeric affinity converts it exactly as it did when it was stored
            case "binary":
                return bytes.fromhex(text)
            case _:
                return text
    return text


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _failure(error: sqlite3.Error, place: str, what: str) -> SourceError:
    """SQLite's messages hold names, never values."""
    message = str(error)
    if message.startswith(("no such table", "no such column", "no such view", "near ", "error in view", "ambiguous")):
        return ViewBroken(f"{place}: {what}: {message}", hint="compare the view with views.yaml: `sync check`")
    if "interrupted" in message:
        return SourceCancelled(
            f"{place}: {what}: the query ran longer than statement_timeout", hint="is the cursor indexed? `sync check`"
        )
    if "locked" in message or "busy" in message:
        return SourceCancelled(
            f"{place}: {what}: another process holds the file locked", hint="tried again; the writer should use WAL"
        )
    if "not a database" in message or "malformed" in message:
        return SourceRefused(
            f"{place}: {what}: {message}", hint="is it the right file? `PRAGMA integrity_check` tells more"
        )
    if "unable to open" in message or "disk I/O" in message or "closed" in message:
        return SourceUnreachable(
            f"{place}: {what}: {message}",
            hint="a WAL file needs its -shm beside it, in a directory the daemon may read",
        )
    return SourceError(f"{place}: {what}: {message}", hint="`sync check` tells more")


def _advice(reading: SqliteReading, relation: Relation, loops: list[str]) -> str:
    """CREATE INDEX on the table that the first loop walks through, when it stores the cursor itself."""
    found = re.match(r"(?:SCAN|SEARCH) (\w+)", loops[0]) if loops else None
    wanted = (relation.cursor, *relation.key)
    candidates = [found.group(1)] if found else []
    candidates += [row[0] for row in reading.ask("SELECT name FROM sqlite_master WHERE type = 'table'", {})]
    for table in dict.fromkeys(candidates):
        names = {row[0] for row in reading.ask("SELECT name FROM pragma_table_info(:table)", {"table": table})}
        if relation.cursor in names:
            columns = ", ".join(name for name in wanted if name in names)
            return f"CREATE INDEX {table}_{relation.cursor} ON {table} ({columns});"
    return f"no table stores {relation.cursor}: the view must pass an indexed column through as its cursor"
