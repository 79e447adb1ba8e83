"""The server's own plan of a statement, and what it says of a count of NULLs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.kit.failures import StatementFailed
from smartico_sync.sources.mysql.failures import NO_SYNTAX, NOT_ALLOWED

if TYPE_CHECKING:
    from smartico_sync.sources.mysql.session import Answer, Session
    from smartico_sync.sources.protocol import NullScan

__all__ = ["FOUND", "MANY", "explained", "null_scan"]

FOUND = ("range", "ref", "eq_ref", "const", "system")  # how rows are found, and not read through
MANY = 1_000  # rows scanned for one page: so many are never read by choice when an index serves


def null_scan(session: Session, query: str) -> NullScan:
    """How this count of NULLs would find them; what the user may not see is unknown."""
    try:
        steps, _ = explained(session, query)
    except StatementFailed:
        return "unknown"
    cheap = all(
        not step.get("table") or step.get("type") in FOUND or int(step.get("rows") or MANY) < MANY for step in steps
    )
    return "by index" if cheap else "by reading all"


def explained(session: Session, query: str) -> tuple[list[dict[str, str | None]], str]:
    """The plan's lines, and the statement as the server rewrote it, with tables instead of views.

    StatementFailed where the user may not see the plan.
    """
    try:
        # Without this word MariaDB, and MySQL before 5.7, keep the rewritten statement to themselves; MySQL 8 does not know it.
        answer = session.attempt(f"EXPLAIN EXTENDED {query}", "the plan", expected=(*NOT_ALLOWED, NO_SYNTAX))
    except StatementFailed as failed:
        if failed.code != NO_SYNTAX:
            raise
        answer = session.attempt(f"EXPLAIN {query}", "the plan", expected=(*NOT_ALLOWED, NO_SYNTAX))
    notes = session.run("SHOW WARNINGS", "the plan").rows
    return _steps(answer), next((note[2] or "" for note in notes if "select" in (note[2] or "")), "")


def _steps(answer: Answer) -> list[dict[str, str | None]]:
    return [dict(zip(answer.names, row, strict=True)) for row in answer.rows]
