"""Profiles: what changed since they were last delivered, by keyed hashes; no value is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

from smartico_sync.core.events import EID, ENVELOPE, PLAYER, Events
from smartico_sync.core.identity import fingerprints, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NOTHING_KNOWN", "Diffed", "diff"]

NOTHING_KNOWN = pl.DataFrame(schema={"id": pl.UInt64, "whole": pl.Binary, "parts": pl.Binary})
DIGITS = 16  # hexadecimal digits of one fingerprint: 8 bytes


@dataclass(frozen=True, slots=True)
class Diffed:
    """What to send, and what to remember.

    `events` to send in order; `unchanged` rows that need not be; `upserts` [id UInt64, whole Binary, parts Binary] to
    commit once these events are acknowledged, one row a player, with `eid` of the event each stands for.
    """

    events: Events
    unchanged: int
    upserts: pl.DataFrame


def diff(events: Events, known: pl.DataFrame, secret: bytes, payload: Literal["full", "changed"]) -> Diffed:
    """Compare each profile with the row before it of the same player, in the frame or else in `known`.

    A column that is NULL, or is not there, counts as the same: a new empty column resends nothing. With `changed` only
    changed properties stay in an event, and a player whose known properties had another layout is sent in full.
    """
    frame = events.frame
    properties = sorted(name for name in frame.columns if name not in ENVELOPE)
    parts = {name: keyed(frame, [name], secret) for name in properties} if payload == "changed" else {}
    layout = fingerprints(pl.Series(["\n".join(properties)]), secret).item()
    blob = pl.select(pl.concat_str([pl.lit(layout), *parts.values()])).to_series() if parts else None
    state = frame.select(
        pl.col(PLAYER).alias("id"),
        pl.col(EID).alias("eid"),
        keyed(frame, properties, secret).alias("whole"),
        (blob if blob is not None else pl.lit(None, pl.String)).alias("parts"),
    )
    before = state.join(decoded(known), on="id", how="left", maintain_order="left").with_columns(
        pl.col("whole").shift(1).over("id").fill_null(pl.col("known_whole")).alias("known_whole"),
        pl.col("parts").shift(1).over("id").fill_null(pl.col("known_parts")).alias("known_parts"),
    )
    changed = before.get_column("whole").ne_missing(before.get_column("known_whole"))
    sent = frame
    if parts:
        same_layout = before.get_column("known_parts").str.starts_with(layout).fill_null(value=False)
        sent = frame.with_columns(
            pl.when(
                ~(
                    same_layout
                    & (before.get_column("known_parts").str.slice(DIGITS * (place + 1), DIGITS) == parts[name])
                )
            )
            .then(pl.col(name))
            .alias(name)
            for place, name in enumerate(properties)
        )
    upserts = state.filter(changed).group_by("id", maintain_order=True).last()
    return Diffed(
        Events(sent.filter(changed), events.raw),
        frame.height - int(changed.sum()),
        upserts.with_columns(pl.col("whole", "parts").str.decode("hex")),
    )


def keyed(frame: pl.DataFrame, names: Sequence[str], secret: bytes) -> pl.Series:
    """The keyed fingerprint of some properties, those that are NULL left out, bound to the player."""
    named = [
        pl.when(pl.col(name).is_not_null()).then(joined([pl.lit(name), pl.col(name)])).otherwise(pl.lit(""))
        for name in names
    ]
    seeds = frame.select(pl.concat_str([pl.col(PLAYER).cast(pl.String), *named], separator=";"))
    return fingerprints(seeds.to_series(), secret)


def decoded(known: pl.DataFrame) -> pl.DataFrame:
    """What the state holds, as hexadecimal text."""
    return known.select(
        pl.col("id"),
        pl.col("whole").bin.encode("hex").alias("known_whole"),
        pl.col("parts").bin.encode("hex").alias("known_parts"),
    )
