"""Dead letters and parked rows: what was not delivered, where to find it again, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from smartico_sync.core.position import Position
from smartico_sync.core.records import DeadLetter, ParkedRow, UndeliveredRow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

__all__ = ["as_position", "as_text", "counts", "dead", "due", "keep", "park", "remove", "total", "waiting_players"]

STAGE = "l.code, l.reason, l.at_ms"
ROW = "v.name, l.key, l.position, l.eid, l.event_type, l.fingerprint, l.player, l.content"
KEEP = """
    INSERT INTO letter (view_no, key, position, eid, event_type, fingerprint, player, content, code, reason, at_ms,
                        next_try_ms, deadline_ms, tries)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (view_no, event_type, key, position, content) DO UPDATE SET
        eid = excluded.eid, code = excluded.code, reason = excluded.reason, fingerprint = excluded.fingerprint,
        at_ms = excluded.at_ms, next_try_ms = excluded.next_try_ms, deadline_ms = excluded.deadline_ms,
        tries = excluded.tries, player = excluded.player
"""


def keep(connection: sqlite3.Connection, view_no: int, dead: Iterable[DeadLetter]) -> None:
    """Store dead letters; what is already there (same event type, key, position and content) is replaced and keeps its id."""
    connection.executemany(
        KEEP, [(view_no, *written(each.row), each.code, each.reason, each.at_ms, None, None, None) for each in dead]
    )


def park(connection: sqlite3.Connection, view_no: int, parked: Iterable[ParkedRow]) -> None:
    """Store parked rows, in place of what is already there as in `keep`."""
    connection.executemany(
        KEEP,
        [
            (
                *(view_no, *written(each.row), each.code, each.reason, each.at_ms),
                *(each.next_try_ms, each.deadline_ms, each.tries),
            )
            for each in parked
        ],
    )


def dead(
    connection: sqlite3.Connection, *, view: str | None, code: int | None, key: str | None, after_id: int, limit: int
) -> list[DeadLetter]:
    """Read dead letters that fit every filter, in order of their ids."""
    found = connection.execute(
        f"SELECT {STAGE}, l.id, {ROW} FROM letter l JOIN view v ON v.no = l.view_no "  # noqa: S608 - constants
        "WHERE l.next_try_ms IS NULL AND l.id > :after AND (:view IS NULL OR v.name = :view) "
        "AND (:code IS NULL OR l.code = :code) AND (:key IS NULL OR l.key = :key) ORDER BY l.id LIMIT :limit",
        {"view": view, "code": code, "key": key, "after": after_id, "limit": limit},
    )
    return [DeadLetter(undelivered(*row[4:]), *row[:4]) for row in found]


def due(connection: sqlite3.Connection, view_no: int, due_ms: int, limit: int) -> list[ParkedRow]:
    """Read parked rows whose next try has come, the longest due first."""
    found = connection.execute(
        f"SELECT {STAGE}, l.next_try_ms, l.deadline_ms, l.tries, l.id, {ROW} FROM letter l "  # noqa: S608 - constants
        "JOIN view v ON v.no = l.view_no "
        "WHERE l.view_no = ? AND l.next_try_ms <= ? ORDER BY l.next_try_ms, l.id LIMIT ?",
        (view_no, due_ms, limit),
    )
    return [ParkedRow(undelivered(*row[7:]), *row[:7]) for row in found]


def waiting_players(connection: sqlite3.Connection, view_no: int) -> list[int]:
    """The players of whom something is parked."""
    found = connection.execute(
        "SELECT DISTINCT player FROM letter WHERE view_no = ? AND next_try_ms IS NOT NULL AND player <> 0", (view_no,)
    )
    return [player % (1 << 64) for (player,) in found]


def total(connection: sqlite3.Connection, view_no: int) -> int:
    """Count the parked rows and dead letters of a view."""
    return int(connection.execute("SELECT count(*) FROM letter WHERE view_no = ?", (view_no,)).fetchone()[0])


def remove(connection: sqlite3.Connection, ids: Sequence[int]) -> int:
    """Delete parked rows or dead letters by id; how many there were."""
    return (
        connection.executemany("DELETE FROM letter WHERE id = ?", [(number,) for number in ids]).rowcount if ids else 0
    )


def counts(connection: sqlite3.Connection) -> list[tuple[str, bool, int, int]]:
    """Count parked rows and dead letters as (view, parked, code, n)."""
    return connection.execute(
        "SELECT v.name, l.next_try_ms IS NOT NULL AS parked, l.code, count(*) FROM letter l "
        "JOIN view v ON v.no = l.view_no GROUP BY v.name, parked, l.code ORDER BY v.name, l.code"
    ).fetchall()


def written(row: UndeliveredRow) -> tuple[str | int, ...]:
    """A row in the columns key, position, eid, event_type, fingerprint, player, content."""
    place = as_text(row.position) or ""
    return row.key, place, row.eid, row.event_type, row.fingerprint, signed(row.player), row.content


def undelivered(
    view: str, key: str, position: str, eid: str, event_type: str, fingerprint: str, player: int, content: str
) -> UndeliveredRow:
    """A row of the columns of ROW."""
    return UndeliveredRow(view, key, as_position(position), eid, event_type, fingerprint, player % (1 << 64), content)


def signed(number: int) -> int:
    """A hash of 64 bits as SQLite's integers are: signed."""
    return number - (1 << 64) if number >= 1 << 63 else number


def as_text(position: Position | None) -> str | None:
    """Write a position as JSON."""
    return None if position is None else json.dumps([position.cursor, *position.key], ensure_ascii=True)


def as_position(text: str | None) -> Position | None:
    """Read a position back."""
    if not text:
        return None
    cursor, *key = json.loads(text)
    return Position(cursor, tuple(key))
