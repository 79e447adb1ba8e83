"""Request bodies: events as the JSON array of the ingest API, within its limits."""

from __future__ import annotations

import io
from dataclasses import dataclass

import polars as pl

from smartico_sync.core.events import BRAND, DATE, EID, ENVELOPE, PLAYER, TYPE, USER, Events

__all__ = ["Batch", "batches", "encode", "parts"]

FILL = 0.9  # players spread unevenly: a part aims below the limit, so that few spill over
WIRE = ((EID, "eid"), (DATE, "event_date"), (BRAND, "ext_brand_id"), (USER, "user_ext_id"), (TYPE, "event_type"))


@dataclass(frozen=True, slots=True)
class Batch:
    """One request: its body and the events in it."""

    body: bytes
    events: Events


def parts(events: Events, most: int) -> list[Events]:
    """Split by player into parts of at most `most` events: one player's are in one part, in order.

    A player with more than that fills several consecutive parts; parts that share players stand in their order.
    """
    frame = events.frame
    if frame.height <= most:
        return [events] if frame.height else []
    count = -(-frame.height // max(1, int(most * FILL)))
    split = frame.with_columns((pl.col(PLAYER) % count).alias("part")).partition_by("part", include_key=False)
    return [Events(piece.slice(start, most), events.raw) for piece in split for start in range(0, piece.height, most)]


def batches(events: Events, most: int, most_bytes: int, nonce: str) -> tuple[list[Batch], list[Events]]:
    """Requests of at most `most` events and `most_bytes` bytes, and the single events that are larger than that."""
    ready: list[Batch] = []
    large: list[Events] = []
    waiting = parts(events, most)[::-1]
    while waiting:
        piece = waiting.pop()
        body = encode(piece, nonce)
        if len(body) <= most_bytes:
            ready.append(Batch(body, piece))
        elif len(piece) == 1:
            large.append(piece)
        else:
            half = len(piece) // 2
            waiting += [Events(piece.frame.slice(half), piece.raw), Events(piece.frame.slice(0, half), piece.raw)]
    return ready, large


def encode(events: Events, nonce: str) -> bytes:
    """The JSON array of these events. Properties that are null are left out; `raw` columns go as they stand.

    `nonce` is a random text of letters that no value can know: it marks raw values while polars quotes them.
    """
    frame = events.frame
    names = [name for name in frame.columns if name not in ENVELOPE]
    opening, closing = f"{nonce}<", f">{nonce}"
    columns = [
        (pl.lit(opening) + pl.col(name).str.replace_all('"', nonce, literal=True).str.replace_all("\\", f"{nonce}_", literal=True) + pl.lit(closing)).alias(name)
        if name in events.raw else pl.col(name)
        for name in names
    ]  # fmt: skip
    payload = [pl.struct(columns).alias("payload")] if names else []
    buffer = io.BytesIO()
    frame.select(*(pl.col(column).alias(name) for column, name in WIRE), *payload).write_ndjson(buffer)
    body = buffer.getvalue()[:-1].replace(b"\n", b",")
    for name in names:
        if frame.get_column(name).null_count():
            # Quotes inside JSON strings are escaped, so these bytes occur only between properties.
            body = body.replace(b',"%s":null' % name.encode(), b"")
            body = body.replace(b'{"%s":null,' % name.encode(), b"{").replace(b'{"%s":null}' % name.encode(), b"{}")
    if events.raw:
        mark = nonce.encode()
        body = body.replace(b'"' + mark + b"<", b"").replace(b">" + mark + b'"', b"")
        if mark in body:
            body = body.replace(mark + b"_", b"\\").replace(mark, b'"')
    if not names:
        body = body.replace(b'"}', b'","payload":{}}')
    return b"[" + body + b"]"
