"""What an operator does about a poll that no index serves, where an index alone does not mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smartico_sync.core.relation import Relation

__all__ = ["computed", "computed_first", "elsewhere", "index_unseen", "listed", "unordered"]


def listed(relation: Relation) -> str:
    """The columns of which an index must be, as the view calls them."""
    return ", ".join(dict.fromkeys((relation.cursor, *relation.key)))


def computed(relation: Relation, expression: str = "", table: str = "") -> str:
    """The cursor is an expression."""
    of = f" of {table}" if table else ""
    return f"the view computes {relation.cursor}{expression}: select a stored column{of} instead, and index it with {listed(relation)}"


def computed_first(relation: Relation, more: str = "") -> str:
    """The server makes all rows of the view before it chooses among them. `more`: what else makes this one do so."""
    what = "query" if relation.query is not None else "view"
    return f"the server computes the whole {what} for each page: write it without GROUP BY, DISTINCT, UNION and LIMIT{more}"


def elsewhere(relation: Relation, table: str) -> str:
    """The cursor is a column of this table, and part of the key is not."""
    return (
        f"{relation.cursor} is a column of {table}, but not all of {', '.join(relation.key)} are, and no index holds columns of "
        f"two tables: let the view take the key from {table} too"
    )


def unordered(relation: Relation, tables: str) -> str:
    """Why, the plan does not tell."""
    return f"no index of {tables} gives the order of {listed(relation)}: the view must pass an indexed column through as its cursor"


def index_unseen(relation: Relation) -> str:
    """The user may not see which indexes there are."""
    return f"if no index on ({listed(relation)}) exists, make one on the table that stores them"
