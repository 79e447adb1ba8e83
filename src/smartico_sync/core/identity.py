"""Stable names for events, players and rows: a crash, a timeout or a rewind makes the same ones again.

Every name is a hash of parts that are joined unambiguously: each part as `<bytes>:<text>`, NULL as `-`. Event ids and
fingerprints use SHA-256, so that anyone can compute them again; the 64-bit keys of ledger and lanes use XXH64, whose
specification fixes every bit too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import polars_hash as plh

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["FORMATS", "content", "eids", "fingerprints", "hash64", "joined", "ledger_keys"]

FORMATS = 2  # of event ids, ledger keys and fingerprints; golden values in tests/golden/formats.json freeze them


def joined(parts: Iterable[pl.Expr]) -> pl.Expr:
    """One text for several String parts; different parts never make the same text."""
    return pl.concat_str([part for expr in parts for part in framed(expr)])


def framed(expr: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """A part's length in bytes, and the part; NULL and the empty text differ."""
    text = expr.cast(pl.String)
    return (text.str.len_bytes().cast(pl.String) + ":").fill_null("-"), text.fill_null("")


def content(frame: pl.DataFrame, names: Sequence[str]) -> list[pl.Expr]:
    """The named values of each row, to be glued with NULLs ignored: different values never make the same text.

    A value stands after its column's name, texts as `<bytes>:<text>`, all others as `<value>;`. What is NULL leaves no
    trace, so a row reads the same whether or not it has a further, empty column.
    """
    glued: list[pl.Expr] = []
    for name in names:
        column = frame.get_column(name)
        value = pl.col(name).cast(pl.String)
        length = [value.str.len_bytes().cast(pl.String), pl.lit(":"), value]
        named = [
            pl.lit(f"{len(name.encode())}:{name}"), *(length if column.dtype == pl.String else [value, pl.lit(";")])
        ]  # fmt: skip
        glued += [pl.concat_str(named)] if column.null_count() else named
    return glued


def eids(frame: pl.DataFrame, parts: Iterable[pl.Expr]) -> pl.Series:
    """UUIDs of version 8 (String) from the SHA-256 of the parts: 120 of its bits in order, around version and variant."""
    digest = frame.select(joined(parts).alias("seed")).select(plh.col("seed").chash.sha2_256())
    hexes = pl.col("seed").str
    return digest.select(
        pl.concat_str(
            hexes.slice(0, 8), pl.lit("-"), hexes.slice(8, 4), pl.lit("-8"), hexes.slice(12, 3), pl.lit("-8"),
            hexes.slice(15, 3), pl.lit("-"), hexes.slice(18, 12),
        )
    ).to_series()  # fmt: skip


def fingerprints(seeds: pl.Series, secret: bytes) -> pl.Series:
    """HMAC-SHA-256 of each seed under the secret, its first 8 bytes as 16 hexadecimal digits (String).

    Keyed, so that nobody who reads the state file can try out values; 64 bits, because a change is missed only when two
    states of one player collide.
    """
    frame = seeds.alias("seed").to_frame()
    hashed = frame.select(plh.col("seed").chash.hmac_sha256(key=secret.hex()))
    return hashed.to_series().str.slice(0, 16)


def hash64(frame: pl.DataFrame, parts: Iterable[pl.Expr]) -> pl.Series:
    """XXH64 of the parts (UInt64)."""
    seeds = frame.select(joined(parts).alias("seed"))
    return seeds.select(plh.col("seed").nchash.xxhash64()).to_series()


def ledger_keys(page: pl.DataFrame) -> pl.Series:
    """What a row is called in the ledger: the hash (UInt64) of its `@cursor` and `@key.*`, or for a keyless view of its cursor."""
    names = [name for name in page.columns if name == "@cursor" or name.startswith("@key.")]
    return hash64(page, [pl.col(name) for name in names]).alias("key")
