"""View kinds: which event a row becomes, and what its columns are called on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["KINDS", "Kind", "Role", "kind"]

Role = Literal["profile", "transaction"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What Smartico knows about one kind of view.

    `event_types` maps a row's role to its event type: {"": type} for kinds with one type, {"bet": …, "win": …} for
    mixed ones; empty for `custom`, whose event type is configured. `required` are view columns (each a tuple of
    alternatives, any of which will do); `columns` maps view columns to properties; several columns may map to one
    property, the first present and not NULL wins in the order given. `event_date` are the view columns that may hold the
    moment of the business event, the first present wins, the cursor last. `key` is the default key, first alternative
    present wins. Columns that `columns` does not name pass through under their own name, but for `hidden`.
    """

    name: str
    role: Role
    event_types: dict[str, str]
    required: tuple[tuple[str, ...], ...]
    optional: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    event_date: tuple[str, ...]
    key: tuple[tuple[str, ...], ...]
    hidden: frozenset[str]
    since: Literal["documented", "observed", "inferred"]


KINDS: dict[str, Kind] = {}


def kind(name: str) -> Kind:
    """The kind of that name; KeyError for an unknown one (the configuration has been checked before)."""
    return KINDS[name]
