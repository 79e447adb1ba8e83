"""The table of situations in docs/operations.md: what the document promises is what is rehearsed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"


@dataclass(frozen=True)
class Situation:
    """One row: the words of status and page, the log's event, a series of the metrics, the alert that fires, and what to do next.

    `…` stands for anything in `told` and `next`.
    """

    name: str
    told: str
    log: str
    metric: str
    alert: str
    next: str

    @property
    def series(self) -> str:
        """The series as /metrics writes it: with these labels among others, and no zero."""
        name, _, labels = self.metric.rstrip("}").partition("{")
        inside = "".join(f"(?=[^}}]*{re.escape(label)})" for label in labels.split(",") if label)
        return rf"^smartico_sync_{name}\{{{inside}[^}}]*\}} (?!0\.0$)"


def said(words: str, text: str) -> bool:
    """Whether a text says that, quoted or not; `…` stands for anything."""
    parts = re.split(r" ?… ?", words.replace("`", ""))
    return re.search(".*".join(map(re.escape, parts)), text.replace("`", ""), re.DOTALL) is not None


def cell(text: str) -> str:
    """What a cell promises: its code, or all of it where none is in it."""
    found = re.fullmatch(r"`(.*)`", text.strip())
    return found[1] if found else text.strip()


def situations() -> dict[str, Situation]:
    """The table, by its first column."""
    listed = DOCUMENT.read_text("utf-8").partition("<!-- situations -->")[2].partition("<!-- /situations -->")[0]
    rows = [[cell(text) for text in line.strip("| ").split(" | ")] for line in listed.strip().splitlines()[2:]]
    return {row[0]: Situation(*row) for row in rows}
