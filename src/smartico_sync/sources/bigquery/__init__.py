"""BigQuery."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError, ViewBroken
from smartico_sync.sources import sql
from smartico_sync.sources.bigquery.facts import ask_facts, listed
from smartico_sync.sources.bigquery.login import Login
from smartico_sync.sources.bigquery.plan import explain
from smartico_sync.sources.bigquery.reading import BigQueryReading, Remembered
from smartico_sync.sources.bigquery.session import Session, Storage
from smartico_sync.sources.bigquery.types import BIGQUERY, column_of
from smartico_sync.sources.distant import DistantClock
from smartico_sync.sources.names import absent_column, check_columns, like
from smartico_sync.sources.pool import Pool
from smartico_sync.sources.url import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.protocol import Plan, ServerFacts

__all__ = ["BigQuerySource", "connect"]

GRACE_S = 2.0  # the server's own timeout comes first; its answer needs a moment to arrive


def connect(name: str, config: SourceConfig) -> BigQuerySource:
    """The source of that name; the first question opens the first connection."""
    return BigQuerySource(name, config)


class BigQuerySource:
    """A pool of clients of one project."""

    engine = "bigquery"

    def __init__(self, name: str, config: SourceConfig) -> None:
        self.name = name
        url = parse(config.url.get_secret_value())
        silence_s = config.statement_timeout / 1000 + GRACE_S
        self._login = Login(url, config.statement_timeout, silence_s, tuple(sorted(config.options.items())))
        self._login.check()
        self._place = f"source {name} ({url.place})"
        self._clock = DistantClock()
        self._remembered = Remembered()
        self._storage = Storage(self._login)
        self._pool: Pool[Session] = Pool(
            lambda: Session(self._login, self._storage, self._clock, self._place), config.pool, silence_s
        )

    def describe(self, relation: Relation) -> Relation:
        """The relation with its columns."""
        what = f"view {relation.name}"
        try:
            with self._pool.link() as session:
                columns = _columns(session, relation)
        except ViewBroken as broken:
            raise ViewBroken(broken.message, hint=self._like(relation) or broken.hint) from None
        check_columns(self._place, what, relation, [column.name for column in columns])
        return replace(relation, columns=columns)

    @contextmanager
    def reading(self, relation: Relation) -> Iterator[BigQueryReading]:
        """A reading over a described relation."""
        with self._pool.link() as session, self._explained(session, relation):
            yield BigQueryReading(session, relation, self._clock, self._remembered)

    def facts(self) -> ServerFacts:
        """What BigQuery is here, and what the credentials allow beyond reading."""
        with self._pool.link() as session:
            return ask_facts(session, self._login, self._storage)

    def plan(self, relation: Relation, after: Position | None, limit: int) -> Plan:
        """How many bytes the poll is billed for."""
        with self._pool.link() as session, self._explained(session, relation):
            reading = BigQueryReading(session, relation, self._clock, self._remembered)
            return explain(session, reading, relation, after, limit)

    def relations(self) -> tuple[str, ...]:
        """Tables and views that may be seen."""
        with self._pool.link() as session:
            return listed(session, self._login)

    def close(self) -> None:
        """Close everything; what is under way ends with SourceUnreachable."""
        self._pool.close()
        self._storage.close()

    @contextmanager
    def _explained(self, session: Session, relation: Relation) -> Iterator[None]:
        """When the view lost a column since it was described: which one, and what is there that is called nearly so."""
        try:
            yield
        except ViewBroken as broken:
            told = broken
            with suppress(SourceError):
                names = [column.name for column in _columns(session, relation)]
                gone = [column.name for column in relation.columns if column.name not in names]
                if gone:
                    told = absent_column(self._place, f"view {relation.name}", gone[0], names)
            raise told from None

    def _like(self, relation: Relation) -> str:
        """Names close to a relation that does not exist."""
        with suppress(SourceError):
            return like(relation, self.relations())
        return ""


def _columns(session: Session, relation: Relation) -> tuple[Column, ...]:
    star = sql.star(BIGQUERY, replace(relation, columns=()))
    return tuple(column_of(field) for field in session.estimate(star, (), f"view {relation.name}").fields)
