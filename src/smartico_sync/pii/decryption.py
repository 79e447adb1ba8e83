"""The way back, as reference: what a reader of the daemon's values does."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smartico_sync.errors import ConfigError
from smartico_sync.pii import aes_gcm, hpke
from smartico_sync.pii.aes_gcm import NONCE_BYTES, associated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.pii.protocol import Player

__all__ = ["decrypt"]


def decrypt(text: str, prop: str, keys: Mapping[str, bytes], player: Player | None = None) -> str:
    """Return the value behind a text of `aes-256-gcm` or `hpke`.

    `prop` is the property it was sent as, `player` whom it was sent for (the first versions, `sc1` and `sch1`, do without);
    `keys` maps key ids to keys of 32 bytes (for hpke: the private key). Raises ConfigError, never with the text or the value
    in it, for an unknown format or key id, a wrong key, another property or player and a changed text.
    """
    version, _, rest = text.partition(".")
    key_id, _, body = rest.partition(".")
    bound = version in (aes_gcm.VERSION, hpke.VERSION)
    if not (bound or version in (aes_gcm.FIRST, hpke.FIRST)) or not body:
        raise ConfigError("this is not text of the encryptors aes-256-gcm or hpke")
    if key_id not in keys:
        raise ConfigError(f"no key has the id {key_id!r}", hint="add the key that was in use when the value was sent")
    if bound and player is None:
        raise ConfigError(f"a text of {version} is bound to its player", hint="give ext_brand_id and user_ext_id too")
    data = associated(version, key_id, prop, player if bound else None)
    try:
        sealed = urlsafe_b64decode(body + "=" * (-len(body) % 4))
        if version in (hpke.FIRST, hpke.VERSION):
            private = X25519PrivateKey.from_private_bytes(keys[key_id])
            return hpke.SUITE.decrypt(sealed, private, data).decode()
        return AESGCM(keys[key_id]).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], data).decode()
    except (InvalidTag, ValueError, binascii.Error):
        raise ConfigError(f"the value does not decrypt as {prop!r} of this player with the key {key_id!r}") from None
