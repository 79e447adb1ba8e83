"""Views that are still to be made, as a shell runs them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smartico_sync.core.tables import IndexPlan, ViewPlan

__all__ = ["index", "pipeline", "view"]

PLAIN = re.compile(r"[A-Za-z_]\w*")


def view(plan: ViewPlan) -> str:
    """`db.createView`, a stage a line."""
    stages = ",\n".join(f"  {json.dumps(stage, ensure_ascii=False)}" for stage in pipeline(plan))
    return f"db.createView({json.dumps(plan.name)}, {json.dumps(plan.table)}, [\n{stages}\n])"


def index(plan: IndexPlan) -> str:
    """`createIndex`."""
    columns = json.dumps(dict.fromkeys(plan.columns, 1))
    place = f"db.{plan.table}" if PLAIN.fullmatch(plan.table) else f"db.getCollection({json.dumps(plan.table)})"
    return f"{place}.createIndex({columns})"


def pipeline(plan: ViewPlan) -> list[dict[str, Any]]:
    """The view's stages: the rows that count, what other collections tell, the catalogue's names.

    A field that keeps its name is passed through, so that an index on it serves the poll.
    """
    stages: list[dict[str, Any]] = []
    if plan.conditions:
        stages.append(
            {
                "$match": {
                    each.column: {"$in": list(each.values)} if each.values else {"$ne": None}
                    for each in plan.conditions
                }
            }
        )
    for join in plan.joins:
        ((left, own),) = join.on
        local = left if join.left == plan.alias else f"{join.left}.{left}"
        stages.append({"$lookup": {"from": join.table, "localField": local, "foreignField": own, "as": join.alias}})
    shown: dict[str, Any] = {"_id": 0}
    for each in plan.columns:
        if each.table != plan.alias:
            shown[each.name] = {"$first": f"${each.table}.{each.column}"}
        else:
            shown[each.name] = 1 if each.name == each.column else f"${each.column}"
    return [*stages, {"$project": shown}]
