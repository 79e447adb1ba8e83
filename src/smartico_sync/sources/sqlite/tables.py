"""Keys, indexes and references of SQLite's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.sql.structure import structures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from smartico_sync.core.tables import Structure
    from smartico_sync.sources.sql.structure import Fact
    from smartico_sync.sources.sqlite.session import Session

__all__ = ["ask_structures"]

VIEWS = "SELECT name FROM sqlite_master WHERE type = 'view'"
KEYS = """SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.pk > 0
 ORDER BY m.name, c.pk"""
INDEXES = """SELECT m.name, i."unique", i.name, c.name FROM sqlite_master m, pragma_index_list(m.name) i, pragma_index_info(i.name) c
 WHERE m.type = 'table' AND i.origin <> 'pk' AND NOT i.partial AND c.name IS NOT NULL ORDER BY m.name, i.seq, c.seqno"""
REFERENCES = """SELECT m.name, f.id, f."from", f."table", f."to" FROM sqlite_master m, pragma_foreign_key_list(m.name) f
 WHERE m.type = 'table' ORDER BY m.name, f.id, f.seq"""


def ask_structures(session: Session) -> Mapping[str, Structure]:
    """What the file says."""
    return structures(_facts(session))


def _facts(session: Session) -> Iterator[Fact]:
    what = "the file"
    keys: dict[str, list[str]] = {}
    for (view,) in session.ask(VIEWS, what):
        yield view, "view", "", "", "", ""
    for table, column in session.ask(KEYS, what):
        keys.setdefault(table, []).append(column)
        yield table, "primary", "", column, "", ""
    for table, unique, name, column in session.ask(INDEXES, what):
        yield table, "unique" if unique else "index", name, column, "", ""
    for table, number, column, to, target in session.ask(REFERENCES, what):
        own = keys.get(to, [])
        named = target or (own[0] if len(own) == 1 else "")  # `REFERENCES players` means its key
        if named:
            yield table, "reference", str(number), column, to, named
