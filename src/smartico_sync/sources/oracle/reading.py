"""One short read-only transaction over one view."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.sources.kit.frames import UNREADABLE, empty, from_texts, whole
from smartico_sync.sources.oracle.types import NATIONAL, ORACLE, stamp
from smartico_sync.sources.sql.reading import SqlReading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.oracle.clock import Clock
    from smartico_sync.sources.oracle.session import Session
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["OracleReading", "bound", "filled"]

LISTED = 512  # values of one IN list: Oracle takes a thousand, and lists are filled up to a power of two
PADDED = ("CHAR", "NCHAR")


class OracleReading(SqlReading):
    """Reads through one session; the transaction opens with the first question."""

    adapter = ORACLE

    def __init__(self, session: Session, relation: Relation, clock: Clock) -> None:
        super().__init__(relation)
        self._session = session
        self._clock = clock
        self._opened_ms: int | None = None
        session.name(relation.name)

    @property
    def clock_ms(self) -> int:
        """The database's now, taken just before the snapshot; on a standby the time it has applied up to."""
        if self._opened_ms is None:
            now = self._clock.read(self._session, self.what)
            self._session.begin(self.what)
            self._opened_ms = now
        return self._opened_ms

    def end(self) -> None:
        """End the transaction if one was begun."""
        self._session.end(self.what)

    def ask(self, statement: str, values: Mapping[str, str | int] | None = None) -> pl.DataFrame:
        """One query in the reading's transaction, as columns."""
        assert self.clock_ms is not None, "opens the transaction"
        national = [
            name for name in values or {} if (column := _column(self.relation, name)) and column.type in NATIONAL
        ]
        return self._session.frames(statement, bound(self.relation, values or {}), national, self.what)

    def value(self, statement: Statement, values: Mapping[str, str | int]) -> str | None:
        """The first value of a statement."""
        found = self.ask(statement.text, values)
        if not found.height:
            return None
        first = found.to_series()
        text: str | None = _text(first.cast(pl.Int64) if first.dtype == pl.Float64 else first)[0]
        return text

    def frame(self, statement: Statement, values: Mapping[str, str | int]) -> pl.DataFrame:
        """Rows as the driver's columns; what came as text is parsed."""
        data, columns = self.ask(statement.text, values), statement.columns
        if not data.height:
            return empty(self.relation, "rows" if columns else "positions")
        series = data.get_columns()
        positions = [_text(series[index]).alias(name) for name, index in statement.positions]
        if not columns:
            return pl.DataFrame(positions)
        return typed(columns, series, self.relation.timezone).hstack(positions)

    def rows(self, positions: Iterable[Position]) -> pl.DataFrame:
        """The rows at these positions."""
        return _piecewise(super().rows, list(positions))

    def by_cursor(self, values: Iterable[str]) -> pl.DataFrame:
        """The rows with one of these cursors."""
        return _piecewise(super().by_cursor, list(values))

    def by_key(self, keys: Iterable[tuple[str, ...]]) -> pl.DataFrame:
        """The rows with one of these keys, whatever their cursor."""
        return _piecewise(super().by_key, list(keys))


def typed(columns: Sequence[Column], series: Sequence[pl.Series], timezone: str) -> pl.DataFrame:
    """A statement's first columns, typed; a value that does not fit spoils only its own row."""
    ready, texts = {}, {}
    for column, values in zip(columns, series, strict=False):
        if values.dtype in (pl.Binary, pl.Boolean):
            ready[column.name] = values
        elif column.family == "integer":
            ready[column.name] = _whole(values)
        else:
            texts[column.name] = _shown(column, _text(values))
    parsed = from_texts([column for column in columns if column.name in texts], list(texts.values()), timezone)
    told = [parsed[UNREADABLE]] if UNREADABLE in parsed.columns else []
    return pl.DataFrame(
        [ready[name].alias(name) if name in ready else parsed[name] for name in (column.name for column in columns)]
        + told
    )


def bound(relation: Relation, values: Mapping[str, str | int]) -> dict[str, str | int]:
    """Parameters in the form that the statement parses."""
    return {
        name: stamp(column, value) if isinstance(value, str) and (column := _column(relation, name)) else value
        for name, value in values.items()
    }


def filled(relation: Relation, statement: Statement, values: Mapping[str, str | int]) -> str:
    """The statement's text with its parameters as constants, where there can be none."""
    texts = {name: _literal(value) for name, value in bound(relation, values).items()}
    # Strings and quoted names stay as they are: a colon in them is no parameter.
    return re.sub(r"""('[^']*'|"[^"]*")|:(\w+)""", lambda found: found[1] or texts[found[2]], statement.text)


def _literal(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _column(relation: Relation, parameter: str) -> Column | None:
    """The column that a parameter is compared with: `k1` and `k1_0` the key's second, `n` none, all others the cursor."""
    key = re.fullmatch(r"k(\d+)(_\d+)?", parameter)
    if parameter == "n":
        return None
    return relation.column(relation.key[int(key.group(1))] if key else relation.cursor)


def _piecewise(ask: Callable[[Sequence], pl.DataFrame], wanted: Sequence) -> pl.DataFrame:  # type: ignore[type-arg]
    if len(wanted) <= LISTED:
        return ask(wanted)
    pieces = [ask(wanted[at : at + LISTED]) for at in range(0, len(wanted), LISTED)]
    return pl.concat(pieces, how="diagonal_relaxed")


def _text(values: pl.Series) -> pl.Series:
    """Values as text. The driver does not look at the bytes of a text, and polars trusts it: so they are looked at here."""
    if values.dtype != pl.String:
        return values.bin.encode("hex") if values.dtype == pl.Binary else values.cast(pl.String)
    data = values.cast(pl.Binary)
    try:
        return data.cast(pl.String)
    except pl.exceptions.PolarsError:
        texts = [None if value is None else value.decode(errors="replace") for value in data]
        return pl.Series(values.name, texts, dtype=pl.String)


def _whole(values: pl.Series) -> pl.Series:
    """Integers of 64 bits, or their text where one is wider."""
    numbers = whole(values)
    return numbers if numbers.null_count() == values.null_count() else values.cast(pl.String)


def _shown(column: Column, text: pl.Series) -> pl.Series:
    """A value's text as the frame takes it, where the server writes it in a way of its own."""
    if column.type == "NUMBER":
        return _number(text)
    if column.family in ("timestamp", "instant"):
        # A year before 1 has a sign, which a pattern of times would take for one.
        return text.str.replace("^-", "BC ") if text.str.starts_with("-").any() else text
    if column.type in PADDED:
        return text.str.strip_chars_end(" ")
    return text.cast(pl.Float32, strict=False).cast(pl.String) if column.type == "BINARY_FLOAT" else text


def _number(text: pl.Series) -> pl.Series:
    """TM9 leaves out the zero before the point, and writes what is longer than 64 characters with an exponent."""
    pointed = text.str.replace(r"^(-?)\.", "${1}0.")
    odd = pointed.str.contains(r"[^0-9.\-]")
    if not odd.any():
        return pointed
    return pl.Series(text.name, [_plain(value) for value in pointed], dtype=pl.String)


def _plain(value: str | None) -> str | None:
    if value is None or "~" in value:
        return value and "Infinity"
    return format(Decimal(value), "f")
