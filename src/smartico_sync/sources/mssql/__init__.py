"""SQL Server 2016 and later, Azure SQL Database and Managed Instance; primary or readable secondary."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from smartico_sync.core.relation import Column
from smartico_sync.errors import DriverMissing

try:
    import pyodbc  # noqa: F401  - asked first, so that a missing library is told as one
except ModuleNotFoundError:
    raise
except ImportError:
    raise DriverMissing("unixODBC is not installed, and pyodbc needs it", hint="apt-get install unixodbc") from None

from smartico_sync.sources.kit.abandonable import UnattendedCalls
from smartico_sync.sources.mssql.clock import TICK_MS, Clock
from smartico_sync.sources.mssql.facts import ask_facts
from smartico_sync.sources.mssql.login import Login
from smartico_sync.sources.mssql.plan import explain, unindexed
from smartico_sync.sources.mssql.reading import MssqlReading
from smartico_sync.sources.mssql.session import Session
from smartico_sync.sources.mssql.tables import ask_structures
from smartico_sync.sources.mssql.types import MSSQL, column_of
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.names import dotted
from smartico_sync.sources.sql.source import PooledSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.relation import Relation
    from smartico_sync.core.tables import Structure

__all__ = ["MssqlSource", "connect"]

UNTOLD = ""  # the type of a column whose type the server cannot tell
UNFIT = {UNTOLD: ("the server cannot tell its types", "select from plain tables and views")}
# Nothing is read, so nobody's locks matter, nor whether snapshots are allowed.
STAR = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; "
TYPES = """SELECT name, system_type_name, user_type_name, collation_name
 FROM sys.dm_exec_describe_first_result_set(@statement, NULL, 0) ORDER BY column_ordinal"""
SELECTS = """SELECT o.name AS called, OBJECT_DEFINITION(o.object_id) AS told
 FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
 WHERE o.type = 'V' AND s.name = {place}"""
RELATIONS = """SELECT s.name AS place, o.name AS called FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
 WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0
 AND HAS_PERMS_BY_NAME(QUOTENAME(s.name) + N'.' + QUOTENAME(o.name), N'OBJECT', N'SELECT') = 1 ORDER BY s.name, o.name"""


class MssqlSource(PooledSource[Session, MssqlReading]):
    """A pool of sessions over one database."""

    reading_type = MssqlReading
    ask_facts = staticmethod(ask_facts)
    explain = staticmethod(explain)
    unfit = UNFIT
    adapter = MSSQL

    def __init__(self, name: str, config: SourceConfig) -> None:
        login, clock, old_views, unattended = Login(config), Clock(TICK_MS), set[str](), UnattendedCalls()
        super().__init__(name, login, lambda place: Session(login, clock, old_views, unattended, place))

    def _too_long(self, column: Column) -> bool:
        return unindexed(column)

    def _transaction(self, session: Session, what: str) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()  # the catalogue needs none

    def _columns(self, session: Session, relation: Relation) -> tuple[Column, ...]:
        what, star = f"view {relation.name}", statements.star(MSSQL, relation)
        names = session.run(STAR + star, what).names
        told = session.run(TYPES, what, {"statement": star}).rows
        if [row[0] for row in told] != list(names):
            return tuple(Column(name, UNTOLD, "other") for name in names)
        return tuple(column_of(*(part or "" for part in row)) for row in told)

    def _selects(self, session: Session, place: Sequence[str]) -> Mapping[str, str]:
        if len(place) > 1:  # another database's
            return {}
        asked = SELECTS.format(place="@place" if place else "SCHEMA_NAME()")
        rows = session.run(asked, "the server", {"place": place[0]} if place else None).rows
        return {name: select or "" for name, select in rows}

    def _structures(self, session: Session) -> Mapping[str, Structure]:
        return ask_structures(session)

    def _listed(self, session: Session) -> tuple[str, ...]:
        return tuple(dotted(row) for row in session.run(RELATIONS, "the server").rows)


connect = MssqlSource
