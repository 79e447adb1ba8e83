"""Oracle Database 12.1 and later, primary or Active Data Guard standby, with the driver's thin mode."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError, ViewBroken
from smartico_sync.sources import sql
from smartico_sync.sources.names import absent_column, check_columns, like
from smartico_sync.sources.oracle.clock import Clock
from smartico_sync.sources.oracle.dialling import Dialler
from smartico_sync.sources.oracle.facts import ask_facts
from smartico_sync.sources.oracle.login import Login
from smartico_sync.sources.oracle.plan import explain
from smartico_sync.sources.oracle.reading import OracleReading
from smartico_sync.sources.oracle.session import Session
from smartico_sync.sources.oracle.types import ORACLE, column_of, written
from smartico_sync.sources.pool import Pool
from smartico_sync.sources.url import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import oracledb

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.protocol import Plan, ServerFacts

__all__ = ["OracleSource", "connect"]

GRACE_S = 2.0  # the call's own timeout comes first; the server's answer to it needs a moment to arrive
THEIRS = "SELECT USERNAME FROM ALL_USERS WHERE ORACLE_MAINTAINED = 'Y'"
RELATIONS = f"""SELECT OWNER, TABLE_NAME FROM ALL_TABLES
 WHERE DROPPED = 'NO' AND NESTED = 'NO' AND OWNER NOT IN ({THEIRS})
 UNION SELECT OWNER, VIEW_NAME FROM ALL_VIEWS WHERE OWNER NOT IN ({THEIRS}) ORDER BY 1, 2"""  # noqa: S608  - constants only


def connect(name: str, config: SourceConfig) -> OracleSource:
    """The source of that name; the first question opens the first connection."""
    return OracleSource(name, config)


class OracleSource:
    """A pool of sessions over one database."""

    engine = "oracle"

    def __init__(self, name: str, config: SourceConfig) -> None:
        self.name = name
        url = parse(config.url.get_secret_value())
        silence_s = config.statement_timeout / 1000 + GRACE_S
        login = Login(url, silence_s, tuple(sorted(config.options.items())))
        login.addresses()  # what the driver cannot use is told before the first poll
        self._place = f"source {name} ({url.place or login.parameters.get('dsn', '').partition('(')[0]})"
        self._clock = Clock()
        dialler = Dialler()
        self._pool: Pool[Session] = Pool(
            lambda: Session(login, dialler, self._place, config.statement_timeout), config.pool, silence_s
        )

    def describe(self, relation: Relation) -> Relation:
        """The relation with its columns."""
        what = f"view {relation.name}"
        try:
            with self._pool.link() as session, _transaction(session, what):
                fields = _fields(session, relation)
        except ViewBroken as broken:
            raise ViewBroken(broken.message, hint=self._like(relation) or broken.hint) from None
        check_columns(self._place, what, relation, [written(field.name) for field in fields])
        columns = []
        for field in fields:
            column = column_of(field)
            if column is None:
                raise ViewBroken(
                    f"{self._place}: {what}: {written(field.name)} holds objects, which are no values",
                    hint="select the parts that matter as columns of their own, or leave it out",
                )
            columns.append(column)
        return replace(relation, columns=tuple(columns))

    @contextmanager
    def reading(self, relation: Relation) -> Iterator[OracleReading]:
        """A transaction over a described relation."""
        with self._pool.link() as session:
            reading = OracleReading(session, relation, self._clock)
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
            reading = OracleReading(session, relation, self._clock)
            try:
                return explain(session, reading, relation, after, limit)
            finally:
                reading.end_quietly()

    def relations(self) -> tuple[str, ...]:
        """Tables and views the user may read."""
        with self._pool.link() as session:
            _, rows = session.execute(RELATIONS, "the server")
        return tuple(".".join(_quoted(part) for part in row) for row in rows)

    def close(self) -> None:
        """Close everything; what is under way ends with a SourceError."""
        self._pool.close()

    def _explained(self, session: Session, relation: Relation, broken: ViewBroken) -> ViewBroken:
        """When the view lost a column since it was described: which one, and what is there that is called nearly so."""
        what = f"view {relation.name}"
        with suppress(SourceError), _transaction(session, what):
            names = [written(field.name) for field in _fields(session, relation)]
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


def _fields(session: Session, relation: Relation) -> Sequence[oracledb.FetchInfo]:
    return session.execute(sql.star(ORACLE, replace(relation, columns=())), f"view {relation.name}")[0]


def _quoted(stored: str) -> str:
    """A name as `relation:` takes it."""
    name = written(stored)
    return f'"{stored}"' if name == stored and (name.islower() or "." in name) else str(name)
