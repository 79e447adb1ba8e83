"""A player is taken out of the state: all that is known of him by his hash, or by the key of his rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.state import bodies, outbox
from smartico_sync.state.dead_letters import as_position, signed

if TYPE_CHECKING:
    from smartico_sync.core.position import Position
    from smartico_sync.state.statements import Statements

__all__ = ["PLACES", "Forgotten", "Identity", "forget"]

PLACES = {"head": "head", "watermark": "watermark", "start_head": "start", "late": "late-commit memory"}


class Identity(Struct, frozen=True):
    """A player, and how the rows of one view show whose they are.

    `player`: the hash. `user` at the place `user_at` of a row's key, and `brand` at `brand_at`; below 0 where the key does not
    hold it.
    """

    player: int
    brand: str
    user: str
    user_at: int = -1
    brand_at: int = -1

    def owns(self, position: Position | None) -> bool:
        """Whether a row at that position is known by its key to be this player's."""
        if position is None or self.user_at < 0 or len(position.key) <= max(self.user_at, self.brand_at):
            return False
        return position.key[self.user_at] == self.user and (
            self.brand_at < 0 or position.key[self.brand_at] == self.brand
        )


class Forgotten(Struct, frozen=True):
    """What of a player was taken out of one view.

    `outbox`: events that may be on their way. `places`: where his key still stands, because the view goes on from there.
    `nobodys`: dead letters and parked rows that stay and that show
    neither by a hash nor by their key whose they are.
    """

    profiles: int
    sets: int
    outbox: int
    dead_letters: int
    parked: int
    anchors: int
    backfills: int
    places: tuple[str, ...]
    nobodys: int = 0


def forget(connection: Statements, secret: bytes, view_no: int, who: Identity) -> Forgotten:
    """Delete what is known of a player in a view, inside the caller's transaction; his bytes are overwritten in the file."""
    unsent = outbox.forget(connection, secret, view_no, who.player)
    mine = (view_no, signed(who.player))
    profiles = connection.erase_profile(*mine)
    sets = connection.execute("DELETE FROM told_set WHERE view_no = ? AND id = ?", mine).rowcount
    letters = connection.execute("SELECT id, player, position, next_try_ms FROM letter WHERE view_no = ?", (view_no,))
    undelivered, nobodys = {}, 0
    for number, player, place, due in letters:
        if player == mine[1] or who.owns(as_position(place)):
            undelivered[number] = due is not None
        elif not player and who.user_at < 0:
            nobodys += 1
    connection.executemany("DELETE FROM letter WHERE id = ?", [(number,) for number in undelivered])
    bodies.prune(connection, view_no)
    anchors = [
        seq
        for seq, player, mark, place in connection.execute(
            "SELECT seq, player, print, position FROM anchor WHERE view_no = ?", (view_no,)
        )
        if mine[1] in (player, mark) or who.owns(as_position(place))
    ]
    connection.executemany("DELETE FROM anchor WHERE seq = ?", [(seq,) for seq in anchors])
    ended = [
        number
        for number, place in connection.execute(
            "SELECT id, position FROM backfill WHERE view_no = ? AND state <> 'open'", (view_no,)
        )
        if who.owns(as_position(place))
    ]
    connection.executemany("UPDATE backfill SET position = NULL WHERE id = ?", [(number,) for number in ended])
    parked = sum(undelivered.values())
    return Forgotten(
        profiles,
        sets,
        unsent,
        len(undelivered) - parked,
        parked,
        len(anchors),
        len(ended),
        places(connection, view_no, who),
        nobodys,
    )


def places(connection: Statements, view_no: int, who: Identity) -> tuple[str, ...]:
    """Where the key of the player's row is still needed."""
    row = connection.execute("SELECT head, watermark, start_head, late FROM view WHERE no = ?", (view_no,)).fetchone()
    *positions, late = row
    found = [
        PLACES[name]
        for name, text in zip(("head", "watermark", "start_head"), positions, strict=True)
        if who.owns(as_position(text))
    ]
    if who.user_at >= 0 and who.user in strings(json.loads(late) if late else None):
        found.append(PLACES["late"])
    open_ones = connection.execute("SELECT position FROM backfill WHERE view_no = ? AND state = 'open'", (view_no,))
    if any(who.owns(as_position(text)) for (text,) in open_ones):
        found.append("backfill")
    return tuple(found)


def strings(value: object) -> set[str]:
    """Every text in a JSON value."""
    if isinstance(value, dict):
        return {text for key, each in value.items() for text in (key, *strings(each))}
    if isinstance(value, list):
        return {text for each in value for text in strings(each)}
    return {value} if isinstance(value, str) else set()
