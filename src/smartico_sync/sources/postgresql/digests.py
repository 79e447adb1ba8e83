"""Rows summed up by the server, so that what is as it was is told by one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.kit.positions import among_parameters, labels, position_parameters, range_parameters
from smartico_sync.sources.postgresql.session import Answer, literal
from smartico_sync.sources.postgresql.types import POSTGRESQL
from smartico_sync.sources.protocol import Digest, Landmarks, Scan
from smartico_sync.sources.sql import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.kit.positions import Label

__all__ = ["FIRST_TO_HASH", "digest_of", "told"]

FIRST_TO_HASH = 110_000  # PostgreSQL 11: hashes of 64 bits
SUM = "count(*), sum(hashtextextended(hashed::text, 0))"
ALL_ROWS = 2**62


def digest_of(relation: Relation, what: Scan | Landmarks) -> str:
    """The statement that tells it."""
    if isinstance(what, Landmarks):
        return _landmarks(relation, what)
    scan, low = statements.shape(relation, what.after), "open" if what.after is None else "low"
    statement = (
        statements.page(POSTGRESQL, relation, scan, "through")
        if what.of == "rows"
        else statements.keys(POSTGRESQL, relation, scan, low, "through")
    )
    lowest = None if what.after is None else what.after.cursor
    bounds: dict[str, str | int] = {
        **position_parameters(what.after),
        **range_parameters(lowest, what.high),
        "n": ALL_ROWS,
    }
    return f"SELECT {SUM} FROM ({statement.filled(literal, bounds)}\n) AS hashed"  # noqa: S608 - statements of ours, their values as constants


def told(answer: Answer) -> Digest:
    """What the server answered."""
    ((count, *sums),) = answer.rows
    return Digest(int(count or 0), " ".join(each or "" for each in sums))


def _landmarks(relation: Relation, what: Landmarks) -> str:
    """The rows, and the ends of the order as texts."""
    names, lists = labels(relation), []
    if what.positions:
        lists.append(_among(relation, names, [(each.cursor, *each.key) for each in what.positions]))
    if what.keys:
        lists.append(_among(relation, names[1:], what.keys))
    first = statements.keys(POSTGRESQL, relation, "from the start", "open", "through")
    lowest = first.filled(literal, {**range_parameters(None, what.high), "n": 1})
    highest = statements.head(POSTGRESQL, relation, "open").filled(literal, {})
    ends = f"({highest}\n), (SELECT lowest::text FROM ({lowest}\n) AS lowest)"  # noqa: S608 - likewise
    if not lists:
        return f"SELECT 0, {ends}"
    return f"SELECT {SUM}, {ends} FROM ({' UNION ALL '.join(lists)}) AS hashed"  # noqa: S608 - likewise


def _among(relation: Relation, listed: Sequence[Label], wanted: Sequence[Sequence[str]]) -> str:
    """The rows of these tuples, and others that hold values of them: of more rows the sum changes more often."""
    size, values = among_parameters(listed, wanted)
    return f"({statements.among(POSTGRESQL, relation, tuple(listed), size).filled(literal, values)}\n)"
