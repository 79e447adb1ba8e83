"""Personal data, before it leaves: encrypted, dropped, or plain because the configuration says so in words."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Literal

import polars as pl
from msgspec import Struct, field

from smartico_sync.core import few_columns
from smartico_sync.core.events import BRAND, USER, Events
from smartico_sync.core.few_texts import are_few
from smartico_sync.core.picked import replaced
from smartico_sync.errors import ConfigError
from smartico_sync.pii.protocol import BindingEncryptor, SealingEncryptor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from smartico_sync.pii.protocol import Encryptor, Player

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
        given = [events.frame.get_column(name) for name in present]
        columns = [each if each.dtype == pl.String else each.cast(pl.String) for each in given]
        protected = self._encrypted(columns, events.frame, self.encryptor)
        return Events(replaced(events.frame, protected), events.raw - set(present))

    def _encrypted(self, columns: Sequence[pl.Series], frame: pl.DataFrame, encryptor: Encryptor) -> list[pl.Series]:
        """These columns, encrypted."""
        brands, users = frame.get_column(BRAND), frame.get_column(USER)
        brands = brands.replace(self.aliases) if self.aliases else brands
        if not are_few(frame) and isinstance(encryptor, SealingEncryptor):
            names = named_players(brands, users)
            return [sealed(column, encryptor, names) for column in columns]
        if isinstance(encryptor, BindingEncryptor):
            whose = list(zip(brands.to_list(), users.to_list(), strict=True))
            return [bound(column, encryptor, whose) for column in columns]
        return [encrypted(column, encryptor) for column in columns]


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


def bound(texts: pl.Series, encryptor: BindingEncryptor, players: Sequence[Player]) -> pl.Series:
    """The same value by value."""
    return in_place(
        texts, lambda there, values: encryptor.encrypt_for(texts.name, values, [players[each] for each in there])
    )


def encrypted(texts: pl.Series, encryptor: Encryptor) -> pl.Series:
    """The same where the encryptor does not bind to players."""
    return in_place(texts, lambda _, values: encryptor.encrypt(texts.name, values))


def in_place(texts: pl.Series, made: Callable[[list[int], list[str]], Sequence[str]]) -> pl.Series:
    """A column that has what is made of values, of which the places are given too, in their places, and else null."""
    held = texts.to_list()
    there = [place for place, value in enumerate(held) if value is not None]
    sealed = dict(zip(there, made(there, [held[place] for place in there]), strict=True))
    return few_columns.column("text", [sealed.get(place) for place in range(len(held))], texts.name)


def back_in_place(values: pl.Series, there: pl.Series) -> pl.Series:
    """A column that has these values where something is `there`, and else null."""
    if len(values) == len(there):
        return values
    return pl.Series(values.name, [None] * len(there), dtype=pl.String).scatter(there.arg_true(), values)
