"""MySQL 5.6 and later, MariaDB 10.3 and later, and what speaks their protocol; primary or replica."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from smartico_sync.sources.kit.alterations import alteration
from smartico_sync.sources.mysql.clock import TICK_MS, Clock
from smartico_sync.sources.mysql.collations import collated
from smartico_sync.sources.mysql.definition import ask_definition
from smartico_sync.sources.mysql.facts import ask_facts
from smartico_sync.sources.mysql.login import Login
from smartico_sync.sources.mysql.news import ask_news
from smartico_sync.sources.mysql.plan import UNINDEXED, explain
from smartico_sync.sources.mysql.reading import MySQLReading
from smartico_sync.sources.mysql.session import Session
from smartico_sync.sources.mysql.tables import ask_structures
from smartico_sync.sources.mysql.types import MYSQL, column_of
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.names import dotted
from smartico_sync.sources.sql.source import PooledSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.core.tables import Structure
    from smartico_sync.errors import ViewAltered
    from smartico_sync.sources.protocol import Asked, News

__all__ = ["MySQLSource", "connect"]

RELATIONS = """SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES
 WHERE TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') ORDER BY 1, 2"""


class MySQLSource(PooledSource[Session, MySQLReading]):
    """A pool of sessions over one server."""

    reading_type = MySQLReading
    ask_facts = staticmethod(ask_facts)
    explain = staticmethod(explain)
    _defined = staticmethod(ask_definition)
    adapter = MYSQL

    def __init__(self, name: str, config: SourceConfig) -> None:
        login, clock = Login(config), Clock(TICK_MS)
        super().__init__(name, login, lambda place: Session(login, clock, place))
        self.home = login.url.path

    def _too_long(self, column: Column) -> bool:
        return column.type in UNINDEXED

    def _columns(self, session: Session, relation: Relation) -> tuple[Column, ...]:
        answer = session.run(statements.star(MYSQL, relation) % {}, f"view {relation.name}")
        return tuple(column_of(field) for field in answer.fields)

    def _altered(self, session: Session, relation: Relation) -> ViewAltered | None:
        session.collations.clear()  # a view that was made anew may be ordered by another one
        return super()._altered(session, relation)

    def news(self, asked: Sequence[Asked], replication: Literal["not asked", "asked"] = "not asked") -> News:
        """See `protocol.Source`."""
        with self._session() as session:
            of = [replace(each, relation=collated(session, each.relation)) for each in asked]
            return ask_news(session, of, partial(self._same_columns, session), replication)

    def _same_columns(self, session: Session, relation: Relation) -> bool:
        columns = self._described(session, replace(relation, key=(), columns=()))
        return relation.columns_are == "chosen" or alteration(self._place, relation, columns) is None

    def _structures(self, session: Session) -> Mapping[str, Structure]:
        return ask_structures(session)

    def _listed(self, session: Session) -> tuple[str, ...]:
        return tuple(dotted(row) for row in session.run(RELATIONS, "the server").rows)


connect = MySQLSource
