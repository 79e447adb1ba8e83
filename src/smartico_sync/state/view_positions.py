"""What is known of each view: its positions, sealed against silent damage, and its totals."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from smartico_sync.core.records import ViewRow
from smartico_sync.errors import StateDamaged
from smartico_sync.state.dead_letters import as_position, as_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from smartico_sync.core.position import Position
    from smartico_sync.core.records import Commit, Trust

__all__ = [
    "add_totals",
    "advance",
    "began_at",
    "begin",
    "judge_fingerprints",
    "numbers",
    "place",
    "raise_generation",
    "reached",
    "read",
]

COLUMNS = "name, head, watermark, late, definition, started_from, updated_ms, generation"
OPEN = "level_ms, start_seq, start_head, fingerprints"  # not sealed: damaged they lose no row


def numbers(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of every view by its name."""
    return dict(connection.execute("SELECT name, no FROM view").fetchall())


def read(connection: sqlite3.Connection, secret: bytes) -> list[ViewRow]:
    """Read every view. Raises StateDamaged for a row that does not match its seal."""
    totals: dict[int, dict[str, int]] = {}
    for view_no, name, n in connection.execute("SELECT view_no, name, n FROM total ORDER BY name"):
        totals.setdefault(view_no, {})[name] = n
    rows = connection.execute(f"SELECT no, seal, {OPEN}, {COLUMNS} FROM view ORDER BY no").fetchall()  # noqa: S608 - constants
    return [
        replace(
            checked(secret, seal, texts, totals.get(no, {})),
            level_ms=level_ms,
            start_seq=start_seq,
            start_head=as_position(start_head),
            fingerprints=fingerprints,
        )
        for no, seal, level_ms, start_seq, start_head, fingerprints, *texts in rows
    ]


def checked(secret: bytes, seal: bytes, texts: list[Any], totals: Mapping[str, int]) -> ViewRow:
    """Make a view's row of its columns, once the seal agrees."""
    if seal != sealed(secret, texts):
        raise StateDamaged("the state is damaged: the row of a view does not match its seal")
    name, head, watermark, late, definition, started_from, updated_ms, generation = texts
    return ViewRow(
        view=name,
        head=as_position(head),
        watermark=as_position(watermark),
        late=late,
        definition=definition,
        counts=totals,
        started_from=started_from,
        updated_ms=updated_ms,
        generation=generation,
    )


def begin(
    connection: sqlite3.Connection, secret: bytes, *, name: str, definition: str, started_from: str, at_ms: int
) -> None:
    """Register a view, inside the caller's transaction; one that is known and placed stays as it is."""
    texts = [name, None, None, "", definition, started_from, at_ms, 0]
    connection.execute(
        f"INSERT INTO view (seal, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "  # noqa: S608 - a constant
        "seal = excluded.seal, definition = excluded.definition, started_from = excluded.started_from, "
        "updated_ms = excluded.updated_ms WHERE head IS NULL AND started_from <> 'first'",
        (sealed(secret, texts), *texts),
    )


def began_at(connection: sqlite3.Connection, view_no: int, head: Position | None, seq: int) -> None:
    """Note where a view began, and the ledger page up to which its rows were there then, inside the caller's transaction."""
    connection.execute("UPDATE view SET start_head = ?, start_seq = ? WHERE no = ?", (as_text(head), seq, view_no))


def advance(connection: sqlite3.Connection, secret: bytes, view_no: int, commit: Commit) -> None:
    """Move a view to where a commit says, inside the caller's transaction; None leaves a column as it is."""
    old = columns(connection, view_no)
    head = old[1] if commit.head is None else as_text(commit.head)
    watermark = old[2] if commit.watermark is None else as_text(commit.watermark)
    late = old[3] if commit.late is None else commit.late
    write(connection, secret, view_no, [old[0], head, watermark, late, *old[4:6], commit.at_ms, old[7]])


def place(
    connection: sqlite3.Connection,
    secret: bytes,
    view_no: int,
    position: Position | None,
    at_ms: int,
    ids: Literal["same", "new"] = "same",
) -> None:
    """Put a view to a position, or before its first row for None, without any memory of late rows.

    `new` begins its event ids anew.
    """
    old = columns(connection, view_no)
    started_from = old[5] if position else "first"
    text = as_text(position)
    generation = old[7] + (1 if ids == "new" else 0)
    write(connection, secret, view_no, [old[0], text, text, "", old[4], started_from, at_ms, generation])


def add_totals(connection: sqlite3.Connection, view_no: int, counts: Mapping[str, int]) -> None:
    """Add to a view's totals, inside the caller's transaction."""
    connection.executemany(
        "INSERT INTO total (view_no, name, n) VALUES (?, ?, ?) ON CONFLICT (view_no, name) DO UPDATE SET n = n + excluded.n",
        [(view_no, name, n) for name, n in counts.items() if n],
    )


def reached(connection: sqlite3.Connection, view_no: int, at_ms: int) -> None:
    """Note that a view has nothing more to read, inside the caller's transaction."""
    connection.execute("UPDATE view SET level_ms = ? WHERE no = ? AND level_ms = 0", (at_ms, view_no))


def judge_fingerprints(connection: sqlite3.Connection, trust: Trust, view_no: int | None = None) -> None:
    """Say whether the fingerprints of a view (None: of all) may be compared with, inside the caller's transaction."""
    connection.execute(
        "UPDATE view SET fingerprints = :trust WHERE coalesce(no = :no, 1) AND fingerprints <> :trust",
        {"trust": trust, "no": view_no},
    )


def raise_generation(connection: sqlite3.Connection, secret: bytes, view_no: int, generation: int) -> None:
    """Let event ids be of this generation at least, inside the caller's transaction."""
    old = columns(connection, view_no)
    if old[7] < generation:
        write(connection, secret, view_no, [*old[:7], generation])


def columns(connection: sqlite3.Connection, view_no: int) -> list[Any]:
    """Read the sealed columns of a view."""
    return list(connection.execute(f"SELECT {COLUMNS} FROM view WHERE no = ?", (view_no,)).fetchone())  # noqa: S608 - a constant


def write(connection: sqlite3.Connection, secret: bytes, view_no: int, texts: list[Any]) -> None:
    """Write the sealed columns of a view."""
    connection.execute(
        "UPDATE view SET head = ?, watermark = ?, late = ?, definition = ?, started_from = ?, updated_ms = ?, "
        "generation = ?, seal = ? WHERE no = ?",
        (*texts[1:], sealed(secret, texts), view_no),
    )


def sealed(secret: bytes, texts: list[Any]) -> bytes:
    """Hash a view's columns with the state's secret: 16 bytes. A generation of 0 leaves no trace: older seals stay valid."""
    texts = texts if texts[-1] else texts[:-1]
    return hashlib.blake2b(repr(texts).encode(), digest_size=16, key=secret, person=b"view row").digest()
