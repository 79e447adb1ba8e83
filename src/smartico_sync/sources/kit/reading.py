"""What all readings share, whatever language their database is asked in: when they begin and end, and rows asked for again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

import polars as pl

from smartico_sync.core.replication import UNKNOWN
from smartico_sync.errors import SourceError
from smartico_sync.sources.kit.frames import UNREADABLE, empty, schema
from smartico_sync.sources.kit.intake import Intake
from smartico_sync.sources.kit.positions import exactly, labels, moment_text
from smartico_sync.sources.protocol import HANDFUL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation, Snapshot
    from smartico_sync.core.replication import Replication
    from smartico_sync.sources.kit.positions import Label
    from smartico_sync.sources.protocol import Digest, FirstPage, Landmarks, NullScan

__all__ = ["BaseReading", "Brought"]

Brought = Literal[
    "nothing",
    "rows",
    "doubtful rows",  # some value is not what its column was described as
]

MOST_LISTED = 1_000  # what the protocol allows in a call


class BaseReading(ABC):
    """One short reading over one described relation, see `protocol.Reading`: `with reading.open(): …`.

    `clock_ms`, `snapshot` and `server` are known as soon as it is open, and so is `first`. `foreseen`: the page that whoever
    reads will most likely ask for first; most engines open a reading without it.
    """

    offset = ""  # what the engine writes behind an instant in UTC
    clock_ms: int
    snapshot: Snapshot | None = None  # most engines have none that can serve as a fence
    server: str = ""  # most do not say which of several servers answers
    foreseen: FirstPage | None = None
    first: FirstPage | None = None

    def __init__(self, relation: Relation) -> None:
        self.relation = relation
        self.what = f"view {relation.name}"
        self.brought: Brought = "nothing"
        self.fitting: pl.DataFrame | None = None  # the last rows that were made of nothing but what was promised
        self.answered: tuple[str, ...] = ()  # the types of the columns, where an answer tells them
        self.intake: Intake | None = None  # of the question that is asked now; None: it may bring what there is

    @abstractmethod
    def begin(self) -> None:
        """Open the transaction, where the engine has one, and set `clock_ms`, which is never later than the snapshot."""

    def end(self) -> None:  # noqa: B027  - not every engine has transactions
        """End the transaction if one was begun."""

    @contextmanager
    def open(self) -> Iterator[None]:
        """From begin to end, whatever happens."""
        try:
            self.begin()
            yield
        except BaseException:
            with suppress(SourceError):
                self.end()
            raise
        self.end()

    @contextmanager
    def bounded(self, asked: int) -> Iterator[None]:
        """Around a question about so many rows: what it brings is bounded, see `Intake`."""
        self.intake = Intake(self.what, asked) if asked > HANDFUL else None
        try:
            yield
        finally:
            self.intake = None

    def noted(self, rows: pl.DataFrame) -> pl.DataFrame:
        """These rows, which whoever reads will use: whether they are what the view was described as is made sure of."""
        if rows.height and self.brought != "doubtful rows":
            doubt = rows is not self.fitting and doubtful(rows, self.relation)
            self.brought = "doubtful rows" if doubt else "rows"
        return rows

    @abstractmethod
    def among(self, listed: Sequence[Label], wanted: Sequence[Sequence[str]]) -> pl.DataFrame:
        """Rows in which each of these columns, cursor or parts of the key, holds one of the values wanted of it.

        A superset of the tuples wanted, of which there is at least one; rows with a NULL in the key are left out.
        """

    def rows(self, positions: Iterable[Position]) -> pl.DataFrame:
        """The rows at these positions."""
        return self._asked_again(labels(self.relation), [(each.cursor, *each.key) for each in positions], exactly)

    def by_cursor(self, values: Iterable[str]) -> pl.DataFrame:
        """The rows with one of these cursors, in whatever form the values are written."""
        return self._asked_again(labels(self.relation)[:1], [(value,) for value in values], all_found)

    def by_key(self, keys: Iterable[tuple[str, ...]]) -> pl.DataFrame:
        """The rows with one of these keys, whatever their cursor."""
        return self._asked_again(labels(self.relation)[1:], list(keys), exactly)

    def by_written_key(self, key: tuple[str, ...]) -> pl.DataFrame:
        """The rows with this key, in whatever form its values are written."""
        return self._asked_again(labels(self.relation)[1:], [key], all_found)

    def moment(self, at_ms: int) -> str:
        """An epoch ms as a cursor's text."""
        return moment_text(self.relation, at_ms, offset=self.offset)

    def replication(self) -> Replication:
        """See `protocol.Reading`; most engines tell nothing."""
        return UNKNOWN

    def pinned_by(self) -> str:
        """See `protocol.Reading`; most engines have no transaction ids to pin."""
        return ""

    def digest(self, of: Literal["rows", "keys"], after: Position | None, high: str) -> Digest | None:  # noqa: ARG002
        """See `protocol.Reading`; most engines would have to send the rows."""
        return None

    def landmarks(self, landmarks: Landmarks) -> Digest | None:  # noqa: ARG002  - for engines that can
        """See `protocol.Reading`; likewise."""
        return None

    def null_scan(self) -> NullScan:
        """See `protocol.Reading`; many engines would have to try."""
        return "unknown"

    def most_listed(self, parts: int) -> int:  # noqa: ARG002  - for engines that count parameters
        """How many tuples of so many parts one question may list."""
        return MOST_LISTED

    def _asked_again(
        self,
        listed: Sequence[Label],
        wanted: Sequence[Sequence[str]],
        matching: Callable[[pl.DataFrame, Sequence[Label], Sequence[Sequence[str]]], pl.DataFrame],
    ) -> pl.DataFrame:
        """Portion by portion, each narrowed by itself: what another one's lists also match must not be there twice."""
        size = self.most_listed(len(listed))
        portions = [wanted[at : at + size] for at in range(0, len(wanted), size)]
        with self.bounded(len(wanted)):
            found = [matching(self.among(listed, portion), listed, portion) for portion in portions]
        return (
            found[0] if len(found) == 1 else pl.concat([empty(self.relation, "rows"), *found], how="diagonal_relaxed")
        )


def doubtful(rows: pl.DataFrame, relation: Relation) -> bool:
    """Whether a value could not be read, or a column is of another type than its description promised."""
    expected = schema(relation)
    return UNREADABLE in rows.columns or any(expected.get(name, kind) != kind for name, kind in rows.schema.items())


def all_found(found: pl.DataFrame, listed: Sequence[Label], wanted: Sequence[Sequence[str]]) -> pl.DataFrame:  # noqa: ARG001
    """Of the rows found, all."""
    return found
