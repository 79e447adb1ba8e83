"""The statements of a poll, for every SQL engine: written once for a relation, kept as text, filled in for each poll.

What writes them, SQLAlchemy, is a fifth of a start: it is imported when something has to be written that is not `known` from a run before.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msgspec import Struct

from smartico_sync.sources.sql.known_statements import known
from smartico_sync.sources.sql.statement import Scan, Statement

if TYPE_CHECKING:
    import sqlalchemy as sa

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.kit.positions import Label
    from smartico_sync.sources.protocol import End, Nulls
    from smartico_sync.sources.sql.compiler import DialectAdapter

    Adapter: TypeAlias = "DialectAdapter | LateAdapter"

__all__ = [
    "Adapter", "LateAdapter", "Scan", "Statement", "among", "count", "head", "keys", "newest", "null_cursors",
    "null_rows", "page", "shape", "star", "without_cursor",
]  # fmt: skip


class LateAdapter(Struct, frozen=True):
    """Stands for the `ADAPTER` of a module, which is imported once something has to be written."""

    module: str

    def adapter(self) -> DialectAdapter:
        """The adapter itself."""
        found: DialectAdapter = import_module(self.module).ADAPTER
        return found

    @property
    def dialect(self) -> sa.Dialect:
        """Its dialect."""
        return self.adapter().dialect


def shape(relation: Relation, after: Position | None) -> Scan:
    """How a page begins: at the start, after a cursor value, or in the middle of equal cursors."""
    if after is None:
        return "from the start"
    return "after, ties by key" if relation.key and after.key else "after"


@lru_cache(maxsize=1024)
def page(adapter: Adapter, relation: Relation, scan: Scan, bound: Literal["open", "through"]) -> Statement:
    """Rows after a position in order `(cursor, *key)`; parameters: position_parameters, `high`, `n`."""
    return _known("page", adapter, relation, scan, bound)


@lru_cache(maxsize=1024)
def keys(adapter: Adapter, relation: Relation, scan: Scan, low: Literal["open", "low"], end: End) -> Statement:
    """Cursor and key alone, in a range; parameters: range_parameters, position_parameters, `n`."""
    return _known("keys", adapter, relation, scan, low, end)


@lru_cache(maxsize=256)
def newest(adapter: Adapter, relation: Relation, low: Literal["open", "low"]) -> Statement:
    """The rows with the highest cursors, highest first, so that an index is read from its end; parameters: `low`, `n`."""
    return _known("newest", adapter, relation, low)


@lru_cache(maxsize=1024)
def among(adapter: Adapter, relation: Relation, listed: tuple[Label, ...], size: int) -> Statement:
    """Rows in which each of these columns is one of a list of this size: a superset of the tuples wanted.

    Parameters: among_parameters. Filtering the tuples is left to the caller: so the statement stays flat and finds its index
    everywhere.
    """
    return _known("among", adapter, relation, listed, size)


@lru_cache(maxsize=256)
def without_cursor(adapter: Adapter, relation: Relation, scan: Literal["from the start", "after"]) -> Statement:
    """Rows whose cursor is NULL in order of their key; parameters: key_parameters, `n`. Only for relations with a key."""
    return _known("without_cursor", adapter, relation, scan)


@lru_cache(maxsize=256)
def head(
    adapter: Adapter, relation: Relation, bound: Literal["open", "low", "through", "low and through"]
) -> Statement:
    """The highest cursor as text; parameters: `low`, `high`."""
    return _known("head", adapter, relation, bound)


@lru_cache(maxsize=256)
def null_cursors(adapter: Adapter, relation: Relation, of: Nulls = "cursor or key") -> Statement:
    """How many rows no page returns, because of a NULL there; stops at NULLS_COUNTED. Of a key only where there is one."""
    return _known("null_cursors", adapter, relation, of)


@lru_cache(maxsize=256)
def null_rows(adapter: Adapter, relation: Relation) -> Statement:
    """A row for each that has a NULL cursor, to ask for its plan."""
    return _known("null_rows", adapter, relation)


@lru_cache(maxsize=256)
def count(adapter: Adapter, relation: Relation, low: Literal["open", "low"], end: End) -> Statement:
    """How many rows are in a range; parameters: range_parameters."""
    return _known("count", adapter, relation, low, end)


@lru_cache(maxsize=256)
def star(adapter: Adapter, relation: Relation) -> str:
    """Every column of no row, to learn names and types."""
    return _known("star", adapter, relation).text


def _known(kind: str, adapter: Adapter, relation: Relation, *how: Any) -> Statement:
    """A statement that a run before wrote, or one that is written now."""
    module = adapter.module if isinstance(adapter, LateAdapter) else type(adapter).__module__
    asked = (module, kind, relation, how)
    found = known.find(asked, relation.columns)
    if found is not None:
        return Statement(*found)
    from smartico_sync.sources.sql import compiler  # noqa: PLC0415 - see above

    real = adapter.adapter() if isinstance(adapter, LateAdapter) else adapter
    written: Statement = getattr(compiler, kind)(real, relation, *how)
    known.note(
        asked, relation.columns, (written.text, written.columns, written.width, written.positions, written.constants)
    )
    return written
