"""What sources over a pool of sessions share: describing a relation, and telling what is wrong with it."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from msgspec.structs import replace

from smartico_sync.core.late_commit.view_definition import UNKNOWN, Part, ViewDefinition, gathered
from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceError, ViewAltered, ViewBroken
from smartico_sync.sources.kit.alterations import alteration
from smartico_sync.sources.kit.pool import Pool
from smartico_sync.sources.kit.source import BaseSource
from smartico_sync.sources.kit.suggestions import check_columns
from smartico_sync.sources.sql import ddl
from smartico_sync.sources.sql.names import like, names_of
from smartico_sync.sources.sql.reading import SqlReading, SqlSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from smartico_sync.core.relation import Column
    from smartico_sync.core.tables import IndexPlan, Structure, Table, ViewPlan
    from smartico_sync.sources.kit.login import BaseLogin
    from smartico_sync.sources.sql.statements import Adapter

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


class PooledSource(BaseSource[S, R]):
    """One database through a pool of sessions. `open_session` is told what messages call it."""

    unfit: Mapping[str, tuple[str, str]] = {}
    """Types of columns that cannot be read at all: what is told of the `{column}`, and what to do instead."""
    adapter: Adapter
    """How the engine writes names."""
    cursor_names: Literal["free", "kept"] = "free"
    """Whether a view may call its cursor otherwise than its table does, and still be read by the table's index."""
    create_index = ddl.INDEX
    """The statement for an index, of `name`, `table`, `columns` and `cursor`, the first of these; where the engine has none, a
    comment that says so and what serves a poll there."""

    longest_name = ddl.LONGEST
    """Characters of the name of an index, a view or a column."""
    home = ""
    """The schema that the URL names, where the engine calls it a database; relations of others are not proposed."""

    def __init__(self, name: str, login: BaseLogin, open_session: Callable[[str], S]) -> None:
        super().__init__(name, login)
        self._pool = Pool(lambda: open_session(self._place), login.pool, login.silence_s)

    @abstractmethod
    def _columns(self, session: S, relation: Relation) -> tuple[Column, ...]:
        """All columns, in their order, of a relation that comes without any. ViewBroken when it does not exist."""

    def _session(self) -> AbstractContextManager[S]:
        return self._pool.link()

    def _structures(self, session: S) -> Mapping[str, Structure]:  # noqa: ARG002  - for engines that tell
        """What the catalogue says of relations, by the names that `_listed` gives; absent: nothing is known."""
        return {}

    def _too_long(self, column: Column) -> bool:  # noqa: ARG002  - for engines that index nothing but short values
        """Whether no index can hold the column whole."""
        return False

    def _transaction(self, session: S, what: str) -> AbstractContextManager[None]:
        return transaction(session, what)

    def describe(self, relation: Relation) -> Relation:
        """The relation with its columns."""
        what = f"view {relation.name}"
        try:
            with self._session() as session:
                columns = self._described(session, relation)
        except ViewAltered:
            raise
        except ViewBroken as broken:
            raise ViewBroken(broken.message, hint=self._like(relation) + broken.hint) from None
        check_columns(self._place, what, relation, [column.name for column in columns])
        for column in columns:
            if column.type in self.unfit:
                told, hint = self.unfit[column.type]
                raise ViewBroken(f"{self._place}: {what}: {told.format(column=column.name)}", hint=hint)
        return replace(relation, columns=columns)

    def tables(self) -> tuple[Table, ...]:
        """Tables and views with their columns; those that cannot be described are left out."""
        from smartico_sync.core.tables import Structure, Table  # noqa: PLC0415 - only for a proposal

        names = [name for name in self.relations() if not self.home or names_of(name)[0] == self.home]
        with self._session() as session:
            with self._transaction(session, "the server"):
                known = self._structures(session)
            found = []
            for name in names:
                with suppress(SourceError):
                    columns = self._described(session, Relation(name, "", (), relation=name))
                    long = frozenset(column.name for column in columns if self._too_long(column))
                    told = known.get(name, Structure())
                    found.append(Table(name, columns, replace(told, unindexed=told.unindexed | long)))
        return tuple(found)

    def ddl(self, views: Sequence[ViewPlan], indexes: Sequence[IndexPlan]) -> tuple[str, ...]:
        """`CREATE VIEW` and `CREATE INDEX`, in the engine's dialect."""
        dialect = self.adapter.dialect
        made = (ddl.view(dialect, each) for each in views)
        return (*made, *(ddl.index(dialect, each, self.create_index, self.longest_name) for each in indexes))

    def definition(self, relation: Relation) -> ViewDefinition:
        """What the relation is made of."""
        if relation.relation is None:
            return ViewDefinition((Part("the query", "query", relation.query or ""),))
        with suppress(SourceError), self._session() as session, self._transaction(session, f"view {relation.name}"):
            return self._defined(session, relation.relation)
        return UNKNOWN

    def _defined(self, session: S, relation: str) -> ViewDefinition:
        """What the relation of that name is made of, with the views of its schema beneath it."""
        *place, name = names_of(relation)
        views = self._selects(session, place)
        return ViewDefinition(gathered(name, views)) if views else UNKNOWN

    def _selects(self, session: S, place: Sequence[str]) -> Mapping[str, str]:  # noqa: ARG002  - for engines that tell
        """The SELECTs of a schema's views by name; `place` is the relation's name without its last part."""
        return {}

    def close(self) -> None:
        """Close everything; what is under way ends with a SourceError."""
        self._pool.close()

    def _described(self, session: S, relation: Relation) -> tuple[Column, ...]:
        with self._transaction(session, f"view {relation.name}"):
            return self._columns(session, replace(relation, columns=()))

    def _make_sure(self, session: S, relation: Relation) -> None:
        self._hold_against(relation, self._columns(session, replace(relation, columns=())))

    def _altered(self, session: S, relation: Relation) -> ViewAltered | None:
        with suppress(SourceError):
            return alteration(self._place, relation, self._described(session, relation))
        return None

    def _like(self, relation: Relation) -> str:
        """Names close to a relation that does not exist, as the beginning of a hint."""
        with suppress(SourceError):
            return like(relation, self.relations())
        return ""
