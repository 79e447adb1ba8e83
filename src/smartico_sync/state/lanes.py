"""How far the messages of each lane are dealt with, sealed against silent damage. Inside the caller's transaction."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from smartico_sync.core.records import PLACED, LaneStep
from smartico_sync.errors import PositionMoved, StateDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from smartico_sync.state.statements import Statements

__all__ = ["advance", "place", "read"]


def read(connection: Statements, secret: bytes, view_no: int) -> dict[str, LaneStep]:
    """Return every lane of a view by its name; `expected` is `next`. Raises StateDamaged for a row that does not match its seal."""
    rows = connection.execute("SELECT name, next, epoch, seal FROM lane WHERE view_no = ?", (view_no,)).fetchall()
    for name, after, epoch, seal in rows:
        if seal != sealed(secret, view_no, name, after, epoch):
            raise StateDamaged("the state is damaged: the row of a lane does not match its seal")
    return {name: LaneStep(name, after, after, epoch) for name, after, epoch, _ in rows}


def advance(connection: Statements, secret: bytes, view_no: int, view: str, steps: Iterable[LaneStep]) -> None:
    """Move lanes on from where they are expected to be. Raises PositionMoved when one is elsewhere."""
    for step in steps:
        seal = sealed(secret, view_no, step.lane, step.next, step.epoch)
        moved = PositionMoved(
            f"view {view}: {step.lane} is not at {step.expected} any more: another process, or an operator, has moved it",
            hint="nothing: it begins again where the state says; if this stays, two daemons share this state",
        )
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
