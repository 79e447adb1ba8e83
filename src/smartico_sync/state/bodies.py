"""Messages that a broker does not show again, sealed, for as long as something of them is undelivered. Inside the caller's transaction.

AES-256-GCM under a key made of the state's secret: the state file alone tells nothing. View and place are bound to it.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smartico_sync.errors import StateDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from smartico_sync.state.statements import Statements

__all__ = ["forget_returning", "keep", "prune", "read"]

NONCE_BYTES = 12  # the size GCM is made for
PLACE = "json_extract(position, '$[0]')"  # of a letter
PARKED = "view_no = :view AND next_try_ms IS NOT NULL AND position <> ''"


def keep(connection: Statements, secret: bytes, view_no: int, bodies: Mapping[str, bytes]) -> None:
    """Keep messages by their places."""
    if not bodies:
        return
    cipher = _cipher(secret)
    rows = []
    for place, body in bodies.items():
        nonce = os.urandom(NONCE_BYTES)
        rows.append((view_no, place, nonce + cipher.encrypt(nonce, body, _bound(view_no, place))))
    connection.executemany(
        "INSERT INTO body (view_no, place, sealed) VALUES (?, ?, ?) "
        "ON CONFLICT (view_no, place) DO UPDATE SET sealed = excluded.sealed",
        rows,
    )


def read(connection: Statements, secret: bytes, view_no: int, places: Sequence[str]) -> list[bytes]:
    """The messages of these places that are kept. Raises StateDamaged for one that is not what was written."""
    found = connection.execute(
        "SELECT place, sealed FROM body WHERE view_no = ? AND place IN (SELECT CAST(value AS TEXT) FROM json_each(?))",
        (view_no, json.dumps(list(places))),
    ).fetchall()
    cipher = _cipher(secret)
    try:
        return [
            cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(view_no, place))
            for place, sealed in found
        ]
    except InvalidTag:
        raise StateDamaged("the state is damaged: a message that it keeps does not match its seal") from None


def prune(connection: Statements, view_no: int) -> None:
    """Forget the messages of which nothing is undelivered any more."""
    if connection.execute("SELECT 1 FROM body WHERE view_no = ? LIMIT 1", (view_no,)).fetchone() is None:
        return
    connection.execute(
        f"DELETE FROM body WHERE view_no = :view AND place NOT IN "  # noqa: S608 - constants
        f"(SELECT {PLACE} FROM letter WHERE view_no = :view AND position <> '')",
        {"view": view_no},
    )


def forget_returning(connection: Statements, view_no: int, lanes: Iterable[str]) -> int:
    """Forget parked rows of lanes whose messages come again, but those whose message is kept; how many."""
    done = 0
    for lane in lanes:
        done += connection.execute(
            f"DELETE FROM letter WHERE {PARKED} AND substr({PLACE}, 1, :length) = :lane "  # noqa: S608 - constants
            f"AND {PLACE} NOT IN (SELECT place FROM body WHERE view_no = :view)",
            {"view": view_no, "lane": f"{lane}@", "length": len(lane) + 1},
        ).rowcount
    return done


def _cipher(secret: bytes) -> AESGCM:
    return AESGCM(hashlib.blake2b(b"messages", digest_size=32, key=secret, person=b"message body").digest())


def _bound(view_no: int, place: str) -> bytes:
    return f"{view_no} {place}".encode()
