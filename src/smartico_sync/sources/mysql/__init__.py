"""MySQL 5.7 and later, MariaDB 10.3 and later, and what speaks their protocol; primary or replica."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError, ViewBroken
from smartico_sync.sources import sql
from smartico_sync.sources.mysql.clock import Clock
from smartico_sync.sources.mysql.facts import ask_facts
from smartico_sync.sources.mysql.login import Login
from smartico_sync.sources.mysql.plan import explain
from smartico_sync.sources.mysql.reading import MySQLReading
from smartico_sync.sources.mysql.session import BEGIN, Session
from smartico_sync.sources.mysql.types import MYSQL, column_of
from smartico_sync.sources.names import absent_column, check_columns, like
from smartico_sync.sources.pool import Pool
from smartico_sync.sources.url import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.protocol import Plan, ServerFacts

__all__ = ["MySQLSource", "connect"]

GRACE_S = 2.0  # the server's own timeout comes first; its answer needs a moment to arrive
RELATIONS = """SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES
 WHERE TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') ORDER BY 1, 2"""


def connect(name: str, config: SourceConfig) -> MySQLSource:
    """The source of that name; the first question opens the first connection."""
    return MySQLSource(name, config)


class MySQLSource:
    """A pool of sessions over one server."""

    def __init__(self, name: str, config: SourceConfig) -> None:
        self.name = name
        url = parse(config.url.get_secret_value())
        self.engine = url.scheme
        silence_s = config.statement_timeout / 1000 + GRACE_S
        login = Login(url, silence_s, tuple(sorted(config.options.items())))
        login.arguments()  # what the driver cannot use is told before the first poll
        login.hosts()
        self._place = f"source {name} ({url.place or login.parameters.get('unix_socket', '')})"
        self._clock = Clock()
        self._pool: Pool[Session] = Pool(
            lambda: Session(login, self._place, config.statement_timeout), config.pool, silence_s
        )

    def describe(self, relation: Relation) -> Relation:
        """The relation with its columns."""
        what = f"view {relation.name}"
        try:
            with self._pool.link() as session, _transaction(session, what):
                answer = session.run(sql.star(MYSQL, replace(relation, columns=())) % {}, what)
        except ViewBroken as broken:
            raise ViewBroken(broken.message, hint=self._like(relation) or broken.hint) from None
        check_columns(self._place, what, relation, answer.names)
        return replace(relation, columns=tuple(column_of(field) for field in answer.fields))

    @contextmanager
    def reading(self, relation: Relation) -> Iterator[MySQLReading]:
        """A transaction over a described relation."""
        with self._pool.link() as session:
            reading = MySQLReading(session, relation, self._clock)
            try:
                yield reading
            except ViewBroken as broken:
                reading.end_quietly()
                raise self._explained(session, relation, broken) from None
            except BaseException:
                reading.end_quietly()
                raise
            reading.end()

    def facts(self) -> ServerFacts:
        """What the server is."""
        with self._pool.link() as session:
            return ask_facts(session, self.engine, self._clock)

    def plan(self, relation: Relation, after: Position | None, limit: int) -> Plan:
        """How the poll runs, and whether an index can serve it."""
        with self._pool.link() as session:
            reading = MySQLReading(session, relation, self._clock)
            try:
                return explain(session, reading, relation, after, limit)
            finally:
                reading.end_quietly()

    def relations(self) -> tuple[str, ...]:
        """Tables and views the user may read."""
        with self._pool.link() as session:
            rows = session.run(RELATIONS, "the server").rows
        return tuple(".".join(_quoted(part or "") for part in row) for row in rows)

    def close(self) -> None:
        """Close everything; what is under way ends with SourceUnreachable."""
        self._pool.close()

    def _explained(self, session: Session, relation: Relation, broken: ViewBroken) -> ViewBroken:
        """When the view lost a column since it was described: which one, and what is there that is called nearly so."""
        what = f"view {relation.name}"
        with suppress(SourceError), _transaction(session, what):
            names = session.run(sql.star(MYSQL, replace(relation, columns=())) % {}, what).names
            for column in relation.columns:
                if column.name not in names:
                    return absent_column(self._place, what, column.name, names)
        return broken

    def _like(self, relation: Relation) -> str:
        """Names close to a relation that does not exist."""
        with suppress(SourceError):
            return like(relation, self.relations())
        return ""


@contextmanager
def _transaction(session: Session, what: str) -> Iterator[None]:
    session.run(BEGIN, what)
    try:
        yield
    finally:
        with suppress(SourceError):
            session.run("ROLLBACK", what)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if '"' in name or "." in name else name
