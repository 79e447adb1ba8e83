"""Values that break a rule only by the way they are written: `Active`, `en-GB`, `eur`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import polars as pl

from smartico_sync.catalogue.properties import PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from smartico_sync.catalogue.properties import Fold, Property

__all__ = ["ALL", "fits", "folded"]

ALL = "*"  # among the properties that are sent as they are written: every one


def folded(
    frame: pl.DataFrame, found: Mapping[str, tuple[pl.Series, str]], unfolded: AbstractSet[str]
) -> tuple[pl.DataFrame, dict[str, tuple[pl.Series, str]]]:
    """Write the values that break a rule as the rule has them, where that is possible; and what breaks it all the same.

    A text that is empty is no value of a closed list, or code: it becomes null.
    """
    left: dict[str, tuple[pl.Series, str]] = {}
    for name, (wrong, rule) in found.items():
        known = PROPERTIES.get(name)
        if known is None or known.fold == "none" or unfolded & {name, ALL}:
            left[name] = wrong, rule
            continue
        values = frame.get_column(name)
        mended = values.zip_with(~wrong, pl.select(written(pl.lit(values), known.fold)).to_series())
        still = wrong & ~fits(mended, known).fill_null(value=True)
        frame = frame.with_columns(values.zip_with(~wrong | still, mended).alias(name))
        if still.any():
            left[name] = still, rule
    return frame, left


def written(values: pl.Expr, fold: Fold) -> pl.Expr:
    """A value in the catalogue's way to write it."""
    capitals = values.str.strip_chars().str.to_uppercase().replace("", None)
    if fold == "word":
        return capitals.str.replace_all(r"[\s-]+", "_")
    return capitals.str.replace(r"[-_].*$", "") if fold == "language" else capitals


Texts = TypeVar("Texts", "pl.Series", "pl.Expr")


def fits(values: Texts, known: Property) -> Texts:
    """Where texts keep the property's rule (Boolean, null where they are null)."""
    if known.values:
        return values.is_in(sorted(known.values))
    return values.str.contains(f"^(?:{known.pattern})$")
