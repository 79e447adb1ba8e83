"""A handful of rows, mapped column by column without a query: what the expressions of `conversion` and `row_values` make of them.

Each maker knows the values that need no look at all, as nearly all are, and says nothing (None) of a column that holds any other:
that one is asked for as an expression.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from smartico_sync.core import few_columns
from smartico_sync.core.conversion import CODED, natural
from smartico_sync.core.few_texts import are_few

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from smartico_sync.catalogue.properties import PropertyType
    from smartico_sync.core.conversion import Hints
    from smartico_sync.core.few_columns import Held
    from smartico_sync.core.relation import Column, Family

    Maker = Callable[[pl.DataFrame], pl.Series | None]
    Way = Callable[[pl.Series], pl.Series | None]

__all__ = [
    "Reading", "Step", "Unusual", "dates", "epoch_ms", "first", "in_rows", "key", "made", "microseconds", "name", "one_inked", "reading",
    "same", "value", "words",
]  # fmt: skip

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
INKED = re.compile(r"[!-~]")  # what begins so is neither empty nor blank, whatever counts as a space
DAY_MS = 86_400_000
EPOCH = {zone: datetime(1970, 1, 1, tzinfo=zone) for zone in (None, UTC)}
EPOCH_DAY = EPOCH[None].toordinal()
MICROSECOND = timedelta(microseconds=1)
OWN_TEXT: frozenset[Family] = frozenset({"text", "decimal", "uuid", "json"})  # printed as they are


class Unusual(Exception):
    """A row of which only expressions can tell what becomes of it."""


class Reading(NamedTuple):
    """What a column becomes, and what is made of each of its values that is not NULL, which may be Unusual; None: it stays."""

    held: Held
    made: Callable[[Any], Any] | None


class Step(NamedTuple):
    """A column that is to be made: its name, what makes the expression, and a maker for a handful of rows, if there is one."""

    name: str
    expr: Callable[[], pl.Expr]
    few: Maker | None

    def asked(self) -> pl.Expr:
        """The expression under the column's name."""
        return self.expr().alias(self.name)


def made(frame: pl.DataFrame, steps: Sequence[Step]) -> pl.DataFrame:
    """The frame with the columns of all steps, in any order."""
    if not are_few(frame):
        return frame.with_columns(step.asked() for step in steps)
    found = {step.name: series for step in steps if step.few is not None and (series := step.few(frame)) is not None}
    frame = frame.hstack([series.alias(name) for name, series in found.items()])
    if len(found) == len(steps):
        return frame
    return frame.with_columns(step.asked() for step in steps if step.name not in found)


def same(text: str) -> Maker:
    """The same text in every row."""
    return lambda rows: few_columns.column("text", [text] * rows.height)


def key(columns: Sequence[str]) -> Maker:
    """The key's columns as one text."""

    def joined(rows: pl.DataFrame) -> pl.Series | None:
        held = [rows.get_column(column) for column in columns]
        if any(each.dtype != pl.String or each.null_count() for each in held):
            return None
        return few_columns.column(
            "text", [",".join(row) for row in zip(*(each.to_list() for each in held), strict=True)]
        )

    return joined if columns else lambda rows: rows.get_column("@cursor")


def name(column: Column) -> Maker:
    """A brand or a user as text."""

    def named(rows: pl.DataFrame) -> pl.Series | None:
        values = rows.get_column(column.name)
        if column.family == "integer" and values.dtype.is_integer():
            return numbers_as_text(values)
        return values if column.family == "text" and all_inked(values) else None

    return named


def words(column: Column, said: Mapping[str, str]) -> Maker:
    """What the words of a column stand for."""

    def told(rows: pl.DataFrame) -> pl.Series | None:
        values = rows.get_column(column.name)
        if column.family != "text" or values.dtype != pl.String:
            return None
        return few_columns.column("text", [said.get(word) for word in values.to_list()])

    return told


def dates(moments: Mapping[str, Maker | None], roles: Maker | None) -> Maker | None:
    """When each row happened: the moment of its role. `roles` is None where all have one."""
    of_all = moments[""]
    if roles is None or of_all is None:
        return of_all

    def dated(rows: pl.DataFrame) -> pl.Series | None:
        told = roles(rows)
        if told is None:
            return None
        asked = [role if role in moments else "" for role in told.to_list()]
        found: dict[str, list[int | None]] = {}
        for role in set(asked):
            maker = moments[role]
            made = maker(rows) if maker is not None else None
            if made is None:
                return None
            found[role] = made.to_list()
        return few_columns.column("whole number", [found[role][place] for place, role in enumerate(asked)])

    return dated


def first(makers: Sequence[Maker | None], nothing: pl.DataType) -> Maker | None:
    """The first of several values that is there; without any, NULL of the dtype `nothing`."""
    if not makers:
        return lambda rows: pl.Series([None] * rows.height, dtype=nothing)
    if len(makers) == 1 or None in makers:
        return None if None in makers else makers[0]

    def chosen(rows: pl.DataFrame) -> pl.Series | None:
        columns = [column for maker in makers if maker is not None and (column := maker(rows)) is not None]
        if len(columns) < len(makers) or len({column.dtype for column in columns}) > 1:
            return None
        if not columns[0].null_count():
            return columns[0]
        values = zip(*(column.to_list() for column in columns), strict=True)
        there = [next((value for value in row if value is not None), None) for row in values]
        return pl.Series(there, dtype=columns[0].dtype)

    return chosen


def in_rows(roles: frozenset[str], told: str, maker: Maker | None) -> Maker | None:
    """A value in rows of some roles only, which the column `told` holds; in all rows where no role is named."""
    if not roles or maker is None:
        return maker

    def chosen(rows: pl.DataFrame) -> pl.Series | None:
        values = maker(rows)
        if values is None:
            return None
        there = [each in roles for each in rows.get_column(told).to_list()]
        if all(there):
            return values
        kept = [value if so else None for value, so in zip(values.to_list(), there, strict=True)]
        return pl.Series(kept, dtype=values.dtype)

    return chosen


def value(column: Column, target: PropertyType, dtype: pl.DataType, hints: Hints) -> Maker | None:
    """A column as a property of type `target`, where `conversion` does nothing with plain values but take them; None where it does."""
    plain = plainly(column, target, dtype, hints)
    if plain is None:
        return None
    return lambda rows: plain(rows.get_column(column.name))


def reading(column: Column, target: PropertyType, dtype: pl.DataType, hints: Hints) -> Reading | None:
    """The same of values by themselves: those of a row, as polars gives it."""
    plain = plainly(column, target, dtype, hints)
    return None if plain is None else readings(dtype).get(plain)


def plainly(column: Column, target: PropertyType, dtype: pl.DataType, hints: Hints) -> Way | None:
    """What is done with the values of a column."""
    family = column.family
    if target == "any":
        if family in ("json", "array") or (family == "boolean" and column.type.startswith(CODED)):
            return None
        target = natural(family)
    if hints.scale or (dtype == pl.String and family in ("integer", "boolean")):
        return None
    if (
        target == "string"
        and dtype == pl.String
        and family in OWN_TEXT
        and not (hints.identifier and family == "decimal")
    ):
        return inked if hints.needed else as_it_is
    if target == "string" and family == "integer":
        return numbers_as_text
    if target == "date" and family in ("timestamp", "instant") and not hints.day:
        return milliseconds if isinstance(dtype, pl.Datetime) and dtype.time_unit == "us" else None
    if target == "date" and family == "date" and dtype == pl.Date:
        return midnights
    if target == family == "boolean" and dtype == pl.Boolean:
        return as_it_is
    if target in ("number", "integer") and family == "integer":
        return as_it_is
    if target == "number" and family == "decimal" and dtype == pl.String:
        return decimals
    if target == "number" and family == "float" and dtype == pl.Float64:
        return finite
    return None


def readings(dtype: pl.DataType) -> dict[Way, Reading]:
    """Each of these ways, of one value."""
    held = few_columns.held_as(dtype)
    moments: dict[Way, Reading] = {
        numbers_as_text: Reading("text", str),
        milliseconds: Reading("whole number", lambda at: microseconds(at) // 1000),
        midnights: Reading("whole number", epoch_ms),
    }
    if held is None:
        return moments
    return moments | {
        as_it_is: Reading(held, None),
        inked: Reading(held, one_inked),
        decimals: Reading(held, one_decimal),
        finite: Reading(held, one_finite),
    }


def as_it_is(values: pl.Series) -> pl.Series:
    """The values themselves."""
    return values


def inked(values: pl.Series) -> pl.Series | None:
    """Texts none of which is blank."""
    return values if all_inked(values) else None


def all_inked(values: pl.Series) -> bool:
    """Whether no text is blank, for certain; NULL is none."""
    return values.dtype == pl.String and all(text is None or INKED.match(text) for text in values.to_list())


def numbers_as_text(values: pl.Series) -> pl.Series:
    """Whole numbers in digits."""
    return few_columns.column("text", [None if each is None else str(each) for each in values.to_list()])


def milliseconds(values: pl.Series) -> pl.Series:
    """Moments as epoch ms."""
    held = values.cast(pl.Int64).to_list()
    return few_columns.column("whole number", [None if each is None else each // 1000 for each in held])


def midnights(values: pl.Series) -> pl.Series:
    """Days as epoch ms."""
    held = values.cast(pl.Int64).to_list()
    return few_columns.column("whole number", [None if each is None else each * DAY_MS for each in held])


def decimals(values: pl.Series) -> pl.Series | None:
    """Texts that are numbers of JSON."""
    return values if all(text is None or NUMBER.fullmatch(text) for text in values.to_list()) else None


def finite(values: pl.Series) -> pl.Series | None:
    """Numbers that JSON can write."""
    return values if all(each is None or isfinite(each) for each in values.to_list()) else None


def one_inked(text: str) -> str:
    """A text that is not blank."""
    if INKED.match(text):
        return text
    raise Unusual


def one_decimal(text: str) -> str:
    """A text that is a number of JSON."""
    if NUMBER.fullmatch(text):
        return text
    raise Unusual


def one_finite(number: float) -> float:
    """A number that JSON can write."""
    if isfinite(number):
        return number
    raise Unusual


def microseconds(at: datetime) -> int:
    """A moment as epoch µs; a wall clock as one of UTC."""
    return (at - (EPOCH[None] if at.tzinfo is None else EPOCH[UTC])) // MICROSECOND


def epoch_ms(day: date) -> int:
    """The midnight before a day as epoch ms."""
    return (day.toordinal() - EPOCH_DAY) * DAY_MS
