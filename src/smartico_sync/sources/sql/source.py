"""What sources over a pool of sessions share: describing a relation, and telling what is wrong with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from smartico_sync.errors import SourceError, ViewBroken
from smartico_sync.sources.kit.pool import Link
from smartico_sync.sources.sql.names import absent_column, check_columns, like
from smartico_sync.sources.sql.reading import SqlReading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.kit.pool import Pool

__all__ = ["GRACE_S", "PooledSource", "transaction"]

GRACE_S = 2.0  # the server's own timeout comes first; its answer needs a moment to arrive
S = TypeVar("S", bound=Link)
R = TypeVar("R", bound=SqlReading)


class Transactional(Link, Protocol):
    """A session that begins and ends transactions itself."""

    def begin(self, what: str) -> None:
        """Open a read-only transaction."""

    def end(self, what: str) -> None:
        """End it."""


@contextmanager
def transaction(session: Transactional, what: str) -> Iterator[None]:
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

    def __init__(self, name: str, place: str, pool: Pool[S]) -> None:
        self.name = name
        self._place = place
        self._pool = pool

    @abstractmethod
    def _open(self, session: S, relation: Relation) -> R:
        """A reading on the session; nothing is asked yet."""

    @abstractmethod
    def _columns(self, session: S, relation: Relation) -> tuple[Column, ...]:
        """All columns, in their order, of a relation that comes without any. ViewBroken when it does not exist."""

    @abstractmethod
    def _listed(self, session: S) -> tuple[str, ...]:
        """See `relations`."""

    def _transaction(self, session: S, what: str) -> AbstractContextManager[None]:  # noqa: ARG002  - for engines that have some
        """A read-only transaction around questions that are no reading's."""
        return nullcontext()

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
        """A reading over a described relation."""
        with self._pool.link() as session, self._read(session, relation) as reading:
            yield reading

    def relations(self) -> tuple[str, ...]:
        """Tables and views that the user may read."""
        with self._pool.link() as session, self._transaction(session, "the server"):
            return self._listed(session)

    def close(self) -> None:
        """Close everything; what is under way ends with a SourceError."""
        self._pool.close()

    @contextmanager
    def _read(self, session: S, relation: Relation) -> Iterator[R]:
        """A reading on this session, ended in any case; a column that the view has lost is told by its name."""
        reading = self._open(session, relation)
        try:
            yield reading
        except ViewBroken as broken:
            reading.end_quietly()
            raise self._explained(session, relation, broken) from None
        except BaseException:
            reading.end_quietly()
            raise
        reading.end()

    def _described(self, session: S, relation: Relation) -> tuple[Column, ...]:
        with self._transaction(session, f"view {relation.name}"):
            return self._columns(session, replace(relation, columns=()))

    def _explained(self, session: S, relation: Relation, broken: ViewBroken) -> ViewBroken:
        """When the view lost a column since it was described: which one, and what is there that is called nearly so."""
        with suppress(SourceError):
            names = [column.name for column in self._described(session, relation)]
            for column in relation.columns:
                if column.name not in names:
                    return absent_column(self._place, f"view {relation.name}", column.name, names)
        return broken

    def _like(self, relation: Relation) -> str:
        """Names close to a relation that does not exist."""
        with suppress(SourceError):
            return like(relation, self.relations())
        return ""
