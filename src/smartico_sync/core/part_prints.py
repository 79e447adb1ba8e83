"""The fingerprints of single properties as the state holds them: one text for each player, after the fingerprint of their names."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core import few_profiles
from smartico_sync.core.events import PLAYER
from smartico_sync.core.few_texts import are_few
from smartico_sync.core.identity import fingerprints
from smartico_sync.core.partial import kept
from smartico_sync.core.picked import table
from smartico_sync.core.told_sets import marked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "DIGITS", "HAD", "UNSURE", "carried", "decoded", "different", "held", "joined", "layout_of", "news", "there", "together",
]  # fmt: skip

DIGITS = 16  # hexadecimal digits of one fingerprint: 8 bytes
# A property of which several states may be the last that was accepted: it always counts as news, and as one that had a value.
UNSURE = "1" * DIGITS
HAD = "1"  # the digit of a property that had a value, as far as anybody knows


@lru_cache(maxsize=1024)
def layout_of(names: str, secret: bytes) -> str:
    """The fingerprint of what is told apart, the same for every page of a view."""
    made: str = fingerprints(pl.Series([names]), secret).item()
    return made


def there(frame: pl.DataFrame, names: Sequence[str]) -> dict[str, pl.Series]:
    """A digit for each of these properties, 1 where it has a value."""
    if not names:
        return {}
    if are_few(frame):
        return {name: pl.Series(name, few_profiles.filled(frame.get_column(name)), dtype=pl.String) for name in names}
    filled = pl.when(pl.col(names).is_not_null()).then(pl.lit("1")).otherwise(pl.lit("0")).name.keep()
    return {column.name: column for column in frame.select(filled).get_columns()}


def joined(digits: dict[str, pl.Series]) -> pl.Series:
    """Digits as one text of an even length."""
    if are_few(next(iter(digits.values()))):
        return few_profiles.glued(digits.values(), behind="0" * (len(digits) % 2))
    frame = pl.DataFrame(digits)
    return frame.select(pl.concat_str([*digits, *([pl.lit("0")] if len(digits) % 2 else [])]).alias("!")).to_series()


def carried(
    frame: pl.DataFrame,
    known: pl.DataFrame,
    layout: str,
    marks: tuple[dict[str, pl.Series], dict[str, pl.Series]],
    absent: Mapping[str, pl.Series],
) -> tuple[dict[str, pl.Series], dict[str, pl.Series]]:
    """The fingerprints of properties and the digits, those of what a row says nothing of as they were. `known`: as `decoded` has it."""
    parts, digits = marks
    held = frame.select(id=PLAYER).join(known, on="id", how="left", maintain_order="left")
    before, behind = held.get_column("known_parts"), DIGITS * (len(parts) + 1)
    of_parts = {name: (DIGITS * (place + 1), DIGITS) for place, name in enumerate(parts)}
    of_digits = {name: (behind + place, 1) for place, name in enumerate(digits)}
    return (
        kept(frame, parts, known_marks(before, layout, of_parts), absent),
        kept(frame, digits, known_marks(before, layout, of_digits, HAD), absent),
    )


def known_marks(
    known: pl.Series, layout: str, slices: Mapping[str, tuple[int, int]], other: str | None = None
) -> dict[str, pl.Series]:
    """What the state holds of each property, from its place in the parts on and so long; `other` where they are of another layout."""
    frame = known.to_frame("known")
    fits = pl.col("known").str.starts_with(layout)
    return {
        name: frame.select(
            pl.when(fits).then(pl.col("known").str.slice(start, length)).when(~fits).then(pl.lit(other)).alias(name)
        ).to_series()
        for name, (start, length) in slices.items()
    }


def different(
    known: pl.Series, layout: str, place: int, part: pl.Series, nothing: Callable[[], pl.Series]
) -> pl.Series:
    """Where the property at this place had a value and has another one now. `nothing`: the mark of a property without a value."""
    if are_few(known):
        start = DIGITS * (place + 1)
        olds = [each[start : start + DIGITS] if (each or "").startswith(layout) else None for each in known]
        if few_profiles.same_or(part, olds, (None, UNSURE)):  # as nearly always
            return pl.Series([False] * len(olds))
    before = pl.col("known").str.slice(DIGITS * (place + 1), DIGITS)
    other = pl.col("known").str.starts_with(layout) & (before != pl.col("part")) & (before != UNSURE)
    marks = pl.DataFrame({"known": known, "part": part})
    told = marks.select(other.fill_null(value=False)).to_series()
    if not told.any():  # nearly always, and then nobody need know what nothing looks like
        return told
    empty = pl.lit(nothing())
    return told & marks.select((before != empty) & (pl.col("part") != empty)).to_series().fill_null(value=False)


def held(state: pl.DataFrame, known: pl.Series, place: int, mask: pl.Series) -> pl.Series:
    """The fingerprints of the parts, the one at this place as it was where the mask is true."""
    now, start = state.get_column("parts"), DIGITS * (place + 1)
    parts = [now.str.slice(0, start), known.str.slice(start, DIGITS), now.str.slice(start + DIGITS)]
    return now.zip_with(~mask, parts[0] + parts[1] + parts[2])


def together(layout: str, parts: dict[str, pl.Series]) -> pl.Series:
    """The fingerprints of all properties as one text, after that of their names."""
    if are_few(next(iter(parts.values()))):
        return few_profiles.glued(parts.values(), before=layout)
    return pl.DataFrame(parts).select(pl.concat_str([pl.lit(layout), *(pl.col(name) for name in parts)])).to_series()


def news(earlier: Sequence[pl.Series], layout: str, place: int, part: pl.Series) -> pl.Series:
    """Where the property at this place differs from one of the earlier fingerprints, or they are of another layout."""
    same = pl.Series([True]).new_from_index(0, len(part))
    for known in earlier:
        equal = known.str.slice(DIGITS * (place + 1), DIGITS) == part
        same &= (known.str.starts_with(layout) & equal).fill_null(value=False)
    return ~same


def decoded(known: pl.DataFrame) -> pl.DataFrame:
    """What the state holds, as hexadecimal text."""
    if are_few(known):
        sets = (known.get_column(name) for name in marked(known.columns))
        told = (few_profiles.hexadecimal(known.get_column(name)).alias(f"known_{name}") for name in ("whole", "parts"))
        return table([known.get_column("id"), *sets, *told])
    return known.select(
        pl.col("id", *marked(known.columns)),
        pl.col("whole").bin.encode("hex").alias("known_whole"),
        pl.col("parts").bin.encode("hex").alias("known_parts"),
    )
