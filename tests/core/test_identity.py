"""Names of events, players and rows."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.core.few_texts import FEW
from smartico_sync.core.identity import (
    content_prints,
    contents,
    eids,
    extended,
    fingerprints,
    keyed_hash,
    row_hashes,
    row_ids,
    seeds,
)

TEXTS = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.text(st.sampled_from(["\x1f", "\x1e", "-", ":", "1", "a"]), max_size=6),
    st.sampled_from(["", "-", "0:", "1:a", ":", "\x1e-", "\x1e1:a"]),
)
ROWS = st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=2, max_size=12, unique=True)
PARTS = [pl.col("a"), pl.col("b"), pl.col("c")]


def frame(rows):
    return pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String, "c": pl.String}, orient="row")


def reference_part(part):
    """A part as anyone can write it down."""
    if part is None:
        return "\x1e-"
    return f"\x1e{len(part.encode())}:{part}" if "\x1f" in part or "\x1e" in part else part


def reference_eid(parts):
    """The event id, computed with the standard library alone."""
    digits = hashlib.sha256("\x1f".join(map(reference_part, parts)).encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-8{digits[12:15]}-8{digits[15:18]}-{digits[18:30]}"


@given(ROWS)
def test_different_parts_never_make_the_same_seed(rows):
    """NULL, the empty text, separators and any Unicode stay apart, however parts are cut."""
    made = seeds(frame(rows), PARTS)
    assert made.null_count() == 0
    assert made.n_unique() == len(rows)
    assert made.to_list() == ["\x1f".join(map(reference_part, row)) for row in rows]


@given(ROWS)
def test_an_eid_can_be_computed_again_with_the_standard_library(rows):
    """SHA-256 of the seed, as a UUID of version 8 and RFC variant."""
    made = eids(seeds(frame(rows), PARTS)).to_list()
    assert made == [reference_eid(row) for row in rows]
    assert all(uuid.UUID(eid).version == 8 and uuid.UUID(eid).variant == uuid.RFC_4122 for eid in made)


@given(ROWS, st.data())
def test_a_row_has_the_same_seed_in_every_page(rows, data):
    """What else is in the page changes nothing."""
    place = data.draw(st.integers(0, len(rows) - 1))
    assert seeds(frame(rows[place : place + 1]), PARTS).item() == seeds(frame(rows), PARTS)[place]


@given(ROWS)
def test_a_hash_as_last_part_is_a_part_like_any_other(rows):
    """A seed that is extended by a hash is the seed of all parts."""
    hashes = pl.Series(["00ff"] * len(rows))
    assert (
        extended(seeds(frame(rows), PARTS), hashes).to_list() == seeds(frame(rows), [*PARTS, pl.lit("00ff")]).to_list()
    )


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), st.binary(min_size=32, max_size=32))
def test_a_fingerprint_is_an_hmac_under_the_secret(seed, secret):
    """Without the secret nobody can try out values; with it, the standard library computes the same."""
    expected = hmac.new(secret.hex().encode(), seed.encode(), hashlib.sha256).hexdigest()[:16]
    assert fingerprints(pl.Series([seed]), secret).item() == expected


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.binary(min_size=32, max_size=32))
def test_keys_of_players_and_rows_hang_on_the_secret(seed, secret):
    """Another secret makes other keys, so that those of two states cannot be compared."""
    other = bytes([secret[0] ^ 1, *secret[1:]])
    assert keyed_hash(pl.Series([seed]), secret).item() != keyed_hash(pl.Series([seed]), other).item()


VALUES = st.fixed_dictionaries(
    {
        "a": TEXTS,
        "b": TEXTS,
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "f": st.none() | st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: value != 0),
        "t": st.none() | st.booleans(),
    }
)
SCHEMA = {"a": pl.String, "b": pl.String, "n": pl.Int64, "f": pl.Float64, "t": pl.Boolean}


@given(st.lists(VALUES, min_size=2, max_size=12, unique_by=lambda row: tuple(row[name] for name in SCHEMA)))
def test_different_values_never_read_the_same(rows):
    """Contents of different rows differ, whatever stands in them."""
    assert contents(pl.DataFrame(rows, schema=SCHEMA), list(SCHEMA)).n_unique() == len(rows)


@given(st.lists(VALUES, min_size=1, max_size=6), st.data())
def test_a_row_reads_the_same_in_every_page(rows, data):
    """What else is in the page, or a further empty column, does not change a row's content."""
    page = pl.DataFrame(rows, schema=SCHEMA)
    place = data.draw(st.integers(0, len(rows) - 1))
    alone = page.slice(place, 1).with_columns(pl.lit(None, pl.String).alias("new"))
    assert contents(alone, [*SCHEMA, "new"]).item() == contents(page, list(SCHEMA))[place]


def sharing():
    """Two names that are written with the same three characters."""
    seen = {}
    for number in range(100_000):
        name = f"property_{number}"
        code = base64.b64encode(hashlib.sha256(name.encode()).digest())[:3]
        if code in seen:
            return seen[code], name
        seen[code] = name
    raise AssertionError


def test_names_that_share_a_code_are_written_out():
    """A value that moves from one property to another is a change, also between two whose short names are equal."""
    first, second = sharing()
    schema = {first: pl.String, second: pl.String}
    page = pl.DataFrame([("x", None), (None, "x")], schema=schema, orient="row")
    assert contents(page, sorted(schema)).n_unique() == 2


VALUES = st.tuples(
    TEXTS, TEXTS, st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.floats(allow_nan=False), st.none() | st.booleans(),
    st.none() | st.datetimes(), st.none() | st.dates(), st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
)  # fmt: skip
KINDS = [pl.String, pl.String, pl.Int64, pl.Float64, pl.Boolean, pl.Datetime("us"), pl.Date, pl.String]


@given(st.lists(VALUES, min_size=1, max_size=3), st.binary(min_size=32, max_size=32))
def test_a_handful_of_rows_has_the_names_of_a_large_page(rows, secret):
    """Few rows are hashed one by one and many as columns: whatever they hold, the names are the same."""
    columns = dict(zip("abcdefgh", KINDS, strict=True))
    few = pl.DataFrame(rows, schema=columns, orient="row")
    many = pl.concat([few] * (FEW + 1))
    parts = [pl.lit("view"), *(pl.col(name) for name in columns)]
    for made in (
        lambda frame: row_ids(frame, parts),
        lambda frame: row_hashes(frame, list(columns), secret),
        lambda frame: row_hashes(frame, ["a", "h"], secret),
        lambda frame: seeds(frame, parts),
        lambda frame: eids(extended(seeds(frame, parts), frame.get_column("h").fill_null(""))),
        lambda frame: contents(frame, sorted(columns), "a"),
        lambda frame: content_prints(frame, ["b", "c", "e"], secret, "h"),
        lambda frame: content_prints(frame, [], secret, "h"),
        lambda frame: fingerprints(frame.get_column("a"), secret),
        lambda frame: keyed_hash(frame.get_column("h"), secret),
    ):
        assert made(few).equals(made(many).head(few.height), check_dtypes=True)
