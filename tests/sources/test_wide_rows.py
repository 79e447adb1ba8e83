"""An answer whose rows are wider than whoever asked thought is given up while it is read, and what is read again is whole."""

from __future__ import annotations

import pytest

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import RowsTooWide
from smartico_sync.sources.kit import intake

ROWS, WIDE, MOST = 60, 3_000, 120_000
SHORT = 20


@pytest.fixture
def bets(engine, monkeypatch):
    """A table of wide rows, and the bound that a third of them meets."""
    engine.table(
        "bets",
        {"cur": "integer", "id": "integer", "note": "text"},
        [(number, number, f"{number:05}" + "x" * WIDE) for number in range(1, ROWS + 1)],
    )
    monkeypatch.setattr(intake, "MOST_BYTES", MOST)
    source = engine.source()
    return source, source.describe(Relation("bets", "cur", ("id",), relation="bets"))


def numbers(frame):
    return sorted(frame["id"].to_list())


def test_wide_rows_are_given_up_and_read_again(bets, position):
    """Nothing of the answer that was too large is taken for a page; by what it says, pages are made that fit: no row is lost."""
    source, relation = bets
    with pytest.raises(RowsTooWide) as told, source.reading(relation) as reading:
        reading.page(None, ROWS)
    assert 16 < told.value.rows <= ROWS
    assert WIDE * 0.9 < told.value.row_bytes < WIDE * 2
    limit, found, after = int(MOST / 2 / told.value.row_bytes), [], None
    while True:
        with source.reading(relation) as reading:
            page = reading.page(after, limit)
        found += page["id"].to_list()
        if page.height < limit:
            break
        after = position(page)
    assert found == list(range(1, ROWS + 1))


@pytest.mark.parametrize("question", ["rows", "by_cursor", "by_key", "newest"])
def test_every_question_for_rows_is_bounded(bets, question):
    """Rows by position, by cursor and by key as well as pages; a handful is always brought."""
    source, relation = bets
    wanted = [str(number) for number in range(1, ROWS + 1)]

    def ask(reading, some):
        match question:
            case "rows":
                return reading.rows([Position(each, (each,)) for each in some])
            case "by_cursor":
                return reading.by_cursor(some)
            case "by_key":
                return reading.by_key([(each,) for each in some])
        return reading.newest(len(some))

    with pytest.raises(RowsTooWide), source.reading(relation) as reading:
        ask(reading, wanted)
    intake.MOST_BYTES = 1
    with source.reading(relation) as reading:
        assert numbers(ask(reading, wanted[-16:])) == list(range(ROWS - 15, ROWS + 1))


def test_keys_are_few_bytes_however_wide_rows_are(bets):
    """Whatever a scan looks at, and after a question that was nearly too large."""
    source, relation = bets
    with source.reading(relation) as reading:
        assert reading.page(None, 20).height == 20
        assert reading.keys(None, str(ROWS), 1000).height == ROWS
        assert reading.count(None, str(ROWS)) == ROWS
