"""By which collation texts are ordered that no table stores."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from smartico_sync.errors import ViewBroken
from smartico_sync.sources.mysql.types import MYSQL
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.names import quoted

if TYPE_CHECKING:
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.mysql.session import Session

__all__ = ["collated"]

FRESH_S = 10.0  # somebody may make the view anew, with the collation of another client
# What COERCIBILITY() says of texts whose own collation counts, whatever they are compared with: they have a COLLATE, or are stored.
PREVAILING = ("0", "2")
BYTES = "binary"


def collated(session: Session, relation: Relation) -> Relation:
    """The relation with the collations by which constants have to be compared; where none has, that is believed for ten seconds.

    What a view computes of constants and numbers, as CONCAT(brand, '-', id), is ordered by the collation of the connection that made
    the view, and a constant of ours has that of this connection. Of two such texts the server compares by either, or by none.
    """
    if time.monotonic() < session.collations.get(relation, 0.0):
        return relation
    order = (relation.cursor, *relation.key)
    texts = tuple(column.name for column in relation.columns if column.family == "text" and column.name in order)
    try:
        found = _ask(session, relation, texts) if texts else {}
    except ViewBroken:  # some servers do not know these functions; what else is wrong the next question tells
        return relation
    if found:
        columns = (replace(each, collation=found.get(each.name, "")) for each in relation.columns)
        return replace(relation, columns=tuple(columns))
    session.collations[relation] = time.monotonic() + FRESH_S if texts else math.inf
    return relation


def _ask(session: Session, relation: Relation, names: tuple[str, ...]) -> dict[str, str]:
    """Of no row: what the server needs to know of a text to compare it, it knows before it reads any."""
    star = statements.star(MYSQL, relation) % {}
    one = [star.replace("SELECT *", f"SELECT {quoted(name, '`')}", 1) for name in names]
    asked = ", ".join(f"COERCIBILITY(({each}\n)), COLLATION(({each}\n))" for each in one)
    ((ours, *told),) = session.run(f"SELECT @@collation_connection, {asked}", f"view {relation.name}").rows
    return {
        name: collation
        for name, coercibility, collation in zip(names, told[::2], told[1::2], strict=True)
        if coercibility not in PREVAILING and collation not in (ours, BYTES, None)
    }
