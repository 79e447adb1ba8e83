"""What all sources share, whatever language their database is asked in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from msgspec.structs import replace

from smartico_sync.core.late_commit.view_definition import UNKNOWN
from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewAltered
from smartico_sync.sources.kit.alterations import alteration
from smartico_sync.sources.kit.reading import BaseReading
from smartico_sync.sources.kit.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from smartico_sync.core.late_commit.view_definition import ViewDefinition
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.core.replication import Replication
    from smartico_sync.sources.kit.login import BaseLogin
    from smartico_sync.sources.protocol import Asked, FirstPage, News, Plan, ServerFacts

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
    describes: Literal["with every page", "in doubt"] = "with every page"
    """When rows that were read are held against the view's columns as they are then: where that takes long, only in doubt."""

    def __init__(self, name: str, login: BaseLogin) -> None:
        login.check()
        self.name = name
        self.engine = login.engine.scheme
        self.encryption = login.standing
        self._facts: Recent[ServerFacts] = Recent()
        self._replication: Recent[Replication] = Recent()
        self._answers: dict[Relation, tuple[str, ...]] = {}
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
    def reading(self, relation: Relation, first: FirstPage | None = None) -> Iterator[R]:
        """A reading over a described relation, its transaction open.

        ViewAltered when the view's columns are others than they were described as, whatever was read or failed.
        """
        with self._session() as session:
            reading = self.reading_type(session, relation)
            reading.foreseen = first
            try:
                with reading.open():
                    yield reading
                    if self._in_doubt(reading):
                        self._make_sure(session, relation)
                        self._answers[relation] = reading.answered
            except (ViewAltered, SourceUnreachable, SourceRefused, SourceCancelled):
                self._facts.forget()
                self._replication.forget()
                raise
            except (SourceError, TypeError, ValueError):  # what values of another type do to whoever expects them
                altered = self._altered(session, relation)
                if altered is None:
                    raise
                raise altered from None

    def _in_doubt(self, reading: R) -> bool:
        """Whether what was read is to be held against the view's columns as they are now."""
        if reading.brought == "nothing" or reading.relation.columns_are == "chosen":
            return False
        if self.describes == "with every page" or reading.brought == "doubtful rows":
            return True
        return reading.answered != self._answers.setdefault(reading.relation, reading.answered)

    def news(
        self,
        asked: Sequence[Asked],  # noqa: ARG002  - for engines that can
        replication: Literal["not asked", "asked"] = "not asked",  # noqa: ARG002  - likewise
    ) -> News | None:
        """See `protocol.Source`."""
        return None

    def verify(self, relation: Relation) -> None:
        """Describe the relation again. ViewAltered when its columns are others by now."""
        self._hold_against(relation, self.describe(replace(relation, key=(), columns=())).columns)

    @abstractmethod
    def describe(self, relation: Relation) -> Relation:
        """See `protocol.Source`."""

    def _make_sure(self, session: S, relation: Relation) -> None:
        """Within the transaction of a reading: ViewAltered when the view's columns are others by now."""

    def _altered(self, session: S, relation: Relation) -> ViewAltered | None:  # noqa: ARG002  - for engines that tell
        """After a failure: how the view's columns differ from those that it was described with."""
        return None

    def _hold_against(self, relation: Relation, columns: Sequence[Column]) -> None:
        if altered := alteration(self._place, relation, columns):
            raise altered

    def facts(self) -> ServerFacts:
        """What the server is."""
        with self._session() as session:
            return self.ask_facts(session)

    def recent_facts(self) -> ServerFacts:
        """The same, asked once for all views that are opened together."""
        return self._facts.get(self.facts)[0]

    def recent_replication(self, relation: Relation) -> Replication:
        """How it stands in its replication, asked likewise."""

        def ask() -> Replication:
            with self.reading(relation) as reading:
                return reading.replication()

        found, ago_s = self._replication.get(ask)
        return replace(found, now_ms=found.now_ms + int(ago_s * 1000)) if found.now_ms else found

    def hidden(self, relation: Relation) -> str:  # noqa: ARG002  - for engines that tell
        """What keeps rows from this user."""
        return ""

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
