"""Whether an index finds a page and gives its order, judged from the server's own explain."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bson import json_util

from smartico_sync.sources.kit.positions import at_head, tie_breakers
from smartico_sync.sources.protocol import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.mongodb.reading import MongoReading

__all__ = ["explain", "judge"]

INDEXED = ("IXSCAN", "EXPRESS_IXSCAN", "EXPRESS_CLUSTERED_IXSCAN", "CLUSTERED_IXSCAN", "IDHACK", "DISTINCT_SCAN")
WHOLE = "COLLSCAN"
SORTED = ("SORT", "SORT_KEY_GENERATOR")
EVERYTHING = "[MinKey, MaxKey]"
ASCENDING = 1


def explain(reading: MongoReading, after: Position | None, limit: int) -> Plan:
    """Explain the page after this position, or, from the start, the page that a running poll reads at the head."""
    pipeline = reading.poll_pipeline(at_head(reading, after), limit)
    command = {"aggregate": reading.collection, "pipeline": pipeline, "cursor": {}}
    answer = reading.session.command({"explain": command, "verbosity": "queryPlanner"}, reading.what)
    return judge(answer, reading.relation)


def judge(answer: dict[str, Any], relation: Relation) -> Plan:
    """What explain's answer means for a poll."""
    plans = list(_plans(answer))
    stages = [stage for plan in plans for stage in _stages(plan)]
    kinds = [str(stage["stage"]) for stage in stages]
    text = "\n".join(_line(stage) for stage in stages)
    if not plans:
        return Plan(uses_index=None, text=json.dumps(answer, default=str)[:2000])
    index = _index(answer, relation)
    if WHOLE in kinds or not any(kind in INDEXED for kind in kinds):
        return Plan(uses_index=False, text=text, advice=index)
    if any(kind in SORTED for kind in kinds) or not all(_found(stage) for stage in stages):
        return Plan(uses_index=False, text=text, advice=index)
    behind = [stage for stage in answer.get("stages", ()) if "$sort" in stage]
    if behind:
        summary = f"what is behind the position is found by an index and sorted: a view that keeps {relation.cursor} under the name it has in the collection needs no sorting"
        return Plan(uses_index=True, text=text + "\n$sort", summary=summary)
    return Plan(uses_index=True, text=text)


def _plans(answer: Any) -> Iterator[dict[str, Any]]:
    """The winning plan of each query, in whatever the server wraps it: pipelines, views, shards, SBE."""
    if isinstance(answer, list):
        for each in answer:
            yield from _plans(each)
    elif isinstance(answer, dict):
        if "winningPlan" in answer:
            won = answer["winningPlan"]
            if isinstance(won, dict) and "shards" in won:
                yield from _plans(won["shards"])
            elif isinstance(won, dict):
                yield won.get("queryPlan", won)
            return
        for name, value in answer.items():
            if name not in ("command", "serverInfo", "rejectedPlans", "serverParameters"):
                yield from _plans(value)


def _stages(plan: Any) -> Iterator[dict[str, Any]]:
    if isinstance(plan, list):
        for each in plan:
            yield from _stages(each)
    elif isinstance(plan, dict):
        if "stage" in plan:
            yield plan
        for name in ("inputStage", "inputStages", "queryPlan", "shards", "outerStage", "innerStage"):
            if name in plan:
                yield from _stages(plan[name])


def _found(stage: dict[str, Any]) -> bool:
    """Whether the scan begins at the position, not at the index's first key."""
    bounds = stage.get("indexBounds")
    if not bounds:
        return True
    first = next(iter(bounds.values()))
    return str(first) not in (EVERYTHING, str([EVERYTHING]))


def _line(stage: dict[str, Any]) -> str:
    told = [str(stage["stage"]), str(stage.get("indexName", "")), str(stage.get("direction", ""))]
    if "indexBounds" in stage:
        # The bounds of the cursor and the key are positions, not personal; the rest of explain holds them too.
        told.append(json_util.dumps(stage.get("keyPattern", {})))
    return " ".join(part for part in told if part)


def _index(answer: dict[str, Any], relation: Relation) -> str:
    """The statement that makes the index."""
    fields = ", ".join(f"{_key(name)}: {ASCENDING}" for name in (relation.cursor, *tie_breakers(relation)))
    namespace = _namespace(answer)
    name = namespace.partition(".")[2]
    statement = f"db.getCollection({json.dumps(name, ensure_ascii=False)}).createIndex({{{fields}}})"
    viewed = relation.relation is None or name != relation.relation.strip('"')
    return f"{statement} // or whatever fields of it become these in the view" if viewed else statement


def _namespace(answer: Any) -> str:
    if isinstance(answer, list):
        return next(filter(None, map(_namespace, answer)), "")
    if not isinstance(answer, dict):
        return ""
    if isinstance(answer.get("namespace"), str):
        return str(answer["namespace"])
    return next(filter(None, map(_namespace, answer.values())), "")


def _key(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else json.dumps(name, ensure_ascii=False)
