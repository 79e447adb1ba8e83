"""How far the messages of each lane are dealt with, sealed against silent damage. Inside the caller's transaction."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from smartico_sync.core.records import PLACED, LaneStep
from smartico_sync.errors import PositionMoved, StateDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from smartico_sync.state.statements import Statements

__all__ = ["advance", "claim", "give_up", "hold", "owners", "place", "reached", "read"]


def read(connection: Statements, secret: bytes, view_no: int) -> dict[str, LaneStep]:
    """Return every lane of a view by its name; `expected` is `next`. Raises StateDamaged for a row that does not match its seal."""
    rows = connection.execute("SELECT name, next, epoch, seal FROM lane WHERE view_no = ?", (view_no,)).fetchall()
    for name, after, epoch, seal in rows:
        if seal != sealed(secret, view_no, name, after, epoch):
            raise StateDamaged("the state is damaged: the row of a lane does not match its seal")
    return {name: LaneStep(name, after, after, epoch) for name, after, epoch, _ in rows}


def advance(
    connection: Statements,
    secret: bytes,
    view_no: int,
    view: str,
    steps: Iterable[LaneStep],
    owner: UUID | None = None,
) -> None:
    """Move lanes on from where they are expected to be. Raises PositionMoved when one is elsewhere.

    `owner`: whose they are, where members share them; then it also raises when one is another's.
    """
    for step in steps:
        seal = sealed(secret, view_no, step.lane, step.next, step.epoch)
        moved = PositionMoved(
            f"view {view}: {step.lane} is not at {step.expected} any more: another process, or an operator, has moved it",
            hint="nothing: it begins again where the state says; if this stays, two daemons share this state",
        )
        if owner is not None:
            connection.expect(
                "UPDATE lane SET next = ?, epoch = ?, seal = ? WHERE view_no = ? AND name = ? AND next = ? AND owner = ?",
                (step.next, step.epoch, seal, view_no, step.lane, step.expected, owner),
                moved,
            )
            continue
        if step.expected is None:
            connection.expect(
                "INSERT INTO lane (view_no, name, next, epoch, seal) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (view_no, step.lane, step.next, step.epoch, seal),
                moved,
            )
        else:
            connection.expect(
                "UPDATE lane SET next = ?, epoch = ?, seal = ? WHERE view_no = ? AND name = ? AND next = ?",
                (step.next, step.epoch, seal, view_no, step.lane, step.expected),
                moved,
            )


def claim(
    connection: Statements, secret: bytes, view_no: int, view: str, steps: Iterable[LaneStep], owner: UUID
) -> None:
    """Make lanes this owner's, and place them: whoever had them is refused from now on. Raises PositionMoved as `advance` does."""
    for step in sorted(steps, key=lambda step: step.lane):
        seal = sealed(secret, view_no, step.lane, step.next, step.epoch)
        moved = PositionMoved(
            f"view {view}: {step.lane} was moved while it was handed over",
            hint="nothing: it begins again where the state says",
        )
        if step.expected is None:
            connection.expect(
                "INSERT INTO lane (view_no, name, next, epoch, seal, owner) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (view_no, step.lane, step.next, step.epoch, seal, owner),
                moved,
            )
        else:
            connection.expect(
                "UPDATE lane SET next = ?, epoch = ?, seal = ?, owner = ? WHERE view_no = ? AND name = ? AND next = ?",
                (step.next, step.epoch, seal, owner, view_no, step.lane, step.expected),
                moved,
            )


def hold(connection: Statements, view_no: int, view: str, names: Iterable[str], owner: UUID) -> None:
    """Make sure that lanes are this owner's until the end of the transaction. Raises PositionMoved."""
    for name in sorted(names):
        connection.expect(
            "UPDATE lane SET owner = owner WHERE view_no = ? AND name = ? AND owner = ?",
            (view_no, name, owner),
            PositionMoved(
                f"view {view}: {name} is read by another member now, or an operator has moved it",
                hint="nothing: it begins again where the state says",
            ),
        )


def give_up(connection: Statements, view_no: int, names: Iterable[str], owner: UUID) -> None:
    """Leave lanes to whoever is given them next: nothing of them is on its way."""
    connection.executemany(
        "UPDATE lane SET owner = NULL WHERE view_no = ? AND name = ? AND owner = ?",
        [(view_no, name, owner) for name in sorted(names)],
    )


def owners(connection: Statements, view_no: int) -> dict[str, tuple[UUID | None, bool]]:
    """Whose each lane is, and whether all that it held was read once."""
    rows = connection.execute("SELECT name, owner, level FROM lane WHERE view_no = ?", (view_no,)).fetchall()
    return {name: (owner, level) for name, owner, level in rows}


def reached(connection: Statements, view_no: int, at_ms: int, owner: UUID) -> None:
    """Note that this owner's lanes were read to their end once, and so was the view if no other is left."""
    connection.execute("UPDATE lane SET level = true WHERE view_no = ? AND owner = ? AND NOT level", (view_no, owner))
    connection.execute(
        "UPDATE view SET level_ms = ? WHERE no = ? AND level_ms = 0 "
        "AND NOT EXISTS (SELECT FROM lane WHERE lane.view_no = view.no AND NOT level)",
        (at_ms, view_no),
    )


def place(connection: Statements, secret: bytes, view_no: int, positions: Mapping[str, int]) -> None:
    """Put lanes where an operator wants them, of whatever topic has their name; those that are not named are forgotten."""
    connection.execute("DELETE FROM lane WHERE view_no = ?", (view_no,))
    for name, after in positions.items():
        connection.execute(
            "INSERT INTO lane (view_no, name, next, epoch, seal) VALUES (?, ?, ?, ?, ?)",
            (view_no, name, after, PLACED, sealed(secret, view_no, name, after, PLACED)),
        )


def sealed(secret: bytes, view_no: int, name: str, after: int, epoch: str) -> bytes:
    """Hash a lane with the state's secret: 16 bytes."""
    text = repr((view_no, name, after, epoch)).encode()
    return hashlib.blake2b(text, digest_size=16, key=secret, person=b"lane row").digest()
