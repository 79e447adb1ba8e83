"""Events as columns: what travels from mapping to delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BRAND", "DATE", "EID", "ENVELOPE", "KEY", "PLAYER", "POSITION", "SEED", "TYPE", "USER", "Events"]

# No property name can begin with "@" (the catalogue's rule for names), so these never collide with a payload column.
EID = "@eid"  # String: UUID of version 8; empty for a profile until its content is known
SEED = "@seed"  # String, of profiles until they have their id: what that is made of, but for the content
DATE = "@date"  # Int64: epoch ms UTC of the business event
BRAND = "@brand"  # String: ext_brand_id
USER = "@user"  # String: user_ext_id
TYPE = "@type"  # String: event_type
KEY = "@key"  # String: the row's key as operators know it (key columns joined by ","), for dead letters
PLAYER = "@player"  # UInt64: hash of (brand, user); equal players, equal hash
POSITION = "@row"  # UInt32: index of the row in the page it came from
ENVELOPE = (EID, SEED, DATE, BRAND, USER, TYPE, KEY, PLAYER, POSITION)


class Events(Struct, frozen=True):
    """A frame of events, in page order, one row each.

    `frame` holds the envelope columns above and one column per payload property, named as on the wire. Payload dtypes:
    String, Boolean, Int64, UInt64, Float64; null means "left out". Columns named in `raw` are String and hold JSON text
    that goes to the wire as it stands (exact decimals, arrays, JSON documents, the `null` of a cleared property).
    `optional`: properties without which an event is sent again where the API refuses them by name.
    """

    frame: pl.DataFrame
    raw: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return self.frame.height

    def take(self, predicate: pl.Expr | pl.Series) -> Events:
        """The events that satisfy the predicate."""
        return Events(self.frame.filter(predicate), self.raw)
