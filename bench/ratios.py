"""Rows of the table that set the daemon against a rival, turn by turn: its CPU first, then how fast it is."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import msgspec

from bench.checks import Check, Row

__all__ = ["DAEMON", "DLT", "SAID", "TIMES", "Kept", "alone", "beside_dlt", "compared", "profiles", "spread", "took", "transactions", "whole_run"]  # fmt: skip

DAEMON, DLT = "smartico-sync, fence", "dlt, as Arrow"
TIMES = "\N{MULTIPLICATION SIGN}"
Kept = dict[str, Any]
SAID = {
    "as it is": "a loop that posts names and values as they are",
    "same JSON": "one that makes the same JSON",
    "encrypted": "a loop that encrypts too",
    "remembered": "one that also keeps ids and hashes",
}


def compared(figures: Kept, view: str, rival: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A rival's figures over the smaller and the larger size."""
    found = sorted(
        (each for each in figures["figures"] if (each["view"], each["rival"]) == (view, rival)), key=lambda each: int(each["rows"])
    )  # fmt: skip
    if not found:
        raise KeyError(f"{view}: {rival}")
    return found[0], found[-1]


def took(figures: Kept, view: str, rival: str, *, which: int, steady: bool) -> list[float]:
    """Seconds (0) or CPU seconds (1) of each turn over the larger size; `steady`: beyond the smaller one's median.

    ValueError where the machine's noise is larger than what the rows took.
    """
    small, large = compared(figures, view, rival)
    start = median(run[which] for run in small["runs"]) if steady else 0.0
    found = [float(run[which] - start) for run in large["runs"]]
    if min(found) <= 0:
        raise ValueError(f"{rival}: too few rows to tell from its start")
    return found


def against(
    figures: Kept,
    view: str,
    rival: str,
    *,
    speed: float | None = None,
    cpu: float | None = None,
    steady: bool = True,
    of: str = "",
) -> tuple[Check, ...]:
    """What part of the rival's CPU the daemon takes, and how many times as fast it is, turn by turn, with their bounds if any.

    `of` says which work that is, where a row has several.
    """
    ours, theirs = (
        [took(figures, view, who, which=which, steady=steady) for which in (0, 1)] for who in (DAEMON, rival)
    )
    dearer = spread([mine / other for mine, other in zip(ours[1], theirs[1], strict=False)])
    faster = spread([other / mine for mine, other in zip(ours[0], theirs[0], strict=False)])
    checks = (
        Check(dearer[1], cpu, "at most", "{:.2f}", f"{of}{{}} CPU", dearer[0], dearer[2]),
        Check(faster[1], speed, "at least", "{:.2f}", f"{{}} {TIMES}", faster[0], faster[2]),
    )
    return checks if min(len(ours[0]), len(theirs[0])) > 1 else tuple(alone(check) for check in checks)


def alone(check: Check) -> Check:
    """The same of one run, which has no spread."""
    return msgspec.structs.replace(check, lowest=None, highest=None)


def spread(values: list[float]) -> tuple[float, float, float]:
    """The least, the median and the most."""
    return min(values), median(values), max(values)


def transactions(level: str) -> Callable[[Kept], Row]:
    """Start-up apart, against a loop."""
    return lambda figures: Row("", against(figures, "casino", f"loop, {level}", speed=3.0, cpu=0.40))


def whole_run(level: str) -> Callable[[Kept], Row]:
    """Start-up included, against a loop."""

    def made(figures: Kept) -> Row:
        number = compared(figures, "casino", DAEMON)[1]["rows"]
        return Row(
            f"a run of {number:,} rows, start-up included, against {SAID[level]}",
            against(figures, "casino", f"loop, {level}", speed=2.1, steady=False),
        )

    return made


def profiles(level: str, bound: float) -> Callable[[Kept], Row]:
    """The first load, start-up apart, against a loop."""
    return lambda figures: Row("", against(figures, "users", f"loop, {level}", speed=bound))


def beside_dlt(figures: Kept) -> Row:
    """Both works, start-up apart, against dlt."""
    works = (("casino", "transactions "), ("users", "users "))
    return Row("", tuple(check for view, of in works for check in against(figures, view, DLT, of=of)))
