"""SQLite files that another process writes: the embedded default."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from smartico_sync.core.late_commit.view_definition import ViewDefinition, gathered
from smartico_sync.core.relation import Column
from smartico_sync.core.replication import UNKNOWN
from smartico_sync.errors import SourceError
from smartico_sync.sources.kit.login import BaseLogin
from smartico_sync.sources.protocol import Landmarks, News, ServerFacts
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.names import names_of, quoted
from smartico_sync.sources.sql.source import PooledSource
from smartico_sync.sources.sqlite.plan import explain
from smartico_sync.sources.sqlite.reading import SqliteReading
from smartico_sync.sources.sqlite.session import Session
from smartico_sync.sources.sqlite.tables import ask_structures
from smartico_sync.sources.sqlite.types import SQLITE, STORED, family

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.relation import Relation
    from smartico_sync.core.tables import Structure
    from smartico_sync.sources.protocol import Asked, Digest

__all__ = ["SqliteSource", "connect"]

SAMPLED = 1_000  # rows that tell the type of a column declared without one
NO_FENCE = "SQLite has no snapshot ids: it has one writer"
VIEWS = "SELECT name, sql FROM sqlite_master WHERE type = 'view'"
RELATIONS = """SELECT name FROM sqlite_master
 WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1"""


def ask_facts(_: Session) -> ServerFacts:
    """SQLite is a library, and a file always the primary."""
    return ServerFacts("sqlite", sqlite3.sqlite_version, "primary", NO_FENCE, encrypted="none")


class Login(BaseLogin):
    """A path, and how long to wait for a lock."""

    grace_s = 0.0  # there is no server

    @property
    def standing(self) -> str:
        """Nothing: a file is read over no network."""
        return ""

    def machines(self) -> tuple[str, ...]:
        """This one."""
        return ()

    @property
    def place(self) -> str:
        """The file."""
        return self.url.path or self.url.place


class SqliteSource(PooledSource[Session, SqliteReading]):
    """Read-only connections to one file."""

    reading_type = SqliteReading
    ask_facts = staticmethod(ask_facts)
    explain = staticmethod(explain)
    adapter = SQLITE

    def __init__(self, name: str, config: SourceConfig) -> None:
        login = Login(config)
        path = Path(login.place)
        super().__init__(name, login, lambda place: Session(path, place, login.silence_s))

    def _columns(self, session: Session, relation: Relation) -> tuple[Column, ...]:
        what = f"view {relation.name}"
        session.ask(f"CREATE TEMP VIEW smartico_sync_described AS {statements.star(SQLITE, relation)}", what)
        listed = session.ask("PRAGMA temp.table_info(smartico_sync_described)", what)
        session.ask("DROP VIEW temp.smartico_sync_described", what)  # there may be other views in this transaction
        return tuple(_typed(session, relation, row[1], row[2]) for row in listed)

    def news(self, asked: Sequence[Asked], replication: Literal["not asked", "asked"] = "not asked") -> News:
        """See `protocol.Source`: of one snapshot, one view after the other."""
        told: list[tuple[Digest, ...] | None] = [None] * len(asked)
        with suppress(SourceError), self._session() as session, self._transaction(session, "quiet views"):
            told = [self._told(session, each) for each in asked]
        standing = UNKNOWN if replication == "asked" else None
        return News("", tuple(each is None for each in told), tuple(each or () for each in told), standing)

    def _told(self, session: Session, asked: Asked) -> tuple[Digest, ...] | None:
        """The digests of one view; None where something is found."""
        reading = SqliteReading(session, asked.relation)
        if reading.behind(asked.after) or (asked.nulls == "asked" and reading.without_place()):
            return None
        if any(isinstance(what, Landmarks) for what in asked.again) and asked.relation.columns_are != "chosen":
            self._make_sure(session, asked.relation)
        return tuple(map(reading.told, asked.again))

    def _defined(self, session: Session, relation: str) -> ViewDefinition:
        views = {view: sql.partition(" AS ")[2] or sql for view, sql in session.ask(VIEWS, f"relation {relation}")}
        return ViewDefinition(gathered(names_of(relation)[-1], views))

    def _structures(self, session: Session) -> Mapping[str, Structure]:
        return ask_structures(session)

    def _listed(self, session: Session) -> tuple[str, ...]:
        return tuple(row[0] for row in session.ask(RELATIONS, "the file"))


def _typed(session: Session, relation: Relation, name: str, declared: str) -> Column:
    """A column declared without a type (an expression, a count) has that of its first values."""
    column = Column(name, declared, family(declared))
    if column.family != "other":
        return column
    first = statements.star(SQLITE, relation).replace("WHERE 1 = 0", f"LIMIT {SAMPLED}")
    query = f"SELECT typeof({quoted(name)}) FROM ({first}) WHERE {quoted(name)} IS NOT NULL LIMIT 1"  # noqa: S608  - quoted
    rows = session.ask(query, f"view {relation.name}")
    return replace(column, family=STORED.get(rows[0][0], "other")) if rows else column


connect = SqliteSource
