"""Properties of `update_profile` and of the transaction events: their types and rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["NAME_PATTERN", "PROPERTIES", "Property", "PropertyType"]

PropertyType = Literal["string", "number", "integer", "boolean", "date", "array", "any"]

# What a property may be called on the wire; the daemon's own columns begin with "@" and can never collide.
NAME_PATTERN = r"[A-Za-z_][A-Za-z0-9_.]{0,127}"


@dataclass(frozen=True, slots=True)
class Property:
    """One property. `values` are the allowed ones (empty: any); `past`: a date that must lie in the past; `managed`:
    Smartico computes it, it is never sent; `immutable`: cannot change once set; `pattern`: a regular expression."""

    name: str
    type: PropertyType
    values: frozenset[str] = frozenset()
    pattern: str = ""
    past: Literal["must be past", "any time"] = "any time"
    owner: Literal["operator", "smartico"] = "operator"
    change: Literal["free", "immutable"] = "free"


PROPERTIES: dict[str, Property] = {}
