"""PostgreSQL 10 and later, primary or standby."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from smartico_sync.core.late_commit.query_reads import read_by
from smartico_sync.errors import SourceError, SourceRefused
from smartico_sync.sources.postgresql.definition import ask_definition
from smartico_sync.sources.postgresql.facts import ask_facts
from smartico_sync.sources.postgresql.login import Login
from smartico_sync.sources.postgresql.news import ask_news
from smartico_sync.sources.postgresql.plan import explain
from smartico_sync.sources.postgresql.reading import PostgresReading
from smartico_sync.sources.postgresql.session import Answer, Session
from smartico_sync.sources.postgresql.types import POSTGRESQL, described, family
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.source import PooledSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.late_commit.view_definition import ViewDefinition
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.core.tables import Structure
    from smartico_sync.sources.protocol import Asked, News

__all__ = ["PostgresSource", "connect"]

# A domain stands for its base type, and may stand on another domain. Modifiers are left out: a cast to char would cut.
TYPES = """WITH RECURSIVE up(first, oid, typname, typtype, typcategory, typbasetype) AS (
 SELECT oid, oid, typname, typtype, typcategory, typbasetype FROM pg_type WHERE oid IN ({oids})
 UNION ALL SELECT up.first, t.oid, t.typname, t.typtype, t.typcategory, t.typbasetype
 FROM pg_type t JOIN up ON up.typtype = 'd' AND t.oid = up.typbasetype)
 SELECT first, up.typname, up.typtype, up.typcategory, format_type(oid, -1), typnamespace::regnamespace
 FROM up JOIN pg_type t USING (oid) WHERE up.typtype <> 'd'"""
BUILT_IN = 10_000  # below it PostgreSQL's own developers gave out the oids, by hand and for ever
POLICY = "row-level security policy"
RELATIONS = """SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
 AND n.nspname NOT LIKE 'pg\\_%' AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
 ORDER BY 1"""
# Writers go on meanwhile; it must stand outside a transaction.
INDEX = "CREATE INDEX CONCURRENTLY {name} ON {table} ({columns});"


class PostgresSource(PooledSource[Session, PostgresReading]):
    """A pool of sessions over one database."""

    reading_type = PostgresReading
    ask_facts = staticmethod(ask_facts)
    explain = staticmethod(explain)
    adapter = POSTGRESQL
    create_index = INDEX

    def __init__(self, name: str, config: SourceConfig) -> None:
        login = Login(config)
        super().__init__(name, login, lambda place: Session(login, place))
        self._built_in: dict[int, Column] = {}  # the types that were asked for so far, and are the same in every server
        self._stars: dict[tuple[str, str | None, str | None], tuple[tuple[str, ...], tuple[int, ...]]] = {}

    def _defined(self, session: Session, relation: str) -> ViewDefinition:
        return ask_definition(session, relation)

    def definition(self, relation: Relation) -> ViewDefinition:
        """What the relation is made of; of a query, with what it reads."""
        written = super().definition(relation)
        names = read_by(relation.query, str.lower) if relation.query is not None else ()
        if names:
            with suppress(SourceError), self._session() as session, self._transaction(session, f"view {relation.name}"):
                read = ask_definition(session, *names)
                return replace(read, parts=(*written.parts, *read.parts))
        return written

    def _columns(self, session: Session, relation: Relation) -> tuple[Column, ...]:
        star = _star(session, relation)
        self._stars[relation.name, relation.relation, relation.query] = star.names, star.types
        unknown = set(star.types) - self._built_in.keys()
        known = {**self._built_in, **_types(session, unknown, f"view {relation.name}")}
        self._built_in = {oid: column for oid, column in known.items() if oid < BUILT_IN}
        return tuple(replace(known[oid], name=column) for column, oid in zip(star.names, star.types, strict=True))

    def _in_doubt(self, reading: PostgresReading) -> bool:
        # A page keeps the view as it is until the reading ends: columns that came behind all that was asked are those of its rows.
        known = reading.star is not None and self._same_columns(reading.relation, reading.star)
        return not known and super()._in_doubt(reading)

    def _make_sure(self, session: Session, relation: Relation) -> None:
        star = _star(session, relation, then="ROLLBACK")  # which ends the reading, so that no round trip is added
        if not self._same_columns(relation, star):
            self._hold_against(relation, self._described(session, relation))

    def news(self, asked: Sequence[Asked], replication: Literal["not asked", "asked"] = "not asked") -> News | None:
        """See `protocol.Source`."""
        with self._session() as session:
            return ask_news(session, asked, self._same_columns, replication)

    def _same_columns(self, relation: Relation, star: Answer) -> bool:
        known = self._stars.get((relation.name, relation.relation, relation.query))
        return relation.columns_are == "chosen" or known == (star.names, star.types)

    def hidden(self, relation: Relation) -> str:
        """Row-level security: with it switched off the server refuses to read, and names the table."""
        what = f"view {relation.name}"
        try:
            with self._session() as session, self._transaction(session, what):
                session.run("SET LOCAL row_security=off", what)
                _star(session, relation)
        except SourceRefused as refused:
            return refused.message.removeprefix(f"{self._place}: {what}: ") if POLICY in refused.message else ""
        return ""

    def _structures(self, session: Session) -> Mapping[str, Structure]:
        from smartico_sync.sources.postgresql.tables import ask_structures  # noqa: PLC0415 - only for a proposal

        return ask_structures(session)

    def _listed(self, session: Session) -> tuple[str, ...]:
        return tuple(row[0] or "" for row in session.run(RELATIONS, "the server")[0].rows)


def _star(session: Session, relation: Relation, then: str = "") -> Answer:
    """The view's columns, by name and by number of their types; in the same round trip what comes `then`."""
    return session.run(f"{statements.star(POSTGRESQL, relation) % {}}\n;{then}", f"view {relation.name}")[0]


def _types(session: Session, oids: set[int], what: str) -> dict[int, Column]:
    if not oids:
        return {}
    listed = ", ".join(str(oid) for oid in sorted(oids))
    rows = session.run(TYPES.format(oids=listed), what)[0].rows
    return {
        int(oid or 0): described(
            f"{schema}.{(word or '').removeprefix(f'{schema}.')}" if schema in session.hidden_schemas else word or "",
            family(name or "", kind or "", category or ""),
        )
        for oid, name, kind, category, word, schema in rows
    }


connect = PostgresSource
