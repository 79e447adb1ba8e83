"""The asymmetric encryptor: HPKE (RFC 9180) to a public key, so that the daemon's host cannot read what it sent.

    sch2.<key id>.<base64url without padding of: encapsulated key (32 bytes) | ciphertext | tag (16 bytes)>

Base mode, single shot, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; `info` is
`sch2.<key id>.<property>.<bytes of ext_brand_id>.<ext_brand_id>.<user_ext_id>`, as they are on the wire, and there is no
associated data. `sch1` is the same without the player, and still decrypts. Every value has its own ephemeral key, so equal values give different texts.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from smartico_sync.pii.aes_gcm import associated
from smartico_sync.pii.keys import check_key_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.pii.protocol import Player

__all__ = ["FIRST", "SUITE", "VERSION", "Hpke"]

FIRST, VERSION = "sch1", "sch2"
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class Hpke:
    """Encrypts to one X25519 public key. Raises ConfigError for a key id that cannot travel, ValueError for a bad key."""

    name = "hpke"

    def __init__(self, key: bytes, key_id: str) -> None:
        self._public = X25519PublicKey.from_public_bytes(key)
        self._key_id = check_key_id(key_id)

    def __repr__(self) -> str:
        return f"Hpke(key_id={self._key_id!r})"

    def encrypt(self, prop: str, values: Sequence[str]) -> list[str]:
        """Return one text per value, in order, that says nothing of whose it is (`sch1`)."""
        info = associated(FIRST, self._key_id, prop)
        return [self._text(FIRST, value, info) for value in values]

    def encrypt_for(self, prop: str, values: Sequence[str], players: Sequence[Player]) -> list[str]:
        """Return one text per value, in order, bound to its player (`sch2`)."""
        return [
            self._text(VERSION, value, associated(VERSION, self._key_id, prop, player))
            for value, player in zip(values, players, strict=True)
        ]

    def _text(self, version: str, value: str, info: bytes) -> str:
        return f"{version}.{self._key_id}.{urlsafe_b64encode(self._seal(value, info)).rstrip(b'=').decode()}"

    def _seal(self, value: str, info: bytes) -> bytes:
        return SUITE.encrypt(value.encode(), self._public, info)
