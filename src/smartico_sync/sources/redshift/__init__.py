"""Amazon Redshift, provisioned or serverless."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from smartico_sync.errors import ViewAltered
from smartico_sync.sources.redshift.facts import ask_facts
from smartico_sync.sources.redshift.login import Login
from smartico_sync.sources.redshift.plan import explain
from smartico_sync.sources.redshift.reading import RedshiftReading
from smartico_sync.sources.redshift.session import Session
from smartico_sync.sources.redshift.types import REDSHIFT, column_of
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.source import PooledSource
from smartico_sync.sources.sql.structure import views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.core.tables import Structure

__all__ = ["RedshiftSource", "connect"]

VIEWS = """SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'v' AND n.nspname NOT IN ('pg_catalog', 'information_schema')"""
SELECTS = """SELECT c.relname, pg_get_viewdef(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'v' AND n.nspname = {place}"""
# `mv_tbl__…` are the tables behind materialized views.
RELATIONS = """SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'v') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\\\_%'
 AND c.relname NOT LIKE 'mv\\\\_tbl\\\\_\\\\_%' AND has_schema_privilege(n.nspname, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
 ORDER BY 1"""

SORT_KEY = """-- Redshift has no indexes. Unless {table} is sorted by {cursor} already, this makes polls quick:
-- ALTER TABLE {table} ALTER COMPOUND SORTKEY ({columns});"""


class RedshiftSource(PooledSource[Session, RedshiftReading]):
    """A pool of sessions over one database."""

    reading_type = RedshiftReading
    ask_facts = staticmethod(ask_facts)
    explain = staticmethod(explain)
    adapter = REDSHIFT
    create_index = SORT_KEY

    def __init__(self, name: str, config: SourceConfig) -> None:
        self._login = login = Login(config)
        super().__init__(name, login, lambda place: Session(login, place))

    def describe(self, relation: Relation) -> Relation:
        """The relation with its columns; connections whose prepared statements know an older one are given up."""
        for _ in range(self._login.pool):
            with suppress(ViewAltered):
                return super().describe(relation)
        return super().describe(relation)

    def _columns(self, session: Session, relation: Relation) -> tuple[Column, ...]:
        answer = session.run(statements.star(REDSHIFT, relation), f"view {relation.name}")
        return tuple(column_of(field) for field in answer.fields)

    def _selects(self, session: Session, place: Sequence[str]) -> Mapping[str, str]:
        if len(place) > 1:  # another database's
            return {}
        asked = SELECTS.format(place=":place" if place else "current_schema()")
        rows = session.run(asked, "the server", {"place": place[0]} if place else None).texts
        return {name or "": select or "" for name, select in rows}

    def _structures(self, session: Session) -> Mapping[str, Structure]:
        return views(row[0] or "" for row in session.run(VIEWS, "the server").texts)

    def _listed(self, session: Session) -> tuple[str, ...]:
        return tuple(row[0] or "" for row in session.run(RELATIONS, "the server").texts)


connect = RedshiftSource
