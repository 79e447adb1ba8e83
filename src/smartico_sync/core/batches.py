"""Request bodies: events as the JSON array of the ingest API, within its limits."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import polars as pl
from msgspec import Struct

from smartico_sync.core.events import BRAND, DATE, EID, ENVELOPE, KEY, PLAYER, TYPE, USER, Events
from smartico_sync.core.few_texts import FEW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

__all__ = ["ANYWHERE", "CALM_WORTH", "FULL_SPREAD", "SPREAD", "WORTH", "Batch", "batches", "encode", "parts", "weight"]

# Groups of players, of about twenty events in a full page: what a part lacks to its limit is half a group.
SLICES = 1024
HALF = 1 << 32  # rows of a page are fewer
SPREAD = 4  # parts at least: one that must wait holds up a quarter of the players
# Parts at least in a backlog: an API that answers one, and not the other, is slow with a player and not down.
FULL_SPREAD = 2
WORTH = 100  # events: a page is not spread into smaller parts than these
CALM_WORTH = 25  # the same while the API would take many more requests: fewer share one with a player it is slow with
APART = 8  # parts at most of what is sent apart
JSON = "@json"  # an event's JSON text while a page is cut into requests
# Bytes beside an event until it is acknowledged: its place, ids and fingerprint, its player among those who wait, and what encryption adds.
KEPT = 400
BRACKETS = 2  # bytes around the events of a body
SHAPES = 256  # of pages of all views: which properties there are, and which of them some event lacks
SAID = (DATE, BRAND, USER, TYPE)  # beside the payload
UNWRITTEN = frozenset(ENVELOPE) - {*SAID}
QUOTED = 4096  # names of properties
# JSON escapes these inside a string, and nothing else; a column without any is only put between quotes.
ESCAPED = ['"', "\\", *(chr(code) for code in range(0x20))]
ESCAPED_IN = re.compile(f"[{re.escape(''.join(ESCAPED))}]")

ANYWHERE = 0  # slices of a request of which it is not known
# Events, the JSON text of each, and the slices of their players.
Piece: TypeAlias = "tuple[pl.DataFrame, pl.Series, int]"


class Batch(Struct, frozen=True):
    """One request: its body and the events in it.

    `slices`: a bit for each in which its players may be, ANYWHERE where that is not known. Two requests share no player
    if they share no slice.
    """

    body: bytes
    events: Events
    slices: int = ANYWHERE


def parts(events: Events, most: int) -> list[Events]:
    """Split by player into parts of at most `most` events: one player's are in one part, in order.

    A player with more than that fills several consecutive parts; parts that share players stand in their order.
    """
    return [Events(piece, events.raw) for piece in pieces(events.frame, most)]


def pieces(frame: pl.DataFrame, most: int, worth: int = WORTH, spread: int = SPREAD) -> list[pl.DataFrame]:
    """The frames of `parts`; at least `spread` of them, if they hold as many events as are `worth` a part."""
    order, cuts = cut(frame.get_column(PLAYER), most, worth, spread)
    ordered = frame if order is None else frame[order]
    return [ordered.slice(start, length) for start, length, _ in cuts]


def cut(players: pl.Series, most: int, worth: int, spread: int) -> tuple[pl.Series | None, list[tuple[int, int, int]]]:
    """The order in which rows are to be cut (None: as they stand), and start, length and slices of each of the `pieces`."""
    rows = players.len()
    if not rows:
        return None, []
    limit = min(most, -(-rows // max(1, min(spread, rows // worth))) + rows // SLICES + 1)
    if rows <= limit:
        return None, [(0, rows, ANYWHERE)]
    # Each part is a range of the same slices, in every page: a request that waits has the same players as few others.
    # One number says the slice and, in its lower half, the row: they are sorted once, and rows of a slice keep their order.
    placed = pl.select(pl.lit(players) % SLICES * HALF + pl.int_range(rows, dtype=pl.UInt64)).to_series().sort()
    groups = (placed // HALF).rle().struct
    sizes, slices = groups.field("len").to_list(), groups.field("value").to_list()
    return (placed % HALF).cast(pl.UInt32), list(ranges(sizes, slices, limit, most))


def ranges(sizes: list[int], slices: list[int], limit: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Start, length and slices of parts that end between groups of these sizes, of at most `limit` rows or one group.

    A group of more than `most` rows fills several.
    """
    start = length = held = 0
    for size, each in zip([*sizes, limit + 1], [*slices, 0], strict=True):
        if length and length + size > limit:
            yield from ((at, min(most, start + length - at), held) for at in range(start, start + length, most))
            start, length, held = start + length, 0, 0
        length += size
        held |= 1 << each


def weight(events: Events) -> float:
    """Bytes that events take until they are acknowledged, about: in the order of their requests, and as bodies that name each property."""
    frame = events.frame
    names = sum(len(name) + len('"":"",') for name in frame.columns)
    return 2.0 * frame.estimated_size() + frame.height * (names + KEPT)


def batches(
    events: Events,
    most: int,
    most_bytes: int,
    *,
    worth: int = WORTH,
    spread: int = SPREAD,
    apart: AbstractSet[int] = frozenset(),
) -> tuple[list[Batch], list[Events]]:
    """Requests of at most `most` events and `most_bytes` bytes, and the single events that are larger than that.

    Requests that share players stand in their order, as in `parts`. The players `apart` are in a few requests without any
    other. Each event is encoded once.
    """
    ready: list[Batch] = []
    large: list[Events] = []
    if not events.frame.height:
        return ready, large
    if events.frame.height <= FEW and apart.isdisjoint(events.frame.get_column(PLAYER)):
        body = encode(events)
        if events.frame.height <= most and len(body) <= most_bytes:
            return [Batch(body, events)], large
    frame, texts = events.frame, objects(events)
    if apart:
        theirs = frame.get_column(PLAYER).is_in(pl.Series(list(apart), dtype=pl.UInt64).implode())
        waiting = [
            *cut_with_texts(frame.filter(~theirs), texts.filter(~theirs), most, worth, spread),
            # Others are in the same slices, and must not seem to be in the same requests.
            *(
                (piece, its_texts, ANYWHERE)
                for piece, its_texts, _ in cut_with_texts(frame.filter(theirs), texts.filter(theirs), most, 1, APART)
            ),
        ]
    else:
        waiting = cut_with_texts(frame, texts, most, worth, spread)
    waiting.reverse()
    longest: int = texts.str.len_bytes().max() or 0  # type: ignore[assignment] # a number
    small = (longest + 1) * most + BRACKETS <= most_bytes  # whatever is in them
    while waiting:
        piece, texts, slices = waiting.pop()
        if small or int(texts.str.len_bytes().sum()) + texts.len() - 1 + BRACKETS <= most_bytes:
            ready.append(Batch(array(texts), Events(piece, events.raw), slices))
        elif piece.height == 1:
            large.append(Events(piece, events.raw))
        else:
            half = piece.height // 2
            waiting += [
                (piece.slice(half), texts.slice(half), slices),
                (piece.slice(0, half), texts.slice(0, half), slices),
            ]
    return ready, large


def cut_with_texts(frame: pl.DataFrame, texts: pl.Series, most: int, worth: int, spread: int) -> list[Piece]:
    """The `pieces` of events, each with its JSON texts."""
    order, cuts = cut(frame.get_column(PLAYER), most, worth, spread)
    if order is not None:
        frame, texts = frame[order], texts.gather(order)
    return [(frame.slice(start, length), texts.slice(start, length), slices) for start, length, slices in cuts]


def encode(events: Events) -> bytes:
    """The JSON array of these events, UTF-8. Properties that are null are left out; `raw` columns go as they stand."""
    few = few_objects(events) if events.frame.height <= FEW else None
    return array(objects(events)) if few is None else f"[{','.join(few)}]".encode()


def array(texts: pl.Series) -> bytes:
    """The body that holds these JSON texts."""
    if texts.len() <= FEW:
        return f"[{','.join(texts.to_list())}]".encode()
    # Joined here, and the brackets put on before: polars takes twice as long, and half a megabyte is copied once less.
    bodies = texts.cast(pl.Binary).to_list()
    bodies[0] = b"[" + bodies[0]
    bodies[-1] += b"]"
    return b",".join(bodies)


def objects(events: Events) -> pl.Series:
    """Each event as a JSON object (String), in order."""
    frame = events.frame
    if frame.height <= FEW and (few := few_objects(events)) is not None:
        return pl.Series(JSON, few, dtype=pl.String)
    columns = frame.get_columns()
    names = tuple(column.name for column in columns if column.name not in ENVELOPE)
    kept = (*events.raw, EID, KEY)
    texts = tuple(column.name for column in columns if column.dtype == pl.String and column.name not in kept)
    escaped: frozenset[str] = with_escapes(frame, texts) if texts else frozenset()
    lacking = frozenset(name for name in names if frame.get_column(name).null_count())
    return frame.select(glued(names, lacking, texts, escaped)).to_series()


def few_objects(events: Events) -> list[str] | None:
    """The same of a handful of events; None where a value must be escaped, or Python prints it otherwise than polars."""
    names = events.frame.columns
    made = [one_object(dict(zip(names, row, strict=True)), events.raw) for row in events.frame.rows()]
    return [each for each in made if each is not None] if None not in made else None


def one_object(event: Mapping[str, object], raw: AbstractSet[str]) -> str | None:
    """One of them."""
    written = {name: written_value(name, value, raw) for name, value in event.items() if name not in UNWRITTEN}
    if None in written.values() or not all(written[name] for name in SAID):
        return None
    payload = ",".join(f"{quoted(name)}:{text}" for name, text in written.items() if text and name not in SAID)
    return (
        f'{{"eid":"{event[EID]}","event_date":{written[DATE]},"ext_brand_id":{written[BRAND]},"user_ext_id":{written[USER]},'
        f'"event_type":{written[TYPE]},"payload":{{{payload}}}}}'
    )


def written_value(name: str, value: object, raw: AbstractSet[str]) -> str | None:
    """A value as JSON, empty for one that is NULL; None where polars has to write it."""
    if value is None:
        return ""
    if isinstance(value, str):
        if name in raw:
            return value
        return None if ESCAPED_IN.search(value) else f'"{value}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else None


@lru_cache(maxsize=QUOTED)
def quoted(name: str) -> str:
    """A property's name in JSON."""
    return json.dumps(name)


@lru_cache(maxsize=SHAPES)
def glued(names: tuple[str, ...], lacking: frozenset[str], texts: tuple[str, ...], escaped: frozenset[str]) -> pl.Expr:
    """The objects of events with these properties, of which some rows lack some; built once for each such shape.

    Whole columns are written into one form. Around the first property that no row lacks, the commas of the others stand on
    its side, so that those left out take theirs along.
    """
    value = wire_values(texts, escaped)
    opening = [
        '{"eid":"', pl.col(EID), '","event_date":', pl.col(DATE).cast(pl.String), ',"ext_brand_id":', *value(BRAND),
        ',"user_ext_id":', *value(USER), ',"event_type":', *value(TYPE), ',"payload":{',
    ]  # fmt: skip
    certain = next((place for place, name in enumerate(names) if name not in lacking), None)
    payload: list[str | pl.Expr] = []
    for place, name in enumerate(names):
        before, after = (",", "") if certain is None or place > certain else ("", "" if place == certain else ",")
        written = [f"{before}{json.dumps(name)}:", *value(name), after]
        payload += [formed(written)] if name in lacking else written
    if payload and certain is None:
        payload = [formed(payload).str.strip_prefix(",")]
    return formed([*opening, *payload, "}}"]).alias(JSON)


def formed(written: Sequence[str | pl.Expr]) -> pl.Expr:
    """Texts and expressions as one text, empty where a value is null; in half the time in which they are glued."""
    form = "".join(each.replace("{", "{{").replace("}", "}}") if isinstance(each, str) else "{}" for each in written)
    return pl.format(form, *(each for each in written if isinstance(each, pl.Expr))).fill_null("")


def wire_values(texts: tuple[str, ...], escaped: frozenset[str]) -> Callable[[str], list[str | pl.Expr]]:
    """What stands after the colon, by column name: texts and expressions to be glued."""

    def value(name: str) -> list[str | pl.Expr]:
        column = pl.col(name)
        if name in escaped:
            # polars escapes only inside an object, here {"":"…"}.
            wrapped = pl.struct(column.alias("")).struct.json_encode()
            return [pl.when(column.is_not_null()).then(wrapped.str.slice(4).str.head(-1))]
        if name in texts:
            return ['"', column, '"']
        return [column.cast(pl.String)]

    return value


def with_escapes(frame: pl.DataFrame, texts: Sequence[str]) -> frozenset[str]:
    """Which of these columns hold something that JSON escapes."""
    found = frame.select(pl.col(texts).str.contains_any(ESCAPED).any()).row(0, named=True)
    return frozenset(name for name in texts if found[name])
