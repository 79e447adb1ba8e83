"""One short REPEATABLE READ transaction over one view."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from smartico_sync.core.few_texts import FEW
from smartico_sync.errors import ViewBroken
from smartico_sync.sources.kit.frames import decoded, shortest
from smartico_sync.sources.mysql.collations import collated
from smartico_sync.sources.mysql.digests import digest_of, told
from smartico_sync.sources.mysql.explained import null_scan
from smartico_sync.sources.mysql.session import Answer, Session, literal
from smartico_sync.sources.mysql.types import MYSQL
from smartico_sync.sources.protocol import Scan
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.reading import ColumnReading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column
    from smartico_sync.core.replication import Replication
    from smartico_sync.sources.protocol import Digest, Landmarks, NullScan
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["MySQLReading"]

STOPPED = "on the replica: SHOW REPLICA STATUS says why; then START REPLICA (older servers say SLAVE)"


class MySQLReading(ColumnReading[Session]):
    """Reads through one session.

    `clock_ms` is the server's now, taken just before the snapshot; on a replica the time it has replayed up to. `server` is
    its host, port and number.
    """

    adapter = MYSQL

    def begin(self) -> None:
        """Read the clock, then open the transaction."""
        self.relation = collated(self.session, self.relation)
        self.clock_ms, self.server = self.session.clock.read(self.session, self.what)
        self.session.begin(self.what)

    def replication(self) -> Replication:
        """Whether it is a replica, and how it follows, as far as the login may ask."""
        clock = self.session.clock
        return clock.replication(clock.replay(self.session, self.what), STOPPED)

    def ask(self, statement: str) -> Answer:
        """One statement in the reading's transaction."""
        return self.session.run(statement, self.what, self.intake)

    def within(self, statement: Statement, patience_ms: int) -> Statement:
        """By what each of the two knows for a single statement."""
        match self.session.flavour:
            case "mariadb":
                return replace(
                    statement, text=f"SET STATEMENT max_statement_time={patience_ms / 1000} FOR {statement.text}"
                )
            case "mysql":
                hint = f"*/ SELECT /*+ MAX_EXECUTION_TIME({patience_ms}) */"
                return replace(statement, text=statement.text.replace("*/ SELECT", hint, 1))
            case "neither":
                return statement

    def digest(self, of: Literal["rows", "keys"], after: Position | None, high: str) -> Digest | None:
        """Summed up by the server, so that one row is sent."""
        return self._told(Scan(of, after, high))

    def landmarks(self, landmarks: Landmarks) -> Digest | None:
        """Likewise."""
        return self._told(landmarks)

    def _told(self, what: Scan | Landmarks) -> Digest | None:
        try:
            return told(self.ask(digest_of(self.relation, what)).rows[0])
        except ViewBroken:  # some that speak the protocol do not know every function
            return None

    def null_scan(self) -> NullScan:
        """See `explained`."""
        return null_scan(self.session, statements.null_rows(self.adapter, self.relation).filled(literal, {}))

    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Rows, typed; a handful one by one."""
        data, width = self.ask(statement.filled(literal, values)).values, statement.width
        if 0 < len(data) <= FEW * width and all(column.type != "float" for column in statement.columns):
            with suppress(UnicodeDecodeError):
                texts = [None if value is None else value.decode() for value in data]
                made = self.few(statement, [texts[index::width] for index in range(width)])
                if made is not None:
                    return made
        return self.framed(statement, columns_of(data, width))

    def series(self, statement: Statement, values: Mapping[str, str | int]) -> list[pl.Series]:
        """Rows as columns of the text the server prints."""
        return columns_of(self.ask(statement.filled(literal, values)).values, statement.width)

    def shown(self, column: Column, series: pl.Series) -> pl.Series:
        """A float as it was stored."""
        return shortest(series) if column.type == "float" else series


def columns_of(data: Sequence[bytes | None], width: int) -> list[pl.Series]:
    """Values row by row as columns of text."""
    return [decoded(data[index::width]) for index in range(width)] if data else []
