"""What a PostgreSQL view is made of: the relations beneath it, their SELECTs, and how their ids are handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.late_commit.view_definition import Part, ViewDefinition
from smartico_sync.sources.postgresql.session import literal
from smartico_sync.sources.sql.names import names_of, quoted

if TYPE_CHECKING:
    from smartico_sync.core.late_commit.view_definition import PartKind
    from smartico_sync.sources.postgresql.session import Session

__all__ = ["ask_definition"]

KINDS: dict[str, PartKind] = {"v": "view", "m": "materialized view", "f": "foreign table"}
BENEATH = """WITH RECURSIVE beneath(oid, depth) AS (
 SELECT named.oid, 0 FROM (VALUES {names}) AS named (oid) WHERE named.oid IS NOT NULL
 UNION
 SELECT d.refobjid, b.depth + 1 FROM beneath b JOIN pg_rewrite r ON r.ev_class = b.oid
 JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
  AND d.refobjid <> b.oid
 WHERE b.depth < 8),
relations AS (SELECT oid, min(depth) AS depth FROM (
  SELECT oid, depth FROM beneath
  UNION ALL SELECT i.inhrelid, b.depth + 1 FROM beneath b JOIN pg_inherits i ON i.inhparent = b.oid
   JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'f') AS all_of_them GROUP BY oid)"""
PARTS = """{beneath} SELECT n.nspname || '.' || c.relname, c.relkind,
 CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) ELSE '' END
 FROM relations JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY relations.depth, 1"""
# Sequences beside what they belong to: a column's own (serial, identity), and one in a default.
OWNED = """SELECT q.seqrelid AS sequence, d.refobjid AS relation FROM pg_sequence q JOIN pg_depend d ON d.objid = q.seqrelid
  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
 UNION SELECT q.seqrelid, a.adrelid FROM pg_sequence q JOIN pg_depend d ON d.refobjid = q.seqrelid
  JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid
  WHERE d.refclassid = 'pg_class'::regclass"""
# Those of the relations, those that Hibernate calls by convention; and where the relations have none, those that nothing has:
# an application may take its ids from them.
SEQUENCES = """{beneath}, owned AS ({owned}),
named AS (SELECT s.oid FROM pg_class s WHERE s.relkind = 'S' AND (s.relname = 'hibernate_sequence'
  OR EXISTS (SELECT FROM relations JOIN pg_class t USING (oid)
   WHERE t.relnamespace = s.relnamespace AND t.relkind IN ('r', 'p')
    AND (s.relname = t.relname || '_seq' OR s.relname LIKE t.relname || '\\_%\\_seq')))
 UNION SELECT sequence FROM owned JOIN relations ON relation = relations.oid)
SELECT DISTINCT n.nspname || '.' || s.relname, q.seqincrement, q.seqcache, s.oid IN (SELECT oid FROM named)
 FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid JOIN pg_namespace n ON n.oid = s.relnamespace
 WHERE (abs(q.seqincrement) > 1 OR q.seqcache > 1) AND (s.oid IN (SELECT oid FROM named)
  OR (EXISTS (SELECT FROM relations) AND NOT EXISTS (SELECT FROM named) AND s.oid NOT IN (SELECT sequence FROM owned)))
 ORDER BY 1 LIMIT {most}"""
MOST = 3  # that a sentence names


def ask_definition(session: Session, *relations: str) -> ViewDefinition:
    """Ask inside an open transaction; a name that is no relation's is passed over."""
    written = (".".join(quoted(part) for part in names_of(relation)) for relation in relations)
    names = ", ".join(f"(to_regclass({literal(each)})::oid)" for each in written)
    what, beneath = f"relation {', '.join(relations)}", BENEATH.format(names=names)
    of_sequences = SEQUENCES.format(beneath=beneath, owned=OWNED, most=MOST)
    made_of, handed_out = session.run(f"{PARTS.format(beneath=beneath)};{of_sequences}", what)
    parts = tuple(Part(name or "", KINDS.get(kind or "", "table"), sql or "") for name, kind, sql in made_of.rows)
    sequences = handed_out.rows
    told = [
        ("" if named == "t" else "perhaps ")
        + (f"{name} INCREMENT BY {increment}" if increment not in ("1", "-1") else f"{name} CACHE {cache}")
        for name, increment, cache, named in sequences
    ]
    steps = [abs(int(increment or 1)) if cache == "1" else 0 for _, increment, cache, _ in sequences]
    return ViewDefinition(parts, ", ".join(told), min(steps, default=0))
