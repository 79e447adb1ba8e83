"""ClickHouse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.clickhouse.clock import ReplicaClock
from smartico_sync.sources.clickhouse.facts import ask_facts, listed
from smartico_sync.sources.clickhouse.login import Login
from smartico_sync.sources.clickhouse.plan import explain
from smartico_sync.sources.clickhouse.reading import ClickHouseReading
from smartico_sync.sources.clickhouse.session import Hosts, Session
from smartico_sync.sources.clickhouse.types import CLICKHOUSE, column_of
from smartico_sync.sources.kit.abandonable import UnattendedCalls
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.names import dotted
from smartico_sync.sources.sql.source import PooledSource
from smartico_sync.sources.sql.structure import views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.core.tables import Structure

__all__ = ["ClickHouseSource", "connect"]

VIEWS = "SELECT database, name FROM system.tables WHERE engine LIKE '%View'"
SELECTS = "SELECT name, as_select FROM system.tables WHERE endsWith(engine, 'View') AND database = {place}"

SORT_KEY = """-- ClickHouse has no index of this kind. Unless {table} is ordered by {cursor} already, this makes polls quick, and doubles
-- what a plain MergeTree takes on disk:
-- ALTER TABLE {table} ADD PROJECTION {name} (SELECT * ORDER BY {columns});
-- ALTER TABLE {table} MATERIALIZE PROJECTION {name};"""


class ClickHouseSource(PooledSource[Session, ClickHouseReading]):
    """A pool of clients of one server, or of the servers of one cluster."""

    reading_type = ClickHouseReading
    ask_facts = staticmethod(ask_facts)
    explain = staticmethod(explain)
    _listed = staticmethod(listed)
    adapter = CLICKHOUSE
    create_index = SORT_KEY

    def __init__(self, name: str, config: SourceConfig) -> None:
        login = Login(config)
        hosts, clock, unattended = Hosts(login), ReplicaClock(), UnattendedCalls()
        super().__init__(name, login, lambda place: Session(login, hosts, clock, unattended, place))

    def describe(self, relation: Relation) -> Relation:
        """The relation with its columns; where they come from is learnt for the clock."""
        described = super().describe(relation)
        with self._session() as session:
            session.replication.learn(session, described)
        return described

    def _columns(self, session: Session, relation: Relation) -> tuple[Column, ...]:
        described = session.described(statements.star(CLICKHOUSE, relation), f"view {relation.name}")
        return tuple(column_of(name, kind) for name, kind in described)

    def _selects(self, session: Session, place: Sequence[str]) -> Mapping[str, str]:
        asked = SELECTS.format(place="%(place)s" if place else "currentDatabase()")
        return dict(session.rows(asked, "the server", {"place": place[-1]} if place else None))

    def _structures(self, session: Session) -> Mapping[str, Structure]:
        return views(dotted(row) for row in session.rows(VIEWS, "the server"))


connect = ClickHouseSource
