"""Amazon Redshift, provisioned or serverless."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError, ViewBroken
from smartico_sync.sources import sql
from smartico_sync.sources.names import absent_column, check_columns, like
from smartico_sync.sources.pool import Pool
from smartico_sync.sources.redshift.facts import ask_facts
from smartico_sync.sources.redshift.login import Login
from smartico_sync.sources.redshift.plan import explain
from smartico_sync.sources.redshift.reading import RedshiftReading
from smartico_sync.sources.redshift.session import Session
from smartico_sync.sources.redshift.types import REDSHIFT, column_of
from smartico_sync.sources.url import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.protocol import Plan, ServerFacts

__all__ = ["RedshiftSource", "connect"]

GRACE_S = 2.0  # the server's own timeout comes first; its answer needs a moment to arrive
# `mv_tbl__…` are the tables behind materialized views.
RELATIONS = """SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'v') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\\\_%'
 AND c.relname NOT LIKE 'mv\\\\_tbl\\\\_\\\\_%' AND has_schema_privilege(n.nspname, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
 ORDER BY 1"""


def connect(name: str, config: SourceConfig) -> RedshiftSource:
    """The source of that name; the first question opens the first connection."""
    return RedshiftSource(name, config)


class RedshiftSource:
    """A pool of sessions over one database."""

    engine = "redshift"

    def __init__(self, name: str, config: SourceConfig) -> None:
        self.name = name
        url = parse(config.url.get_secret_value())
        silence_s = config.statement_timeout / 1000 + GRACE_S
        login = Login(url, silence_s, tuple(sorted(config.options.items())))
        for host in login.hosts():
            login.arguments(host)  # what the driver cannot use is told before the first poll
        self._place = f"source {name} ({url.place})"
        self._pool: Pool[Session] = Pool(
            lambda: Session(login, self._place, config.statement_timeout), config.pool, silence_s
        )

    def describe(self, relation: Relation) -> Relation:
        """The relation with its columns."""
        what = f"view {relation.name}"
        try:
            with self._pool.link() as session, _transaction(session, what):
                columns = _columns(session, relation)
        except ViewBroken as broken:
            raise ViewBroken(broken.message, hint=self._like(relation) or broken.hint) from None
        check_columns(self._place, what, relation, [column.name for column in columns])
        return replace(relation, columns=columns)

    @contextmanager
    def reading(self, relation: Relation) -> Iterator[RedshiftReading]:
        """A transaction over a described relation."""
        with self._pool.link() as session:
            reading = RedshiftReading(session, relation)
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
            return ask_facts(session)

    def plan(self, relation: Relation, after: Position | None, limit: int) -> Plan:
        """How the poll runs, and whether a sort key can serve it."""
        with self.reading(relation) as reading:
            return explain(reading, relation, after, limit)

    def relations(self) -> tuple[str, ...]:
        """Tables and views the user may read."""
        with self._pool.link() as session:
            return tuple(row[0] or "" for row in session.run(RELATIONS, "the server").texts)

    def close(self) -> None:
        """Close everything; what is under way ends with SourceUnreachable."""
        self._pool.close()

    def _explained(self, session: Session, relation: Relation, broken: ViewBroken) -> ViewBroken:
        """When the view lost a column since it was described: which one, and what is there that is called nearly so."""
        what = f"view {relation.name}"
        with suppress(SourceError), _transaction(session, what):
            names = [column.name for column in _columns(session, relation)]
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
    session.begin(what)
    try:
        yield
    finally:
        with suppress(SourceError):
            session.end(what)


def _columns(session: Session, relation: Relation) -> tuple[Column, ...]:
    answer = session.run(sql.star(REDSHIFT, replace(relation, columns=())), f"view {relation.name}")
    return tuple(column_of(field) for field in answer.fields)
