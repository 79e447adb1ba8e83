"""What is looked at again and again of a relation, as statements and their values; each engine has its own way to sum up their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.kit.positions import among_parameters, labels, position_parameters, range_parameters
from smartico_sync.sources.sql import statements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.protocol import Landmarks, Scan
    from smartico_sync.sources.sql.statements import Adapter, Statement

    Filled = tuple[Statement, dict[str, str | int]]  # a statement, and what fills it in

__all__ = ["first", "landmarks", "scanned"]

ALL_ROWS = 2**62


def scanned(adapter: Adapter, relation: Relation, scan: Scan) -> Filled:
    """All rows of a scan."""
    after = scan.after
    shape, low = statements.shape(relation, after), "open" if after is None else "low"
    statement = (
        statements.page(adapter, relation, shape, "through")
        if scan.of == "rows"
        else statements.keys(adapter, relation, shape, low, "through")
    )
    lowest = None if after is None else after.cursor
    return statement, {**position_parameters(after), **range_parameters(lowest, scan.high), "n": ALL_ROWS}


def landmarks(adapter: Adapter, relation: Relation, marks: Landmarks) -> Iterator[Filled]:
    """The rows at these positions and of these keys, and others that hold values of them: of more rows a sum changes more often."""
    names = labels(relation)
    lists = [(names, [(each.cursor, *each.key) for each in marks.positions]), (names[1:], list(marks.keys))]
    for listed, wanted in lists:
        if wanted:
            size, values = among_parameters(listed, wanted)
            yield statements.among(adapter, relation, tuple(listed), size), dict(values)


def first(adapter: Adapter, relation: Relation, high: str) -> Filled:
    """The lowest position up to a cursor."""
    return statements.keys(adapter, relation, "from the start", "open", "through"), {
        **range_parameters(None, high), "n": 1,
    }  # fmt: skip
