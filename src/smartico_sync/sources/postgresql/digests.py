"""Rows summed up by the server, so that what is as it was is told by one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.postgresql.session import Answer, literal
from smartico_sync.sources.postgresql.types import POSTGRESQL
from smartico_sync.sources.protocol import Digest, Landmarks
from smartico_sync.sources.sql import looks, statements

if TYPE_CHECKING:
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.protocol import Scan
    from smartico_sync.sources.sql.looks import Filled

__all__ = ["FIRST_TO_HASH", "digest_of", "told"]

FIRST_TO_HASH = 110_000  # PostgreSQL 11: hashes of 64 bits
SUM = "count(*), sum(hashtextextended(hashed::text, 0))"


def digest_of(relation: Relation, what: Scan | Landmarks) -> str:
    """The statement that tells it."""
    if isinstance(what, Landmarks):
        return _landmarks(relation, what)
    rows = _filled(looks.scanned(POSTGRESQL, relation, what))
    return f"SELECT {SUM} FROM {rows} AS hashed"  # noqa: S608 - statements of ours, their values as constants


def told(answer: Answer) -> Digest:
    """What the server answered."""
    ((count, *sums),) = answer.rows
    return Digest(int(count or 0), " ".join(each or "" for each in sums))


def _landmarks(relation: Relation, what: Landmarks) -> str:
    """The rows, and the ends of the order as texts."""
    rows = " UNION ALL ".join(map(_filled, looks.landmarks(POSTGRESQL, relation, what)))
    lowest = _filled(looks.first(POSTGRESQL, relation, what.high))
    highest = statements.head(POSTGRESQL, relation, "open").filled(literal, {})
    ends = f"({highest}\n), (SELECT lowest::text FROM {lowest} AS lowest)"  # noqa: S608 - likewise
    return f"SELECT {SUM}, {ends} FROM ({rows}) AS hashed" if rows else f"SELECT 0, {ends}"  # noqa: S608 - likewise


def _filled(look: Filled) -> str:
    """In brackets, its values as constants."""
    statement, values = look
    return f"({statement.filled(literal, values)}\n)"
