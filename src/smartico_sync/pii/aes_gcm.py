"""The default encryptor: AES-256-GCM into versioned text that names its key.

    sc2.<key id>.<base64url without padding of: nonce (12 bytes) | ciphertext | tag (16 bytes)>

The associated data is `sc2.<key id>.<property>.<bytes of ext_brand_id>.<ext_brand_id>.<user_ext_id>`, as they are on the
wire: a value moved to another player or property, or given another key's id, does not decrypt. `sc1` is the same without
the player, and still decrypts. The nonce is random, so equal values give different texts.
"""

from __future__ import annotations

import os
from binascii import b2a_base64
from itertools import repeat
from operator import add
from struct import iter_unpack
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smartico_sync.pii.keys import check_key_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.pii.protocol import Player

__all__ = ["FIRST", "NONCE_BYTES", "VERSION", "AesGcm", "associated", "named"]

FIRST, VERSION = "sc1", "sc2"
NONCE_BYTES = 12  # the size GCM is made for
_URLSAFE = bytes.maketrans(b"+/", b"-_")


class AesGcm:
    """Encrypts with one key. Raises ConfigError for a key id that cannot travel, ValueError for a key of the wrong size."""

    name = "aes-256-gcm"

    def __init__(self, key: bytes, key_id: str) -> None:
        self._cipher = AESGCM(key)
        self._key_id = check_key_id(key_id)

    def __repr__(self) -> str:
        return f"AesGcm(key_id={self._key_id!r})"

    def encrypt(self, prop: str, values: Sequence[str]) -> list[str]:
        """One text per value, in order, that says nothing of whose it is (`sc1`)."""
        return self._sealed(FIRST, values, [associated(FIRST, self._key_id, prop)] * len(values))

    def encrypt_for(self, prop: str, values: Sequence[str], players: Sequence[Player]) -> list[str]:
        """One text per value, in order, bound to its player (`sc2`)."""
        data = [associated(VERSION, self._key_id, prop, player) for player in players]
        return self._sealed(VERSION, values, data)

    @property
    def head(self) -> str:
        """What a text that is bound to its player begins with, before the base64."""
        return f"{VERSION}.{self._key_id}."

    def seal_for(self, prop: str, values: Sequence[bytes], players: Sequence[bytes]) -> list[bytes]:
        """What `encrypt_for` writes as base64, of values and players as bytes: those of a player as `named` has them."""
        read_as = associated(VERSION, self._key_id, f"{prop}.")
        return self._bytes(values, list(map(add, repeat(read_as), players)))

    def _sealed(self, version: str, values: Sequence[str], data: Sequence[bytes]) -> list[str]:
        """The texts."""
        sealed = self._bytes([value.encode() for value in values], data)
        head = f"{version}.{self._key_id}."
        return [head + b2a_base64(each, newline=False).translate(_URLSAFE, b"=").decode("ascii") for each in sealed]

    def _bytes(self, values: Sequence[bytes], data: Sequence[bytes]) -> list[bytes]:
        """Nonce, ciphertext and tag of each, with a fresh nonce. Raises ValueError where there is not one of `data` for each."""
        if len(values) != len(data):
            raise ValueError(f"{len(values)} values of {len(data)} players")
        # One system call instead of one for each value, and no code of Python's own for any.
        nonces = [nonce for (nonce,) in iter_unpack(f"{NONCE_BYTES}s", os.urandom(NONCE_BYTES * len(values)))]
        return list(map(add, nonces, map(self._cipher.encrypt, nonces, values, data)))


def associated(version: str, key_id: str, prop: str, player: Player | None = None) -> bytes:
    """Return what the tag protects beside the value: all that says how to read it, and whose it is."""
    read_as = f"{version}.{key_id}.{prop}"
    return read_as.encode() if player is None else f"{read_as}.{named(player)}".encode()


def named(player: Player) -> str:
    """A player in what the tag protects: no two of them read the same."""
    brand, user = player
    return f"{len(brand.encode())}.{brand}.{user}"
