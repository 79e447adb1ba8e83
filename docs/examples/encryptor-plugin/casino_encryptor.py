# ruff: noqa: INP001 - a module that is installed on its own, not part of a package
"""An encryptor for smartico-sync: ChaCha20-Poly1305 in hexadecimal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Chacha20"]


class Chacha20:
    """Made once with the key of the configuration, then called by several threads."""

    name = "casino-chacha20"

    def __init__(self, key: bytes, key_id: str) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self._key_id = key_id

    def encrypt(self, prop: str, values: Sequence[str]) -> list[str]:
        """Return one text per value, in order."""
        return [f"{self._key_id}:{self._seal(value, prop.encode())}" for value in values]

    def _seal(self, value: str, prop: bytes) -> str:
        nonce = os.urandom(12)
        return (nonce + self._cipher.encrypt(nonce, value.encode(), prop)).hex()
