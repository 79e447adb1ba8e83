"""The table that `make bench` ends with says of each row what was measured, or that nothing was."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from bench.checks import Check, Row
from bench.figures import machine
from bench.suite import PARTS
from bench.target_rows import TABLE, Kept
from bench.targets import BEGIN, END, markdown, rows, written

ROOT = Path(__file__).parents[2]


def compared(view: str, rival: str, rows: int, runs: list[list[float]]) -> dict[str, Any]:
    """Figures of one rival over one size."""
    return {"view": view, "rival": rival, "rows": rows, "runs": runs, "filled": [0.96] * len(runs)}


def figures() -> Kept:
    """As the parts keep them."""
    return {
        "machine": machine(),
        "figures": [
            compared("casino", "loop, as it is", 40_000, [[1.0, 1.0, 60]] * 3),
            compared("casino", "loop, as it is", 400_000, [[7.0, 6.0, 60]] * 3),
            compared("casino", "smartico-sync, fence", 40_000, [[1.0, 1.0, 150]] * 3),
            compared("casino", "smartico-sync, fence", 400_000, [[3.0, 3.5, 180], [4.0, 3.0, 240], [2.5, 3.2, 170]]),
        ],
        "memory": {"100 columns": {"peak_mb": 210.0}},
        "live": {"p50_s": 0.5, "p99_s": 1.0, "core_percent": 2.75},
    }


def of(work: str, figures: Kept) -> Row:
    """The first row about it."""
    return next(row for row in rows(figures) if work in row.work)


def test_a_run_with_no_figures_says_so_in_every_row():
    """Nothing is left blank, and nothing that was not measured is reached."""
    found = rows({})
    assert len(found) == len(TABLE)
    assert {row.verdict for row in found} == {"not run"}
    assert all(row.work and row.measured.startswith("not run: no ") and row.aim for row in found)


def test_a_ratio_is_of_what_the_rows_took_beyond_the_smaller_size():
    """CPU first; six seconds beyond the start against two, three and one and a half."""
    row = of("transactions, start-up apart", figures())
    assert row.measured == "0.44 CPU (0.40 to 0.50) · 3.00 \N{MULTIPLICATION SIGN} (2.00 to 4.00)"
    assert row.verdict == "not reached: figure 1"
    assert of("against one that makes the same JSON", figures()).verdict == "not run"


def test_a_whole_run_is_compared_with_its_start():
    """Seven seconds against three, and six of CPU against 3.2, for which no target is set."""
    row = of("400,000 rows, start-up included", figures())
    assert row.measured == "0.53 CPU (0.50 to 0.58) · 2.33 \N{MULTIPLICATION SIGN} (1.75 to 2.80)"
    assert row.verdict == "reached"


def test_what_is_there_for_comparison_has_no_target():
    """Against dlt nothing is reached or missed, and without its environment there is no figure."""
    some = figures()
    assert of("against dlt", some).verdict == "not run"
    for view in ("casino", "users"):
        for number, cpu in ((40_000, 1.0), (400_000, 11.0)):
            some["figures"].append(compared(view, "dlt, as Arrow", number, [[cpu, cpu, 200]]))
    for number, cpu in ((40_000, 1.0), (400_000, 6.0)):
        some["figures"].append(compared("users", "smartico-sync, fence", number, [[cpu, cpu, 200]]))
    row = of("against dlt", some)
    assert row.measured == (
        "transactions 0.25 CPU · 5.00 \N{MULTIPLICATION SIGN} · users 0.50 CPU · 2.00 \N{MULTIPLICATION SIGN}"
    )
    assert row.verdict == "no target"


def test_a_run_that_the_noise_drowns_has_no_ratio():
    """A larger size that took no longer than the smaller one says nothing."""
    some = figures()
    some["figures"][-1]["runs"][1] = [0.5, 0.5, 100]
    row = of("transactions, start-up apart", some)
    assert (row.verdict, row.measured) == (
        "not run",
        "not run: smartico-sync, fence: too few rows to tell from its start",
    )


def test_memory_is_the_most_of_all_parts():
    """Whatever the daemon was doing."""
    assert of("peak memory", figures()).measured == "240 MB; with casino, smartico-sync, fence"


def test_a_row_names_the_figures_that_miss():
    """And no more than those."""
    row = of("live", figures())
    assert (row.measured, row.verdict) == (
        "p99 1.00 s · 2.8 % of a core; p50 0.50 s",
        "not reached: figure 2",
    )


@pytest.mark.parametrize(("value", "sense", "reached"), [(2.0, "at least", True), (1.9, "at least", False),
                                                         (2.0, "at most", True), (2.1, "at most", False)])  # fmt: skip
def test_a_bound_is_within_itself(value, sense, reached):
    """Two is at least two and at most two."""
    assert Check(value, 2.0, sense).reached is reached


def test_a_page_gets_the_table_between_its_marks():
    """And nothing else of it changes."""
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    table = markdown(figures())
    assert written(page, table) == f"before\n{BEGIN}\n{table}\n{END}\nafter\n"
    assert written(written(page, table), "x") == f"before\n{BEGIN}\nx\n{END}\nafter\n"
    with pytest.raises(ValueError, match="no <!--"):
        written("a page", table)


def test_the_page_on_speed_shows_every_row():
    """With the machine that it was measured on."""
    _, _, rest = (ROOT / "docs" / "speed.md").read_text("utf-8").partition(BEGIN)
    table, _, _ = rest.partition(END)
    assert re.search(r"\d+ cores, \d+ GB, .*PostgreSQL \d+", table)
    works = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ")][1:]
    shown = [re.sub(r"[\d,]+ rows", "N rows", work) for work in works]
    assert shown == [re.sub(r"[\d,]+ rows", "N rows", work) for work, _, _ in TABLE]


def test_what_lands_costs_no_more_than_it_may():
    """The gate runs the guard, which compares the CPU of the daemon with that of loops."""
    gate = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "\nmake bench-guard " in gate
    (command,) = re.findall(r"^bench-guard:.*\n\t(.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert command.endswith("-m bench guard")


def test_every_part_of_the_bench_is_there():
    """`make bench` starts programs by their names."""
    for part in PARTS:
        module = part.words[0] if part.words[0] != "pytest" else part.words[-1].removesuffix(".py").replace("/", ".")
        name = module.partition(".")[2] or "__main__"
        assert (ROOT / "bench" / f"{name}.py").is_file(), part.name
    assert len({part.name for part in PARTS}) == len(PARTS)
