"""PostgreSQL 10 and later, primary or standby."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from smartico_sync.core.relation import Column, Relation
from smartico_sync.errors import SourceError, ViewBroken
from smartico_sync.sources import sql
from smartico_sync.sources.names import absent_column, check_columns, like
from smartico_sync.sources.pool import Pool
from smartico_sync.sources.postgresql.facts import ask_facts
from smartico_sync.sources.postgresql.plan import explain
from smartico_sync.sources.postgresql.reading import PostgresReading, begin
from smartico_sync.sources.postgresql.session import Login, Session
from smartico_sync.sources.postgresql.types import POSTGRESQL, family
from smartico_sync.sources.url import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.position import Position
    from smartico_sync.sources.protocol import Plan, ServerFacts

__all__ = ["PostgresSource", "connect"]

GRACE_S = 2.0  # the server's own timeout comes first; its answer needs a moment to arrive
# A domain stands for its base type, and may stand on another domain. Modifiers are left out: a cast to char would cut.
TYPES = """WITH RECURSIVE up(first, oid, typname, typtype, typcategory, typbasetype) AS (
 SELECT oid, oid, typname, typtype, typcategory, typbasetype FROM pg_type WHERE oid IN ({oids})
 UNION ALL SELECT up.first, t.oid, t.typname, t.typtype, t.typcategory, t.typbasetype
 FROM pg_type t JOIN up ON up.typtype = 'd' AND t.oid = up.typbasetype)
 SELECT first, typname, typtype, typcategory, format_type(oid, -1) FROM up WHERE typtype <> 'd'"""
RELATIONS = """SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
 AND n.nspname NOT LIKE 'pg\\_%' AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
 ORDER BY 1"""


def connect(name: str, config: SourceConfig) -> PostgresSource:
    """The source of that name; the first question opens the first connection."""
    return PostgresSource(name, config)


class PostgresSource:
    """A pool of sessions over one database."""

    engine = "postgresql"

    def __init__(self, name: str, config: SourceConfig) -> None:
        self.name = name
        url = parse(config.url.get_secret_value())
        silence_s = config.statement_timeout / 1000 + GRACE_S
        login = Login(url, silence_s, tuple(sorted(config.options.items())))
        login.conninfo()  # a parameter that libpq does not know is told before the first poll
        self._timezone = config.timezone
        self._timeout_ms = config.statement_timeout
        self._place = f"source {name} ({url.place})"
        self._pool: Pool[Session] = Pool(lambda: Session(login, self._place), config.pool, silence_s)

    def describe(self, relation: Relation) -> Relation:
        """The relation with its columns."""
        what = f"view {relation.name}"
        try:
            with self._pool.link() as session, _transaction(session, self._timeout_ms, what):
                star = session.run(sql.star(POSTGRESQL, replace(relation, columns=())) % {}, what)[0]
                known = _types(session, set(star.types), what)
        except ViewBroken as broken:
            raise ViewBroken(broken.message, hint=self._like(relation) or broken.hint) from None
        check_columns(self._place, what, relation, star.names)
        columns = tuple(replace(known[oid], name=column) for column, oid in zip(star.names, star.types, strict=True))
        return replace(relation, columns=columns)

    @contextmanager
    def reading(self, relation: Relation) -> Iterator[PostgresReading]:
        """A transaction over a described relation."""
        with self._pool.link() as session:
            reading = PostgresReading(session, relation, self._timeout_ms)
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
        with self._pool.link() as session, _transaction(session, self._timeout_ms, "the server"):
            return ask_facts(session)

    def plan(self, relation: Relation, after: Position | None, limit: int) -> Plan:
        """How the poll runs, and whether an index can serve it."""
        with self.reading(relation) as reading:
            return explain(reading, relation, after, limit)

    def relations(self) -> tuple[str, ...]:
        """Tables and views the user may read."""
        with self._pool.link() as session, _transaction(session, self._timeout_ms, "the server"):
            return tuple(row[0] or "" for row in session.run(RELATIONS, "the server")[0].rows)

    def close(self) -> None:
        """Close everything; what is under way ends with SourceUnreachable."""
        self._pool.close()

    def _explained(self, session: Session, relation: Relation, broken: ViewBroken) -> ViewBroken:
        """When the view lost a column since it was described: which one, and what is there that is called nearly so."""
        what = f"view {relation.name}"
        with suppress(SourceError), _transaction(session, self._timeout_ms, what):
            names = session.run(sql.star(POSTGRESQL, replace(relation, columns=())) % {}, what)[0].names
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
def _transaction(session: Session, timeout_ms: int, what: str) -> Iterator[None]:
    session.run(begin(timeout_ms), what)
    try:
        yield
    finally:
        with suppress(SourceError):
            session.run("ROLLBACK", what)


def _types(session: Session, oids: set[int], what: str) -> dict[int, Column]:
    if not oids:
        return {}
    listed = ", ".join(str(oid) for oid in sorted(oids))
    rows = session.run(TYPES.format(oids=listed), what)[0].rows
    return {
        int(oid or 0): Column("", word or "", family(name or "", kind or "", category or ""))
        for oid, name, kind, category, word in rows
    }
