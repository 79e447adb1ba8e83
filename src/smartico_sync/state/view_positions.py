"""What is known of each view: its positions, sealed against silent damage, and its totals."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace

from smartico_sync.core.identity import FORMATS
from smartico_sync.core.records import ViewRow
from smartico_sync.errors import StateDamaged
from smartico_sync.state.dead_letters import as_position, as_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.core.position import Position
    from smartico_sync.core.records import Commit, Trust
    from smartico_sync.state.statements import Statements

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
    "sending",
]

COLUMNS = "name, identity, formats, head, watermark, late, definition, started_from, updated_ms, generation"
OPEN = "level_ms, sent_ms, start_seq, start_head, fingerprints"  # not sealed: damaged they lose no row


def numbers(connection: Statements) -> dict[str, int]:
    """Return the number of every view by its name."""
    return dict(connection.execute("SELECT name, no FROM view").fetchall())


def read(connection: Statements, secret: bytes, view: str | None = None) -> list[ViewRow]:
    """Read the view of that name (None: every view). Raises StateDamaged for a row that does not match its seal."""
    asked, named = ("", ()) if view is None else ("WHERE name = ?", (view,))
    rows = connection.execute(f"SELECT no, seal, {OPEN}, {COLUMNS} FROM view {asked} ORDER BY no", named).fetchall()  # noqa: S608 - constants
    asked, named = ("", ()) if view is None else ("WHERE view_no = ?", tuple(row[0] for row in rows) or (0,))
    totals: dict[int, dict[str, int]] = {}
    for view_no, name, n in connection.execute(f"SELECT view_no, name, n FROM total {asked} ORDER BY name", named):  # noqa: S608 - constants
        totals.setdefault(view_no, {})[name] = n
    return [
        replace(
            checked(secret, seal, texts, totals.get(no, {})),
            level_ms=level_ms,
            sent_ms=sent_ms,
            start_seq=start_seq,
            start_head=as_position(start_head),
            fingerprints=fingerprints,
        )
        for no, seal, level_ms, sent_ms, start_seq, start_head, fingerprints, *texts in rows
    ]


def checked(secret: bytes, seal: bytes, texts: list[Any], totals: Mapping[str, int]) -> ViewRow:
    """Make a view's row of its columns, once the seal agrees."""
    if seal != sealed(secret, texts):
        raise StateDamaged("the state is damaged: the row of a view does not match its seal")
    name, identity, formats, head, watermark, late, definition, started_from, updated_ms, generation = texts
    return ViewRow(
        view=name,
        identity=identity,
        formats=formats,
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
    connection: Statements,
    secret: bytes,
    *,
    name: str,
    identity: str,
    definition: str,
    started_from: str,
    at_ms: int,
) -> None:
    """Register a view, inside the caller's transaction; one that is known and placed stays as it is."""
    texts = [name, identity, FORMATS, None, None, "", definition, started_from, at_ms, 0]
    connection.execute(
        f"INSERT INTO view (seal, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",  # noqa: S608 - a constant
        (sealed(secret, texts), *texts),
    )
    connection.execute("DELETE FROM start WHERE name = ?", (name,))


def began_at(connection: Statements, view_no: int, head: Position | None, seq: int) -> None:
    """Note where a view began, and the ledger page up to which its rows were there then, inside the caller's transaction."""
    connection.execute("UPDATE view SET start_head = ?, start_seq = ? WHERE no = ?", (as_text(head), seq, view_no))


def advance(
    connection: Statements, secret: bytes, view_no: int, commit: Commit, known: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """Move a view to where a commit says, inside the caller's transaction; None leaves a column as it is.

    Returns the sealed columns as they are then. `known`: as they are now, where the caller has them.
    """
    changes: dict[str, Any] = {"updated_ms": commit.at_ms}
    if commit.head is not None:
        changes["head"] = as_text(commit.head)
    if commit.watermark is not None:
        changes["watermark"] = as_text(commit.watermark)
    if commit.late is not None:
        changes["late"] = commit.late
    return change(connection, secret, view_no, changes, known)


def place(
    connection: Statements,
    secret: bytes,
    view_no: int,
    position: Position | None,
    at_ms: int,
    ids: Literal["same", "new"] = "same",
) -> None:
    """Put a view to a position, or before its first row for None, without any memory of late rows.

    `new` begins its event ids anew.
    """
    text = as_text(position)
    changes: dict[str, Any] = {"head": text, "watermark": text, "late": "", "updated_ms": at_ms}
    if position is None:
        changes["started_from"] = "first"
    if ids == "new":
        changes["generation"] = columns(connection, view_no)["generation"] + 1
    change(connection, secret, view_no, changes)


def add_totals(connection: Statements, view_no: int, counts: Mapping[str, int]) -> None:
    """Add to a view's totals, inside the caller's transaction."""
    connection.executemany(
        "INSERT INTO total (view_no, name, n) VALUES (?, ?, ?) ON CONFLICT (view_no, name) DO UPDATE SET n = total.n + excluded.n",
        [
            (view_no, name, n) for name, n in sorted(counts.items()) if n
        ],  # members that share a view wait for each other in one order
    )


def sending(connection: Statements, view_no: int, sent_ms: int) -> None:
    """Note that rows up to this cursor are about to be sent, inside the caller's transaction."""
    connection.execute(
        "UPDATE view SET sent_ms = :ms WHERE no = :no AND (sent_ms IS NULL OR sent_ms < :ms)",
        {"ms": sent_ms, "no": view_no},
    )


def reached(connection: Statements, view_no: int, at_ms: int) -> None:
    """Note that a view has nothing more to read, inside the caller's transaction."""
    connection.execute("UPDATE view SET level_ms = ? WHERE no = ? AND level_ms = 0", (at_ms, view_no))


def judge_fingerprints(connection: Statements, trust: Trust, view_no: int | None = None) -> None:
    """Say whether the fingerprints of a view (None: of all) may be compared with, inside the caller's transaction."""
    connection.execute(
        "UPDATE view SET fingerprints = :trust WHERE (:no IS NULL OR no = :no) AND fingerprints <> :trust",
        {"trust": trust, "no": view_no},
    )


def raise_generation(connection: Statements, secret: bytes, view_no: int, generation: int) -> None:
    """Let event ids be of this generation at least, inside the caller's transaction."""
    if columns(connection, view_no)["generation"] < generation:
        change(connection, secret, view_no, {"generation": generation})


def columns(connection: Statements, view_no: int) -> dict[str, Any]:
    """Read the sealed columns of a view."""
    found = connection.execute(f"SELECT {COLUMNS} FROM view WHERE no = ?", (view_no,)).fetchone()  # noqa: S608 - a constant
    return dict(zip(COLUMNS.split(", "), found, strict=True))


def change(
    connection: Statements,
    secret: bytes,
    view_no: int,
    changes: Mapping[str, Any],
    known: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:
    """Change some of the sealed columns of a view, and its seal; return all of them. `known`: as they are now."""
    new = {**(known or columns(connection, view_no)), **changes}
    names = ", ".join(f"{name} = ?" for name in changes)
    connection.execute(
        f"UPDATE view SET {names}, seal = ? WHERE no = ?",  # noqa: S608 - names of columns
        (*changes.values(), sealed(secret, list(new.values())), view_no),
    )
    return new


def sealed(secret: bytes, texts: list[Any]) -> bytes:
    """Hash a view's columns with the state's secret: 16 bytes."""
    return hashlib.blake2b(repr(texts).encode(), digest_size=16, key=secret, person=b"view row").digest()
