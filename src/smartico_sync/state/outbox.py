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
from smartico_sync.errors import StateDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smartico_sync.state.statements import Inserted, Statements

__all__ = ["OUTBOX", "drop", "forget", "keep", "read", "remove", "seal", "unseal"]

SALT_BYTES = 16
NONCE = bytes(12)  # a key seals one page only

OUTBOX = (
    # Pages of profiles that may be on their way. The salt stands before what is sealed: in the part of a row that is overwritten.
    """CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT, view_no INTEGER NOT NULL, salt BLOB NOT NULL, sealed BLOB NOT NULL
    ) STRICT""",
)


def keep(connection: Statements, secret: bytes, view_no: int, page: bytes) -> Inserted:
    """Keep a page; its number is higher than that of any before."""
    salt = os.urandom(SALT_BYTES)
    return connection.insert(
        "INSERT INTO outbox (view_no, salt, sealed) VALUES (?, ?, ?)",
        (view_no, salt, seal(secret, salt, view_no, page)),
        "id",
    )


def read(connection: Statements, secret: bytes, view_no: int) -> list[OutboxPage]:
    """The pages of a view in the order in which they were kept. Raises StateDamaged for one that is not what was written."""
    found = connection.execute(
        "SELECT id, salt, sealed FROM outbox WHERE view_no = ? ORDER BY id", (view_no,)
    ).fetchall()
    return [unpacked(number, unseal(secret, salt, view_no, sealed)) for number, salt, sealed in found]


def remove(connection: Statements, numbers: Iterable[int]) -> None:
    """Forget pages."""
    connection.executemany("DELETE FROM outbox WHERE id = ?", [(number,) for number in numbers])


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
        salt = os.urandom(SALT_BYTES)
        sealed = seal(secret, salt, view_no, packed(rest.events, rest.profiles))
        connection.execute("UPDATE outbox SET salt = ?, sealed = ? WHERE id = ?", (salt, sealed, page.id))
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
