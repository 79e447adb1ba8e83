"""ClickHouse."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError, ViewBroken
from smartico_sync.sources import sql
from smartico_sync.sources.clickhouse.clock import Clock
from smartico_sync.sources.clickhouse.facts import ask_facts, listed
from smartico_sync.sources.clickhouse.login import Login
from smartico_sync.sources.clickhouse.plan import explain
from smartico_sync.sources.clickhouse.reading import ClickHouseReading
from smartico_sync.sources.clickhouse.session import Hosts, Session
from smartico_sync.sources.clickhouse.types import CLICKHOUSE, column_of
from smartico_sync.sources.names import absent_column, check_columns, like
from smartico_sync.sources.pool import Pool
from smartico_sync.sources.url import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.protocol import Plan, ServerFacts

__all__ = ["ClickHouseSource", "connect"]

GRACE_S = 2.0  # the server's own timeout comes first; its answer needs a moment to arrive


def connect(name: str, config: SourceConfig) -> ClickHouseSource:
    """The source of that name; the first question opens the first connection."""
    return ClickHouseSource(name, config)


class ClickHouseSource:
    """A pool of clients of one server, or of the servers of one cluster."""

    engine = "clickhouse"

    def __init__(self, name: str, config: SourceConfig) -> None:
        self.name = name
        url = parse(config.url.get_secret_value())
        silence_s = config.statement_timeout / 1000 + GRACE_S
        login = Login(url, config.statement_timeout, silence_s, tuple(sorted(config.options.items())))
        login.check()
        self._place = f"source {name} ({url.place})"
        self._clock = Clock()
        hosts = Hosts(login)
        self._pool: Pool[Session] = Pool(lambda: Session(login, hosts, self._place), config.pool, silence_s)

    def describe(self, relation: Relation) -> Relation:
        """The relation with its columns."""
        what = f"view {relation.name}"
        try:
            with self._pool.link() as session:
                columns = _columns(session, relation)
        except ViewBroken as broken:
            raise ViewBroken(broken.message, hint=self._like(relation) or broken.hint) from None
        check_columns(self._place, what, relation, [column.name for column in columns])
        described = replace(relation, columns=columns)
        with self._pool.link() as session:
            self._clock.learn(session, described)
        return described

    @contextmanager
    def reading(self, relation: Relation) -> Iterator[ClickHouseReading]:
        """A reading over a described relation."""
        with self._pool.link() as session:
            try:
                yield ClickHouseReading(session, relation, self._clock)
            except ViewBroken as broken:
                raise self._explained(session, relation, broken) from None

    def facts(self) -> ServerFacts:
        """What the server is, and what the user may do beyond reading."""
        with self._pool.link() as session:
            return ask_facts(session)

    def plan(self, relation: Relation, after: Position | None, limit: int) -> Plan:
        """How many granules the poll reads."""
        with self.reading(relation) as reading:
            return explain(reading, relation, after, limit)

    def relations(self) -> tuple[str, ...]:
        """Tables and views that the user may see."""
        with self._pool.link() as session:
            return listed(session)

    def close(self) -> None:
        """Close everything; what is under way ends with SourceUnreachable."""
        self._pool.close()

    def _explained(self, session: Session, relation: Relation, broken: ViewBroken) -> ViewBroken:
        """When the view lost a column since it was described: which one, and what is there that is called nearly so."""
        with suppress(SourceError):
            names = [column.name for column in _columns(session, relation)]
            for column in relation.columns:
                if column.name not in names:
                    return absent_column(self._place, f"view {relation.name}", column.name, names)
        return broken

    def _like(self, relation: Relation) -> str:
        """Names close to a relation that does not exist."""
        with suppress(SourceError):
            return like(relation, self.relations())
        return ""


def _columns(session: Session, relation: Relation) -> tuple[Column, ...]:
    star = sql.star(CLICKHOUSE, replace(relation, columns=()))
    return tuple(column_of(name, kind) for name, kind in session.described(star, f"view {relation.name}"))
