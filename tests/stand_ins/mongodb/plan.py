"""What explain says, from the documented rules: which index gives the order, and from where to where it is read.

Conditions move before projections they do not depend on, as the manual says. It says nothing of the kind about $sort, so a
sort behind a view's projection is a stage of its own here. Costs, and whether a real planner agrees, are not here.
"""

from __future__ import annotations

from stand_ins.mongodb.store import Collection, State

SPAN = ("$gt", "$gte", "$lt", "$lte", "$eq", "$in")


def explained(state: State, database: str, collection: str, stages: list[dict]) -> dict:
    """The answer to explain, for a find (as stages) or a pipeline."""
    found = state.get(f"{database}.{collection}", Collection())
    if found.is_view:
        inner = [*found.options["pipeline"], *stages]
        return explained(state, database, found.options["viewOn"], inner)
    names: dict[str, str | None] = {}
    condition, sort, behind, shaped = {}, {}, [], False
    for stage in stages:
        ((name, given),) = stage.items()
        if name == "$match" and not sort:
            condition |= {of(names, path): test for path, test in given.items() if not path.startswith("$")}
        elif name == "$sort" and not shaped and not sort:
            sort = {of(names, path): direction for path, direction in given.items()}
        elif name in ("$project", "$addFields", "$set"):
            names |= {path: origin(value, path) for path, value in given.items()}
            shaped = True
        elif name in ("$group", "$unwind", "$lookup"):
            shaped = True
            behind.append(stage)
        elif name == "$sort" or (name == "$limit" and shaped):
            behind.append(stage)
    winning = plan_of(found, condition, sort)
    planner = {"namespace": f"{database}.{collection}", "winningPlan": winning, "rejectedPlans": []}
    if behind:
        return {"stages": [{"$cursor": {"queryPlanner": planner}}, *behind]}
    return {"queryPlanner": planner}


def of(names: dict, path: str) -> str:
    return names.get(path, path) or f"computed {path}"


def origin(value, path: str) -> str | None:
    if isinstance(value, str) and value.startswith("$"):
        return value[1:]
    return path if value in (1, True) else None


def plan_of(collection: Collection, condition: dict, sort: dict) -> dict:
    best = {"stage": "COLLSCAN", "direction": "forward"}
    for index in collection.indexes:
        if not bounded(index, condition):
            continue
        bounds = {path: [bound(condition.get(path))] for path in index}
        scan = {"stage": "IXSCAN", "keyPattern": index, "indexName": "_".join(map(str, index)), "indexBounds": bounds}
        best = {"stage": "FETCH", "inputStage": scan}
        if gives(index, sort, condition):
            return best
    return {"stage": "SORT", "sortPattern": sort, "inputStage": best} if sort else best


def bounded(index: dict, condition: dict) -> bool:
    first = next(iter(index))
    return isinstance(condition.get(first), dict) and any(name in SPAN for name in condition[first])


def gives(index: dict, sort: dict, condition: dict) -> bool:
    """Whether reading the index, forwards or backwards, is reading in that order."""
    keys = list(index.items())
    while keys and keys[0][0] not in sort and "$eq" in (condition.get(keys[0][0]) or {}):
        keys.pop(0)
    order = list(sort.items())
    return any([(path, step * way) for path, step in keys[: len(order)]] == order for way in (1, -1))


def bound(test) -> str:
    if not isinstance(test, dict) or not any(name in SPAN for name in test):
        return "[MinKey, MaxKey]"
    low = "[…" if "$gte" in test else "(…" if "$gt" in test else "[MinKey"
    high = "…]" if "$lte" in test else "…)" if "$lt" in test else "max of its type]"
    return f"{low}, {high}"
