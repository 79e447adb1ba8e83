"""The table of what we aim at, from the figures that BENCH_JSON keeps: `make bench` ends with it.

Usage: python -m bench.targets FILE [PAGE]     print the table; with a page, write it there between its two marks
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from textwrap import wrap
from typing import Any

import msgspec

from bench.checks import Row
from bench.figures import kept
from bench.target_rows import TABLE, Kept

__all__ = ["markdown", "rows", "written"]

BEGIN, END = "<!-- the table of make bench -->", "<!-- its end -->"
WIDTH = 120  # of prose on a page


def rows(figures: Kept) -> list[Row]:
    """Every row of the table, whatever of it was measured; a part that is missing or has another form is told in its row."""
    return [attempted(work, made, aim, figures) for work, made, aim in TABLE]


def attempted(work: str, made: Callable[[Kept], Row], aim: str, figures: Kept) -> Row:
    """The row, or one that says what is missing."""
    try:
        row = made(figures)
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError) as missing:
        return Row(
            work, why=f"not run: {missing}" if isinstance(missing, ValueError) else f"not run: no {missing}", aim=aim
        )
    return msgspec.structs.replace(row, work=row.work or work, aim=aim)


def described(machine: dict[str, Any]) -> str:
    """The machine in a sentence."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']} {machine['release']}, "
        f"Python {machine['python']}, PostgreSQL {machine['postgresql']}, {datetime.fromisoformat(machine['began']):%Y-%m-%d}. "
        f"Processes that wanted a core beside it when it began: {machine['load']:.1f}."
    )


def markdown(figures: Kept) -> str:
    """The table and its machine, for a page."""
    lines = [*wrap(described(figures["machine"]), WIDTH), "", "| work | measured | target | so |", "|---|---|---|---|"]
    lines += [f"| {row.work} | {row.measured} | {row.aim} | {row.verdict} |" for row in rows(figures)]
    return "\n".join(lines)


def written(page: str, table: str) -> str:
    """The page with this table between its marks. ValueError where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no {BEGIN} with {END} after it")
    return f"{before}{begin}\n{table}\n{end}{after}"


def main(file: str, page: str = "") -> None:
    """Print the table, or write it into a page."""
    figures = kept(Path(file))
    if not figures:
        raise SystemExit(f"{file} has no figures: BENCH_JSON={file} make bench writes them")
    print(described(figures["machine"]))
    for row in rows(figures):
        print(f"{row.work}\n    {row.measured}\n    target {row.aim}: {row.verdict}")
    if page:
        target = Path(page)
        target.write_text(written(target.read_text("utf-8"), markdown(figures)), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
