"""The catalogue's rules about values: which ones are allowed, how they are written, and dates that lie in the past."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import polars as pl

from smartico_sync.catalogue.events import EARLIEST_MS, FUTURE_MS
from smartico_sync.catalogue.properties import PROPERTIES
from smartico_sync.core.events import DATE
from smartico_sync.core.few_texts import FEW
from smartico_sync.core.folding import fits

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EVENT_DATE", "IMMUTABLE", "InvalidPolicy", "broken", "judged"]

# What is unreadable is left out under the first two, and costs its row under the third.
InvalidPolicy = Literal[
    "report",  # sent as it is, and counted
    "omit",  # the property is left out, and counted
    "dead_letter",  # the row is given up, with the property as the reason
]

EVENT_DATE = "event_date"  # what the rule about an event's moment is counted under; it cannot be left out
SHAPES = 256  # sets of properties, of all views

# Patterns of plain ASCII, which mean the same to every engine.
SURE = {known.pattern: re.compile(known.pattern, re.ASCII).fullmatch for known in PROPERTIES.values() if known.pattern}
RULED = frozenset(
    name for name, known in PROPERTIES.items() if known.values or known.pattern or known.past == "must be past"
)
IMMUTABLE = tuple(sorted(name for name, known in PROPERTIES.items() if known.change == "immutable"))


def broken(frame: pl.DataFrame, now_ms: int, tolerance_ms: int = FUTURE_MS) -> dict[str, tuple[pl.Series, str]]:
    """Where a property breaks a rule, and the rule in words; properties that break none are left out.

    `now_ms` is the source's clock, epoch ms; an event may lie `tolerance_ms` ahead of it. A null breaks no rule.
    """
    found: dict[str, tuple[pl.Series, str]] = {}
    if DATE in frame.columns:
        moments = frame.get_column(DATE)
        early, late = moments.min(), moments.max()
        if isinstance(early, int) and isinstance(late, int) and (early < EARLIEST_MS or late > now_ms + tolerance_ms):
            found[EVENT_DATE] = ~moments.is_between(EARLIEST_MS, now_ms + tolerance_ms), "between the year 2000 and now"
    columns = [frame.get_column(name) for name in frame.columns if name in RULED]
    if frame.height <= FEW:  # hardly ever is there anything left
        columns = [column for column in columns if suspicious(column, now_ms)]
    if not columns:
        return found
    rules: dict[str, tuple[pl.Expr, str]] = {}
    of_texts = rules_of(tuple(column.name for column in columns if column.dtype == pl.String))
    for column in columns:
        if column.name in of_texts:
            rules[column.name] = of_texts[column.name]
        elif PROPERTIES[column.name].past == "must be past" and column.dtype == pl.Int64:
            rules[column.name] = pl.col(column.name) > now_ms, "in the past"
    # All in one go, and hardly ever is one broken.
    any_wrong = frame.select(wrong.any().alias(name) for name, (wrong, _) in rules.items()) if rules else frame.clear()
    broke = [name for name in rules if any_wrong.height and any_wrong.get_column(name)[0]]
    if broke:
        masks = frame.select(rules[name][0].fill_null(value=False).alias(name) for name in broke)
        found |= {name: (masks.get_column(name), rules[name][1]) for name in broke}
    return found


def suspicious(column: pl.Series, now_ms: int) -> bool:
    """Whether one of a handful of values may break the rule of its property, which is to be looked at with more care then."""
    known = PROPERTIES[column.name]
    there = {value for value in column.to_list() if value is not None}
    if column.dtype != pl.String:
        return known.past == "must be past" and column.dtype == pl.Int64 and any(value > now_ms for value in there)
    if not known.values and not known.pattern:
        return False
    return not (there <= known.values if known.values else all(SURE[known.pattern](text) for text in there))


@lru_cache(maxsize=SHAPES)
def rules_of(texts: tuple[str, ...]) -> dict[str, tuple[pl.Expr, str]]:
    """Where a text breaks the rule of its property, and the rule in words; built once for the columns of a view."""
    rules = {}
    for name in texts:
        known = PROPERTIES[name]
        if known.values:
            rules[name] = ~fits(pl.col(name), known), f"one of {', '.join(sorted(known.values))}"
        elif known.pattern:
            rules[name] = ~fits(pl.col(name), known), known.form
    return rules


def judged(
    frame: pl.DataFrame, found: Mapping[str, tuple[pl.Series, str]], policy: InvalidPolicy
) -> tuple[pl.DataFrame, pl.Series | None]:
    """Do with broken rules what the policy says: the frame without what is left out, and why rows are given up.

    The reasons (String, null for rows that stay) are there with the policy dead_letter only; they hold no value.
    """
    if policy == "omit":
        left = [
            frame.get_column(name).set(wrong, None).alias(name)
            for name, (wrong, _) in found.items()
            if name != EVENT_DATE
        ]
        return frame.with_columns(left), None
    if policy == "report":
        return frame, None
    told = [
        pl.select(pl.when(wrong).then(pl.lit(f"{name} must be {rule}"))).to_series().alias(name)
        for name, (wrong, rule) in found.items()
    ]
    return frame, pl.DataFrame(told).select(pl.coalesce(pl.all())).to_series()
