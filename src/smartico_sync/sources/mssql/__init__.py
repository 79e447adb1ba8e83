"""SQL Server 2016 and later, Azure SQL Database and Managed Instance; primary or readable secondary."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from smartico_sync.errors import DriverMissing, SourceError, ViewBroken

try:
    import pyodbc  # noqa: F401  - asked first, so that a missing library is told as one
except ModuleNotFoundError:
    raise
except ImportError:
    raise DriverMissing("unixODBC is not installed, and pyodbc needs it", hint="apt-get install unixodbc") from None

from smartico_sync.sources import sql
from smartico_sync.sources.mssql.clock import Clock
from smartico_sync.sources.mssql.facts import ask_facts
from smartico_sync.sources.mssql.login import Login
from smartico_sync.sources.mssql.plan import explain
from smartico_sync.sources.mssql.reading import MssqlReading
from smartico_sync.sources.mssql.session import Session
from smartico_sync.sources.mssql.types import MSSQL, column_of
from smartico_sync.sources.names import absent_column, check_columns, like
from smartico_sync.sources.pool import Pool
from smartico_sync.sources.url import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.protocol import Plan, ServerFacts

__all__ = ["MssqlSource", "connect"]

GRACE_S = 3.0  # the driver waits two seconds for the server to hear that a query is cancelled
# Nothing is read, so nobody's locks matter, nor whether snapshots are allowed.
STAR = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; "
TYPES = """SELECT name, system_type_name, user_type_name, collation_name
 FROM sys.dm_exec_describe_first_result_set(@statement, NULL, 0) ORDER BY column_ordinal"""
RELATIONS = """SELECT s.name AS place, o.name AS called FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
 WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0
 AND HAS_PERMS_BY_NAME(QUOTENAME(s.name) + N'.' + QUOTENAME(o.name), N'OBJECT', N'SELECT') = 1 ORDER BY s.name, o.name"""


def connect(name: str, config: SourceConfig) -> MssqlSource:
    """The source of that name; the first question opens the first connection."""
    return MssqlSource(name, config)


class MssqlSource:
    """A pool of sessions over one database."""

    engine = "mssql"

    def __init__(self, name: str, config: SourceConfig) -> None:
        self.name = name
        url = parse(config.url.get_secret_value())
        silence_s = config.statement_timeout / 1000 + GRACE_S
        login = Login(url, silence_s, tuple(sorted(config.options.items())))
        login.check()  # what the driver cannot use is told before the first poll
        self._place = f"source {name} ({url.place})"
        self._clock = Clock()
        self._old_views: set[str] = set()
        self._pool: Pool[Session] = Pool(
            lambda: Session(login, self._place, config.statement_timeout), config.pool, silence_s
        )

    def describe(self, relation: Relation) -> Relation:
        """The relation with its columns."""
        what = f"view {relation.name}"
        star = sql.star(MSSQL, replace(relation, columns=()))
        try:
            with self._pool.link() as session:
                names = session.run(STAR + star, what).names
                told = session.run(TYPES, what, {"statement": star}).rows
        except ViewBroken as broken:
            raise ViewBroken(broken.message, hint=self._like(relation) or broken.hint) from None
        check_columns(self._place, what, relation, names)
        if [row[0] for row in told] != list(names):
            raise ViewBroken(
                f"{self._place}: {what}: the server cannot tell its types", hint="select from plain tables and views"
            )
        return replace(relation, columns=tuple(column_of(*(part or "" for part in row)) for row in told))

    @contextmanager
    def reading(self, relation: Relation) -> Iterator[MssqlReading]:
        """A transaction over a described relation."""
        with self._pool.link() as session:
            reading = MssqlReading(session, relation, self._clock, self._old_views)
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
            return ask_facts(session, self._clock)

    def plan(self, relation: Relation, after: Position | None, limit: int) -> Plan:
        """How the poll runs, and whether an index can serve it."""
        with self._pool.link() as session:
            reading = MssqlReading(session, relation, self._clock, self._old_views)
            try:
                return explain(session, reading, relation, after, limit)
            finally:
                reading.end_quietly()

    def relations(self) -> tuple[str, ...]:
        """Tables and views the user may read."""
        with self._pool.link() as session:
            rows = session.run(RELATIONS, "the server").rows
        return tuple(".".join(_quoted(part) for part in row) for row in rows)

    def close(self) -> None:
        """Close everything; what is under way ends with SourceUnreachable."""
        self._pool.close()

    def _explained(self, session: Session, relation: Relation, broken: ViewBroken) -> ViewBroken:
        """When the view lost a column since it was described: which one, and what is there that is called nearly so."""
        what = f"view {relation.name}"
        with suppress(SourceError):
            names = session.run(STAR + sql.star(MSSQL, replace(relation, columns=())), what).names
            for column in relation.columns:
                if column.name not in names:
                    return absent_column(self._place, what, column.name, names)
        return broken

    def _like(self, relation: Relation) -> str:
        """Names close to a relation that does not exist."""
        with suppress(SourceError):
            return like(relation, self.relations())
        return ""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if '"' in name or "." in name else name
