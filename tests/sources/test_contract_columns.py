"""What every engine promises of a view whose columns change while it is read."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime

import pytest

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ViewAltered

BEFORE = {"cur": "integer", "id": "integer", "note": "text", "amount": "integer", "seen": "date"}
ROW = {"cur": 1, "id": 1, "note": "n", "amount": 7, "seen": "2026-01-31", "level": "gold", "noted": "n"}
CHANGES = {
    "new": {**BEFORE, "level": "text"},
    "gone": {name: kind for name, kind in BEFORE.items() if name != "note"},
    "renamed": {("noted" if name == "note" else name): kind for name, kind in BEFORE.items()},
    "whole number to decimal": {**BEFORE, "amount": "decimal"},
    "date to time": {**BEFORE, "seen": "timestamp"},
    "key to text": {**BEFORE, "id": "text"},
}
# Where describing takes long, and an answer that is the first one tells nothing.
SILENT = {
    "bigquery": ("new", "date to time"), "snowflake": ("new", "date to time"),
    "mongodb": CHANGES,
}  # fmt: skip
SAME = {name: BEFORE[name] for name in ("seen", "cur", "amount", "id", "note")}


def made(engine, columns, number=1):
    """The table anew, with one row."""
    engine.drop("bets")
    values = {**ROW, "cur": number, "id": str(number) if columns["id"] == "text" else number}
    if columns.get("amount") == "decimal":
        values["amount"] = "7.5000000000"
    if columns.get("seen") == "timestamp":
        values["seen"] = datetime(2026, 1, 31, 12)  # noqa: DTZ001
    engine.table("bets", columns, [tuple(values[name] for name in columns)])


def described(source):
    return source.describe(Relation("bets", "cur", ("id",), relation="bets"))


@pytest.mark.parametrize("change", CHANGES)
def test_a_view_is_held_against_its_description(engine, change):
    """verify() raises ViewAltered for any column that is new, gone, called otherwise or of another type, and names it."""
    made(engine, BEFORE)
    source = engine.source()
    before = described(source)
    source.verify(before)
    made(engine, CHANGES[change])
    if before.columns_are == "sampled" and change not in ("new", "renamed", "key to text"):
        source.verify(before)  # no document happens to have it; and other types are dealt with value by value
        return
    with pytest.raises(ViewAltered) as altered:
        source.verify(before)
    differing = {*CHANGES[change].items()} ^ {*BEFORE.items()}
    assert any(name in altered.value.message for name, _ in differing)
    source.verify(described(source))


@pytest.mark.parametrize("change", CHANGES)
def test_rows_of_other_columns_are_never_handed_over(engine, change):
    """A reading of rows ends in ViewAltered when their columns are others than described; described again, they are read.

    Where describing takes long, only what no value can tell is left to verify().
    """
    made(engine, BEFORE)
    source = engine.source(pool=1)
    before = described(source)
    made(engine, CHANGES[change], 2)
    told = nullcontext() if change in SILENT.get(engine.name, ()) else pytest.raises(ViewAltered)
    with told, source.reading(before) as reading:
        reading.page(None, 5)
    with source.reading(described(source)) as reading:
        page = reading.page(None, 5)
    assert page["@cursor"].to_list() == ["2"]
    assert "@unreadable" not in page.columns


def test_the_order_of_columns_is_no_difference(engine):
    """Columns are read by their names."""
    made(engine, BEFORE)
    source = engine.source()
    before = described(source)
    made(engine, SAME, 2)
    source.verify(before)
    with source.reading(before) as reading:
        assert reading.page(None, 5)["id"].to_list() == [2]


def test_an_empty_answer_asks_nothing_more(engine):
    """A poll that brings no rows costs what it did: the columns are looked at by verify() alone."""
    made(engine, BEFORE)
    source = engine.source()
    before = described(source)
    made(engine, CHANGES["new"])
    with source.reading(before) as reading:
        assert reading.page(Position("1", ("1",)), 5).height == 0
