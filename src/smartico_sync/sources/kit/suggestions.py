"""Names that do not fit, told with those that were probably meant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from smartico_sync.errors import ViewBroken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.relation import Relation

__all__ = ["absent_column", "check_columns", "like"]

SHOWN = 3  # candidates that a hint names


def absent_column(place: str, what: str, column: str, names: Sequence[str]) -> ViewBroken:
    """The configuration names a column that the view does not have."""
    near = _near(column, {name: name for name in names})
    hint = f"did you mean {', '.join(near)}?" if near else f"it has: {', '.join(names)}"
    return ViewBroken(f"{place}: {what} has no column {column!r}", hint=hint)


def check_columns(place: str, what: str, relation: Relation, names: Sequence[str]) -> None:
    """Raise ViewBroken when two columns share a name, or the cursor or a part of the key is missing."""
    twice = {column for column in names if names.count(column) > 1}
    if twice:
        raise ViewBroken(
            f"{place}: {what} has several columns called {', '.join(sorted(twice))}",
            hint="give each an alias of its own",
        )
    for column in (relation.cursor, *relation.key):
        if column not in names:
            raise absent_column(place, what, column, names)


def like(wanted: str, called: Mapping[str, str]) -> str:
    """What stands before the hint for a relation that does not exist: those whose own word, behind their schema, is nearly so; or nothing.

    The hint itself is never left out: a view that was there a minute ago was dropped, and nobody mistyped its name.
    """
    near = _near(wanted, called)
    return f"did you mean {', '.join(near)}? names are taken as written, capitals included; else " if near else ""


def _near(wanted: str, called: Mapping[str, str]) -> list[str]:
    """Those of `called` whose word resembles the wanted one, whatever its capitals."""
    close = get_close_matches(
        wanted.lower(), dict.fromkeys(word.lower() for word in called.values()), n=SHOWN, cutoff=0.5
    )
    return [name for near in close for name, word in called.items() if word.lower() == near]
