"""A row of the table of targets: what was measured, what it should be, and whether it is."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Check", "Row"]


class Check(msgspec.Struct, frozen=True):
    """A figure and its bound, if it has one: `form` writes its number, `said` what it is of.

    `lowest` and `highest` are what runs spread over, where there were several.
    """

    value: float
    bound: float | None
    sense: Literal["at least", "at most"]
    form: str = "{:.2f}"
    said: str = "{}"
    lowest: float | None = None
    highest: float | None = None

    @property
    def reached(self) -> bool:
        """Whether the figure is within its bound; one without is."""
        if self.bound is None:
            return True
        return self.value >= self.bound if self.sense == "at least" else self.value <= self.bound

    def __str__(self) -> str:
        told = self.said.format(self.form.format(self.value))
        if self.lowest is None or self.highest is None:
            return told
        return f"{told} ({self.form.format(self.lowest)} to {self.form.format(self.highest)})"


class Row(msgspec.Struct, frozen=True):
    """Some work and its `aim` in words. Without checks, `why` says why there is no figure; `beside` is told and has no target."""

    work: str
    checks: tuple[Check, ...] = ()
    why: str = "not run"
    beside: str = ""
    aim: str = ""

    @property
    def measured(self) -> str:
        """The figures."""
        told = " · ".join(map(str, self.checks)) or self.why
        return f"{told}; {self.beside}" if self.beside else told

    @property
    def verdict(self) -> str:
        """Whether they are reached, and which are not."""
        if not self.checks:
            return "not run"
        bounded = [check for check in self.checks if check.bound is not None]
        if not bounded:
            return "no target"
        missed = [number for number, check in enumerate(self.checks, 1) if not check.reached]
        if not missed:
            return "reached"
        if len(missed) == len(bounded):
            return "not reached"
        return f"not reached: figure {' and '.join(map(str, missed))}"
