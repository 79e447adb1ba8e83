"""Oracle Database 12.1 and later, primary or Active Data Guard standby, with the driver's thin mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.kit.abandonable import UnattendedCalls
from smartico_sync.sources.oracle.clock import Clock
from smartico_sync.sources.oracle.facts import ask_facts
from smartico_sync.sources.oracle.login import Login
from smartico_sync.sources.oracle.plan import NAME_LENGTH, UNINDEXED, explain
from smartico_sync.sources.oracle.reading import OracleReading
from smartico_sync.sources.oracle.session import Session
from smartico_sync.sources.oracle.tables import THEIRS, ask_structures
from smartico_sync.sources.oracle.types import OBJECT, ORACLE, column_of
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.names import constant, written
from smartico_sync.sources.sql.source import PooledSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.core.tables import Structure

__all__ = ["OracleSource", "connect"]

LEAVE_OUT = "select the parts that matter as columns of their own, or leave it out"
UNFIT = {OBJECT: ("{column} holds objects, which are no values", LEAVE_OUT)}
SELECTS = "SELECT VIEW_NAME, TEXT FROM ALL_VIEWS WHERE UPPER(OWNER) = UPPER({place})"
RELATIONS = f"""SELECT OWNER, TABLE_NAME FROM ALL_TABLES
 WHERE DROPPED = 'NO' AND NESTED = 'NO' AND OWNER NOT IN ({THEIRS})
 UNION SELECT OWNER, VIEW_NAME FROM ALL_VIEWS WHERE OWNER NOT IN ({THEIRS}) ORDER BY 1, 2"""  # noqa: S608  - constants only


class OracleSource(PooledSource[Session, OracleReading]):
    """A pool of sessions over one database."""

    reading_type = OracleReading
    ask_facts = staticmethod(ask_facts)
    explain = staticmethod(explain)
    unfit = UNFIT
    longest_name = NAME_LENGTH
    adapter = ORACLE

    def __init__(self, name: str, config: SourceConfig) -> None:
        login, clock, unattended = Login(config), Clock(), UnattendedCalls()
        super().__init__(name, login, lambda place: Session(login, clock, unattended, place))

    def _too_long(self, column: Column) -> bool:
        return column.type in UNINDEXED

    def _columns(self, session: Session, relation: Relation) -> tuple[Column, ...]:
        fields, _ = session.execute(statements.star(ORACLE, relation), f"view {relation.name}")
        return tuple(column_of(field) for field in fields)

    def _selects(self, session: Session, place: Sequence[str]) -> Mapping[str, str]:
        owner = constant(place[-1]) if place else "SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')"
        _, rows = session.execute(SELECTS.format(place=owner), "the server")
        return {name: select or "" for name, select in rows}

    def _structures(self, session: Session) -> Mapping[str, Structure]:
        return ask_structures(session)

    def _listed(self, session: Session) -> tuple[str, ...]:
        _, rows = session.execute(RELATIONS, "the server")
        return tuple(".".join(written(ORACLE.dialect, part) for part in row) for row in rows)


connect = OracleSource
