"""Keys as operators hold them: 32 bytes in base64."""

from __future__ import annotations

import base64
import binascii
import re
import secrets

from smartico_sync.errors import ConfigError

__all__ = ["KEY_BYTES", "check_key_id", "new_key", "new_pair", "parse_key"]

KEY_BYTES = 32  # AES-256 and X25519 agree on it

_BASE64URL = bytes.maketrans(b"-_", b"+/")
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")  # no dot (it separates the fields), short (it travels with every value)


def new_key() -> str:
    """Make a random key, in base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def new_pair() -> tuple[str, str]:
    """Make an X25519 pair (private, public) for `hpke`, each in base64."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415 - only here

    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return base64.b64encode(private.private_bytes_raw()).decode(), base64.b64encode(public).decode()


def parse_key(text: str) -> bytes:
    """Read the 32 bytes of a key in base64 (standard or URL-safe, padded or not). Raises ConfigError, without the text."""
    compact = text.strip().encode("utf-8", "replace").translate(_BASE64URL).rstrip(b"=")
    try:
        key = base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except binascii.Error:
        raise ConfigError(
            "the PII key is not base64",
            hint="put the output of `smartico-sync keys new --quiet` into `pii.key` or `pii.key_file`",
        ) from None
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"the PII key has {len(key)} bytes instead of {KEY_BYTES}",
            hint="put the output of `smartico-sync keys new --quiet` into `pii.key` or `pii.key_file`",
        )
    return key


def check_key_id(key_id: str) -> str:
    """Return the same id, if it can travel inside a value. Raises ConfigError."""
    if not _KEY_ID.fullmatch(key_id):
        raise ConfigError(
            f"`pii.key_id` {key_id!r} cannot be used: it must have 1 to 32 letters, digits, '-' or '_'",
            hint="name the key shortly, for instance `key_id: '2'`",
        )
    return key_id
