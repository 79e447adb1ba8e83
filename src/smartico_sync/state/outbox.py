"""Pages of profiles that are, or may be, on their way to the API: written before they are sent. Inside the caller's transaction.

Each page is sealed with AES-256-GCM under a key of its own, made of the state's secret and of a salt. View and number are bound to
it. SQLite overwrites the salt when it deletes the row, but not the page: what it leaves in the file nobody can read, also with the
secret.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smartico_sync.core.outbox import OutboxPage, packed, unpacked, without
from smartico_sync.errors import PositionMoved, StateDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from smartico_sync.state.statements import Inserted, Statements

__all__ = ["OUTBOX", "drop", "forget", "keep", "read", "remove", "seal", "sealed", "settle", "unseal"]

SALT_BYTES = 16
OF_OWNER = (
    " AND (outbox.lane = '' OR EXISTS ("
    "SELECT FROM lane WHERE lane.view_no = outbox.view_no AND lane.name = outbox.lane AND lane.owner = ?))"
)
NONCE = bytes(12)  # a key seals one page only

OUTBOX = (
    # Pages of profiles that may be on their way. The salt stands before what is sealed: in the part of a row that is overwritten.
    """CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT, view_no INTEGER NOT NULL, salt BLOB NOT NULL, sealed BLOB NOT NULL
    ) STRICT""",
)


def sealed(secret: bytes, view_no: int, page: bytes) -> tuple[bytes, bytes]:
    """A page as it is kept: its salt, and what only the holder of secret and salt can read."""
    salt = os.urandom(SALT_BYTES)
    return salt, seal(secret, salt, view_no, page)


def keep(connection: Statements, view_no: int, page: tuple[bytes, bytes], lane: str = "") -> Inserted:
    """Keep a page that is `sealed`; its number is higher than that of any before. `lane`: whose it is, where members share lanes."""
    if lane:
        return connection.insert(
            "INSERT INTO outbox (view_no, salt, sealed, lane) VALUES (?, ?, ?, ?)", (view_no, *page, lane), "id"
        )
    return connection.insert("INSERT INTO outbox (view_no, salt, sealed) VALUES (?, ?, ?)", (view_no, *page), "id")


def read(connection: Statements, secret: bytes, view_no: int, owner: UUID | None = None) -> list[OutboxPage]:
    """The pages of a view in the order in which they were kept. Raises StateDamaged for one that is not what was written.

    `owner`: those of its lanes only, and those of no lane, where members share them.
    """
    mine = "" if owner is None else OF_OWNER
    found = connection.execute(
        f"SELECT id, salt, sealed FROM outbox WHERE view_no = ?{mine} ORDER BY id",  # noqa: S608 - a constant
        (view_no,) if owner is None else (view_no, owner),
    ).fetchall()
    return [unpacked(number, unseal(secret, salt, view_no, page)) for number, salt, page in found]


def remove(connection: Statements, numbers: Iterable[int]) -> None:
    """Forget pages."""
    connection.executemany("DELETE FROM outbox WHERE id = ?", [(number,) for number in numbers])


def settle(connection: Statements, view: str, numbers: Iterable[int], owner: UUID) -> None:
    """Forget pages that this owner dealt with. Raises PositionMoved where another has taken one over, or dealt with it."""
    for number in numbers:
        connection.expect(
            f"DELETE FROM outbox WHERE id = ?{OF_OWNER}",  # noqa: S608 - a constant
            (number, owner),
            PositionMoved(
                f"view {view}: another member deals with what was on its way",
                hint="nothing: it begins again where the state says",
            ),
        )


def drop(connection: Statements) -> None:
    """Forget every page of every view."""
    connection.execute("DELETE FROM outbox")


def forget(connection: Statements, secret: bytes, view_no: int, player: int) -> int:
    """Take a player's events out of the pages; how many there were."""
    gone = 0
    for page in read(connection, secret, view_no):
        rest = without(page, player)
        if len(rest.events) == len(page.events):
            continue
        gone += len(page.events) - len(rest.events)
        kept = sealed(secret, view_no, packed(rest.events, rest.profiles))
        connection.execute("UPDATE outbox SET salt = ?, sealed = ? WHERE id = ?", (*kept, page.id))
    return gone


def seal(secret: bytes, salt: bytes, view_no: int, page: bytes) -> bytes:
    """A page that only the holder of secret and salt can read."""
    return _cipher(secret, salt).encrypt(NONCE, page, str(view_no).encode())


def unseal(secret: bytes, salt: bytes, view_no: int, sealed: bytes) -> bytes:
    """The page that was sealed. Raises StateDamaged."""
    try:
        return _cipher(secret, salt).decrypt(NONCE, sealed, str(view_no).encode())
    except InvalidTag:
        raise StateDamaged("the state is damaged: a page that it keeps does not match its seal") from None


def _cipher(secret: bytes, salt: bytes) -> AESGCM:
    return AESGCM(hashlib.blake2b(salt, digest_size=32, key=secret, person=b"outbox page").digest())
