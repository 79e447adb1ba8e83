"""Names of events, players and rows."""

from __future__ import annotations

import hashlib
import hmac
import uuid

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.core.identity import content, eids, fingerprints, hash64, joined, ledger_keys

TEXTS = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["", "-", "0:", "1:a", ":"]),
)
ROWS = st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=2, max_size=12, unique=True)


def frame(rows):
    return pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String, "c": pl.String}, orient="row")


def reference_seed(parts):
    """The seed as anyone can write it down: `<bytes>:<text>` for each part, `-` for NULL."""
    return "".join("-" if part is None else f"{len(part.encode())}:{part}" for part in parts)


def reference_eid(parts):
    """The event id, computed with the standard library alone."""
    digits = hashlib.sha256(reference_seed(parts).encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-8{digits[12:15]}-8{digits[15:18]}-{digits[18:30]}"


@given(ROWS)
def test_different_parts_never_make_the_same_seed(rows):
    """NULL, the empty text, separators and any Unicode stay apart, however parts are cut."""
    seeds = frame(rows).select(joined([pl.col("a"), pl.col("b"), pl.col("c")])).to_series()
    assert seeds.null_count() == 0
    assert seeds.n_unique() == len(rows)
    assert seeds.to_list() == [reference_seed(row) for row in rows]


@given(ROWS)
def test_an_eid_can_be_computed_again_with_the_standard_library(rows):
    """SHA-256 of the seed, as a UUID of version 8 and RFC variant."""
    page = frame(rows)
    made = eids(page, [pl.col("a"), pl.col("b"), pl.col("c")]).to_list()
    assert made == [reference_eid(row) for row in rows]
    assert all(uuid.UUID(eid).version == 8 and uuid.UUID(eid).variant == uuid.RFC_4122 for eid in made)


def test_eids_are_the_same_with_every_version_of_every_library():
    """Golden values: if this fails, an update would send what was already delivered once more."""
    page = frame([("casino", "b1", "42"), ("casino", "b1", None), ("", "é\x00😀", '"')])
    assert eids(page, [pl.col("a"), pl.col("b"), pl.col("c")]).to_list() == [
        "b3ef2c0a-fbd9-81c0-86a6-4d726bc64cac",
        "1c8c2e2c-2562-8ef2-89ab-14181ce67053",
        "5da52b2b-618d-80bf-8573-2db443329f43",
    ]
    assert hash64(page, [pl.col("a"), pl.col("b")]).to_list()[::2] == [7244547385927076786, 6348047058500023244]
    assert fingerprints(pl.Series(["3:abc"]), b"k" * 32).to_list() == ["e3ef9c65623208d7"]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), st.binary(min_size=32, max_size=32))
def test_a_fingerprint_is_an_hmac_under_the_secret(seed, secret):
    """Without the secret nobody can try out values; with it, the standard library computes the same."""
    expected = hmac.new(secret.hex().encode(), seed.encode(), hashlib.sha256).hexdigest()[:16]
    assert fingerprints(pl.Series([seed]), secret).item() == expected


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


def contents(page, names):
    return page.select(pl.concat_str([pl.lit("<"), *content(page, names)], ignore_nulls=True)).to_series()


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


def test_the_ledger_knows_a_row_by_cursor_and_key():
    """Equal cursor and key, equal hash, whatever else the frame holds; a keyless row goes by its cursor."""
    page = pl.DataFrame({"x": [1, 2, 3], "@cursor": ["1", "1", "2"], "@key.0": ["a", "b", "a"]})
    keys = ledger_keys(page)
    assert keys.dtype == pl.UInt64
    assert keys.n_unique() == 3
    assert ledger_keys(page.drop("x")).to_list() == keys.to_list()
    assert ledger_keys(page.select("x", "@cursor")).n_unique() == 2
