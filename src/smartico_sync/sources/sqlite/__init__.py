"""SQLite files that another process writes: the embedded default."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from smartico_sync.catalogue import engines
from smartico_sync.core.relation import Column, Relation
from smartico_sync.errors import SourceUnreachable, ViewBroken
from smartico_sync.sources.kit.parameters import named
from smartico_sync.sources.kit.pool import Pool
from smartico_sync.sources.kit.url import parse
from smartico_sync.sources.protocol import Plan, ServerFacts
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.names import check_columns, like
from smartico_sync.sources.sqlite.failures import failure
from smartico_sync.sources.sqlite.plan import explain
from smartico_sync.sources.sqlite.reading import SqliteReading
from smartico_sync.sources.sqlite.types import SQLITE, STORED, family

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.position import Position

__all__ = ["SqliteSource", "connect"]

STEPS = 20_000  # virtual machine steps between two looks at the clock: a few milliseconds
SAMPLED = 1_000  # rows that tell the type of a column declared without one


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
            raise failure(error, str(path), "opening") from None

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


class SqliteSource:
    """Read-only connections to one file."""

    engine = "sqlite"

    def __init__(self, name: str, config: SourceConfig) -> None:
        self.name = name
        url = parse(config.url.get_secret_value())
        named(url, config.options.items(), engines.SQLITE)
        path = Path(url.path or url.place)
        self._timeout_s = config.statement_timeout / 1000
        self._place = f"source {name} ({path})"
        self._pool: Pool[_File] = Pool(lambda: _File(path, self._timeout_s), config.pool, self._timeout_s)

    def describe(self, relation: Relation) -> Relation:
        """The relation with its columns."""
        bare = replace(relation, columns=())
        with self.reading(bare) as reading:
            try:
                reading.ask(f"CREATE TEMP VIEW smartico_sync_described AS {statements.star(SQLITE, bare)}", {})
                listed = reading.ask("PRAGMA temp.table_info(smartico_sync_described)", {})
            except ViewBroken as broken:
                raise ViewBroken(broken.message, hint=like(relation, self._names(reading)) or broken.hint) from None
            names = [row[1] for row in listed]
            check_columns(self._place, f"view {relation.name}", relation, names)
            columns = tuple(Column(row[1], row[2], family(row[2])) for row in listed)
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
                raise failure(error, self._place, f"view {relation.name}") from None
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
            return explain(reading, relation, after, limit)

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


def _sampled(reading: SqliteReading, relation: Relation, column: Column) -> Column:
    """A column declared without a type (an expression, a count) has that of its first values."""
    if column.family != "other":
        return column
    name = SQLITE.dialect.identifier_preparer.quote_identifier(column.name)
    described = statements.star(SQLITE, replace(relation, columns=())).replace("WHERE 1 = 0", f"LIMIT {SAMPLED}")
    query = f"SELECT typeof({name}) FROM ({described}) WHERE {name} IS NOT NULL LIMIT 1"  # noqa: S608  - quoted above
    rows = reading.ask(query, {})
    return replace(column, family=STORED.get(rows[0][0], "other")) if rows else column
