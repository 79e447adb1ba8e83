"""What a row is called in the ledger, in 64 bits: which row it is, and for one that may move also where it stands.

A transaction under a time cursor keeps its key when its time changes. There the upper 40 bits say which row it is and the
lower 24 where it stood: who looks for the same row elsewhere compares the upper bits, who looks for the row itself all 64.
Everywhere else a row that stands elsewhere is another one, and the 64 bits are one hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core import few_columns
from smartico_sync.core.few_texts import FEW, are_few
from smartico_sync.core.identity import contents, keyed_hash, keyed_text, row_hashes, seed_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from smartico_sync.core.view_mapping import ViewMapping

__all__ = ["WHERE_BITS", "few_keys", "key_columns", "ledger_key", "ledger_keys", "may_move", "which"]

WHERE_BITS = 24
WHERE = (1 << WHERE_BITS) - 1


def ledger_keys(mapping: ViewMapping, rows: pl.DataFrame) -> pl.Series:
    """The names of rows (UInt64): of `@cursor` and `@key.*`, or for a keyless view of the cursor and all that the row holds.

    Rows with a key need no other columns. Of a keyless view they need all of the relation's.
    """
    secret, cursor = mapping.options.secret, "@cursor"
    keys = [f"@key.{index}" for index in range(len(mapping.relation.key))]
    if not keys:
        return keyed_hash(contents(rows, mapping.content, cursor), secret).alias("key")
    if rows.height <= FEW:
        cursors, *parts = (rows.get_column(name).to_list() for name in (cursor, *keys))
        few = [ledger_key(mapping, at, key) for at, *key in zip(cursors, *parts, strict=True)]
        return few_columns.column("hash", few, "key")
    if not may_move(mapping):
        return row_hashes(rows, [cursor, *keys], secret).alias("key")
    who, where = row_hashes(rows, keys, secret), row_hashes(rows, [cursor], secret)
    return ((who - (who & WHERE)) | (where & WHERE)).alias("key")


def ledger_key(mapping: ViewMapping, cursor: str | None, keys: Sequence[str | None]) -> int:
    """The same of one row of a view with a key."""
    secret = mapping.options.secret
    if not may_move(mapping):
        return keyed_text(seed_text((cursor, *keys)), secret)
    who, where = keyed_text(seed_text(keys), secret), keyed_text(seed_text((cursor,)), secret)
    return who - (who & WHERE) | where & WHERE


def few_keys(mapping: ViewMapping, places: pl.DataFrame) -> list[int] | None:
    """The same of a handful of rows of a view with a key, of which there is nothing but `@cursor` and `@key.*`.

    None where there are more, or other columns.
    """
    key = mapping.relation.key
    if not key or places.height > FEW or places.columns != ["@cursor", *(f"@key.{index}" for index in range(len(key)))]:
        return None
    return [ledger_key(mapping, cursor, keys) for cursor, *keys in places.rows()]


def key_columns(frame: pl.DataFrame) -> list[str]:
    """`@cursor` and the `@key.*` columns of a frame: where its rows stand."""
    return [name for name in frame.columns if name == "@cursor" or name.startswith("@key.")]


def may_move(mapping: ViewMapping) -> bool:
    """Whether a row of the view stays the same row when its cursor changes."""
    return mapping.kind.role != "profile" and bool(mapping.relation.key) and not mapping.cursor_is_id


def which(mapping: ViewMapping, keys: pl.Series) -> pl.Series:
    """The part of ledger keys (UInt64) that stays when a row moves."""
    if may_move(mapping) and are_few(keys):
        return few_columns.column("hash", [key - (key & WHERE) for key in keys.to_list()], keys.name)
    return keys - (keys & WHERE) if may_move(mapping) else keys
