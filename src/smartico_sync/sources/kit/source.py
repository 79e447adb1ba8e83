"""What all sources share, whatever language their database is asked in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Generic, TypeVar

from smartico_sync.core.late_commit.view_definition import UNKNOWN
from smartico_sync.errors import ViewBroken
from smartico_sync.sources.kit.reading import BaseReading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from smartico_sync.core.late_commit.view_definition import ViewDefinition
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.kit.login import BaseLogin
    from smartico_sync.sources.protocol import Plan, ServerFacts

__all__ = ["BaseSource"]

S = TypeVar("S")
R = TypeVar("R", bound=BaseReading)


class BaseSource(ABC, Generic[S, R]):
    """One database, asked through sessions, see `protocol.Source`. `_place` is what messages call it."""

    reading_type: Callable[[S, Relation], R]
    ask_facts: Callable[[S], ServerFacts]
    """See `facts`; asked outside a transaction."""
    explain: Callable[[R, Position | None, int], Plan]
    """See `plan`."""

    def __init__(self, name: str, login: BaseLogin) -> None:
        login.check()
        self.name = name
        self.engine = login.engine.scheme
        self._place = f"source {name} ({login.place})"

    @abstractmethod
    def _session(self) -> AbstractContextManager[S]:
        """A session of this thread's own."""

    @abstractmethod
    def _listed(self, session: S) -> tuple[str, ...]:
        """See `relations`."""

    def _transaction(self, session: S, what: str) -> AbstractContextManager[None]:  # noqa: ARG002  - not every engine has any
        """Around questions that are no reading's."""
        return nullcontext()

    @contextmanager
    def reading(self, relation: Relation) -> Iterator[R]:
        """A reading over a described relation, its transaction open; a column that the view has lost is told by its name."""
        with self._session() as session:
            reading = self.reading_type(session, relation)
            try:
                with reading.open():
                    yield reading
            except ViewBroken as broken:
                raise self._lost_column(session, relation) or broken from None

    def _lost_column(self, session: S, relation: Relation) -> ViewBroken | None:  # noqa: ARG002  - for engines that tell
        """When the view lost a column since it was described: which one, and what is there that is called nearly so."""
        return None

    def facts(self) -> ServerFacts:
        """What the server is."""
        with self._session() as session:
            return self.ask_facts(session)

    def plan(self, relation: Relation, after: Position | None, limit: int) -> Plan:
        """How the poll runs, and what would make it faster."""
        with self.reading(relation) as reading:
            return self.explain(reading, after, limit)

    def relations(self) -> tuple[str, ...]:
        """Tables and views that the user may read."""
        with self._session() as session, self._transaction(session, "the server"):
            return self._listed(session)

    def definition(self, relation: Relation) -> ViewDefinition:  # noqa: ARG002  - for engines that tell
        """What the relation is made of."""
        return UNKNOWN
