"""The poll's SQL, for every SQL engine, as SQLAlchemy Core writes it in the engine's dialect. Imported once something has to be written.

`statements` keeps what is written here, and says what each statement is for.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from sqlalchemy.sql import quoted_name
from sqlalchemy.sql.compiler import IdentifierPreparer
from sqlalchemy.types import UserDefinedType

from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.positions import NULLS_COUNTED, described, labels, list_prefix, tie_breakers
from smartico_sync.sources.sql.names import parts_of
from smartico_sync.sources.sql.statement import Statement

if TYPE_CHECKING:
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.kit.positions import Label
    from smartico_sync.sources.protocol import End, Nulls
    from smartico_sync.sources.sql.statement import Scan

__all__ = [
    "Backticks", "DialectAdapter", "Expression", "Named", "among", "count", "head", "keys",
    "newest", "null_cursors", "null_rows", "page", "star", "without_cursor",
]  # fmt: skip

Bounds = Literal["open", "low", "through", "below", "low and through", "low and below"]
Expression = sa.ColumnElement[Any]


class DialectAdapter(ABC):
    """Where engines differ. Instances are constants: statements are cached by them."""

    dialect: sa.Dialect
    """The SQLAlchemy dialect that compiles the statements.

    Where it says `requires_name_normalize`, its `denormalize_name` tells how the database stores a name (upper-case, mostly).
    """

    @abstractmethod
    def bind(self, column: Column, name: str) -> Expression:
        """The parameter of that name as a value of the column's type: the parameter is cast, never the column."""

    def project(self, column: Column, expression: Expression) -> Expression:  # noqa: ARG002  - for those that cast
        """What a page selects for a column: itself, or a cast of a type the driver cannot carry."""
        return expression

    def position(self, column: Column, expression: Expression) -> Expression | None:  # noqa: ARG002  - likewise
        """The column's text at full precision for `@cursor` and `@key.*`; None when what `project` gives has it."""
        return None

    def order(self, above: tuple[Expression, ...], binds: tuple[Expression, ...]) -> Expression:
        """The condition that the row's `above` stand after `binds`, compared column by column.

        `cursor >= :c AND (cursor > :c OR (cursor = :c AND key > :k0) OR …)`: a range of an index, whoever plans it.
        """
        steps = [
            sa.and_(
                *(left == right for left, right in zip(above[:last], binds[:last], strict=True)),
                above[last] > binds[last],
            )
            for last in range(len(above))
        ]
        return sa.and_(above[0] >= binds[0], sa.or_(*steps))


class Named(UserDefinedType[Any]):
    """A type by the name the server gives it."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """The name."""
        return self.name


class Backticks(IdentifierPreparer):
    """Names in backticks."""

    def __init__(self, dialect: sa.Dialect) -> None:
        super().__init__(dialect, initial_quote="`", final_quote="`", escape_quote="`")


def page(adapter: DialectAdapter, relation: Relation, scan: Scan, bound: Literal["open", "through"]) -> Statement:
    """Rows after a position in order `(cursor, *key)`; parameters: position_parameters, `high`, `n`."""
    return _ordered(adapter, relation, relation.columns, scan, bound)


def keys(adapter: DialectAdapter, relation: Relation, scan: Scan, low: Literal["open", "low"], end: End) -> Statement:
    """Cursor and key alone, in a range; parameters: range_parameters, position_parameters, `n`."""
    return _ordered(adapter, relation, (), scan, _range(low, end))


def newest(adapter: DialectAdapter, relation: Relation, low: Literal["open", "low"]) -> Statement:
    """The rows with the highest cursors, highest first, so that an index is read from its end; parameters: `low`, `n`."""
    source = _source(adapter, relation)
    conditions = [*_whole(relation, source, "cursor and key"), *_bounds(adapter, relation, source, low)]
    selected, positions = _selected(adapter, relation, relation.columns, source)
    query = sa.select(*selected).select_from(source).where(*conditions).order_by(source.c[relation.cursor].desc())
    return _compile(adapter, relation, query.limit(sa.bindparam("n", type_=sa.Integer)), relation.columns, positions)


def among(adapter: DialectAdapter, relation: Relation, listed: tuple[Label, ...], size: int) -> Statement:
    """Rows in which each of these columns is one of a list of this size: a superset of the tuples wanted.

    Parameters: among_parameters. Filtering the tuples is left to the caller: so the statement stays flat and finds its index
    everywhere.
    """
    source = _source(adapter, relation)
    conditions = []
    for label, name in listed:
        binds = [_bind(adapter, relation, name, f"{list_prefix(label)}{index}") for index in range(size)]
        conditions.append(source.c[name].in_(binds))
    selected, positions = _selected(adapter, relation, relation.columns, source)
    query = sa.select(*selected).select_from(source).where(*conditions, *_whole(relation, source, "key"))
    return _compile(adapter, relation, query, relation.columns, positions)


def without_cursor(adapter: DialectAdapter, relation: Relation, scan: Literal["from the start", "after"]) -> Statement:
    """Rows whose cursor is NULL in order of their key; parameters: key_parameters, `n`. Only for relations with a key."""
    source = _source(adapter, relation)
    names = tie_breakers(relation)
    order = tuple(source.c[name] for name in names)
    conditions = [source.c[relation.cursor].is_(None), *_whole(relation, source, "key")]
    if scan == "after":
        binds = tuple(_bind(adapter, relation, name, f"k{relation.key.index(name)}") for name in names)
        conditions.append(adapter.order(order, binds))
    selected, positions = _selected(adapter, relation, relation.columns, source)
    query = sa.select(*selected).select_from(source).where(*conditions).order_by(*order)
    return _compile(adapter, relation, query.limit(sa.bindparam("n", type_=sa.Integer)), relation.columns, positions)


def head(
    adapter: DialectAdapter, relation: Relation, bound: Literal["open", "low", "through", "low and through"]
) -> Statement:
    """The highest cursor as text; parameters: `low`, `high`."""
    source = _source(adapter, relation)
    cursor = source.c[relation.cursor]
    selected = _position(adapter, relation, relation.cursor, source)
    conditions = [cursor.is_not(None), *_bounds(adapter, relation, source, bound)]
    query = sa.select(selected).where(*conditions).order_by(cursor.desc()).limit(sa.literal_column("1"))
    return _compile(adapter, relation, query)


def null_cursors(adapter: DialectAdapter, relation: Relation, of: Nulls = "cursor or key") -> Statement:
    """How many rows no page returns, because of a NULL there; stops at NULLS_COUNTED. Of a key only where there is one."""
    inner = _null_rows(adapter, relation, of).subquery("found")
    return _compile(adapter, relation, sa.select(sa.func.count()).select_from(inner))


def null_rows(adapter: DialectAdapter, relation: Relation) -> Statement:
    """A row for each that has a NULL cursor, to ask for its plan."""
    return _compile(adapter, relation, _null_rows(adapter, relation, "cursor"))


def _null_rows(adapter: DialectAdapter, relation: Relation, of: Nulls) -> sa.Select[Any]:
    source = _source(adapter, relation)
    names = {"cursor": (relation.cursor,), "key": tuple(tie_breakers(relation))}.get(
        of, (relation.cursor, *relation.key)
    )
    absent = sa.or_(*(source.c[name].is_(None) for name in names))
    if of == "key":
        absent = sa.and_(source.c[relation.cursor].is_not(None), absent)
    found: sa.Select[Any] = sa.select(sa.literal_column("1").label("one")).select_from(source).where(absent)
    return found.limit(sa.literal_column(str(NULLS_COUNTED)))


def count(adapter: DialectAdapter, relation: Relation, low: Literal["open", "low"], end: End) -> Statement:
    """How many rows are in a range; parameters: range_parameters."""
    source = _source(adapter, relation)
    conditions = _bounds(adapter, relation, source, _range(low, end))
    query = sa.select(sa.func.count()).select_from(source).where(*conditions, *_whole(relation, source, "key"))
    return _compile(adapter, relation, query)


def star(adapter: DialectAdapter, relation: Relation) -> Statement:
    """Every column of no row, to learn names and types."""
    source = _source(adapter, relation)
    query = sa.select(sa.text("*")).select_from(source).where(sa.literal_column("1 = 0"))
    return _compile(adapter, relation, query)


def _stored(adapter: DialectAdapter, name: str) -> str:
    """A name as the database stores it."""
    dialect = adapter.dialect
    return (dialect.denormalize_name(name) or name) if dialect.requires_name_normalize else name


def _named(adapter: DialectAdapter, name: str) -> sa.ColumnClause[Any]:
    """A column written as the database stores it, and found in `source.c` as the configuration calls it."""
    column: sa.ColumnClause[Any] = sa.column(quoted_name(_stored(adapter, name), quote=True))
    column.key = name
    return column


def _ordered(
    adapter: DialectAdapter, relation: Relation, columns: tuple[Column, ...], scan: Scan, bounds: Bounds
) -> Statement:
    source = _source(adapter, relation)
    ties = tie_breakers(relation)
    order = tuple(source.c[name] for name in (relation.cursor, *ties))
    parameters = ("c", *(f"k{relation.key.index(name)}" for name in ties))
    binds = tuple(map(partial(_bind, adapter, relation), (relation.cursor, *ties), parameters))
    conditions = [*_whole(relation, source, "cursor and key"), *_bounds(adapter, relation, source, bounds)]
    if scan == "after" or (scan == "after, ties by key" and not ties):
        conditions.append(order[0] > binds[0])
    elif scan == "after, ties by key":
        conditions.append(adapter.order(order, binds))
    selected, positions = _selected(adapter, relation, columns, source)
    query = sa.select(*selected).select_from(source).where(*conditions).order_by(*order)
    return _compile(adapter, relation, query.limit(sa.bindparam("n", type_=sa.Integer)), columns, positions)


def _whole(relation: Relation, source: sa.FromClause, which: str) -> list[Expression]:
    """A NULL has no place in the order: such rows are counted, never returned, and so never lost in silence."""
    names = relation.key if which == "key" else (relation.cursor, *relation.key)
    return [source.c[name].is_not(None) for name in dict.fromkeys(names)]


def _range(low: Literal["open", "low"], end: End) -> Bounds:
    if end == "through":
        return "through" if low == "open" else "low and through"
    return "below" if low == "open" else "low and below"


def _bounds(adapter: DialectAdapter, relation: Relation, source: sa.FromClause, bounds: Bounds) -> list[Expression]:
    cursor = source.c[relation.cursor]
    conditions = []
    if bounds.startswith("low"):
        conditions.append(cursor >= _bind(adapter, relation, relation.cursor, "low"))
    if bounds not in ("open", "low"):
        high = _bind(adapter, relation, relation.cursor, "high")
        conditions.append(cursor <= high if bounds.endswith("through") else cursor < high)
    return conditions


def _bind(adapter: DialectAdapter, relation: Relation, name: str, parameter: str) -> Expression:
    return adapter.bind(described(relation, name), parameter)


def _position(adapter: DialectAdapter, relation: Relation, name: str, source: sa.FromClause) -> Expression:
    column, expression = described(relation, name), source.c[name]
    own = adapter.position(column, expression)
    return adapter.project(column, expression) if own is None else own


def _selected(
    adapter: DialectAdapter, relation: Relation, columns: tuple[Column, ...], source: sa.FromClause
) -> tuple[list[Expression], tuple[tuple[str, int], ...]]:
    """What to select, and where the texts of the position are in it; a column that already has the text serves twice."""
    selected = [
        adapter.project(column, source.c[column.name]).label(quoted_name(column.name, quote=True)) for column in columns
    ]
    index = {column.name: number for number, column in enumerate(columns)}
    positions = []
    for label, name in labels(relation):
        if name in index and adapter.position(described(relation, name), source.c[name]) is None:
            positions.append((label, index[name]))
        else:
            positions.append((label, len(selected)))
            selected.append(_position(adapter, relation, name, source).label(label))
    return list(selected), tuple(positions)


@lru_cache(maxsize=256)
def _source(adapter: DialectAdapter, relation: Relation) -> sa.FromClause:
    columns = [_named(adapter, column.name) for column in relation.columns]
    if relation.query is not None:
        # A colon would be taken for a parameter; the line break ends a comment that the query may end with.
        query = re.sub(r"(?<!\\):", r"\:", relation.query.strip().rstrip(";"))
        return sa.text(query + "\n").columns(*columns).subquery("q")
    parts = [name if how == "quoted" else _stored(adapter, name) for name, how in parts_of(relation.relation or "")]
    if not parts:
        raise ConfigError(f"view {relation.name!r} names neither a relation nor a query")
    prepare = adapter.dialect.identifier_preparer
    schema = ".".join(prepare.quote_identifier(part) for part in parts[:-1])
    return sa.table(
        quoted_name(parts[-1], quote=True), *columns, schema=quoted_name(schema, quote=False) if schema else None
    )


def _compile(
    adapter: DialectAdapter,
    relation: Relation,
    query: sa.Select[Any],
    columns: tuple[Column, ...] = (),
    positions: tuple[tuple[str, int], ...] = (),
) -> Statement:
    compiled = query.compile(dialect=adapter.dialect)
    return Statement(
        text=f"/* smartico-sync view={relation.name} */ {compiled}",
        columns=columns,
        width=len(query.selected_columns),
        positions=positions,
        constants=tuple((name, value) for name, value in compiled.params.items() if value is not None),
    )
