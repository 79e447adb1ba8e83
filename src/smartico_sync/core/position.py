"""Where a view stands: the keyset cursor (watermark rules 1 and 2)."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Position"]


class Position(Struct, frozen=True):
    """A point in a view's order `(cursor, *key)`, as text at the engine's full precision.

    `cursor` and `key` are values seen in a delivered row, never computed and never rounded; only the database compares
    them, in the columns' own types. `key` is empty for a view without a unique key: the position then stands after
    every row with that cursor value.
    """

    cursor: str
    key: tuple[str, ...] = ()
