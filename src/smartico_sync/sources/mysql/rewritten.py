"""The statement as the server rewrote it, with tables in the place of views: which column of which table gives the order."""

from __future__ import annotations

import re

from msgspec import Struct

__all__ = ["Column", "order_of"]

NAME = r"`((?:[^`]|``)+)`"
# Names and texts are skipped whole: words and brackets in them are none. The session's sql_mode lets a backslash escape.
TOKEN = re.compile(r"`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*'|\border by\b|\b(?:from|where|limit)\b|[(),]", re.DOTALL)
CONSTANT = re.compile(r"-?[0-9.]+|NULL|'.*'", re.DOTALL)


class Column(Struct, frozen=True):
    """A column by which a statement sorts; all is empty where it is computed. `alias`: what the statement calls its table."""

    name: str = ""
    alias: str = ""
    database: str = ""
    table: str = ""


def order_of(statement: str) -> list[Column]:
    """What it sorts by; constants are left out. Nothing where it does not sort."""
    clauses = _clauses(statement)
    tables: dict[str, tuple[str, str]] = {}
    for database, table, called in re.findall(rf"{NAME}\.{NAME}(?: {NAME})?", clauses.get("from", [""])[0]):
        # Conditions of joins come behind their tables.
        tables.setdefault(called or table, (_plain(database), _plain(table)))
    order = []
    for term in clauses.get("order by", ()):
        found = re.fullmatch(rf"(?:{NAME}\.)?{NAME}\.{NAME}", term)
        if found is not None and found[2] in tables:
            order.append(Column(_plain(found[3]), found[2], *tables[found[2]]))
        elif not CONSTANT.fullmatch(term):
            order.append(Column())
    return order


def _clauses(statement: str) -> dict[str, list[str]]:
    """Clauses of the statement itself, not of those within it; of ORDER BY each term."""
    found: dict[str, list[str]] = {}
    clause, depth, begin = "select", 0, 0
    for token in [*TOKEN.finditer(statement), None]:
        word = token[0] if token else "end"
        depth += {"(": 1, ")": -1}.get(word, 0)
        splits = word == "," and clause == "order by"
        if depth or not (splits or word in ("from", "where", "order by", "limit", "end")):
            continue
        found.setdefault(clause, []).append(statement[begin : token.start() if token else None].strip())
        begin = token.end() if token else 0
        clause = clause if splits else word
    return found


def _plain(name: str) -> str:
    return name.replace("``", "`")
