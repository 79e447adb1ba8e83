"""A handful of profiles beside what is known of them, one by one: what `diff` makes of columns, where nothing about them is unusual."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.core import few_columns
from smartico_sync.core.events import PLAYER, POSITION, SEED
from smartico_sync.core.few_profiles import filled
from smartico_sync.core.few_texts import FEW, are_few, hmac_sha256
from smartico_sync.core.folding import ALL
from smartico_sync.core.identity import SEPARATOR, content_texts, uuid_text
from smartico_sync.core.part_prints import DIGITS, UNSURE, layout_of
from smartico_sync.core.picked import table
from smartico_sync.core.validation import IMMUTABLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    import polars as pl

__all__ = ["ToldApart", "clearable_of", "few_states"]


OPERATORS = "!+-^"


class ToldApart(Struct, frozen=True):
    """The properties of profiles, those of them that must never change, and those that may be cleared; each in order."""

    names: Sequence[str]
    fixed: Sequence[str]
    clearable: Sequence[str]

    @property
    def text(self) -> str:
        """What a layout is the fingerprint of."""
        return "\n".join([*self.fixed, *(f"!{name}" for name in self.clearable)])


def clearable_of(names: Sequence[str], clears: AbstractSet[str]) -> list[str]:
    """The properties that may be cleared."""
    return [name for name in names if clears & {name, ALL} and name not in IMMUTABLE and name[0] not in OPERATORS]


def few_states(frame: pl.DataFrame, known: pl.DataFrame, told: ToldApart, secret: bytes) -> pl.DataFrame | None:
    """The `states` of a Diffed.

    None where there are many rows, where a player is there twice, where what must never change did, and where something is cleared.
    """
    players = frame.get_column(PLAYER).to_list()
    if not are_few(frame) or known.height > FEW or len(set(players)) < len(players):
        return None
    kept = (known.get_column(name).to_list() for name in ("id", "whole", "parts"))
    before = {player: (whole, parts) for player, whole, parts in zip(*kept, strict=True)}
    layout = layout_of(told.text, secret)
    marks = [prints(frame, [name], secret) for name in told.fixed]
    marks += [filled(frame.get_column(name)) for name in told.clearable]
    eids, wholes, parts, changed = [], [], [], []
    rows = zip(players, frame.get_column(SEED).to_list(), prints(frame, told.names, secret), strict=True)
    for place, (player, seed, whole) in enumerate(rows):
        own = [mark[place] for mark in marks]
        last, last_parts = before.get(player, (None, None))
        if differs(last_parts, layout, own):
            return None
        eids.append(uuid_text(f"{seed}{SEPARATOR}{whole}"))
        wholes.append(bytes.fromhex(whole))
        even = "0" * (len(told.clearable) % 2)
        parts.append(bytes.fromhex("".join((layout, *own, even))) if own else None)
        changed.append(wholes[-1] != last)
    return table(
        [
            frame.get_column(PLAYER).alias("id"),
            few_columns.column("text", eids, "eid"),
            few_columns.column("bytes", wholes, "whole"),
            few_columns.column("bytes", parts, "parts"),
            frame.get_column(POSITION),
            few_columns.column("truth", changed, "changed"),
        ]
    )


def prints(frame: pl.DataFrame, names: Sequence[str], secret: bytes) -> list[str]:
    """The keyed fingerprint of some properties of each, as `content_prints` makes it."""
    return [hmac_sha256(text, secret.hex())[:DIGITS] for text in content_texts(frame, names, (PLAYER,))]


def differs(known: bytes | None, layout: str, own: Sequence[str]) -> bool:
    """Whether a part is another than before, or something that had a value, or may have had one, has none."""
    text = known.hex() if known is not None else ""
    if not text.startswith(layout):
        return bool(text) and "0" in own
    at = DIGITS
    for mark in own:
        old = text[at : at + len(mark)]
        at += len(mark)
        if old not in (mark, UNSURE) and (len(mark) == DIGITS or (old, mark) == ("1", "0")):
            return True
    return False
