"""Keys, indexes and references of PostgreSQL's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from smartico_sync.sources.sql.structure import Fact, structures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.core.tables import Structure
    from smartico_sync.sources.postgresql.session import Session

__all__ = ["ask_structures"]

# Partial indexes serve some rows only, those of expressions no column; included columns are no part of an order. Names as
# `relations` gives them. Version 10 has no `indnkeyatts`.
FACTS = """WITH own AS (
 SELECT c.oid, c.relkind, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS called
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%')
SELECT called, 'view', '', '', '', '', 0 FROM own WHERE relkind IN ('v', 'm')
UNION ALL
SELECT own.called, CASE WHEN i.indisprimary THEN 'primary' WHEN i.indisunique THEN 'unique' ELSE 'index' END,
 i.indexrelid::text, a.attname, '', '', k.place
 FROM pg_index i JOIN own ON own.oid = i.indrelid, unnest(i.indkey) WITH ORDINALITY AS k(number, place),
 pg_attribute a
 WHERE a.attrelid = i.indrelid AND a.attnum = k.number AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
 AND k.place <= coalesce((to_jsonb(i) ->> 'indnkeyatts')::int, i.indnatts)
UNION ALL
SELECT own.called, 'reference', f.oid::text, a.attname, other.called, b.attname, k.place
 FROM pg_constraint f JOIN own ON own.oid = f.conrelid JOIN own other ON other.oid = f.confrelid,
 unnest(f.conkey, f.confkey) WITH ORDINALITY AS k(number, target, place), pg_attribute a, pg_attribute b
 WHERE f.contype = 'f' AND a.attrelid = f.conrelid AND a.attnum = k.number
 AND b.attrelid = f.confrelid AND b.attnum = k.target
ORDER BY 1, 2, 3, 7"""


def ask_structures(session: Session) -> Mapping[str, Structure]:
    """What the catalogue says, whoever owns the tables."""
    rows = session.run(FACTS, "the server")[0].rows
    return structures(cast("Fact", tuple(part or "" for part in row[:6])) for row in rows)
