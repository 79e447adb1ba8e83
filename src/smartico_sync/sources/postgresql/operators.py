"""Operators of types that no search path leads to, as those of `citext` where its extension has a schema of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.postgresql.identity import answered
from smartico_sync.sources.sql.names import constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.sources.postgresql.identity import Asked

__all__ = ["hidden_schemas", "search_path"]

# An index and ORDER BY find a type's own operators wherever they are, a comparison only where the path leads: without it
# `citext` is ordered as itself and compared as text, and a page leaves out rows.
HIDDEN = """SELECT string_agg(quote_ident(nspname), '\n' ORDER BY nspname) FROM pg_namespace
 WHERE oid IN (SELECT oprnamespace FROM pg_operator WHERE oid IN (SELECT amopopr FROM pg_amop
  WHERE amopmethod = (SELECT oid FROM pg_am WHERE amname = 'btree')))
 AND nspname <> ALL (current_schemas(true)) AND has_schema_privilege(oid, 'USAGE')"""
PATH = "concat_ws(', ', nullif(current_setting('search_path'), ''), {schemas})"


def hidden_schemas(session: Asked) -> tuple[str, ...]:
    """Schemas, quoted where it needs be, that hold operators of ordered types and are not in the search path."""
    return tuple((answered(session, HIDDEN) or "").splitlines())


def search_path(schemas: Sequence[str]) -> str:
    """An SQL expression of the search path with these schemas behind it."""
    return PATH.format(schemas=", ".join(map(constant, schemas)))
