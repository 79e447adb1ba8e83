"""Rows summed up by the server, so that what is as it was is told by one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.mysql.session import literal
from smartico_sync.sources.mysql.types import MYSQL
from smartico_sync.sources.protocol import Digest, Landmarks
from smartico_sync.sources.sql import looks, statements
from smartico_sync.sources.sql.names import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.mysql.session import Row
    from smartico_sync.sources.protocol import Scan
    from smartico_sync.sources.sql.statements import Statement

__all__ = ["digest_of", "told"]

SUM = "COALESCE(SUM(CAST(CONV(LEFT(print, 16), 16, 10) AS UNSIGNED)), 0)"  # 64 bits a row, as an exact decimal


def digest_of(relation: Relation, what: Scan | Landmarks) -> str:
    """The statement that tells it: how many rows, how many of these could be hashed, and a text."""
    if isinstance(what, Landmarks):
        return _landmarks(relation, what)
    rows = _prints(*looks.scanned(MYSQL, relation, what))
    return f"SELECT COUNT(*), COUNT(print), CONCAT({SUM}) FROM ({rows}) AS hashed"  # noqa: S608 - statements of ours, their values as constants


def told(row: Row) -> Digest | None:
    """What the server answered; None where a row could not be hashed: it is too long, or the server knows no MD5."""
    count, hashed, text = row
    return Digest(int(count or 0), text or "") if count == hashed else None


def _landmarks(relation: Relation, what: Landmarks) -> str:
    """The rows, and the ends of the order."""
    rows = " UNION ALL ".join(_prints(*each) for each in looks.landmarks(MYSQL, relation, what))
    lowest = _prints(*looks.first(MYSQL, relation, what.high))
    highest = statements.head(MYSQL, relation, "open").filled(literal, {})
    ends = ", ".join(f"CAST(QUOTE(({each}\n)) AS BINARY)" for each in (highest, lowest))
    if not rows:
        return f"SELECT 0, 0, CONCAT_WS(' ', {ends})"
    return f"SELECT COUNT(*), COUNT(print), CONCAT_WS(' ', {SUM}, {ends}) FROM ({rows}) AS hashed"  # noqa: S608 - likewise


def _prints(statement: Statement, values: Mapping[str, str | int]) -> str:
    """A hash of each row of a statement: of all its values, each in quotes, as bytes, so that no collation is mixed with another."""
    names = [column.name for column in statement.columns]
    names += [label for label, index in statement.positions if index >= len(names)]
    every = ", ".join(f"CAST(QUOTE({quoted(name, '`')}) AS BINARY)" for name in names)
    rows = statement.filled(literal, values)
    return f"SELECT MD5(CONCAT_WS(',', {every})) AS print FROM ({rows}\n) AS counted"  # noqa: S608 - likewise
