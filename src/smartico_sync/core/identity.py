"""Stable names for events, players and rows: a crash, a timeout or a rewind makes the same ones again.

A name is a hash of a seed: its parts as text, joined by U+001F. A part that is NULL is written U+001E and `-`; one that holds
U+001E or U+001F itself is written U+001E, its length in bytes, `:` and the text. So different parts never make the same seed.

Event ids are SHA-256, so that anyone can compute them again; fingerprints of profiles are HMAC-SHA-256 under the state's
secret. Keys of the ledger and of players are XXH64 of the secret and the seed: it costs a fifth of a cryptographic hash,
which would be a tenth of all that a row costs. It keeps somebody who has the state and not its key file from trying values
out, as long as he cannot break XXH64 itself: a weak promise, and they name nothing but a row and a player.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import polars as pl
import polars_hash as plh

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["FORMATS", "contents", "eids", "extended", "fingerprints", "keyed_hash", "player_hash", "seeds"]

FORMATS = 2  # of event ids, ledger keys and fingerprints; golden values in tests/golden/formats freeze them
SEPARATOR, MARK = "\x1f", "\x1e"
NULL = f"{MARK}-"
CODE = 3  # characters that stand for a property's name: of 40 names, two share them once in 330 views


def seeds(frame: pl.DataFrame, parts: Iterable[pl.Expr]) -> pl.Series:
    """One seed for each row (String, never null); different parts never make the same one."""
    columns = frame.select(part.alias(str(place)) for place, part in enumerate(parts))
    written = [
        text.fill_null(NULL) if columns.get_column(name).null_count() else text
        for name, text in zip(columns.columns, framed(columns, columns.columns), strict=True)
    ]
    return columns.select(pl.concat_str(written, separator=SEPARATOR).alias("seed")).to_series()


def extended(seed: pl.Series, part: pl.Series) -> pl.Series:
    """The seeds with one more part, which is a hash: never null, and without separators."""
    return (
        pl.DataFrame([seed.alias("seed"), part.alias("part")])
        .select(pl.concat_str("seed", "part", separator=SEPARATOR))
        .to_series()
    )


def framed(frame: pl.DataFrame, names: Sequence[str]) -> list[pl.Expr]:
    """The values of these columns as parts of a seed; NULL stays null."""
    texts = [name for name in names if frame.schema[name] == pl.String]
    odd = {name: pl.col(name).str.contains(f"[{SEPARATOR}{MARK}]") for name in texts}
    # Hardly ever: then nothing need be written another way.
    found = frame.select(mask.any() for mask in odd.values()).row(0, named=True) if texts and frame.height else {}
    return [
        pl.when(odd[name]).then(marked(pl.col(name))).otherwise(pl.col(name))
        if found.get(name)
        else text_of(frame, name)
        for name in names
    ]


def marked(text: pl.Expr) -> pl.Expr:
    """A text that holds a separator, so that it can be told where it ends."""
    return pl.concat_str(pl.lit(MARK), text.str.len_bytes().cast(pl.String), pl.lit(":"), text)


def text_of(frame: pl.DataFrame, name: str) -> pl.Expr:
    """A column as text."""
    return pl.col(name) if frame.schema[name] == pl.String else pl.col(name).cast(pl.String)


def contents(frame: pl.DataFrame, names: Sequence[str], *before: str) -> pl.Series:
    """What rows hold in the named columns, as a seed that begins with the columns `before`; in the order of the names.

    A value stands after its column's code. What is NULL leaves no trace, so a row reads the same whether or not it has a
    further, empty column.
    """
    code = codes(names)
    glued: list[pl.Expr] = [part for name in before for part in (pl.col(name).cast(pl.String), pl.lit(SEPARATOR))]
    for name, value in zip(names, framed(frame, names), strict=True):
        part = [pl.lit(code[name]), value, pl.lit(SEPARATOR)]
        glued += [pl.concat_str(part)] if frame.get_column(name).null_count() else part
    return frame.select(pl.concat_str(glued or [pl.lit("")], ignore_nulls=True).alias("seed")).to_series()


def codes(names: Sequence[str]) -> dict[str, str]:
    """A few characters for each name, the same in every page; names of one view that share them are written out."""
    short = {name: base64.b64encode(hashlib.sha256(name.encode()).digest())[:CODE].decode() for name in names}
    shared = list(short.values())
    return {name: text if shared.count(text) == 1 else f"{MARK}{name}{MARK}" for name, text in short.items()}


def eids(seed: pl.Series) -> pl.Series:
    """UUIDs of version 8 (String) from the SHA-256 of the seeds: 120 of its bits in order, around version and variant."""
    digest = seed.to_frame("seed").select(plh.col("seed").chash.sha2_256())
    hexes = pl.col("seed").str
    return digest.select(
        pl.concat_str(
            hexes.slice(0, 8), pl.lit("-"), hexes.slice(8, 4), pl.lit("-8"), hexes.slice(12, 3), pl.lit("-8"),
            hexes.slice(15, 3), pl.lit("-"), hexes.slice(18, 12),
        )
    ).to_series()  # fmt: skip


def fingerprints(seed: pl.Series, secret: bytes) -> pl.Series:
    """HMAC-SHA-256 of each seed under the secret, its first 8 bytes as 16 hexadecimal digits (String).

    Keyed, so that nobody who reads the state file can try out values; 64 bits, because a change is missed only when two
    states of one player collide.
    """
    hashed = seed.to_frame("seed").select(plh.col("seed").chash.hmac_sha256(key=secret.hex()))
    return hashed.to_series().str.slice(0, 16)


def player_hash(brand: str, user: str, secret: bytes) -> int:
    """What a player is called in the state (64 bits, unsigned), the same in every view."""
    named = pl.DataFrame({"brand": [brand], "user": [user]})
    return int(keyed_hash(seeds(named, [pl.col("brand"), pl.col("user")]), secret).item())


def keyed_hash(seed: pl.Series, secret: bytes) -> pl.Series:
    """XXH64 (UInt64) of the secret in hexadecimal digits and the seed."""
    keyed = seed.to_frame("seed").select(plh.concat_str([pl.lit(secret.hex()), pl.col("seed")]).nchash.xxhash64())
    return keyed.to_series()
