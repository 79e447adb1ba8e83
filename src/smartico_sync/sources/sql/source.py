"""What sources over a pool of sessions share: describing a relation, and telling what is wrong with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from smartico_sync.core.late_commit.view_definition import UNKNOWN, Part, ViewDefinition
from smartico_sync.core.relation import Relation
from smartico_sync.core.tables import Structure, Table
from smartico_sync.errors import SourceError, ViewBroken
from smartico_sync.sources.kit.suggestions import absent_column, check_columns
from smartico_sync.sources.sql import ddl
from smartico_sync.sources.sql.names import like, names_of
from smartico_sync.sources.sql.reading import SqlReading, SqlSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column
    from smartico_sync.core.tables import IndexPlan, ViewPlan
    from smartico_sync.sources.kit.pool import Pool
    from smartico_sync.sources.protocol import Plan, ServerFacts
    from smartico_sync.sources.sql.statements import DialectAdapter

__all__ = ["PooledSource", "transaction"]


S = TypeVar("S", bound=SqlSession)
R = TypeVar("R", bound=SqlReading[Any])


@contextmanager
def transaction(session: SqlSession, what: str) -> Iterator[None]:
    """A read-only transaction; how it ends changes nothing, since nothing was written."""
    session.begin(what)
    try:
        yield
    finally:
        with suppress(SourceError):
            session.end(what)


class PooledSource(ABC, Generic[S, R]):
    """One database through a pool of sessions, see `protocol.Source`. `place` is what messages call it."""

    engine: str
    reading_type: Callable[[S, Relation], R]
    ask_facts: Callable[[S], ServerFacts]
    """See `facts`; asked outside a transaction."""
    explain: Callable[[R, Position | None, int], Plan]
    """See `plan`."""
    adapter: DialectAdapter
    """How the engine writes names."""
    cursor_names: Literal["free", "kept"] = "free"
    """Whether a view may call its cursor otherwise than its table does, and still be read by the table's index."""
    create_index = ""
    """The statement for an index, of `name`, `table` and `columns`; empty where the engine has none."""

    home = ""
    """The schema that the URL names, where the engine calls it a database; relations of others are not proposed."""

    def __init__(self, name: str, place: str, pool: Pool[S]) -> None:
        self.name = name
        self._place = place
        self._pool = pool

    @abstractmethod
    def _columns(self, session: S, relation: Relation) -> tuple[Column, ...]:
        """All columns, in their order, of a relation that comes without any. ViewBroken when it does not exist."""

    @abstractmethod
    def _listed(self, session: S) -> tuple[str, ...]:
        """See `relations`."""

    def _structures(self, session: S) -> Mapping[str, Structure]:  # noqa: ARG002  - for engines that tell
        """What the catalogue says of relations, by the names that `_listed` gives; absent: nothing is known."""
        return {}

    def _transaction(self, session: S, what: str) -> AbstractContextManager[None]:
        """Around questions that are no reading's."""
        return transaction(session, what)

    def describe(self, relation: Relation) -> Relation:
        """The relation with its columns."""
        what = f"view {relation.name}"
        try:
            with self._pool.link() as session:
                columns = self._described(session, relation)
        except ViewBroken as broken:
            raise ViewBroken(broken.message, hint=self._like(relation) or broken.hint) from None
        check_columns(self._place, what, relation, [column.name for column in columns])
        return replace(relation, columns=columns)

    @contextmanager
    def reading(self, relation: Relation) -> Iterator[R]:
        """A reading over a described relation, its transaction open; a column that the view has lost is told by its name."""
        with self._pool.link() as session:
            reading = self.reading_type(session, relation)
            try:
                with reading.open():
                    yield reading
            except ViewBroken as broken:
                raise self._lost_column(session, relation) or broken from None

    def facts(self) -> ServerFacts:
        """What the server is."""
        with self._pool.link() as session:
            return self.ask_facts(session)

    def plan(self, relation: Relation, after: Position | None, limit: int) -> Plan:
        """How the poll runs, and what would make it faster."""
        with self.reading(relation) as reading:
            return self.explain(reading, after, limit)

    def relations(self) -> tuple[str, ...]:
        """Tables and views that the user may read."""
        with self._pool.link() as session, self._transaction(session, "the server"):
            return self._listed(session)

    def tables(self) -> tuple[Table, ...]:
        """Tables and views with their columns; those that cannot be described are left out."""
        names = [name for name in self.relations() if not self.home or names_of(name)[0] == self.home]
        with self._pool.link() as session:
            with self._transaction(session, "the server"):
                known = self._structures(session)
            found = []
            for name in names:
                with suppress(SourceError):
                    columns = self._described(session, Relation(name, "", (), relation=name))
                    found.append(Table(name, columns, known.get(name, Structure())))
        return tuple(found)

    def ddl(self, views: Sequence[ViewPlan], indexes: Sequence[IndexPlan]) -> tuple[str, ...]:
        """`CREATE VIEW` and `CREATE INDEX`, in the engine's dialect."""
        dialect = self.adapter.dialect
        made = [ddl.view(dialect, each) for each in views]
        if self.create_index:
            made += [ddl.index(dialect, each, self.create_index) for each in indexes]
        return tuple(made)

    def definition(self, relation: Relation) -> ViewDefinition:
        """What the relation is made of."""
        if relation.relation is None:
            return ViewDefinition((Part("the query", "query", relation.query or ""),))
        with suppress(SourceError), self._pool.link() as session, self._transaction(session, f"view {relation.name}"):
            return self._defined(session, relation.relation)
        return UNKNOWN

    def _defined(self, session: S, name: str) -> ViewDefinition:  # noqa: ARG002  - for engines that tell
        """What a relation of that name is made of."""
        return UNKNOWN

    def close(self) -> None:
        """Close everything; what is under way ends with a SourceError."""
        self._pool.close()

    def _described(self, session: S, relation: Relation) -> tuple[Column, ...]:
        with self._transaction(session, f"view {relation.name}"):
            return self._columns(session, replace(relation, columns=()))

    def _lost_column(self, session: S, relation: Relation) -> ViewBroken | None:
        """When the view lost a column since it was described: which one, and what is there that is called nearly so."""
        with suppress(SourceError):
            names = [column.name for column in self._described(session, relation)]
            for column in relation.columns:
                if column.name not in names:
                    return absent_column(self._place, f"view {relation.name}", column.name, names)
        return None

    def _like(self, relation: Relation) -> str:
        """Names close to a relation that does not exist."""
        with suppress(SourceError):
            return like(relation, self.relations())
        return ""
