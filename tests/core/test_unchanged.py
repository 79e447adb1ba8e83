"""What is told of profiles that hold what they held is what would be told had each been looked at property by property."""

from __future__ import annotations

from unittest import mock

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from parts import parts
from smartico_sync.core.diff import diff, nothing_known
from smartico_sync.core.events import Events
from smartico_sync.core.few_texts import FEW
from smartico_sync.core.part_prints import UNSURE

SECRET = bytes(range(32))
ENVELOPE = {"@eid": pl.String, "@seed": pl.String, "@player": pl.UInt64, "@row": pl.UInt32}
PAYLOAD = {"email": pl.String, "core_wallet_currency": pl.String, "vip": pl.Boolean, "visits": pl.Int64}
PLAYERS = range(1, FEW + 8)
VALUES = st.fixed_dictionaries(
    {
        "email": st.sampled_from([None, "", "a@x"]),
        "core_wallet_currency": st.sampled_from([None, "EUR", "EUR", "USD"]),
        "vip": st.sampled_from([None, True]),
        "visits": st.sampled_from([None, 1, 2]),
    }
)


def page(held, seed, columns):
    """Rows (player, values) as events with these columns."""
    rows = [
        {"@eid": "", "@seed": f"{seed}-{player}", "@player": player, "@row": place}
        | {name: values[name] for name in columns}
        for place, (player, values) in enumerate(held)
    ]
    return Events(pl.DataFrame(rows, schema=ENVELOPE | {name: PAYLOAD[name] for name in columns}))


def remembered(done, unsure):
    """What the state then holds, of some players with doubt about a property."""
    doubt = pl.col("parts").bin.encode("hex")
    doubt = pl.concat_str(doubt.str.slice(0, 16), pl.lit(UNSURE), doubt.str.slice(32)).str.decode("hex")
    some = pl.col("id").is_in(unsure) & (pl.col("parts").bin.size() >= 16)
    return done.upserts.select("id", "whole", parts=pl.when(some).then(doubt).otherwise("parts"))


@parts(10)
@pytest.mark.parametrize("payload", ["full", "changed"])
@given(st.data())
@settings(max_examples=6, deadline=None)
def test_whoever_is_as_before_is_told_apart_at_once(payload, part, data):
    """Values that change and values that stay, other columns, doubts, unknown players, one twice in a page: all is the same."""
    before = {player: data.draw(VALUES) for player in PLAYERS}
    known_players = data.draw(st.sets(st.sampled_from(PLAYERS)))
    columns = [data.draw(st.sampled_from([list(PAYLOAD), list(PAYLOAD)[:3]])) for _ in range(2)]
    moves = data.draw(st.sampled_from(["follow", "hold"]))
    clears = data.draw(st.sampled_from([frozenset(), frozenset({"*"}), frozenset({"email"})]))
    first = page([(player, before[player]) for player in sorted(known_players)], "a", columns[0])
    known = nothing_known()
    if known_players:
        done = diff(first, nothing_known(), SECRET, payload, moves, clears)
        known = remembered(done, data.draw(st.sets(st.sampled_from(PLAYERS), max_size=3)))
    changed = data.draw(st.dictionaries(st.sampled_from(PLAYERS), VALUES, max_size=8))
    twice = data.draw(st.sampled_from([[], [], [], [3]]))
    rows = [*before.items(), *((player, before[player]) for player in twice)]
    rows = [(player, changed.get(player, values)) for player, values in rows]
    now = page(rows, "b", columns[1])
    one = diff(now, known, SECRET, payload, moves, clears)
    with mock.patch("smartico_sync.core.diff.unchanged", return_value=None):
        each = diff(now, known, SECRET, payload, moves, clears)
    assert_frame_equal(one.events.frame, each.events.frame)
    assert (one.events.raw, one.unchanged) == (each.events.raw, each.unchanged)
    assert_frame_equal(one.states.drop("eid"), each.states.drop("eid"))
    assert_frame_equal(*(done.upserts for done in (one, each)))
    assert one.moved.keys() == each.moved.keys()
    for name, mask in one.moved.items():
        assert mask.to_list() == each.moved[name].to_list()


def test_only_what_is_news_is_looked_at_by_property():
    """Of a page in which one of many profiles changed one goes on, and of the others is known what was."""
    values = {"email": "a@x", "core_wallet_currency": "EUR", "vip": None, "visits": 1}
    first = diff(page([(player, values) for player in PLAYERS], "a", PAYLOAD), nothing_known(), SECRET, "changed")
    now = page([(player, values | {"visits": 1 + (player == 2)}) for player in PLAYERS], "b", PAYLOAD)
    known = first.upserts.drop("eid").sample(fraction=1, shuffle=True, seed=1)
    with mock.patch("smartico_sync.core.diff.compared", wraps=diff.__globals__["compared"]) as looked_at:
        done = diff(now, known, SECRET, "changed")
    assert [len(call.args[0]) for call in looked_at.call_args_list] == [1]
    assert done.events.frame.select("@player", "visits", "email").rows() == [(2, 2, None)]
    assert done.states.get_column("id").to_list() == list(PLAYERS)
