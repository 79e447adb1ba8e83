"""Positions as every engine asks for them: their columns and labels, parameters of a question, and the rows at exactly these."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core.cursor_time import epoch_text
from smartico_sync.core.position import Position
from smartico_sync.core.zones import time_zone
from smartico_sync.errors import ConfigError, SourceError, ViewBroken
from smartico_sync.sources.kit.frames import CURSOR, key_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.protocol import Reading

__all__ = [
    "NULLS_COUNTED", "Label", "among_parameters", "at_head", "compared", "described", "exactly", "key_parameters", "labels",
    "list_prefix", "moment_text", "no_text", "position_parameters", "range_parameters", "tie_breakers",
]  # fmt: skip

NULLS_COUNTED = 10_000  # a count of NULL cursors is for telling people; more than this says nothing new
Label = tuple[str, str]  # a column of a frame, and the relation's column whose text it holds
KEY_PARAMETER = re.compile(r"k(\d+)(_\d+)?")


def described(relation: Relation, name: str) -> Column:
    """The cursor's or a key part's column. ViewBroken where `describe` has not found it, or was never asked."""
    column = relation.column(name)
    if column is None:
        raise ViewBroken(
            f"view {relation.name}: nothing is known of its column {name}", hint="`smartico-sync check` asks for it"
        )
    return column


def labels(relation: Relation) -> tuple[Label, ...]:
    """The columns of a frame that hold positions, `@cursor` and `@key.*`, each with the relation's column behind it."""
    return (CURSOR, relation.cursor), *((key_column(part), name) for part, name in enumerate(relation.key))


def tie_breakers(relation: Relation) -> list[str]:
    """The key's columns by which rows of one cursor are ordered; one that is the cursor, too, breaks no tie."""
    return [name for name in relation.key if name != relation.cursor]


def compared(relation: Relation, parameter: str) -> Column | None:
    """The column that a parameter is compared with: `k1` and `k1_0` the key's second, `n` none, all others the cursor."""
    if parameter == "n":
        return None
    key = KEY_PARAMETER.fullmatch(parameter)
    return described(relation, relation.key[int(key[1])] if key else relation.cursor)


def position_parameters(after: Position | None) -> dict[str, str]:
    """Parameters of the position a page begins after."""
    return {} if after is None else {"c": after.cursor} | key_parameters(after.key)


def key_parameters(key: Sequence[str]) -> dict[str, str]:
    """Parameters of a key."""
    return {f"k{index}": part for index, part in enumerate(key)}


def range_parameters(low: str | None, high: str | None) -> dict[str, str]:
    """Parameters of a range of cursors, open where there is no bound."""
    return {name: bound for name, bound in (("low", low), ("high", high)) if bound is not None}


def among_parameters(listed: Sequence[Label], wanted: Sequence[Sequence[str]]) -> tuple[int, dict[str, str | int]]:
    """How many values the lists of a statement hold for these tuples, and its parameters, `c0`, `c1` … `k0_0`, `k0_1` ….

    Lists are filled up to a power of two with a value they hold already, so that few statements serve all calls.
    """
    lists = [list(dict.fromkeys(part)) for part in zip(*wanted, strict=True)]
    size = 1 << (max(map(len, lists)) - 1).bit_length()
    return size, {
        f"{list_prefix(label)}{index}": values[min(index, len(values) - 1)]
        for (label, _), values in zip(listed, lists, strict=True)
        for index in range(size)
    }


def list_prefix(label: str) -> str:
    """What the parameters of a list begin with: `c` of the cursor, `k0_` of the key's first part."""
    return "c" if label == CURSOR else f"k{label.rpartition('.')[2]}_"


def exactly(found: pl.DataFrame, labelled: Sequence[Label], wanted: Sequence[Sequence[str]]) -> pl.DataFrame:
    """Of the rows found, those that hold exactly one of the wanted tuples under these labels."""
    names = [label for label, _ in labelled]
    return found.join(pl.DataFrame(wanted, dict.fromkeys(names, pl.String), orient="row"), on=names, how="semi")


def moment_text(relation: Relation, at_ms: int, *, offset: str = "") -> str:
    """An epoch ms as databases print the relation's cursor: a wall clock in its `timezone`, or UTC followed by `offset`.

    A fraction of zero is left out, so that where texts are compared the moment stands before every form of itself.
    ConfigError for a cursor that is no time.
    """
    if relation.epoch:
        return epoch_text(at_ms, relation)
    column = described(relation, relation.cursor)
    if column.family not in ("timestamp", "instant", "date"):
        raise ConfigError(
            f"{column.name} is {column.type}, not a time",
            hint="give an id where the cursor is an id, a time where it is a time",
        )
    zone = time_zone(relation.timezone) if column.family == "timestamp" else dt.UTC
    wall = dt.datetime.fromtimestamp(at_ms / 1000, zone).replace(tzinfo=None)
    if column.family == "date":
        return str(wall.date())
    text = wall.isoformat(sep=" ", timespec="milliseconds").removesuffix(".000")
    return text + (offset if column.family == "instant" else "")


def at_head(reading: Reading, after: Position | None) -> Position | None:
    """Where a poll is explained: after this position, or, from the start, at the head, where a running poll reads."""
    head = reading.head() if after is None else None
    return after if head is None else Position(head)


def no_text(place: str, what: str) -> SourceError:
    """A position that no driver can send."""
    return SourceError(f"{place}: {what}: a position is not valid text", hint="`smartico-sync watermark show`")
