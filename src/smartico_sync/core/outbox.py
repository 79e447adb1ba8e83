"""Profiles that are about to be sent, as bytes to be kept until their acknowledgement is: a late request then holds nothing new.

Arrow rather than the requests themselves: columns are smaller, and written in a fifth of the time.
"""

from __future__ import annotations

import json
import struct
from io import BytesIO
from typing import TYPE_CHECKING, Literal

import polars as pl
from msgspec import Struct

from smartico_sync.core.events import PLAYER, POSITION, Events
from smartico_sync.core.few_texts import are_few
from smartico_sync.core.picked import picked
from smartico_sync.core.records import Commit
from smartico_sync.core.told_sets import marked

if TYPE_CHECKING:
    from smartico_sync.core.records import Receipt

__all__ = ["OutboxPage", "packed", "unpacked", "without"]

LENGTHS = struct.Struct("<II")  # of the names and of the events; the profiles are the rest


class OutboxPage(Struct, frozen=True):
    """Events that were, or were about to be, on their way, and what to remember of each once it is accepted.

    `id` is the store's, in the order of sending. `profiles` as in PreparedBatch, without ids of events.
    """

    id: int
    events: Events
    profiles: pl.DataFrame

    def commit(self, view: str, receipt: Receipt, at_ms: int) -> Commit:
        """What it changes that these events were sent again: what was accepted is known, and the page is settled.

        Nothing else: the rows are read again, and what was refused is given up, or waits, from there.
        """
        refused = [refusal.row for refusal in receipt.refused]
        sent = self.events.frame.get_column(POSITION).implode()
        there = self.profiles.filter(pl.col(POSITION).is_in(sent) & ~pl.col(POSITION).is_in(refused))
        known = there.select("id", "whole", "parts", "cursor_at", *marked(there.columns))
        return Commit(view, at_ms, profiles=known, outbox=(self.id,))


def packed(events: Events, profiles: pl.DataFrame) -> bytes:
    """Events and what to remember of them as bytes."""
    names = json.dumps([sorted(events.raw), sorted(events.optional)]).encode()
    # Fingerprints do not get smaller.
    remembered = picked(profiles, (name for name in profiles.columns if name != "eid"))
    # zstd takes several times as long for a third fewer bytes, none of which outlives the acknowledgement. What is small stays
    # so, and a handful of events are not worth the time.
    of_events: Literal["lz4", "uncompressed"] = "uncompressed" if are_few(events.frame) else "lz4"
    frames = [stream(events.frame, of_events), stream(remembered, "uncompressed")]
    return b"".join([LENGTHS.pack(len(names), len(frames[0])), names, *frames])


def unpacked(number: int, page: bytes) -> OutboxPage:
    """The page that was packed."""
    first, second = LENGTHS.unpack_from(page)
    names = LENGTHS.size + first
    raw, optional = json.loads(page[LENGTHS.size : names])
    frame, profiles = (
        pl.read_ipc_stream(BytesIO(part)) for part in (page[names : names + second], page[names + second :])
    )
    return OutboxPage(number, Events(frame, frozenset(raw), frozenset(optional)), profiles)


def without(page: OutboxPage, player: int) -> OutboxPage:
    """The page without what is of that player."""
    frame = page.events.frame.filter(pl.col(PLAYER) != player)
    events = Events(frame, page.events.raw, page.events.optional)
    return OutboxPage(page.id, events, page.profiles.filter(pl.col("id") != player))


def stream(frame: pl.DataFrame, compression: Literal["lz4", "uncompressed"]) -> bytes:
    """A frame in Arrow's format."""
    target = BytesIO()
    frame.write_ipc_stream(target, compression=compression)
    return target.getvalue()
