"""Keys, indexes and references of Oracle's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.oracle.types import ORACLE
from smartico_sync.sources.sql.names import written
from smartico_sync.sources.sql.structure import structures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from smartico_sync.core.tables import Structure
    from smartico_sync.sources.oracle.session import Session
    from smartico_sync.sources.sql.structure import Fact

__all__ = ["THEIRS", "ask_structures"]

THEIRS = "SELECT USERNAME FROM ALL_USERS WHERE ORACLE_MAINTAINED = 'Y'"
VIEWS = f"SELECT OWNER, VIEW_NAME FROM ALL_VIEWS WHERE OWNER NOT IN ({THEIRS})"  # noqa: S608  - constants only
# Indexes of expressions, descending columns among them, are not NORMAL; those that are partitioned have their status elsewhere.
INDEXES = f"""SELECT i.TABLE_OWNER, i.TABLE_NAME, i.INDEX_NAME, CASE WHEN EXISTS (SELECT 1 FROM ALL_CONSTRAINTS k
 WHERE k.OWNER = i.TABLE_OWNER AND k.TABLE_NAME = i.TABLE_NAME AND k.CONSTRAINT_TYPE = 'P' AND k.INDEX_NAME = i.INDEX_NAME) THEN 'primary'
 WHEN i.UNIQUENESS = 'UNIQUE' THEN 'unique' ELSE 'index' END, c.COLUMN_NAME
 FROM ALL_INDEXES i JOIN ALL_IND_COLUMNS c ON c.INDEX_OWNER = i.OWNER AND c.INDEX_NAME = i.INDEX_NAME
 WHERE i.INDEX_TYPE = 'NORMAL' AND i.STATUS IN ('VALID', 'N/A') AND i.TABLE_OWNER NOT IN ({THEIRS})
 ORDER BY i.TABLE_OWNER, i.TABLE_NAME, i.INDEX_NAME, c.COLUMN_POSITION"""  # noqa: S608  - constants only
REFERENCES = f"""SELECT r.OWNER, r.TABLE_NAME, r.CONSTRAINT_NAME, c.COLUMN_NAME, o.OWNER, o.TABLE_NAME, o.COLUMN_NAME
 FROM ALL_CONSTRAINTS r JOIN ALL_CONS_COLUMNS c ON c.OWNER = r.OWNER AND c.CONSTRAINT_NAME = r.CONSTRAINT_NAME
 JOIN ALL_CONS_COLUMNS o ON o.OWNER = r.R_OWNER AND o.CONSTRAINT_NAME = r.R_CONSTRAINT_NAME AND o.POSITION = c.POSITION
 WHERE r.CONSTRAINT_TYPE = 'R' AND r.OWNER NOT IN ({THEIRS})
 ORDER BY r.OWNER, r.TABLE_NAME, r.CONSTRAINT_NAME, c.POSITION"""  # noqa: S608  - constants only


def ask_structures(session: Session) -> Mapping[str, Structure]:
    """What the catalogue says of what the user may see."""
    return structures(_facts(session))


def _facts(session: Session) -> Iterator[Fact]:
    for row in session.execute(VIEWS, "the server")[1]:
        yield _dotted(row), "view", "", "", "", ""
    for owner, table, name, what, column in session.execute(INDEXES, "the server")[1]:
        yield _dotted((owner, table)), what, name, _column(column), "", ""
    for owner, table, name, column, *to, target in session.execute(REFERENCES, "the server")[1]:
        yield _dotted((owner, table)), "reference", name, _column(column), _dotted(to), _column(target)


def _dotted(stored: Iterable[str]) -> str:
    return ".".join(written(ORACLE.dialect, part) for part in stored)


def _column(stored: str) -> str:
    return str(ORACLE.dialect.normalize_name(stored))
