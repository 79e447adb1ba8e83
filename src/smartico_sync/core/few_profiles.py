"""A handful of profiles, looked at one by one: what their columns say, where a query costs more than the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core import few_columns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

__all__ = ["beside", "digits", "filled", "glued", "hexadecimal", "older", "same_or"]


def beside(players: pl.Series, known: pl.DataFrame) -> list[pl.Series]:
    """The columns of `known` but its first, the player, for each of these players; null where nothing is known."""
    names = known.columns[1:]
    there = {row[0]: row[1:] for row in known.rows()}
    found = [there.get(player, (None,) * len(names)) for player in players]
    return [pl.Series(name, [row[place] for row in found], known.dtypes[place + 1]) for place, name in enumerate(names)]


def older(players: pl.Series, cursor_at: pl.Series, known: pl.DataFrame) -> pl.Series | None:
    """Which rows are older than what is `known` [id, cursor_at] of their player, or than a row before; None when none is."""
    newest: dict[int, int | None] = dict(zip(known.get_column("id"), known.get_column("cursor_at"), strict=True))
    mask = []
    for player, at in zip(players, cursor_at, strict=True):
        before = newest.get(player)
        mask.append(at is not None and before is not None and at < before)
        newest[player] = max((each for each in (at, before) if each is not None), default=None)
    return few_columns.column("truth", mask) if any(mask) else None


def glued(columns: Iterable[pl.Series], before: str = "", behind: str = "") -> pl.Series:
    """The texts of columns as one, null where one of them is, with the same text before and behind each."""
    rows = zip(*(column.to_list() for column in columns), strict=True)
    return few_columns.column("text", [None if None in row else "".join((before, *row, behind)) for row in rows])


def filled(values: pl.Series) -> list[str]:
    """A digit for each row, 1 where there is a value."""
    return ["0" if value is None else "1" for value in values.to_list()]


def hexadecimal(values: pl.Series) -> pl.Series:
    """Bytes as hexadecimal digits, null where there are none."""
    return pl.Series(values.name, [None if each is None else each.hex() for each in values.to_list()], dtype=pl.String)


def digits(values: pl.Series) -> pl.Series:
    """Hexadecimal digits as bytes, null where there are none."""
    made = [None if each is None else bytes.fromhex(each) for each in values.to_list()]
    return pl.Series(values.name, made, dtype=pl.Binary)


def same_or(now: pl.Series, before: Sequence[str | None], passed_over: Collection[str | None]) -> bool:
    """Whether each text is what it was, or was one that does not count."""
    return all(old == new or old in passed_over for old, new in zip(before, now, strict=True))
