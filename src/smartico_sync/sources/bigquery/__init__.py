"""BigQuery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.bigquery.facts import ask_facts, listed
from smartico_sync.sources.bigquery.login import Login
from smartico_sync.sources.bigquery.plan import explain
from smartico_sync.sources.bigquery.reading import BigQueryReading, Remembered
from smartico_sync.sources.bigquery.session import Session, Storage
from smartico_sync.sources.bigquery.types import BIGQUERY, column_of
from smartico_sync.sources.kit.abandonable import UnattendedCalls
from smartico_sync.sources.kit.pool import GRACE_S, Pool
from smartico_sync.sources.kit.server_clock import ServerClock
from smartico_sync.sources.kit.url import parse
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.source import PooledSource

if TYPE_CHECKING:
    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.protocol import Plan, ServerFacts

__all__ = ["BigQuerySource", "connect"]


class BigQuerySource(PooledSource[Session, BigQueryReading]):
    """A pool of clients of one project."""

    engine = "bigquery"

    def __init__(self, name: str, config: SourceConfig) -> None:
        url = parse(config.url.get_secret_value())
        silence_s = config.statement_timeout / 1000 + GRACE_S
        self._login = Login(url, config.statement_timeout, silence_s, tuple(sorted(config.options.items())))
        self._login.check()
        place = f"source {name} ({url.place})"
        self._clock = ServerClock()
        self._remembered = Remembered()
        self._storage = Storage(self._login)
        unattended = UnattendedCalls()
        super().__init__(
            name,
            place,
            Pool(lambda: Session(self._login, self._storage, unattended, self._clock, place), config.pool, silence_s),
        )

    def _facts(self, session: Session) -> ServerFacts:
        return ask_facts(session, self._login, self._storage)

    def _explain(self, reading: BigQueryReading, after: Position | None, limit: int) -> Plan:
        return explain(reading, after, limit)

    def close(self) -> None:
        """Close everything; what is under way ends with SourceUnreachable."""
        super().close()
        self._storage.close()

    def _open(self, session: Session, relation: Relation) -> BigQueryReading:
        return BigQueryReading(session, relation, self._clock, self._remembered)

    def _columns(self, session: Session, relation: Relation) -> tuple[Column, ...]:
        estimate = session.estimate(statements.star(BIGQUERY, relation), (), f"view {relation.name}")
        return tuple(column_of(field) for field in estimate.fields)

    def _listed(self, session: Session) -> tuple[str, ...]:
        return listed(session, self._login)


connect = BigQuerySource
