"""The poll's pipelines: conditions, order and fields, built once for each question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bson import json_util
from bson.errors import BSONError
from msgspec import Struct

from smartico_sync.catalogue.engines import MONGODB
from smartico_sync.config.query_checks import query_problem
from smartico_sync.errors import SourceRefused, ViewBroken
from smartico_sync.sources.kit.positions import described, tie_breakers
from smartico_sync.sources.mongodb.types import bracket_of, stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.protocol import End

__all__ = [
    "Namespace", "Stage", "behind", "comparable", "namespace_of", "page", "parse_query", "paths_of", "projection",
    "range_condition", "value_of", "without_position",
]  # fmt: skip

HINT = "write the command in extended JSON, as docs/databases/mongodb.md shows it"
Stage = dict[str, Any]
Condition = dict[str, Any]


class Namespace(Struct, frozen=True):
    """Where documents come from: a collection or view, and the stages of a `query:` before ours."""

    collection: str
    before: tuple[Stage, ...] = ()


def namespace_of(relation: Relation) -> Namespace:
    """The place that a relation names. SourceRefused when a query cannot be asked."""
    if relation.query is not None:
        return parse_query(relation.query, f"view {relation.name}")
    name = relation.relation or ""
    quoted = len(name) > 1 and name.startswith('"') and name.endswith('"')
    return Namespace(name[1:-1].replace('""', '"') if quoted else name)


def parse_query(query: str, what: str) -> Namespace:
    """A `query:`, which is an aggregate command in extended JSON. SourceRefused for anything else, before it leaves."""
    if problem := query_problem(MONGODB.query, query):
        raise SourceRefused(f"{what}: `query:`: {problem}", hint=HINT)
    try:
        command = json_util.loads(query)
    except (ValueError, TypeError, BSONError):
        raise SourceRefused(f"{what}: `query:` is no extended JSON", hint=HINT) from None
    return Namespace(command["aggregate"], tuple(command["pipeline"]))


def value_of(relation: Relation, name: str, text: str) -> Any:
    """The value that a position's text stands for. ViewBroken for a column by which nothing can be ordered."""
    bracket = bracket_of(described(relation, name))
    if bracket is None:
        raise ViewBroken(f"view {relation.name}: {name} has no order", hint="`smartico-sync check` tells why")
    return stored(bracket, text)


def comparable(relation: Relation, names: Sequence[str]) -> Condition:
    """The fields hold values that compare with each other: neither missing, nor null, nor of another type, nor NaN."""
    told = {name: bracket_of(described(relation, name)) for name in names}
    return {name: {"$gte": bracket.floor} for name, bracket in told.items() if bracket is not None}


def without_position(relation: Relation, names: Sequence[str]) -> Condition:
    """One of the fields does not. Each branch is served by an index that begins with its field."""
    return {"$or": [{name: {"$not": test}} for name, test in comparable(relation, names).items()]}


def range_condition(
    relation: Relation, low: str | None, high: str | None, end: End, *, keyed: str = "keyed"
) -> Condition:
    """The cursor is in the range, and the key is whole where `keyed` says so."""
    condition = comparable(relation, (relation.cursor, *(relation.key if keyed == "keyed" else ())))
    test = condition[relation.cursor]
    if low is not None:
        test["$gte"] = value_of(relation, relation.cursor, low)
    if high is not None:
        test["$lte" if end == "through" else "$lt"] = value_of(relation, relation.cursor, high)
    return condition


def behind(relation: Relation, order: Sequence[str], texts: Mapping[str, str]) -> list[Condition]:
    """One of these holds of each row that stands behind these values in that order."""
    values = [value_of(relation, name, texts[name]) for name in order]
    return [
        {**dict(zip(order[:last], values[:last], strict=True)), order[last]: {"$gt": values[last]}}
        for last in range(len(order))
    ]


def page(
    relation: Relation, after: Position | None, low: str | None, high: str | None, end: End
) -> tuple[Condition, dict[str, int]]:
    """The condition and the order of rows after a position, in a range."""
    condition, order = range_condition(relation, low, high, end), [relation.cursor, *tie_breakers(relation)]
    if after is not None:
        cursor = value_of(relation, relation.cursor, after.cursor)
        begun = condition[relation.cursor]
        if len(order) == 1 or not after.key:
            # The bound of the range stays beside it, should it be the higher one.
            begun["$gt"] = cursor
        else:
            texts = dict(zip(relation.key, after.key, strict=True)) | {relation.cursor: after.cursor}
            condition["$or"] = behind(relation, order, texts)
            if low is None:
                begun["$gte"] = cursor  # so that an index finds where to begin
    return condition, dict.fromkeys(order, 1)


def projection(names: Sequence[str], which: str) -> Stage:
    """The projection to these paths.

    Rows come with whole fields: projected to `a.b`, what holds something else than a document in `a` would look as if it held
    nothing. Positions come with their paths alone, so that an index may serve them.
    """
    wanted = dict.fromkeys(name.partition(".")[0] if which == "rows" else name for name in names)
    # The server refuses a path beside its own parent.
    tops = [name for name in wanted if not any(name.startswith(f"{other}.") for other in wanted)]
    return {
        "$project": {
            **dict.fromkeys(tops, 1),
            **({} if any(name.partition(".")[0] == "_id" for name in tops) else {"_id": 0}),
        }
    }


def paths_of(relation: Relation, which: str) -> list[str]:
    """The paths of a frame: the relation's columns, then the cursor and the key."""
    own = [column.name for column in relation.columns] if which == "rows" else []
    return [*own, relation.cursor, *relation.key]
