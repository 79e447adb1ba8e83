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
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl
import polars_hash as plh
from msgspec import Struct

from smartico_sync.core import few_columns
from smartico_sync.core.few_texts import FEW, are_few, hmac_sha256, sha256, xxh64

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "FORMATS",
    "SEPARATOR",
    "Part",
    "Same",
    "as_signed",
    "codes",
    "content_prints",
    "content_text",
    "content_texts",
    "contents",
    "eids",
    "extended",
    "fingerprints",
    "keyed_hash",
    "keyed_text",
    "player_hash",
    "row_hashes",
    "row_ids",
    "seed_text",
    "seeds",
    "signed",
    "uuid_text",
]

FORMATS = 2  # of event ids, ledger keys and fingerprints; golden values in tests/golden/formats freeze them
SEPARATOR, MARK = "\x1f", "\x1e"
NULL = f"{MARK}-"
SEPARATORS = f"[{SEPARATOR}{MARK}]"
# Bytes of columns that are looked through as one text each: a third of the time, and as much memory.
AT_ONCE = 16_000_000
CODED = 1024  # lists of names: a view has a handful
NAMED = 8192  # names that are asked for again by every rescan; 200 bytes each
CODE = 3  # characters that stand for a property's name: of 40 names, two share them once in 330 views


class Same(Struct, frozen=True):
    """A part of seeds that is the same in every row."""

    text: str


Part: TypeAlias = "str | Same | pl.Expr"  # a column by its name, a text, or what a row says


def seeds(frame: pl.DataFrame, parts: Iterable[Part]) -> pl.Series:
    """One seed for each row (String, never null), of columns by name or of expressions; different parts never make the same one."""
    if are_few(frame):
        return few_columns.column("text", seed_texts(frame, parts), "seed")
    return seeded(frame, parts, lambda seed: seed)


def seed_texts(frame: pl.DataFrame, parts: Iterable[Part]) -> list[str]:
    """The same for a handful of rows."""
    return [seed_text(row) for row in texts(frame, parts)]


def seed_text(parts: Sequence[str | None]) -> str:
    """The same for one row."""
    if None not in parts:
        seed = SEPARATOR.join(parts)  # type: ignore[arg-type] # none is None
        if MARK not in seed and seed.count(SEPARATOR) == len(parts) - 1:  # as nearly all
            return seed
    return SEPARATOR.join(NULL if part is None else framed_text(part) for part in parts)


def texts(frame: pl.DataFrame, parts: Iterable[Part]) -> Iterable[tuple[str | None, ...]]:
    """A handful of rows as texts. No query is started but for expressions, and for columns that only polars can write."""
    parts = list(parts)
    # Nearly all columns: whole rows are less work than one column after the other.
    whole = sum(isinstance(part, str) for part in parts) * 2 >= frame.width
    held = dict(zip(frame.columns, zip(*frame.rows(), strict=True), strict=True)) if whole and frame.height else {}
    columns = [text_list(frame, part, held) for part in parts]
    asked = [place for place, column in enumerate(columns) if column is None]
    if asked:
        written = frame.select(expression(parts[place]).cast(pl.String).alias(str(place)) for place in asked)
        for place in asked:
            columns[place] = written.get_column(str(place)).to_list() * (frame.height // written.height)
    return zip(*(column for column in columns if column is not None), strict=True)


def text_list(
    frame: pl.DataFrame, part: Part, held: Mapping[str, Sequence[Any]] = MappingProxyType({})
) -> Sequence[str | None] | None:
    """A part of a handful of rows as texts, where that needs no query. `held`: the values of columns, as far as they are there."""
    if isinstance(part, Same):
        return [part.text] * frame.height
    if isinstance(part, str):
        values: Sequence[Any] = held[part] if part in held else frame.get_column(part).to_list()
        kinds = {type(value) for value in values if value is not None}
        if kinds <= {str}:
            return values
        if kinds == {int}:
            return [None if value is None else str(value) for value in values]
        if kinds == {bool}:
            return [None if value is None else str(value).lower() for value in values]
    return None


def expression(part: Part) -> pl.Expr:
    """A part as polars takes it."""
    if isinstance(part, Same):
        return pl.lit(part.text)
    return pl.col(part) if isinstance(part, str) else part


def framed_text(text: str) -> str:
    """A text as part of a seed."""
    return f"{MARK}{len(text.encode())}:{text}" if SEPARATOR in text or MARK in text else text


def seeded(
    frame: pl.DataFrame, parts: Iterable[Part], made: Callable[[pl.Expr], pl.Expr], before: str = ""
) -> pl.Series:
    """What is made of the seed of each row, and of a text `before` it, in one go."""
    parts = list(parts)
    named = {
        f"@{place}": part if isinstance(part, str) else part.alias(f"@{place}")
        for place, part in enumerate(parts)
        if not isinstance(part, Same)
    }
    plain = all(isinstance(part, str) for part in named.values())
    columns = frame if plain else frame.select(named.values())
    names = [part if isinstance(part, str) else name for name, part in named.items()]
    written = [
        text.fill_null(NULL) if columns.get_column(name).null_count() else text
        for name, text in zip(names, framed(columns, names), strict=True)
    ]
    form = SEPARATOR.join(braced(framed_text(part.text)) if isinstance(part, Same) else "{}" for part in parts)
    return columns.select(made(pl.format(braced(before) + form, *written)).alias("seed")).to_series()


def braced(text: str) -> str:
    """A text as a form for `format`, which takes half as long as to glue columns and literals."""
    return text.replace("{", "{{").replace("}", "}}")


def extended(seed: pl.Series, part: pl.Series) -> pl.Series:
    """The seeds with one more part, which is a hash: never null, and without separators."""
    if are_few(seed):
        return pl.Series("seed", [f"{before}{SEPARATOR}{last}" for before, last in zip(seed, part, strict=True)])
    return (
        pl.DataFrame([seed.alias("seed"), part.alias("part")])
        .select(pl.concat_str("seed", "part", separator=SEPARATOR))
        .to_series()
    )


def framed(frame: pl.DataFrame, names: Sequence[str]) -> list[pl.Expr]:
    """The values of these columns as parts of a seed; NULL stays null."""
    dtypes = {name: frame.get_column(name).dtype for name in names}
    written = [name for name, dtype in dtypes.items() if dtype == pl.String]
    found = with_separators(frame, written) if written and frame.height else frozenset()
    return [
        pl.when(pl.col(name).str.contains(SEPARATORS)).then(marked(pl.col(name))).otherwise(pl.col(name))
        if name in found
        else pl.col(name)
        if dtypes[name] == pl.String
        else pl.col(name).cast(pl.String)
        for name in names
    ]


def with_separators(frame: pl.DataFrame, names: Sequence[str]) -> frozenset[str]:
    """Which of these columns hold a separator. Hardly ever one does: then nothing need be written another way."""
    texts = pl.col(list(dict.fromkeys(names)))
    large = sum(frame.get_column(name).estimated_size() for name in set(names)) > AT_ONCE
    looked = texts.str.contains(SEPARATORS).any() if large else texts.str.join("").str.contains(SEPARATORS)
    return frozenset(name for name, found in frame.select(looked).row(0, named=True).items() if found)


def marked(text: pl.Expr) -> pl.Expr:
    """A text that holds a separator, so that it can be told where it ends."""
    return pl.concat_str(pl.lit(MARK), text.str.len_bytes().cast(pl.String), pl.lit(":"), text)


def contents(frame: pl.DataFrame, names: Sequence[str], *before: str) -> pl.Series:
    """What rows hold in the named columns, as a seed that begins with the columns `before`; in the order of the names.

    A value stands after its column's code. What is NULL leaves no trace, so a row reads the same whether or not it has a
    further, empty column.
    """
    if are_few(frame) and (names or before):
        return pl.Series("seed", content_texts(frame, names, before), dtype=pl.String)
    return frame.select(content(frame, names, before).alias("seed")).to_series()


def content_prints(frame: pl.DataFrame, names: Sequence[str], secret: bytes, *before: str) -> pl.Series:
    """The fingerprints of such seeds, in one go."""
    if are_few(frame) and (names or before):
        return printed_few(content_texts(frame, names, before), secret)
    return frame.select(printed(content(frame, names, before), secret).alias("seed")).to_series()


def content_texts(frame: pl.DataFrame, names: Sequence[str], before: Sequence[str]) -> list[str]:
    """The seeds of what a handful of rows hold."""
    code = [codes(names)[name] for name in names]
    made = []
    for row in texts(frame, (*before, *names)):
        values = zip(code, row[len(before) :], strict=True)
        made.append(
            content_text(
                [part or "" for part in row[: len(before)]],
                [(short, value) for short, value in values if value is not None],
            )
        )
    return made


def content_text(begin: Sequence[str], held: Sequence[tuple[str, str]]) -> str:
    """The same of one row: of what it begins with, and of each code and value."""
    text = SEPARATOR.join([*begin, *[short + value for short, value in held], ""])
    if MARK not in text and text.count(SEPARATOR) == len(begin) + len(held):  # as nearly all
        return text
    return SEPARATOR.join([*begin, *[short + framed_text(value) for short, value in held], ""])


def content(frame: pl.DataFrame, names: Sequence[str], before: Sequence[str]) -> pl.Expr:
    """The seed of what rows hold."""
    code = codes(names)
    form, glued = f"{{}}{SEPARATOR}" * len(before), [pl.col(name).cast(pl.String).fill_null("") for name in before]
    for name, value in zip(names, framed(frame, names), strict=True):
        part = f"{braced(code[name])}{{}}{SEPARATOR}"
        lacking = frame.get_column(name).null_count()
        form += "{}" if lacking else part
        glued.append(pl.format(part, value).fill_null("") if lacking else value)
    return pl.format(form, *glued)


def codes(names: Sequence[str]) -> Mapping[str, str]:
    """A few characters for each name, the same in every page; names of one view that share them are written out."""
    return coded(tuple(names))


@lru_cache(maxsize=CODED)
def coded(names: tuple[str, ...]) -> Mapping[str, str]:
    """The same, worked out once for each view."""
    short = {name: base64.b64encode(hashlib.sha256(name.encode()).digest())[:CODE].decode() for name in names}
    shared = list(short.values())
    return {name: text if shared.count(text) == 1 else f"{MARK}{name}{MARK}" for name, text in short.items()}


def eids(seed: pl.Series) -> pl.Series:
    """UUIDs of version 8 (String) from the SHA-256 of the seeds: 120 of its bits in order, around version and variant."""
    if are_few(seed):
        return uuids_few(seed.to_list())
    return uuids(seed.to_frame("seed").select(digest(pl.col("seed")).alias("seed")))


def row_ids(frame: pl.DataFrame, parts: Iterable[Part]) -> pl.Series:
    """The same of each row's seed, as `seeds` makes it."""
    if are_few(frame):
        return uuids_few(seed_texts(frame, parts))
    return uuids(seeded(frame, parts, digest).to_frame("seed"))


def uuids_few(seeds: Iterable[str]) -> pl.Series:
    """The same for a handful."""
    return few_columns.column("text", [uuid_text(seed) for seed in seeds], "seed")


def uuid_text(seed: str) -> str:
    """The same of one."""
    digits = sha256(seed)
    return f"{digits[:8]}-{digits[8:12]}-8{digits[12:15]}-8{digits[15:18]}-{digits[18:30]}"


def digest(seed: pl.Expr) -> pl.Expr:
    """SHA-256 in hexadecimal digits."""
    return plh.CryptographicHashingNameSpace(seed).sha2_256()


def uuids(digests: pl.DataFrame) -> pl.Series:
    """The UUIDs of digests [seed String]."""
    hexes = pl.col("seed").str
    cut = (hexes.slice(start, length) for start, length in ((0, 8), (8, 4), (12, 3), (15, 3), (18, 12)))
    return digests.select(pl.format("{}-{}-8{}-8{}-{}", *cut).alias("seed")).to_series()


def fingerprints(seed: pl.Series, secret: bytes) -> pl.Series:
    """HMAC-SHA-256 of each seed under the secret, its first 8 bytes as 16 hexadecimal digits (String).

    Keyed, so that nobody who reads the state file can try out values; 64 bits, because a change is missed only when two
    states of one player collide.
    """
    if are_few(seed):
        return printed_few(seed.to_list(), secret)
    return seed.to_frame("seed").select(printed(pl.col("seed"), secret)).to_series()


def printed(seed: pl.Expr, secret: bytes) -> pl.Expr:
    """The fingerprint of a seed."""
    return plh.CryptographicHashingNameSpace(seed).hmac_sha256(key=secret.hex()).str.slice(0, 16)


def printed_few(seeds: Iterable[str | None], secret: bytes) -> pl.Series:
    """The same for a handful."""
    made = [None if seed is None else hmac_sha256(seed, secret.hex())[:16] for seed in seeds]
    return pl.Series("seed", made, dtype=pl.String)


def player_hash(brand: str, user: str, secret: bytes) -> int:
    """What a player is called in the state (64 bits, unsigned), the same in every view."""
    named = pl.DataFrame({"brand": [brand], "user": [user]})
    return int(row_hashes(named, ["brand", "user"], secret).item())


def keyed_hash(seed: pl.Series, secret: bytes) -> pl.Series:
    """XXH64 (UInt64) of the secret in hexadecimal digits and the seed."""
    if are_few(seed):
        return keyed_few(seed.to_list(), secret)
    return seed.to_frame("seed").select(hashed(pl.format(f"{secret.hex()}{{}}", "seed")).alias("seed")).to_series()


def row_hashes(frame: pl.DataFrame, parts: Iterable[Part], secret: bytes) -> pl.Series:
    """The same of each row's seed, as `seeds` makes it."""
    if frame.height <= FEW:
        return keyed_few(seed_texts(frame, parts) if frame.height else [], secret)
    return seeded(frame, parts, hashed, secret.hex())


def keyed_few(seeds: Iterable[str], secret: bytes) -> pl.Series:
    """The same for a handful."""
    return few_columns.column("hash", [keyed_text(seed, secret) for seed in seeds], "seed")


@lru_cache(maxsize=NAMED)
def keyed_text(seed: str, secret: bytes) -> int:
    """The same of one."""
    return xxh64(seed, secret.hex())


def signed(hashes: pl.Series) -> pl.Series:
    """The same 64 bits as Int64: SQL's integers are signed; equal bits, equal names."""
    if are_few(hashes):
        numbers = [None if each is None else as_signed(each) for each in hashes.to_list()]
        return few_columns.column("whole number", numbers, hashes.name)
    return hashes.reinterpret(signed=True)


def as_signed(number: int) -> int:
    """The same of one."""
    return number - (number >> 63 << 64)


def hashed(text: pl.Expr) -> pl.Expr:
    """XXH64 of a text."""
    return plh.NonCryptographicHashingNameSpace(text).xxhash64()
