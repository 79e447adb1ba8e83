"""Each source alone against its bare driver's fastest path, in one run: a part of `make bench`.

Run by pytest, whose fixtures know how to have every database: `pytest -s -p conftest bench/sources.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from importlib import import_module

import pytest

import engines
from bench.figures import keep
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation

FIRST = 1_000  # rows that are written; the table is then doubled
DOUBLINGS, FEWER = 7, 5  # what stands in for a server answers in one piece, and slowly
PAGE_ROWS = 20_000
REPEATS = 3
COLUMNS = {
    "id": "integer", "ext_brand_id": "text", "user_ext_id": "integer", "bet_id": "text", "bet_date": "timestamp",
    "bet_amount": "decimal", "bet_amount_real": "decimal", "bet_amount_bonus": "decimal", "win_amount": "decimal",
    "win_amount_real": "decimal", "game_name": "text", "game_id": "text", "game_category": "text", "game_provider": "text",
    "bet_currency": "text",
}  # fmt: skip
FIGURES: dict[str, dict[str, object]] = {}
MOMENT = datetime(2026, 1, 1, 12, 30, 15, 250_000)  # noqa: DTZ001 - as columns without a zone hold it


def filled(engine, doublings: int) -> int:
    """A casino table; how many rows it has."""
    rows = [
        (g, f"brand{g % 3}", g * 7919 % 50_000, f"r{g}", MOMENT, Decimal("10.25"), Decimal("7.125"), Decimal("0.10"),
         None if g % 3 else Decimal("100.50"), None if g % 3 else Decimal("1.25"), f"Book of {g % 300}", f"game-{g % 300}", "slots", f"provider {g % 20}", "EUR")
        for g in range(FIRST)
    ]  # fmt: skip
    engine.table("bets", COLUMNS, rows)
    for turn in range(doublings):
        engine.double("bets", COLUMNS, "id", FIRST * 2**turn)
    if "indexes" not in engine.lacks:
        engine.index("bets", "id")
    return engine.count("bets")


def best(work: Callable[[], object]) -> float:
    """The least seconds of several runs."""
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


def paged(source, relation, rows: int) -> Position:
    """Read a table page by page; its last position."""
    after, read = Position(""), 0
    while True:
        with source.reading(relation) as reading:
            page = reading.page(after if after.cursor else None, PAGE_ROWS)
        read += page.height
        if page.height:
            after = Position(page["@cursor"][-1], (page["@key.0"][-1],))
        if page.height < PAGE_ROWS:
            assert read == rows
            return after


def polled(source, relation, after: Position) -> None:
    """A poll that finds nothing."""
    with source.reading(relation) as reading:
        assert not reading.page(after, FIRST).height


def measured(name: str, engine) -> str:
    """One line: rows a second of both, and what an idle poll takes."""
    module = import_module(f"engines.{name}")
    rows = filled(engine, FEWER if engines.stand_in(name) else DOUBLINGS)
    source, query = engine.source(), engine.everything("bets")
    relation = source.describe(Relation("bets", "id", ("id",), relation="bets"))
    bare = module.bare
    assert bare(engine.url, query) == rows
    last = paged(source, relation, rows)
    theirs = best(lambda: bare(engine.url, query))
    ours = best(lambda: paged(source, relation, rows))
    idle = best(lambda: polled(source, relation, last))
    FIGURES[name] = {
        "rows": rows, "bare_per_s": rows / theirs, "here_per_s": rows / ours, "idle_poll_ms": idle * 1000, "stand_in": engines.stand_in(name),
    }  # fmt: skip
    keep("sources", FIGURES)
    return (
        f"  {name:<12}{rows:>9,} rows{rows / theirs:>12,.0f}/s bare{rows / ours:>12,.0f}/s here{theirs / ours:>7.2f} x"
        f"   idle poll {idle * 1000:5.1f} ms  {engines.stand_in(name)}"
    )


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", engines.parameters())
def test_source(name, request, capsys):
    """Prints the line."""
    if name == "oracle" and engines.stand_in(name):
        pytest.skip("the listener that stands in for Oracle is slower than any driver: set SYNC_TEST_ORACLE_URL")
    for engine in engines.serve(name, request):
        line = measured(name, engine)
        with capsys.disabled():
            print(line, flush=True)
