"""Backfills: what was asked for, and how far each has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smartico_sync.core.records import Backfill
from smartico_sync.state.dead_letters import as_position, as_text

if TYPE_CHECKING:
    from smartico_sync.core.records import BackfillState, Profiles, Step
    from smartico_sync.state.statements import Statements

__all__ = ["add", "advance", "read", "tell"]

COLUMNS = "b.id, v.name, b.low, b.high, b.rate, b.profiles, b.position, b.total, b.done, b.state, b.reason, b.asked_ms, b.updated_ms"


def read(connection: Statements) -> list[Backfill]:
    """Read every backfill, oldest first."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM backfill b JOIN view v ON v.no = b.view_no ORDER BY b.id")  # noqa: S608 - a constant
    return [made(list(row)) for row in rows]


def made(row: list[Any]) -> Backfill:
    """Make a backfill of its columns."""
    row[6] = as_position(row[6])
    return Backfill(*row)


def add(
    connection: Statements,
    view_no: int,
    *,
    low: str,
    high: str,
    rate: int,
    profiles: Profiles,
    total: int,
    at_ms: int,
) -> int:
    """Add one, inside the caller's transaction; its id."""
    added = connection.insert(
        "INSERT INTO backfill (view_no, low, high, rate, profiles, total, asked_ms, updated_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (view_no, low, high, rate, profiles, total, at_ms, at_ms),
        "id",
    )
    return added.number


def advance(connection: Statements, step: Step, at_ms: int) -> None:
    """Note a page, inside the caller's transaction."""
    connection.execute(
        "UPDATE backfill SET position = ?, done = done + ?, reason = '', updated_ms = ? WHERE id = ?",
        (as_text(step.position), step.rows, at_ms, step.id),
    )


def tell(connection: Statements, number: int, state: BackfillState, reason: str, at_ms: int) -> bool:
    """Change one that is open, inside the caller's transaction; whether there was one. One that failed can be cancelled, too."""
    failed = "failed" if state == "cancelled" else "open"
    done = connection.execute(
        "UPDATE backfill SET state = ?, reason = ?, updated_ms = ? WHERE id = ? AND state IN ('open', ?)",
        (state, reason, at_ms, number, failed),
    )
    return done.rowcount > 0
