"""Personal data, before it leaves: encrypted, dropped, or plain because the configuration says so in words."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Literal

import polars as pl
from msgspec import Struct, field

from smartico_sync.core import few_columns
from smartico_sync.core.events import BRAND, USER, Events
from smartico_sync.core.picked import replaced
from smartico_sync.errors import ConfigError
from smartico_sync.pii.protocol import BindingEncryptor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.pii.protocol import Encryptor, Player

__all__ = ["Protection"]


class Protection(Struct, frozen=True):
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
        whose = self.players(events.frame) if isinstance(self.encryptor, BindingEncryptor) else []
        protected = [encrypted(name, events.frame.get_column(name), self.encryptor, whose) for name in present]
        return Events(replaced(events.frame, protected), events.raw - set(present))

    def players(self, frame: pl.DataFrame) -> Sequence[Player]:
        """Whose each event is."""
        brands = frame.get_column(BRAND)
        renamed = brands.replace(self.aliases) if self.aliases else brands
        return list(zip(renamed.to_list(), frame.get_column(USER).to_list(), strict=True))


def encrypted(name: str, values: pl.Series, encryptor: Encryptor, players: Sequence[Player]) -> pl.Series:
    """One column, encrypted under its property's name and, where the encryptor binds to them, for its players."""
    texts = values if values.dtype == pl.String else values.cast(pl.String)
    filled = texts.drop_nulls() if texts.null_count() else texts
    if isinstance(encryptor, BindingEncryptor):
        whose = players if filled is texts else list(compress(players, texts.is_not_null()))
        sealed = encryptor.encrypt_for(name, filled.to_list(), whose)
    else:
        sealed = encryptor.encrypt(name, filled.to_list())
    cipher = few_columns.column("text", sealed, name)
    if filled is texts:
        return cipher
    return pl.Series(name, [None] * texts.len(), dtype=pl.String).scatter(texts.is_not_null().arg_true(), cipher)
