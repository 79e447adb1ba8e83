"""The ledger: what was delivered is known exactly, in few bytes."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smartico_sync.core.records import Commit
from smartico_sync.state.ledger import BUCKET_MS, few, many, pack, unpack
from smartico_sync.state.store import Store

KEYS = st.integers(0, 2**64 - 1)
HOURS = st.integers(-3 * BUCKET_MS, 3 * BUCKET_MS)
SCHEMA = {"key": pl.UInt64, "cursor_ms": pl.Int64}


def frame(rows):
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@given(st.lists(st.tuples(KEYS, st.integers(-(2**63), 2**63 - 1) | st.integers(0, 70_000)), min_size=1))
@settings(max_examples=100, deadline=None)
def test_packing_loses_nothing(rows):
    """Packed and unpacked, keys and cursors are the same, in order of keys, whatever their range."""
    page = pack(frame(rows))
    assert Counter(unpack(page).rows()) == Counter(rows)
    assert unpack(page).get_column("key").is_sorted()
    assert len(page.blob) <= 16 * len(rows)


@given(st.lists(st.tuples(st.none() | KEYS, st.none() | st.integers(-(2**63), 2**63 - 1) | HOURS), max_size=20))
@example([(0, 0), (0, -(2**63) + 1)])
@settings(max_examples=60, deadline=None)
def test_a_handful_is_packed_as_many_are(rows):
    """The same page and counts, whichever way; a row without a cursor is in neither."""
    (page, counts), (general, same) = few(frame(rows)), many(frame(rows))
    assert counts == same
    assert (page is None) == (general is None)
    if page is not None:
        assert (page.low_ms, page.high_ms, page.n) == (general.low_ms, general.high_ms, general.n)
        assert len(page.blob) == len(general.blob)
        assert page.blob[: 8 * page.n] == general.blob[: 8 * page.n]
        assert Counter(unpack(page).rows()) == Counter(unpack(general).rows())


@pytest.mark.slow
@given(
    pages=st.lists(st.lists(st.tuples(KEYS, HOURS), max_size=8), max_size=6),
    low=HOURS,
    high=HOURS,
    bucket=st.sampled_from([1_000, 60_000, BUCKET_MS, 2 * BUCKET_MS]),
    pruned=st.integers(0, 6),
    cut=HOURS,
)
@settings(max_examples=25, deadline=None)
def test_counts_agree_with_a_plain_list(tmp_path_factory, pages, low, high, bucket, pruned, cut):
    """Ranges and counts equal those of a plain list; whole hours also after pruning; a rewind takes away what it must."""
    rows = [row for page in pages for row in page]
    with Store.open(tmp_path_factory.mktemp("state") / "sync.db") as store:
        store.begin("v", "d", "first", 0)
        for at_ms, page in enumerate(pages):
            store.commit(Commit("v", at_ms, ledger=frame(page)))
        inside = [row for row in rows if low <= row[1] < high]
        assert Counter(store.ledger_between("v", low, high).rows()) == Counter(inside)
        assert counted(store.ledger_counts("v", low, high, bucket)) == grouped(inside, bucket)
        there = {cursor for _, cursor in rows}
        for cursor in {cursor + by for cursor in there for by in (-1, 0, 1)} | {low}:
            assert store.ledger_holds("v", cursor) == (cursor in there)
        while store.prune_ledger("v", pruned):
            pass
        left = [row for page in pages[pruned:] for row in page]
        everything = (-4 * BUCKET_MS, 4 * BUCKET_MS)
        assert Counter(store.ledger_between("v", *everything).rows()) == Counter(left)
        assert counted(store.ledger_counts("v", *everything)) == grouped(rows, BUCKET_MS)
        store.rewind("v", None, at_ms=9, from_ms=cut)
        below = [row for row in left if row[1] < cut]
        assert Counter(store.ledger_between("v", *everything).rows()) == Counter(below)
        hour = cut // BUCKET_MS * BUCKET_MS
        before = [row for row in rows if row[1] < hour]
        assert counted(store.ledger_counts("v", everything[0], hour)) == grouped(before, BUCKET_MS)
        if not pruned:
            assert counted(store.ledger_counts("v", *everything)) == grouped(below, BUCKET_MS)


def counted(counts):
    assert counts.get_column("bucket").is_sorted()
    return dict(counts.rows())


def grouped(rows, bucket):
    return dict(Counter(cursor // bucket * bucket for _, cursor in rows))


def test_pages_after_a_sequence_number(store, page):
    """After a restart the window is rebuilt from the pages after a known one, in order, across every chunk."""
    for number in range(1, 151):
        store.commit(page(number))
    pages = list(store.ledger_since("bets", 20))
    assert [seq for seq, _ in pages] == list(range(21, 151))
    assert pages[0][1].to_list() == [21, 2**64 - 22]
    assert pages[0][1].dtype == pl.UInt64


def test_sequence_numbers_are_never_used_twice(store, page):
    """Pruning everything does not bring old sequence numbers back."""
    last = store.commit(page(1))
    store.prune_ledger("bets", 100)
    assert store.commit(page(2)) == last + 1


def test_rows_without_a_place_in_the_order_are_left_out(store, rows):
    """A row with a NULL cursor is not in the ledger; a page of nothing else has no sequence number."""
    assert store.commit(Commit("bets", 1, ledger=rows([1], [None]))) == 0
    store.commit(Commit("bets", 1, ledger=rows([1, 2], [None, 5])))
    assert store.ledger_between("bets", 0, 10).rows() == [(2, 5)]


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_less_than_twenty_bytes_a_row(path, store, rows):
    """A million delivered rows in pages of a thousand or more take less than 20 bytes each, indexes included."""
    n, pages = 1_000, 100
    for number in range(pages):
        keys = pl.int_range(n, dtype=pl.UInt64, eager=True).hash(seed=number)
        store.commit(Commit("bets", number, ledger=rows(keys, pl.int_range(n, eager=True) * 100 + number * n * 100)))
    store.close()
    assert path.stat().st_size / (n * pages) < 20


def test_keys_above_the_watermark_are_never_pruned(place):
    """What is scanned again must stay known, however long a writer keeps the watermark."""
    with place.open() as store:
        store.begin("v", "d", "first", 0)
        for page in range(6):
            rows = pl.DataFrame({"key": [page], "cursor_ms": [page]}, schema={"key": pl.UInt64, "cursor_ms": pl.Int64})
            store.commit(Commit("v", page, ledger=rows))
        third = [seq for seq, _ in store.ledger_since("v", 0)][2]
        assert store.prune_ledger("v", 1_000, third) == 3
        assert store.prune_ledger("v", 1_000, third) == 0
        assert [keys.to_list() for _, keys in store.ledger_since("v", 0)] == [[3], [4], [5]]
