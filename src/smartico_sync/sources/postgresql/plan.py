"""Whether an index can serve the poll, judged from PostgreSQL's own plan."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from smartico_sync.sources.kit.positions import at_head
from smartico_sync.sources.postgresql.session import literal
from smartico_sync.sources.protocol import Plan
from smartico_sync.sources.sql import advice
from smartico_sync.sources.sql.names import quoted_if_needed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.postgresql.reading import PostgresReading

__all__ = ["explain"]

Node = dict[str, Any]
# A small table is read whole, index or not. These settings ask what the planner could do, not what it would do today.
WILLING = "SET LOCAL enable_seqscan=off;SET LOCAL enable_bitmapscan=off;SET LOCAL enable_sort=off;"
# What makes rows of rows before one of them can be chosen; the plan's own root limits the page.
COMPUTED = ("Aggregate", "Group", "WindowAgg", "Unique", "SetOp", "Limit")
INDEX_SCANS = ("Index Scan", "Index Only Scan")


def explain(reading: PostgresReading, after: Position | None, limit: int) -> Plan:
    """Explain the page after this position, or, from the start, the page that a running poll reads at the head.

    Only the planner works; nothing is read from the view but its head.
    """
    after = at_head(reading, after)
    statement, values = reading.poll_statement(after, limit)
    query = statement.filled(literal, values)
    text = "\n".join(row[0] or "" for row in reading.ask(f"EXPLAIN {query}").rows)
    document = "\n".join(row[0] or "" for row in reading.ask(f"{WILLING}EXPLAIN (FORMAT JSON, VERBOSE) {query}").rows)
    root = json.loads(document)[0]["Plan"]
    if _serves(root, after):
        return Plan(uses_index=True, text=text)
    return Plan(uses_index=False, text=text, advice=_advice(root, reading.relation))


def _serves(root: Node, after: Position | None) -> bool:
    """Ordered by an index all the way: no full sort above, and the position found inside the index."""
    spine = list(_spine(root))
    if any(node["Node Type"] in ("Sort", "Aggregate", "HashAggregate", "WindowAgg") for node in spine):
        return False
    leaf = spine[-1]
    return leaf["Node Type"] in INDEX_SCANS and (after is None or "Index Cond" in leaf)


def _spine(node: Node) -> Iterator[Node]:
    """From the root down through each node's first child: where the order comes from."""
    yield node
    children = [
        child for child in node.get("Plans", ()) if child.get("Parent Relationship") in ("Outer", "Member", "Subquery")
    ]
    if children:
        yield from _spine(children[0])


def _every(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from _every(child)


def _advice(root: Node, relation: Relation) -> str:
    """CREATE INDEX on the base table, found through the aliases in the plan's sort key."""
    if any(node["Node Type"] in COMPUTED for node in list(_spine(root))[1:]):
        return advice.computed_first(relation)
    tables = {
        node["Alias"]: f"{quoted_if_needed(node.get('Schema', ''))}.{quoted_if_needed(node['Relation Name'])}"
        for node in _every(root)
        if "Relation Name" in node
    }
    wanted = next((node["Sort Key"] for node in _every(root) if node["Node Type"] in ("Sort", "Incremental Sort")), ())
    columns = [_column(term, tables) for term in wanted]
    if columns and columns[0] is not None:
        alias = columns[0][0]
        same = [column[1] for column in columns if column is not None and column[0] == alias]
        return f"CREATE INDEX CONCURRENTLY ON {tables[alias]} ({', '.join(dict.fromkeys(same))});"
    if len(tables) == 1:
        (table,) = tables.values()
        return advice.computed(relation, f" ({wanted[0]})" if wanted else "", table)
    return advice.unordered(relation, ", ".join(sorted(set(tables.values()))) or "the base table")


def _column(term: str, tables: dict[str, str]) -> tuple[str, str] | None:
    """`alias.column` of a sort term; None for an expression."""
    found = re.fullmatch(r'\(?("(?:[^"]|"")+"|\w+)\.("(?:[^"]|"")+"|\w+)\)?', term)
    if found is None:
        return None
    alias = found.group(1).strip('"').replace('""', '"')
    return (alias, found.group(2)) if alias in tables else None
