"""Dead letters and parked rows: what was not delivered, where to find it again, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from smartico_sync.core.position import Position
from smartico_sync.core.records import DeadLetter, ParkedRow, UndeliveredRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from smartico_sync.state.statements import Statements

__all__ = [
    "as_position",
    "as_text",
    "at_places",
    "counts",
    "dead",
    "discard",
    "due",
    "keep",
    "keep_turns",
    "oldest",
    "park",
    "players",
    "prune",
    "remove",
    "signed",
    "total",
    "try_now",
    "waiting_players",
    "waits",
]

BEHIND_MS = 1 << 62  # the next try of a row that has no clock of its own: an earlier one of its player has
LONGEST_MS = 60_000  # until the first row of a player is tried again; as the longest pause between two tries

# A parked message's place is the first element of its position: its lane, `@`, its offset.
OF_OWNER = (
    " AND EXISTS (SELECT FROM lane AS n WHERE n.view_no = l.view_no AND n.owner = ? "
    "AND n.name = regexp_replace(nullif(l.position, '')::json ->> 0, '@[0-9]+$', ''))"
)
STAGE = "l.code, l.reason, l.at_ms"
ROW = "v.name, l.key, l.position, l.eid, l.event_type, l.fingerprint, l.player, l.content"
LETTERS = (
    f"SELECT {STAGE}, l.next_try_ms, l.deadline_ms, l.tries, l.id, {ROW} FROM letter l JOIN view v ON v.no = l.view_no"  # noqa: S608 - constants
)
KEEP = """
    INSERT INTO letter (view_no, key, position, eid, event_type, fingerprint, player, content, code, reason, at_ms,
                        next_try_ms, deadline_ms, tries)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (view_no, event_type, key, position, content) DO UPDATE SET
        eid = excluded.eid, code = excluded.code, reason = excluded.reason, fingerprint = excluded.fingerprint,
        at_ms = excluded.at_ms, next_try_ms = excluded.next_try_ms, deadline_ms = excluded.deadline_ms,
        tries = excluded.tries, player = excluded.player
"""


def keep(connection: Statements, view_no: int, dead: Iterable[DeadLetter]) -> None:
    """Store dead letters; what is already there (same event type, key, position and content) is replaced and keeps its id."""
    connection.executemany(
        KEEP, [(view_no, *written(each.row), each.code, each.reason, each.at_ms, None, None, None) for each in dead]
    )


def park(connection: Statements, view_no: int, parked: Iterable[ParkedRow]) -> None:
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
    connection: Statements, *, view: str | None, code: int | None, key: str | None, after_id: int, limit: int
) -> list[DeadLetter]:
    """Read dead letters that fit every filter, in order of their ids."""
    found = connection.execute(
        f"SELECT {STAGE}, l.id, {ROW} FROM letter l JOIN view v ON v.no = l.view_no "  # noqa: S608 - constants
        "WHERE l.next_try_ms IS NULL AND l.id > :after AND (:view IS NULL OR v.name = :view) "
        "AND (:code IS NULL OR l.code = :code) AND (:key IS NULL OR l.key = :key) ORDER BY l.id LIMIT :limit",
        {"view": view, "code": code, "key": key, "after": after_id, "limit": limit},
    )
    return [DeadLetter(undelivered(*row[4:]), *row[:4]) for row in found]


def newest(connection: Statements, view: str, limit: int) -> list[DeadLetter]:
    """Read the dead letters of a view that were given up last, the newest first."""
    found = connection.execute(
        f"SELECT {STAGE}, l.id, {ROW} FROM letter l JOIN view v ON v.no = l.view_no "  # noqa: S608 - constants
        "WHERE v.name = :view AND l.next_try_ms IS NULL ORDER BY l.id DESC LIMIT :limit",
        {"view": view, "limit": limit},
    )
    return [DeadLetter(undelivered(*row[4:]), *row[:4]) for row in found]


def keep_turns(
    connection: Statements, view_no: int, at_ms: int, *, waiting: Iterable[int], moving: Iterable[int]
) -> None:
    """Let each player have one clock, that of the first of its parked rows.

    Of `waiting` players something was just parked: all rows but the first have no clock. Of `moving` ones a row was delivered or
    given up, and nothing was parked: all that are left are due.
    """
    of_player = "view_no = :view AND player = :player AND next_try_ms IS NOT NULL"
    first = f"(SELECT min(id) FROM letter WHERE {of_player})"  # noqa: S608 - constants
    connection.executemany(
        f"UPDATE letter SET next_try_ms = CASE WHEN id > {first} THEN :behind ELSE CASE WHEN next_try_ms < :soon THEN next_try_ms ELSE :soon END END "  # noqa: S608 - constants
        f"WHERE {of_player} AND (next_try_ms < :behind OR id = {first})",
        [
            {"view": view_no, "player": signed(player), "behind": BEHIND_MS, "soon": at_ms + LONGEST_MS}
            for player in waiting
        ],
    )
    connection.executemany(
        f"UPDATE letter SET next_try_ms = CASE WHEN next_try_ms < :at THEN next_try_ms ELSE :at END WHERE {of_player}",  # noqa: S608 - constants
        [{"view": view_no, "player": signed(player), "at": at_ms} for player in moving],
    )


def try_now(connection: Statements, ids: Iterable[int], code: int, at_ms: int) -> None:
    """Let these players' first rows be due that are parked for that reason, in every view."""
    connection.execute(
        "UPDATE letter SET next_try_ms = :at WHERE next_try_ms > :at AND next_try_ms < :behind AND code = :code "
        "AND player IN (SELECT CAST(value AS BIGINT) FROM json_each(:players))",
        {"at": at_ms, "behind": BEHIND_MS, "code": code, "players": json.dumps([signed(player) for player in ids])},
    )


def due(connection: Statements, view_no: int, due_ms: int, limit: int, owner: UUID | None = None) -> list[ParkedRow]:
    """Read parked rows whose next try has come, the longest due first and each player's in their order.

    `owner`: those of its lanes only, where members share them.

    None waits longer than the longest pause: one that would was parked before the wall clock was set back, and is due.
    """
    mine = "" if owner is None else OF_OWNER
    for low, high in ((0, due_ms + 1), (due_ms + 2 * LONGEST_MS, BEHIND_MS)):
        found = connection.execute(
            f"{LETTERS} WHERE l.view_no = ? AND l.next_try_ms >= ? AND l.next_try_ms < ?{mine} ORDER BY l.next_try_ms, l.id LIMIT ?",
            (view_no, low, high, *(() if owner is None else (owner,)), limit),
        ).fetchall()
        if found:
            return [parked(row) for row in found]
    return []


def parked(row: Sequence[Any]) -> ParkedRow:
    """One of `LETTERS` that waits."""
    return ParkedRow(undelivered(*row[7:]), *row[:7])


def at_places(
    connection: Statements, view_no: int, positions: Iterable[Position] | None
) -> list[DeadLetter | ParkedRow]:
    """Read what was given up, or waits, of the rows at these positions (None: of all rows)."""
    some = "" if positions is None else "AND l.position IN (SELECT CAST(value AS TEXT) FROM json_each(?)) "
    asked = () if positions is None else (json.dumps([as_text(position) for position in positions]),)
    found = connection.execute(f"{LETTERS} WHERE l.view_no = ? {some}ORDER BY l.id", (view_no, *asked))
    return [DeadLetter(undelivered(*row[7:]), *(*row[:3], row[6])) if row[3] is None else parked(row) for row in found]


def waits(connection: Statements) -> bool:
    """Whether anything is parked in any view."""
    found = connection.execute("SELECT 1 FROM letter INDEXED BY letter_due WHERE next_try_ms IS NOT NULL LIMIT 1")
    return found.fetchone() is not None


def oldest(connection: Statements, view_no: int) -> int:
    """Since when the first parked row has been waiting; 0 without any."""
    found = connection.execute(
        "SELECT min(at_ms) FROM letter WHERE view_no = ? AND next_try_ms IS NOT NULL", (view_no,)
    ).fetchone()
    return int(found[0] or 0)


def waiting_players(connection: Statements, view_no: int) -> list[int]:
    """The players of whom something is parked."""
    found = connection.execute(
        "SELECT DISTINCT player FROM letter WHERE view_no = ? AND next_try_ms IS NOT NULL AND player <> 0", (view_no,)
    )
    return [player % (1 << 64) for (player,) in found]


def players(connection: Statements, ids: Sequence[int]) -> set[int]:
    """Whose rows these are, by their ids; rows of nobody that is known are left out."""
    found = connection.execute(
        "SELECT DISTINCT player FROM letter WHERE player <> 0 AND id IN (SELECT CAST(value AS BIGINT) FROM json_each(?))",
        (json.dumps(list(ids)),),
    )
    return {player % (1 << 64) for (player,) in found}


def total(connection: Statements, view_no: int) -> int:
    """Count the parked rows and dead letters of a view."""
    return int(connection.execute("SELECT count(*) FROM letter WHERE view_no = ?", (view_no,)).fetchone()[0])


def discard(connection: Statements, ids: Sequence[int]) -> None:
    """Delete parked rows or dead letters by id."""
    connection.executemany("DELETE FROM letter WHERE id = ?", [(number,) for number in ids])


def remove(connection: Statements, ids: Sequence[int]) -> int:
    """Delete parked rows or dead letters by id; how many there were."""
    return (
        connection.executemany("DELETE FROM letter WHERE id = ?", [(number,) for number in ids]).rowcount if ids else 0
    )


def prune(connection: Statements, view_no: int, before_ms: int, most: int, limit: int) -> int:
    """Delete dead letters of a view that are older, or that are more than so many, the oldest first; how many there were.

    At most `limit` at a time.
    """
    of_view = "FROM letter WHERE view_no = :view AND next_try_ms IS NULL"
    (there,) = connection.execute(f"SELECT count(*) {of_view}", {"view": view_no}).fetchone()
    chosen = f"SELECT id {of_view} AND (at_ms < :before OR id IN (SELECT id {of_view} ORDER BY id LIMIT :over)) ORDER BY id LIMIT :limit"
    return connection.execute(
        f"DELETE FROM letter WHERE id IN ({chosen})",  # noqa: S608 - constants
        {"view": view_no, "before": before_ms, "over": max(0, there - most), "limit": limit},
    ).rowcount


def counts(connection: Statements) -> list[tuple[str, bool, int, int]]:
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
