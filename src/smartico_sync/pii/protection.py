"""Personal data, before it leaves: encrypted, dropped, or plain because the configuration says so in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import polars as pl

from smartico_sync.core.events import BRAND, USER, Events
from smartico_sync.errors import ConfigError
from smartico_sync.pii.protocol import BindingEncryptor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.pii.protocol import Encryptor, Player

__all__ = ["Protection"]


@dataclass(frozen=True, slots=True)
class Protection:
    """The policy of the configuration. `encryptor` is set exactly when `mode` is encrypt.

    `aliases`: what Smartico calls a brand that the database calls otherwise; a value is bound to the player as Smartico
    knows them.
    """

    mode: Literal["encrypt", "drop", "plain"]
    properties: tuple[str, ...]
    encryptor: Encryptor | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)

    def apply(self, events: Events) -> Events:
        """The same events with their PII properties protected; values that are null stay null.

        Encrypted values are String. Raises PiiFailed's parent ConfigError when the encryptor cannot work.
        """
        present = [name for name in self.properties if name in events.frame.columns]
        if self.mode == "plain" or not present:
            return events
        if self.mode == "drop":
            cleared = [name for name in events.frame.columns if name[:1] == "!" and name[1:] in self.properties]
            return Events(events.frame.drop(present, cleared), events.raw - {*present, *cleared})
        if self.encryptor is None:
            raise ConfigError("`pii.mode: encrypt` has no encryptor", hint="set `pii.key`")
        protected = [self.encrypted(name, events.frame, self.encryptor) for name in present]
        return Events(events.frame.with_columns(protected), events.raw - set(present))

    def encrypted(self, name: str, frame: pl.DataFrame, encryptor: Encryptor) -> pl.Series:
        """One column, encrypted under its property's name and for its players."""
        texts = frame.get_column(name).cast(pl.String)
        filled = texts.drop_nulls()
        cipher = pl.Series(
            name, self._texts(name, filled, frame.filter(texts.is_not_null()), encryptor), dtype=pl.String
        )
        if filled.len() == texts.len():
            return cipher
        places = texts.is_not_null().arg_true()
        return pl.Series(name, [None] * texts.len(), dtype=pl.String).scatter(places, cipher)

    def _texts(self, name: str, values: pl.Series, frame: pl.DataFrame, encryptor: Encryptor) -> list[str]:
        if not isinstance(encryptor, BindingEncryptor):
            return encryptor.encrypt(name, values.to_list())
        brands = frame.get_column(BRAND)
        renamed = brands.replace(self.aliases) if self.aliases else brands
        players: Sequence[Player] = list(zip(renamed.to_list(), frame.get_column(USER).to_list(), strict=True))
        return encryptor.encrypt_for(name, values.to_list(), players)
