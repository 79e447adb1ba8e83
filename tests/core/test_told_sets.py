"""Sets that are told by difference: whatever of the events arrived, the outcome is the set that was wanted."""

from __future__ import annotations

import json

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.core.diff import diff, nothing_known
from smartico_sync.core.events import Events
from smartico_sync.core.told_sets import EMPTY, difference, differences

NAMES = st.frozensets(st.sampled_from(["VIP", "a, b", 'say "x"', "é", "7"]))
SECRET = bytes(32)


def text(names):
    return json.dumps(sorted(names), ensure_ascii=False)


def applied(there, added, taken):
    """What a set becomes by an event."""
    return (there | set(json.loads(added or EMPTY))) - set(json.loads(taken or EMPTY))


@given(st.lists(NAMES, min_size=1), NAMES, NAMES)
def test_any_of_the_possible_sets_becomes_the_wanted_one(possible, wanted, others):
    """And what others have given stays, unless it is wanted or was told before."""
    added, taken = difference([text(names) for names in possible], text(wanted))
    ours = frozenset().union(*possible)
    for there in possible:
        assert applied(there | (others - ours), added, taken) == wanted | (others - ours)


@given(st.lists(st.tuples(NAMES, st.booleans()), min_size=1, max_size=5), NAMES)
def test_rows_of_one_player_in_one_page_may_be_refused_one_by_one(rows, known):
    """The last that is accepted decides."""
    count = len(rows)
    told, kept = differences(
        "±tags",
        pl.Series([1] * count, dtype=pl.UInt64),
        pl.Series([text(names) for names, _ in rows]),
        pl.Series([[text(known)]] * count),
        pl.Series([False] * count),
        "silent",
    )
    there, last = known, known
    for (added, taken), (names, accepted) in zip(told.iter_rows(), rows, strict=True):
        if accepted:
            there, last = applied(there, added, taken), names
    assert there == last
    assert kept.to_list() == [text(names) for names, _ in rows]


def profile(value, player=1, tier=1):
    schema = {
        "@eid": pl.String,
        "@seed": pl.String,
        "@player": pl.UInt64,
        "@row": pl.UInt32,
        "±tags": pl.String,
        "tier": pl.Int64,
    }
    return Events(pl.DataFrame([["", "s", player, 0, value, tier]], schema=schema, orient="row"), frozenset({"±tags"}))


def state(done):
    return done.states.select("id", "whole", "parts", pl.concat_list("±tags").alias("±tags"))


def said(done):
    return [
        {name: value for name, value in row.items() if not name.startswith("@") and value is not None}
        for row in done.events.frame.iter_rows(named=True)
    ]


def test_the_first_time_everything_is_added_and_then_only_the_difference():
    """Never a replacement, never a pattern."""
    first = diff(profile('["a", "b"]'), nothing_known(), SECRET, "full")
    assert said(first) == [{"tier": 1, "+tags": '["a", "b"]'}]
    assert first.events.raw == {"+tags"}
    second = diff(profile('["b", "c"]'), state(first), SECRET, "changed")
    assert said(second) == [{"tier": 1, "+tags": '["c"]', "-tags": '["a"]'}]
    assert said(diff(profile('["b", "c"]'), state(second), SECRET, "full")) == []
    assert said(diff(profile('["b", "c"]', tier=2), state(second), SECRET, "full")) == [{"tier": 2}]


def test_null_says_nothing_unless_it_is_to_clear():
    """And then what was sent is taken away, not what others have given."""
    first = diff(profile('["a"]'), nothing_known(), SECRET, "full")
    assert said(diff(profile(None), state(first), SECRET, "full")) == [{"tier": 1}]
    cleared = diff(profile(None), state(first), SECRET, "full", clears=frozenset({"*"}))
    assert said(cleared) == [{"tier": 1, "-tags": '["a"]'}]
    assert said(diff(profile(None), nothing_known(), SECRET, "full", clears=frozenset({"*"}))) == [{"tier": 1}]
