"""The newest rows of a view, for those who look at it from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.ledger_keys import ledger_keys
from smartico_sync.core.uniqueness import not_unique, profiles_that_repeat, repeats
from smartico_sync.errors import SyncError, ViewMisconfigured
from smartico_sync.observe.view_findings import REPEATED_PROFILES

if TYPE_CHECKING:
    import polars as pl

    from smartico_sync.core.view_mapping import ViewMapping

__all__ = ["NEWEST", "repeated_keys"]

NEWEST = 1_000  # rows: what is wrong with a view shows among them, and one query reads them


def repeated_keys(mapping: ViewMapping, rows: pl.DataFrame) -> SyncError | None:
    """What to tell of keys that repeat among these rows; None when each is its row's own."""
    if not rows.height or not mapping.relation.key:
        return None
    if mapping.kind.role == "profile":
        many = profiles_that_repeat(mapping, rows)
        told = f"view {mapping.view}: the key is not unique: {many} of the newest {rows.height:,} rows share it with another one"
        return ViewMisconfigured(told, hint=REPEATED_PROFILES) if many else None
    found = repeats(mapping, rows, ledger_keys(mapping, rows))
    if found is None or not found.clash.any():
        return None
    error = not_unique(mapping, rows, found.clash)
    told = error.message.removeprefix(f"view {mapping.view}: ")
    many = int(found.clash.sum())
    return ViewMisconfigured(f"view {mapping.view}: {many} of the newest {rows.height:,} rows: {told}", hint=error.hint)
