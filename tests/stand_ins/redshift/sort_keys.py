"""What Redshift has instead of indexes, shown from PostgreSQL's indexes."""

from __future__ import annotations

import re

SORT_KEYS = """CREATE VIEW pg_catalog.svv_redshift_columns AS
 SELECT current_database()::text AS database_name, n.nspname::text AS schema_name, c.relname::text AS table_name,
 a.attname::text AS column_name, coalesce(array_position(i.indkey::int2[], a.attnum), -1) + 1 AS sortkey
 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 LEFT JOIN pg_index i ON i.indrelid = c.oid WHERE a.attnum > 0 AND c.relkind IN ('r', 'v')"""
SORT_KEY = re.compile(r'ALTER TABLE (\S+|"[^"]+") ALTER COMPOUND SORTKEY (\(.*\));?')


def in_postgresql(statement: str) -> str:
    """A statement of Redshift's; a sort key is an index here."""
    return SORT_KEY.sub(r"CREATE INDEX ON \1 \2", statement)
