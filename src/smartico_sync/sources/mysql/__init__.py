"""MySQL 5.6 and later, MariaDB 10.3 and later, and what speaks their protocol; primary or replica."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError
from smartico_sync.sources.kit.pool import Pool
from smartico_sync.sources.kit.url import parse
from smartico_sync.sources.mysql.clock import Clock
from smartico_sync.sources.mysql.facts import ask_facts
from smartico_sync.sources.mysql.login import Login
from smartico_sync.sources.mysql.plan import explain
from smartico_sync.sources.mysql.reading import MySQLReading
from smartico_sync.sources.mysql.session import BEGIN, Session
from smartico_sync.sources.mysql.types import MYSQL, column_of
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.names import dotted
from smartico_sync.sources.sql.source import GRACE_S, PooledSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.protocol import Plan, ServerFacts

__all__ = ["MySQLSource", "connect"]

RELATIONS = """SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES
 WHERE TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') ORDER BY 1, 2"""


def connect(name: str, config: SourceConfig) -> MySQLSource:
    """The source of that name; the first question opens the first connection."""
    return MySQLSource(name, config)


class MySQLSource(PooledSource[Session, MySQLReading]):
    """A pool of sessions over one server."""

    def __init__(self, name: str, config: SourceConfig) -> None:
        url = parse(config.url.get_secret_value())
        self.engine = url.scheme
        silence_s = config.statement_timeout / 1000 + GRACE_S
        login = Login(url, silence_s, tuple(sorted(config.options.items())))
        login.arguments()  # what the driver cannot use is told before the first poll
        login.hosts()
        place = f"source {name} ({url.place or login.parameters.get('unix_socket', '')})"
        self._clock = Clock()
        pool = Pool(lambda: Session(login, place, config.statement_timeout), config.pool, silence_s)
        super().__init__(name, place, pool)

    def facts(self) -> ServerFacts:
        """What the server is."""
        with self._pool.link() as session:
            return ask_facts(session, self.engine, self._clock)

    def plan(self, relation: Relation, after: Position | None, limit: int) -> Plan:
        """How the poll runs, and whether an index can serve it."""
        with self._pool.link() as session, self._read(session, relation) as reading:
            return explain(session, reading, relation, after, limit)

    def _open(self, session: Session, relation: Relation) -> MySQLReading:
        return MySQLReading(session, relation, self._clock)

    def _columns(self, session: Session, relation: Relation) -> tuple[Column, ...]:
        answer = session.run(statements.star(MYSQL, relation) % {}, f"view {relation.name}")
        return tuple(column_of(field) for field in answer.fields)

    def _listed(self, session: Session) -> tuple[str, ...]:
        return tuple(dotted(part or "" for part in row) for row in session.run(RELATIONS, "the server").rows)

    @contextmanager
    def _transaction(self, session: Session, what: str) -> Iterator[None]:
        session.run(BEGIN, what)
        try:
            yield
        finally:
            with suppress(SourceError):
                session.run("ROLLBACK", what)
