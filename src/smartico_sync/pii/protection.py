"""Personal data, before it leaves: encrypted, dropped, or plain because the configuration says so in words."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from msgspec import Struct, field

from smartico_sync.core import few_columns
from smartico_sync.core.events import BRAND, USER, Events
from smartico_sync.core.few_texts import are_few
from smartico_sync.core.picked import replaced
from smartico_sync.errors import ConfigError
from smartico_sync.pii.protocol import SealingEncryptor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.pii.protocol import Encryptor

__all__ = ["Protection"]

URLSAFE = (("+", "-"), ("/", "_"))  # of base64's alphabet, and what stands for it


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
        there = events.frame.columns
        present = [name for name in self.properties if name in there]
        if self.mode == "plain" or not present:
            return events
        if self.mode == "drop":
            cleared = [name for name in there if name[:1] == "!" and name[1:] in self.properties]
            return Events(events.frame.drop(present, cleared), events.raw - {*present, *cleared})
        if self.encryptor is None:
            raise ConfigError("`pii.mode: encrypt` has no encryptor", hint="set `pii.key`")
        encryptor = self.encryptor
        if not are_few(events.frame) and isinstance(encryptor, SealingEncryptor):
            protected = self._sealed(events.frame, present, encryptor)
        else:
            protected = self._one_by_one(events.frame, present, encryptor)
        return Events(replaced(events.frame, protected), events.raw - set(present))

    def _sealed(self, frame: pl.DataFrame, names: Sequence[str], encryptor: SealingEncryptor) -> list[pl.Series]:
        """These columns, each encrypted in one go."""
        brands = frame.get_column(BRAND)
        players = named_players(brands.replace(self.aliases) if self.aliases else brands, frame.get_column(USER))
        return [sealed(frame.get_column(name).cast(pl.String), encryptor, players) for name in names]

    def _one_by_one(self, frame: pl.DataFrame, names: Sequence[str], encryptor: Encryptor) -> list[pl.Series]:
        """The same value by value."""
        held: dict[str, Sequence[Any]]
        if are_few(frame):  # whole rows are one call
            held = dict(zip(frame.columns, zip(*frame.rows(), strict=True), strict=True))
        else:
            held = {name: frame.get_column(name).to_list() for name in (BRAND, USER, *names)}
        brands = [self.aliases.get(brand, brand) for brand in held[BRAND]] if self.aliases else held[BRAND]
        players = list(zip(brands, held[USER], strict=True))
        # Of a BindingEncryptor: to ask for that protocol takes longer than a value.
        bound = getattr(encryptor, "encrypt_for", None)
        made = []
        for name in names:
            values = held[name]
            # What is no text, polars prints.
            if any(value is not None and value.__class__ is not str for value in values):
                values = frame.get_column(name).cast(pl.String).to_list()
            there = [place for place, value in enumerate(values) if value is not None]
            texts = [values[place] for place in there]
            hidden = (
                encryptor.encrypt(name, texts)
                if bound is None
                else bound(name, texts, [players[place] for place in there])
            )
            sealed_at = dict(zip(there, hidden, strict=True))
            made.append(few_columns.column("text", [sealed_at.get(place) for place in range(len(values))], name))
        return made


def named_players(brands: pl.Series, users: pl.Series) -> list[bytes]:
    """Whose each event is, as `SealingEncryptor` takes it."""
    brand, user = pl.col("brand"), pl.col("user")
    parts = [brand.str.len_bytes().cast(pl.String), brand, user]
    frame = pl.DataFrame([brands.alias("brand"), users.alias("user")])
    names: list[bytes] = frame.select(pl.concat_str(parts, separator=".").cast(pl.Binary)).to_series().to_list()
    return names


def sealed(texts: pl.Series, encryptor: SealingEncryptor, players: Sequence[bytes]) -> pl.Series:
    """One column, encrypted under its name for these players: all values in one go but for the cipher itself."""
    there = texts.is_not_null()
    some = texts.null_count() > 0
    values, whose = (texts.drop_nulls(), list(compress(players, there))) if some else (texts, players)
    made = pl.Series(
        texts.name, encryptor.seal_for(texts.name, values.cast(pl.Binary).to_list(), whose), dtype=pl.Binary
    )
    base64 = pl.col(texts.name).bin.encode("base64").str.strip_chars_end("=")
    for ours, urls in URLSAFE:
        base64 = base64.str.replace_all(ours, urls, literal=True)
    written = made.to_frame().select(pl.concat_str(pl.lit(encryptor.head), base64).alias(texts.name)).to_series()
    return back_in_place(written, there) if some else written


def back_in_place(values: pl.Series, there: pl.Series) -> pl.Series:
    """A column that has these values where something is `there`, and else null."""
    if len(values) == len(there):
        return values
    return pl.Series(values.name, [None] * len(there), dtype=pl.String).scatter(there.arg_true(), values)
