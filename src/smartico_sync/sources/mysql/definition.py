"""What a MySQL or MariaDB view is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.late_commit.view_definition import ViewDefinition, gathered
from smartico_sync.sources.mysql.session import literal
from smartico_sync.sources.sql.names import names_of

if TYPE_CHECKING:
    from smartico_sync.sources.mysql.session import Session

__all__ = ["ask_definition"]

VIEWS = """SELECT TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {schema}"""


def ask_definition(session: Session, relation: str) -> ViewDefinition:
    """The SELECTs of the view and of those of its schema beneath it; empty ones where the user lacks SHOW VIEW."""
    *schema, name = names_of(relation)
    place = literal(schema[-1]) if schema else "DATABASE()"
    rows = session.run(VIEWS.format(schema=place), f"relation {relation}").rows
    return ViewDefinition(gathered(name, {view or "": sql or "" for view, sql in rows}))
