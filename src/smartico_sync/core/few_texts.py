"""Hashes of a handful of texts, one by one: the same that polars-hash makes of a column, where a query costs more than the hash.

A poll that finds one row needs a dozen of them; each is 50 to 500 µs as a query, and 3 to 10 µs here.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FEW", "are_few", "hmac_sha256", "sha256", "xxh64"]

Lanes = tuple[int, int, int, int]

FEW = 16  # rows: looking at each costs less than a query does
WORD = (1 << 64) - 1
P1, P2, P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P4, P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
ONE, FOUR = struct.Struct("<Q"), struct.Struct("<4Q")
STRIPE = 32  # bytes that XXH64 takes at once, in four lanes of one word each


def are_few(rows: pl.DataFrame | pl.Series) -> bool:
    """Whether there are rows, and so few that each is looked at by itself."""
    return 0 < len(rows) <= FEW


def sha256(text: str) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def hmac_sha256(text: str, key: str) -> str:
    """HMAC-SHA-256 under the key in hexadecimal digits."""
    return hmac.digest(key.encode(), text.encode(), "sha256").hex()


def xxh64(text: str, before: str = "") -> int:
    """XXH64 with seed 0, as its specification has it: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md.

    Of both texts as one; what is the same `before` many texts is hashed once. It turns words left in place: a call for each would
    cost more than all that it does.
    """
    begun, lanes = striped_before(before)
    data = before.encode() + text.encode()
    striped = len(data) // STRIPE * STRIPE
    mixed = (merged(stripes(data[begun:striped], lanes)) if striped else P5) + len(data) & WORD
    words = striped + (len(data) - striped) // 8 * 8
    for (word,) in ONE.iter_unpack(data[striped:words]):
        word = word * P2 & WORD  # noqa: PLW2901 - the names of the specification would be no clearer
        mixed ^= (word << 31 & WORD | word >> 33) * P1 & WORD
        mixed = ((mixed << 27 & WORD | mixed >> 37) * P1 + P4) & WORD
    if len(data) - words >= 4:
        mixed ^= int.from_bytes(data[words : words + 4], "little") * P1 & WORD
        mixed = ((mixed << 23 & WORD | mixed >> 41) * P2 + P3) & WORD
        words += 4
    for byte in data[words:]:
        mixed ^= byte * P5 & WORD
        mixed = (mixed << 11 & WORD | mixed >> 53) * P1 & WORD
    mixed = (mixed ^ mixed >> 33) * P2 & WORD
    mixed = (mixed ^ mixed >> 29) * P3 & WORD
    return mixed ^ mixed >> 32


@lru_cache(maxsize=16)
def striped_before(before: str) -> tuple[int, Lanes]:
    """How many bytes of whole stripes a text begins with, and what the four lanes make of them."""
    data = before.encode()
    begun = len(data) // STRIPE * STRIPE
    return begun, stripes(data[:begun], (P1 + P2 & WORD, P2, 0, -P1 & WORD))


def stripes(data: bytes, lanes: Lanes) -> Lanes:
    """What the four lanes make of further whole stripes."""
    a, b, c, d = lanes
    for one, two, three, four in FOUR.iter_unpack(data):
        a, b, c, d = a + one * P2 & WORD, b + two * P2 & WORD, c + three * P2 & WORD, d + four * P2 & WORD
        a, b = (a << 31 & WORD | a >> 33) * P1 & WORD, (b << 31 & WORD | b >> 33) * P1 & WORD
        c, d = (c << 31 & WORD | c >> 33) * P1 & WORD, (d << 31 & WORD | d >> 33) * P1 & WORD
    return a, b, c, d


def merged(lanes: Lanes) -> int:
    """What they make together."""
    a, b, c, d = lanes
    mixed = (a << 1 & WORD | a >> 63) + (b << 7 & WORD | b >> 57) & WORD
    mixed = mixed + (c << 12 & WORD | c >> 52) + (d << 18 & WORD | d >> 46) & WORD
    for each in lanes:
        word = each * P2 & WORD
        mixed = ((mixed ^ (word << 31 & WORD | word >> 33) * P1 & WORD) * P1 + P4) & WORD
    return mixed
