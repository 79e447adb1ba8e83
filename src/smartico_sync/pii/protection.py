"""Personal data, before it leaves: encrypted, dropped, or plain because the configuration says so in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

from smartico_sync.core.events import Events

if TYPE_CHECKING:
    from smartico_sync.pii.protocol import Encryptor

__all__ = ["Protection"]


@dataclass(frozen=True, slots=True)
class Protection:
    """The policy of the configuration. `encryptor` is set exactly when `mode` is encrypt."""

    mode: Literal["encrypt", "drop", "plain"]
    properties: tuple[str, ...]
    encryptor: Encryptor | None = None

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
        assert self.encryptor is not None
        protected = [self.encrypted(name, events.frame.get_column(name)) for name in present]
        return Events(events.frame.with_columns(protected), events.raw - set(present))

    def encrypted(self, name: str, values: pl.Series) -> pl.Series:
        """One column, encrypted under its property's name."""
        assert self.encryptor is not None
        texts = values.cast(pl.String)
        filled = texts.drop_nulls()
        cipher = pl.Series(name, self.encryptor.encrypt(name, filled.to_list()), dtype=pl.String)
        if filled.len() == texts.len():
            return cipher
        places = texts.is_not_null().arg_true()
        return pl.Series(name, [None] * texts.len(), dtype=pl.String).scatter(places, cipher)
