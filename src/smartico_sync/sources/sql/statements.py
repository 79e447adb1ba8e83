"""The poll's SQL, for every SQL engine: built once with SQLAlchemy Core, kept as text, filled in for each poll."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

import polars as pl
import sqlalchemy as sa
from sqlalchemy.sql import quoted_name

from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.frames import CURSOR, key_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.protocol import End

__all__ = [
    "NULLS_COUNTED", "DialectAdapter", "Statement", "among_parameters", "by_cursor", "by_key", "count", "either", "exactly", "head",
    "key_parameters", "keys", "names_of", "null_cursors", "page", "position_parameters", "range_parameters", "rows", "shape",
    "star", "with_keys", "without_cursor",
]  # fmt: skip

NULLS_COUNTED = 10_000  # a count of NULL cursors is for telling people; more than this says nothing new
Scan = Literal["all", "from the start", "after", "after, ties by key"]
Bounds = Literal["open", "low", "through", "below", "low and through", "low and below"]
Expression = sa.ColumnElement[Any]


class DialectAdapter(Protocol):
    """Where engines differ. Instances are constants: statements are cached by them."""

    def __hash__(self) -> int:
        """One constant differs from another."""

    @property
    def dialect(self) -> sa.Dialect:
        """The SQLAlchemy dialect that compiles the statements.

        Where it says `requires_name_normalize`, its `denormalize_name` tells how the database stores a name (upper-case, mostly).
        """

    def bind(self, column: Column, name: str) -> Expression:
        """The parameter of that name as a value of the column's type: the parameter is cast, never the column."""

    def project(self, column: Column, expression: Expression) -> Expression:
        """What a page selects for a column: itself, or a cast of a type the driver cannot carry."""

    def position(self, column: Column, expression: Expression) -> Expression | None:
        """The column's text at full precision for `@cursor` and `@key.*`; None when what `project` gives has it."""

    def order(self, above: tuple[Expression, ...], binds: tuple[Expression, ...]) -> Expression:
        """The condition that the row's `above` stand after `binds`, compared column by column."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text in the dialect's own parameter style, and what it selects: `columns`, then texts of positions.

    `width` counts both; `positions` maps `@cursor` and `@key.*` to the index of the selected column that holds their text.
    `constants` are parameters that the dialect added, with their values.
    """

    text: str
    columns: tuple[Column, ...] = ()
    width: int = 1
    positions: tuple[tuple[str, int], ...] = ()
    constants: tuple[tuple[str, Any], ...] = ()


def shape(relation: Relation, after: Position | None) -> Scan:
    """How a page begins: at the start, after a cursor value, or in the middle of equal cursors."""
    if after is None:
        return "from the start"
    return "after, ties by key" if relation.key and after.key else "after"


@lru_cache(maxsize=1024)
def page(adapter: DialectAdapter, relation: Relation, scan: Scan, bound: Literal["open", "through"]) -> Statement:
    """Rows after a position in order `(cursor, *key)`; parameters: position_parameters, `high`, `n`."""
    return _ordered(adapter, relation, relation.columns, scan, bound)


@lru_cache(maxsize=1024)
def keys(adapter: DialectAdapter, relation: Relation, scan: Scan, low: Literal["open", "low"], end: End) -> Statement:
    """Cursor and key alone, in a range; parameters: range_parameters, position_parameters, `n`."""
    return _ordered(adapter, relation, (), scan, _range(low, end))


@lru_cache(maxsize=1024)
def rows(adapter: DialectAdapter, relation: Relation, cursors: int) -> Statement:
    """Rows whose cursor is one of `c0`, `c1` … and each key part one of `k0_0`, `k0_1` …: a superset of these positions.

    Filtering the pairs is left to the caller: so the statement stays flat and finds its index everywhere.
    """
    return _among(adapter, relation, [("c", relation.cursor), *_key_lists(relation)], cursors)


@lru_cache(maxsize=1024)
def by_cursor(adapter: DialectAdapter, relation: Relation, cursors: int) -> Statement:
    """Rows whose cursor is one of `c0`, `c1` and so on."""
    return _among(adapter, relation, [("c", relation.cursor)], cursors)


@lru_cache(maxsize=1024)
def by_key(adapter: DialectAdapter, relation: Relation, keys: int) -> Statement:
    """Rows each of whose key parts is one of `k0_0`, `k0_1` …, whatever their cursor: a superset of these keys."""
    return _among(adapter, relation, _key_lists(relation), keys)


@lru_cache(maxsize=256)
def without_cursor(adapter: DialectAdapter, relation: Relation, scan: Literal["from the start", "after"]) -> Statement:
    """Rows whose cursor is NULL in order of their key; parameters: key_parameters, `n`. Only for relations with a key."""
    source = _source(adapter, relation)
    names = [name for name in relation.key if name != relation.cursor]
    order = tuple(source.c[name] for name in names)
    conditions = [source.c[relation.cursor].is_(None), *_whole(relation, source, "key")]
    if scan == "after":
        binds = tuple(_bind(adapter, relation, name, f"k{relation.key.index(name)}") for name in names)
        conditions.append(adapter.order(order, binds))
    selected, positions = _selected(adapter, relation, relation.columns, source)
    query = sa.select(*selected).select_from(source).where(*conditions).order_by(*order)
    return _compile(adapter, relation, query.limit(sa.bindparam("n", type_=sa.Integer)), relation.columns, positions)


@lru_cache(maxsize=256)
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


@lru_cache(maxsize=256)
def null_cursors(adapter: DialectAdapter, relation: Relation) -> Statement:
    """How many rows no page returns, because their cursor or a part of their key is NULL; stops at NULLS_COUNTED."""
    source = _source(adapter, relation)
    absent = sa.or_(*(source.c[name].is_(None) for name in (relation.cursor, *relation.key)))
    found: sa.Select[Any] = sa.select(sa.literal_column("1").label("one")).select_from(source).where(absent)
    inner = found.limit(sa.literal_column(str(NULLS_COUNTED))).subquery("found")
    return _compile(adapter, relation, sa.select(sa.func.count()).select_from(inner))


@lru_cache(maxsize=256)
def count(adapter: DialectAdapter, relation: Relation, low: Literal["open", "low"], end: End) -> Statement:
    """How many rows are in a range; parameters: range_parameters."""
    source = _source(adapter, relation)
    conditions = _bounds(adapter, relation, source, _range(low, end))
    query = sa.select(sa.func.count()).select_from(source).where(*conditions, *_whole(relation, source, "key"))
    return _compile(adapter, relation, query)


def star(adapter: DialectAdapter, relation: Relation) -> str:
    """Every column of no row, to learn names and types."""
    source = _source(adapter, relation)
    query = sa.select(sa.text("*")).select_from(source).where(sa.literal_column("1 = 0"))
    return _compile(adapter, relation, query).text


def either(above: tuple[Expression, ...], binds: tuple[Expression, ...]) -> Expression:
    """`order` for every engine: `cursor >= :c AND (cursor > :c OR (cursor = :c AND key > :k0) OR …)`."""
    steps = [
        sa.and_(
            *(left == right for left, right in zip(above[:last], binds[:last], strict=True)), above[last] > binds[last]
        )
        for last in range(len(above))
    ]
    return sa.and_(above[0] >= binds[0], sa.or_(*steps))


def position_parameters(after: Position | None) -> dict[str, str]:
    """Parameters of the position a page begins after."""
    return {} if after is None else {"c": after.cursor} | key_parameters(after.key)


def key_parameters(key: Sequence[str]) -> dict[str, str]:
    """Parameters of a key."""
    return {f"k{index}": part for index, part in enumerate(key)}


def range_parameters(low: str | None, high: str) -> dict[str, str]:
    """Parameters of a range of cursors."""
    return {"high": high} if low is None else {"low": low, "high": high}


def among_parameters(wanted: Sequence[Sequence[str]], prefixes: Sequence[str]) -> tuple[int, dict[str, str | int]]:
    """How many values the lists of a statement hold for these tuples, and its parameters; a prefix for each part.

    Lists are filled up to a power of two with a value they hold already, so that few statements serve all calls.
    """
    lists = [list(dict.fromkeys(part)) for part in zip(*wanted, strict=True)]
    size = 1 << (max(map(len, lists)) - 1).bit_length()
    return size, {
        f"{prefix}{index}": values[min(index, len(values) - 1)]
        for prefix, values in zip(prefixes, lists, strict=True)
        for index in range(size)
    }


def exactly(relation: Relation, found: pl.DataFrame, positions: Sequence[Position]) -> pl.DataFrame:
    """Of the rows that `rows` found, those at exactly these positions."""
    return _matching(found, [CURSOR, *_key_columns(relation)], [(each.cursor, *each.key) for each in positions])


def with_keys(relation: Relation, found: pl.DataFrame, keys: Sequence[tuple[str, ...]]) -> pl.DataFrame:
    """Of the rows that `by_key` found, those with exactly these keys."""
    return _matching(found, _key_columns(relation), keys)


def _key_columns(relation: Relation) -> list[str]:
    return [key_column(index) for index in range(len(relation.key))]


def _matching(found: pl.DataFrame, names: list[str], wanted: Sequence[tuple[str, ...]]) -> pl.DataFrame:
    return found.join(pl.DataFrame(wanted, dict.fromkeys(names, pl.String), orient="row"), on=names, how="semi")


def names_of(relation: str) -> tuple[str, ...]:
    """`crm.user_profile` or `"My.Schema"."View"` to its parts; parts are taken as written, capitals included."""
    return tuple(name for name, _ in _parts(relation))


def _parts(relation: str) -> list[tuple[str, Literal["quoted", "plain"]]]:
    parts = re.findall(r'"((?:[^"]|"")+)"|([^".]+)', relation)
    return [(quoted.replace('""', '"'), "quoted") if quoted else (plain.strip(), "plain") for quoted, plain in parts]


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
    # A key that is the cursor, or holds it, breaks no tie there.
    ties = [(f"k{index}", name) for index, name in enumerate(relation.key) if name != relation.cursor]
    order = tuple(source.c[name] for name in (relation.cursor, *(name for _, name in ties)))
    binds = tuple(_bind(adapter, relation, name, parameter) for parameter, name in [("c", relation.cursor), *ties])
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


def _key_lists(relation: Relation) -> list[tuple[str, str]]:
    return [(f"k{index}_", name) for index, name in enumerate(relation.key)]


def _among(adapter: DialectAdapter, relation: Relation, lists: list[tuple[str, str]], size: int) -> Statement:
    source = _source(adapter, relation)
    conditions = [source.c[name].in_(_listed(adapter, relation, name, prefix, size)) for prefix, name in lists]
    selected, positions = _selected(adapter, relation, relation.columns, source)
    query = sa.select(*selected).select_from(source).where(*conditions, *_whole(relation, source, "key"))
    return _compile(adapter, relation, query, relation.columns, positions)


def _listed(adapter: DialectAdapter, relation: Relation, name: str, prefix: str, many: int) -> list[Expression]:
    return [_bind(adapter, relation, name, f"{prefix}{index}") for index in range(many)]


def _bind(adapter: DialectAdapter, relation: Relation, name: str, parameter: str) -> Expression:
    column = relation.column(name)
    assert column is not None, "describe() has checked cursor and key"
    return adapter.bind(column, parameter)


def _position(adapter: DialectAdapter, relation: Relation, name: str, source: sa.FromClause) -> Expression:
    column = relation.column(name)
    assert column is not None, "describe() has checked cursor and key"
    expression = source.c[name]
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
    named = [(CURSOR, relation.cursor), *((key_column(part), name) for part, name in enumerate(relation.key))]
    for label, name in named:
        column = relation.column(name)
        assert column is not None, "describe() has checked cursor and key"
        if name in index and adapter.position(column, source.c[name]) is None:
            positions.append((label, index[name]))
        else:
            positions.append((label, len(selected)))
            selected.append(_position(adapter, relation, name, source).label(label))
    return list(selected), tuple(positions)


def _source(adapter: DialectAdapter, relation: Relation) -> sa.FromClause:
    columns = [_named(adapter, column.name) for column in relation.columns]
    if relation.query is not None:
        # A colon would be taken for a parameter; the line break ends a comment that the query may end with.
        query = re.sub(r"(?<!\\):", r"\:", relation.query.strip().rstrip(";"))
        return sa.text(query + "\n").columns(*columns).subquery("q")
    parts = [name if how == "quoted" else _stored(adapter, name) for name, how in _parts(relation.relation or "")]
    if not parts:
        raise ConfigError(f"view {relation.name!r} names neither a relation nor a query")
    prepare = adapter.dialect.identifier_preparer
    schema = ".".join(prepare.quote_identifier(part) for part in parts[:-1])
    return sa.table(
        quoted_name(parts[-1], quote=True),
        *columns,
        schema=quoted_name(schema, quote=False) if schema else None,
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
