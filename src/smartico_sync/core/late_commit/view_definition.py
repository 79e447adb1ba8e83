"""What a view is made of, and which of it makes its rows come late."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

__all__ = ["TOKEN", "UNKNOWN", "Part", "Trait", "ViewDefinition", "gathered", "traits"]

PartKind = Literal["table", "view", "materialized view", "foreign table", "query"]
TraitName = Literal[
    "inner join", "outer join", "filter", "union", "group", "limit", "materialized view", "foreign table", "blocks"
]


class Part(Struct, frozen=True):
    """The relation itself, or one beneath it. `sql`: its SELECT, empty for a table or where it cannot be read."""

    name: str
    kind: PartKind
    sql: str = ""


class ViewDefinition(Struct, frozen=True):
    """`parts`: the relation first; empty where the engine does not tell. `blocks`: why ids come in blocks, empty: they do not.

    `step`: of the sequences that say so the least one, where it tells blocks from several masters that take turns; 0: it does not.
    """

    parts: tuple[Part, ...] = ()
    blocks: str = ""
    step: int = 0

    @property
    def several_tables(self) -> bool:
        """Whether rows are made of several tables, so that one may change without moving the cursor of another."""
        return any(trait.name in ("inner join", "outer join", "group") for trait in traits(self, ()))

    @property
    def unfenced(self) -> str:
        """Why no snapshot tells which transactions may still add rows; empty where one does."""
        kinds = ("materialized view", "foreign table")
        found = next((part for part in self.parts if part.kind in kinds), None)
        return f"{found.name} is a {found.kind}, whose rows come by no transaction that it shows" if found else ""


UNKNOWN = ViewDefinition()


class Trait(Struct, frozen=True):
    """Something in the definition that makes rows come late or change quietly: what happens, and what mends it."""

    name: TraitName
    what: str
    hint: str


def traits(definition: ViewDefinition, own: Collection[str]) -> tuple[Trait, ...]:
    """Everything in a definition that matters; `own` are the columns that a filter may name (cursor and key)."""
    found: dict[TraitName, Trait] = {}
    for part in definition.parts:
        for trait in (*_of_kind(part), *_of_sql(part, own)):
            found.setdefault(trait.name, trait)
    if definition.blocks:
        found["blocks"] = Trait(
            "blocks",
            f"ids are handed out in blocks ({definition.blocks}): a row may come long after others with a higher id",
            "missing ids are asked for again for a day; a time that is taken when the row is written is a better cursor",
        )
    return tuple(found.values())


def _of_kind(part: Part) -> Iterator[Trait]:
    if part.kind == "materialized view":
        yield Trait(
            "materialized view",
            f"{part.name} is a materialized view: rows appear when it is refreshed, long after their cursor",
            "read the view it is made of, or set `lookback:` to more than the time between two refreshes",
        )
    if part.kind == "foreign table":
        yield Trait(
            "foreign table",
            f"{part.name} is a foreign table: another server's transactions are not seen in this one's snapshots",
            "connect to that server itself, or set `lookback:` to more than its longest transaction",
        )


def _of_sql(part: Part, own: Collection[str]) -> Iterator[Trait]:
    words = _words(part.sql)
    inner, outer = _joins(words)
    if inner:
        yield Trait(
            "inner join",
            f"{part.name} joins tables so that a row appears only when its partner is there: such rows come late",
            "use LEFT JOIN: the row appears at once, and columns of the other table are NULL until they come",
        )
    if outer:
        yield Trait(
            "outer join",
            f"{part.name} joins tables: what changes in the other table alone does not move the cursor",
            "let the cursor be the latest change of both: GREATEST(a.updated, b.updated)",
        )
    filtered = [name for name in _filters(words) if name not in {each.lower() for each in own}]
    if filtered:
        yield Trait(
            "filter",
            f"{part.name} shows a row only by {', '.join(filtered)}: a row that is let through later comes late",
            "take as cursor the moment at which a row passes the filter, such as the change of its status",
        )
    if "UNION" in words:
        yield Trait(
            "union",
            f"{part.name} is a UNION: ids of two sequences are not in one order, and the same id may stand for two rows",
            "take a time as cursor and let the key tell the two apart (a column that names the table), or make a view of each",
        )
    if _limited(words):
        yield Trait(
            "limit",
            f"{part.name} shows only so many rows: what is pushed out between two polls is never seen",
            "leave the limit out: rows are read in pages, after the last one delivered",
        )
    if "GROUP" in words or ("DISTINCT", "ON") in pairwise(words):
        yield Trait(
            "group",
            f"{part.name} groups rows: a group that grows is another row with a cursor of before",
            "take as cursor the latest change in the group: max(updated)",
        )


KEYWORDS = frozenset(
    [
        "AND",
        "OR",
        "NOT",
        "IN",
        "IS",
        "NULL",
        "LIKE",
        "ILIKE",
        "BETWEEN",
        "TRUE",
        "FALSE",
        "ANY",
        "ALL",
        "ARRAY",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "EXISTS",
        "SELECT",
        "FROM",
        "WHERE",
        "AS",
        "ON",
        "CAST",
        "TEXT",
        "VARCHAR",
        "CHARACTER",
        "VARYING",
        "INTEGER",
        "BIGINT",
        "SMALLINT",
        "NUMERIC",
        "DECIMAL",
        "BOOLEAN",
        "DATE",
        "TIMESTAMP",
        "TIMESTAMPTZ",
        "TIME",
        "ZONE",
        "WITH",
        "WITHOUT",
        "INTERVAL",
        "CURRENT_DATE",
        "CURRENT_TIMESTAMP",
        "NOW",
        "COALESCE",
        "LOWER",
        "UPPER",
        "UTF8MB4",
        "CHARSET",
        "COLLATE",
        "BINARY",
        "DISTINCT",
        "ROWNUM",
        "SYSDATE",
        "SYSTIMESTAMP",
    ]
)
ENDS = frozenset(
    {"WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION", "INTERSECT", "EXCEPT", "WINDOW", "FETCH", "OFFSET", "FOR"}
)
TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|[Nn]?'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[A-Za-z_][A-Za-z0-9_$]*|[().,]|::|[-<>=!~+*/%|&^#@?]+""",
    re.DOTALL,
)


def _words(sql: str) -> list[str]:
    """Keywords and plain names in capitals, quoted names in quotes, operators and punctuation; no texts, no comments."""
    words = []
    for token in TOKEN.findall(sql):
        if token.startswith(("--", "/*")) or token.endswith("'"):
            continue
        words.append(f'"{token[1:-1]}"' if token[0] in '"`[' else token.upper())
    return words


def _limited(words: list[str]) -> bool:
    """Whether a LIMIT holds for the whole of it; one inside brackets picks a value."""
    depth = 0
    for before, word in pairwise(["", *words]):
        depth += (word == "(") - (word == ")")
        if depth == 0 and (word in ("LIMIT", "FETCH", "ROWNUM") or (before == "SELECT" and word == "TOP")):
            return "PERCENT" not in words  # TOP 100 PERCENT is how SQL Server allows an order in a view
    return False


def _joins(words: list[str]) -> tuple[int, int]:
    """How many inner joins there are, a comma in FROM among them, and how many outer ones."""
    inner = outer = 0
    oracles = any(
        words[at : at + 3] == ["(", "+", ")"] for at in range(len(words))
    )  # how Oracle joins the outer way by a comma
    for at, word in enumerate(words):
        if word in ("JOIN", "APPLY"):
            before = words[max(0, at - 2) : at]
            if before[-1:] == ["ARRAY"]:  # ClickHouse: the row's own array
                continue
            kept = any(side in before for side in ("LEFT", "RIGHT", "FULL", "OUTER"))
            outer, inner = outer + kept, inner + (not kept)
        elif word == "FROM":
            commas = _commas(words[at + 1 :])
            outer, inner = outer + oracles * commas, inner + (not oracles) * commas
    return inner, outer


def _commas(words: list[str]) -> int:
    """The commas of one FROM, as far as it goes."""
    depth = count = 0
    for word in words:
        depth += (word == "(") - (word == ")")
        if depth < 0 or (depth == 0 and word in ENDS):
            break
        count += word == "," and depth == 0
    return count


def _filters(words: list[str]) -> list[str]:
    """The columns that a WHERE names, in small letters; not what is joined by it."""
    names: dict[str, None] = {}
    depth, inside = 0, False
    level = 0
    for at, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if word == "WHERE":
            inside, level = True, depth
        elif inside and (depth < level or (depth == level and word in ENDS)):
            inside = False
        elif inside and word not in KEYWORDS and (word[0] in '"_' or word[0].isalpha()):
            following = words[at + 1] if at + 1 < len(words) else ""
            before = words[at - 1]
            if following not in (".", "(") and before != "::":
                names[word.strip('"').lower()] = None
    return list(names)


def gathered(name: str, views: Mapping[str, str]) -> tuple[Part, ...]:
    """The relation and every view beneath it, from the SELECTs of all views by name; a table where it is none."""
    parts: dict[str, Part] = {}
    wanted = [name]
    plain = {each.lower(): each for each in views}
    while wanted:
        here = wanted.pop(0)
        key = plain.get(here.lower())
        if here.lower() in parts:
            continue
        if key is None:
            parts[here.lower()] = Part(here, "table")
            continue
        parts[here.lower()] = Part(here, "view", views[key])
        words = [word.strip('"').lower() for word in _words(parts[here.lower()].sql)]
        # BigQuery writes `project.dataset.view` between one pair of quotes.
        wanted += [each for word in words for each in (word, word.rpartition(".")[2]) if each in plain]
    return tuple(parts.values())
