"""BigQuery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.bigquery.definition import selects
from smartico_sync.sources.bigquery.facts import ask_facts, listed
from smartico_sync.sources.bigquery.login import Login
from smartico_sync.sources.bigquery.plan import explain
from smartico_sync.sources.bigquery.reading import BigQueryReading
from smartico_sync.sources.bigquery.session import AnswerCache, Session, Storage
from smartico_sync.sources.bigquery.types import BIGQUERY, column_of
from smartico_sync.sources.kit.abandonable import UnattendedCalls
from smartico_sync.sources.kit.server_clock import ServerClock
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.source import PooledSource
from smartico_sync.sources.sql.structure import views

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.core.tables import Structure

__all__ = ["BigQuerySource", "connect"]

SORT_KEY = """-- BigQuery has no indexes, and a poll of a table that is not partitioned by {cursor} is billed for all of it. Partitions are
-- given when a table is made: CREATE TABLE … PARTITION BY TIMESTAMP_TRUNC({cursor}, DAY), for {table}."""


class BigQuerySource(PooledSource[Session, BigQueryReading]):
    """A pool of clients of one project."""

    reading_type = BigQueryReading
    ask_facts = staticmethod(ask_facts)
    describes = "in doubt"
    explain = staticmethod(explain)
    _listed = staticmethod(listed)
    _selects = staticmethod(selects)
    adapter = BIGQUERY
    create_index = SORT_KEY

    def __init__(self, name: str, config: SourceConfig) -> None:
        login = Login(config)
        self._storage = storage = Storage(login)
        cache, clock, unattended = AnswerCache(), ServerClock(), UnattendedCalls()
        super().__init__(name, login, lambda place: Session(storage, cache, clock, unattended, place))

    def close(self) -> None:
        """Close everything; what is under way ends with SourceUnreachable."""
        super().close()
        self._storage.close()

    def _columns(self, session: Session, relation: Relation) -> tuple[Column, ...]:
        estimate = session.estimate(statements.star(BIGQUERY, relation), (), f"view {relation.name}")
        return tuple(column_of(field) for field in estimate.fields)

    def _structures(self, session: Session) -> Mapping[str, Structure]:
        return views(listed(session, "VIEW"))


connect = BigQuerySource
