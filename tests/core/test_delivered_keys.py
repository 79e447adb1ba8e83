"""The set of delivered keys above the watermark."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from smartico_sync.core.late_commit.delivered_keys import CHUNK, DeliveredKeys

KEYS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 50), max_size=30)


def series(keys):
    return pl.Series(list(keys), dtype=pl.UInt64)


@settings(max_examples=50)
@given(st.lists(KEYS, max_size=24), KEYS, st.integers(0, 24))
def test_it_is_a_set(commits, asked, forgotten):
    """What was appended is known; what was forgotten may be either; nothing else is ever known."""
    known = DeliveredKeys()
    for seq, keys in enumerate(commits):
        known = known.append(seq, series(keys))
    known = known.forget(forgotten)
    every = {key for keys in commits for key in keys}
    kept = {key for keys in commits[forgotten + 1 :] for key in keys}
    for key, unseen in zip(asked + sorted(every), known.unseen(series(asked + sorted(every))), strict=True):
        assert unseen == (key not in every) or key not in kept
        assert not unseen or key not in kept


@settings(max_examples=100)
@given(st.lists(KEYS, min_size=1, max_size=24), KEYS, st.data())
def test_few_keys_are_known_among_many(commits, held, data):
    """Whether chunks are searched or hashed, alone or several as one, does not change what is known."""
    known = DeliveredKeys().hold(series(held))
    for seq, keys in enumerate(commits):
        known = known.append(seq, series(keys))
    every = sorted({*held, *(key for keys in commits for key in keys)})
    asked = data.draw(st.lists(st.sampled_from(every), max_size=5)) if every else []
    assert not known.unseen(series(asked)).any()


def test_what_is_held_is_never_forgotten():
    """Rows sent before their time stay known whatever the watermark does."""
    known = DeliveredKeys().append(1, series([1, 2])).hold(series([9, 9])).hold(series([])).forget(5)
    assert known.unseen(series([1, 9, 2])).to_list() == [True, False, True]
    assert len(known) == 1


def test_an_hour_fits_and_is_forgotten():
    """3.6 million keys take 8 bytes each in few chunks, are all found, and go when the watermark passes."""
    every = pl.select(pl.int_range(3_600_000, dtype=pl.UInt64).hash(7)).to_series()
    known = DeliveredKeys()
    for seq in range(360):
        known = known.append(seq, every.slice(seq * 10_000, 10_000))
    assert len(known) == 3_600_000
    assert len(known.chunks) < 20
    assert sum(chunk.keys.estimated_size() for chunk in known.chunks) == 8 * len(known)
    assert not known.unseen(every).any()
    assert not known.unseen(every.slice(1_000_000, 30_000)).any()
    other = pl.select(pl.int_range(30_000, dtype=pl.UInt64).hash(8)).to_series()
    assert known.unseen(other).all()
    assert len(known.forget(200)) <= 3_600_000 - 2_010_000 + CHUNK
    assert len(known.forget(359)) == 0
