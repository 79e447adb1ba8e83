"""What an encryptor is: the plug-in point for the cipher that an operator has agreed with Smartico."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BindingEncryptor", "Encryptor", "EncryptorFactory", "Player", "SealingEncryptor"]

Player = tuple[str, str]  # ext_brand_id and user_ext_id, as they are on the wire


class Encryptor(Protocol):
    """Turns personal data into text that only the holder of the key can read. Called from several threads at once."""

    @property
    def name(self) -> str:
        """Return the name it is configured by."""

    def encrypt(self, prop: str, values: Sequence[str]) -> list[str]:
        """Return one text per value, in order. `prop` is the property's name on the wire; `values` hold no null.

        Equal values must not give equal texts: the diff works on keyed hashes of the values, never on the result.
        """


@runtime_checkable
class BindingEncryptor(Encryptor, Protocol):
    """An encryptor whose texts cannot be moved to another player; where there is this method it is used."""

    def encrypt_for(self, prop: str, values: Sequence[str], players: Sequence[Player]) -> list[str]:
        """As `encrypt`, for a player each."""


@runtime_checkable
class SealingEncryptor(BindingEncryptor, Protocol):
    """One whose texts are `head` and URL-safe base64 without padding; where there is this, a page's are written as a column."""

    @property
    def head(self) -> str:
        """Return what each text begins with."""

    def seal_for(self, prop: str, values: Sequence[bytes], players: Sequence[bytes]) -> list[bytes]:
        """Return what stands in base64 in the texts of `encrypt_for`, in order.

        `players`: the bytes of ext_brand_id in digits, ext_brand_id and user_ext_id, joined by dots.
        """


class EncryptorFactory(Protocol):
    """What an entry point of the group `smartico_sync.encryptors` names: a class or a function."""

    def __call__(self, key: bytes, key_id: str) -> Encryptor:
        """Make an encryptor for a key of 32 bytes. Raises ConfigError, or ValueError, for a key it cannot use."""
