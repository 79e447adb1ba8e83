"""What warehouses share: clients that nobody can interrupt, no transactions, answers in Arrow, and a clock asked seldom."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import polars as pl
import pyarrow as pa

from smartico_sync.errors import SourceError, SourceUnreachable
from smartico_sync.sources.kit.abandonable import AbandonableCalls
from smartico_sync.sources.kit.arrow import from_arrow, position_texts
from smartico_sync.sources.kit.frames import empty
from smartico_sync.sources.sql.reading import SqlReading, Ties

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from smartico_sync.errors import SyncError
    from smartico_sync.sources.kit.abandonable import UnattendedCalls
    from smartico_sync.sources.kit.server_clock import ServerClock
    from smartico_sync.sources.protocol import NullScan
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["WarehouseReading", "WarehouseSession"]

T = TypeVar("T")


class WarehouseSession(ABC):
    """A client with connections of its own. Not thread-safe but for `abort`."""

    failures: ClassVar[tuple[type[Exception], ...]]
    """What the client lets through."""
    failure: Callable[[Any, str, str], SyncError]
    """One of these, of a place and a view, told as ours."""
    unreadable: ClassVar[tuple[type[Exception], ...]] = (pa.ArrowException, ValueError, OverflowError)
    """What it raises for a value that it cannot convert, with the value in it."""
    cast: ClassVar[str]
    """What makes any column readable, for a hint."""

    def __init__(self, clock: ServerClock, unattended: UnattendedCalls, place: str, patience_s: float) -> None:
        self.clock = clock
        self._unattended = unattended
        self._place = place
        self._patience_s = patience_s
        self._calls = AbandonableCalls(unattended, place)
        self._broken = False

    @abstractmethod
    def _ask_now(self, what: str) -> int:
        """The server's now in epoch ms."""

    def now_ms(self, what: str) -> int:
        """The server's now in epoch ms, which is asked seldom."""
        now = self.clock.now_ms()
        if now is None:
            now = self._ask_now(what)
            self.clock.tell(now)
        return now

    def begin(self, what: str) -> None:  # noqa: B027  - all that there is to say
        """Nothing: each question has a snapshot of its own."""

    def end(self, what: str) -> None:  # noqa: B027  - likewise
        """Nothing."""

    def _call(self, call: Callable[[], T], what: str) -> T:
        """What the client's call gives. `what` names the view for messages."""
        try:
            return self._calls.run(call, self._patience_s, what)
        except self.failures as error:
            told = self.failure(error, self._place, what)
        except self.unreadable:
            hint = f"cast the column {self.cast} in the view"
            told = SourceError(f"{self._place}: {what}: a value cannot be read", hint=hint)
        self._broken = self._broken or isinstance(told, SourceUnreachable)
        raise told from None

    def usable(self) -> bool:
        """Whether the session is worth another question; none of this waits for the network."""
        return not (self._broken or self._calls.abandoned)

    def abort(self) -> None:
        """From another thread: let the waiting one go. The query ends by its own limit of time."""
        self._calls.abandon()

    def close(self) -> None:
        """Close the connections; never raises, never waits."""
        self._calls.close()


S = TypeVar("S", bound=WarehouseSession)


class WarehouseReading(SqlReading[S]):
    """Reads through one session.

    Each question sees what is committed when it begins. A later one of a reading may therefore see more than an earlier one,
    never less, and the clock is read before both: what appears in between is above the page, or found as a late row.
    """

    offset = "+00:00"
    ties: Ties = "exact"

    def begin(self) -> None:
        """Read the server's clock."""
        self.clock_ms = self.session.now_ms(self.what)

    def null_scan(self) -> NullScan:
        """There are no indexes."""
        return "by reading all"

    @abstractmethod
    def ask(self, statement: str, values: Mapping[str, str | int] | None = None) -> list[pa.Table]:
        """One question; its answer as tables of some rows."""

    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """The first value of a statement."""
        tables = self.ask(statement.text, values)
        text: str | None = position_texts(self.series(tables[0].column(0)))[0] if tables else None
        return text

    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Rows as the client's Arrow tables, typed."""
        tables = self.ask(statement.text, values)
        if not tables:
            return empty(self.relation, "rows" if statement.columns else "positions")
        if statement.columns:
            self.answered = tuple(arrow_kind(field.type) for field in tables[0].schema)
        return self.typed(statement, tables)

    def series(self, values: pa.ChunkedArray) -> pl.Series:
        """The values of a position."""
        return pl.Series(pl.from_arrow(values))

    def typed(self, statement: Statement, tables: list[pa.Table]) -> pl.DataFrame:
        """What the statement selected, from tables of some rows."""
        return from_arrow(self.relation, statement, tables)


def arrow_kind(kind: pa.DataType) -> str:
    """A type as an answer tells it; drivers choose the width of whole numbers by the values."""
    return "integer" if pa.types.is_integer(kind) else str(kind)
