"""What changed in a profile since it was last delivered."""

from __future__ import annotations

import uuid

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.core.diff import diff, nothing_known
from smartico_sync.core.events import Events

SECRET = bytes(range(32))
ENVELOPE = {"@eid": pl.String, "@seed": pl.String, "@player": pl.UInt64, "@row": pl.UInt32}
PAYLOAD = {"email": pl.String, "caught_up": pl.Int64, "vip": pl.Boolean}


def profiles(*rows, columns=None, raw=frozenset()):
    """Rows (player, {property: value}) as events."""
    schema = columns or PAYLOAD
    full = [
        {"@eid": "", "@seed": f"seed-{player}", "@player": player, "@row": place, **values}
        for place, (player, values) in enumerate(rows)
    ]
    return Events(pl.DataFrame(full, schema=ENVELOPE | schema), raw)


def state(*diffs):
    """What the store holds after these diffs were acknowledged."""
    return pl.concat([nothing_known(), *(done.upserts.select("id", "whole", "parts") for done in diffs)]).unique(
        "id", keep="last"
    )


def said(done):
    """The payloads that go out, without what is left out."""
    return [
        {name: value for name, value in row.items() if not name.startswith("@") and value is not None}
        for row in done.events.frame.iter_rows(named=True)
    ]


A = {"email": "a@example.com", "caught_up": 1, "vip": True}
B = {**A, "caught_up": 2}
MODES = pytest.mark.parametrize("payload", ["full", "changed"])


@MODES
def test_a_touched_but_unchanged_profile_sends_nothing(payload):
    """The same values again are unchanged, and every row is accounted for."""
    first = diff(profiles((1, A), (2, B)), nothing_known(), SECRET, payload)
    again = diff(profiles((2, B), (1, A)), state(first), SECRET, payload)
    assert (len(first.events), first.unchanged) == (2, 0)
    assert (len(again.events), again.unchanged, again.upserts.height) == (0, 2, 0)


@MODES
def test_there_and_back_is_three_events(payload):
    """A→B→A within one page, and over pages, is three events with three eids; equal neighbours are one."""
    page = diff(profiles((1, A), (1, B), (1, B), (1, A)), nothing_known(), SECRET, payload)
    assert [row["caught_up"] for row in said(page)] == [1, 2, 1]
    assert page.unchanged == 1
    assert page.upserts.height == 1
    after = diff(profiles((1, A)), state(page), SECRET, payload)
    assert after.unchanged == 1
    assert len(diff(profiles((1, B)), state(page), SECRET, payload).events) == 1


def test_players_between_each_other_do_not_mix():
    """Each row is compared with the one before it of the same player."""
    page = diff(profiles((1, A), (2, B), (1, A), (2, A), (1, B)), nothing_known(), SECRET, "full")
    assert page.events.frame["@row"].to_list() == [0, 1, 3, 4]


def test_full_sends_the_whole_profile():
    """One change, every property."""
    first = diff(profiles((1, A)), nothing_known(), SECRET, "full")
    assert said(diff(profiles((1, B)), state(first), SECRET, "full")) == [B]


def test_changed_sends_only_what_changed():
    """One change, one property; a profile nobody knows goes in full."""
    first = diff(profiles((1, A)), nothing_known(), SECRET, "changed")
    assert said(first) == [A]
    assert said(diff(profiles((1, B), (2, A)), state(first), SECRET, "changed")) == [{"caught_up": 2}, A]


def test_changed_sends_in_full_what_was_known_by_other_columns():
    """After the columns changed, a changed profile goes in full; so it does when only whole profiles were known."""
    narrow = diff(profiles((1, {"email": "a"}), columns={"email": pl.String}), nothing_known(), SECRET, "changed")
    assert said(diff(profiles((1, A)), state(narrow), SECRET, "changed")) == [A]
    whole = diff(profiles((1, A)), nothing_known(), SECRET, "full")
    assert said(diff(profiles((1, B)), state(whole), SECRET, "changed")) == [B]


def test_a_row_in_between_may_be_refused_without_loss():
    """With `changed`, the last of several rows carries what differs from the state, should the one before be refused."""
    first = diff(profiles((1, A)), nothing_known(), SECRET, "changed")
    page = diff(profiles((1, B), (1, {**B, "vip": False})), state(first), SECRET, "changed")
    assert said(page) == [{"caught_up": 2}, {"caught_up": 2, "vip": False}]


@MODES
def test_a_new_empty_column_resends_nobody(payload):
    """Adding a column counts as a change only where it holds something."""
    first = diff(profiles((1, A), (2, A)), nothing_known(), SECRET, payload)
    wider = PAYLOAD | {"aaa": pl.String, "zzz": pl.Int64}
    again = diff(profiles((1, A), (2, {**A, "zzz": 5}), columns=wider), state(first), SECRET, payload)
    assert again.events.frame["@row"].to_list() == [1]


def test_a_value_that_becomes_null_is_remembered():
    """With `full` the profile goes without it; with `changed` there is nothing to say, and nothing is said twice."""
    gone = {**A, "caught_up": None}
    full = diff(profiles((1, A)), nothing_known(), SECRET, "full")
    assert said(diff(profiles((1, gone)), state(full), SECRET, "full")) == [{"email": A["email"], "vip": True}]
    first = diff(profiles((1, A)), nothing_known(), SECRET, "changed")
    quiet = diff(profiles((1, gone)), state(first), SECRET, "changed")
    assert (len(quiet.events), quiet.unchanged, quiet.upserts.height) == (0, 1, 1)
    assert said(diff(profiles((1, A)), state(first, quiet), SECRET, "changed")) == [{"caught_up": 1}]


def test_a_cleared_property_is_a_change():
    """`!prop` goes out when the value becomes NULL, also where only changes are sent."""
    columns = {"email": pl.String, "!email": pl.String}
    first = diff(profiles((1, {"email": "a"}), columns=columns, raw={"!email"}), nothing_known(), SECRET, "changed")
    cleared = diff(profiles((1, {"!email": "null"}), columns=columns, raw={"!email"}), state(first), SECRET, "changed")
    assert said(cleared) == [{"!email": "null"}]


@MODES
def test_eids_are_the_same_after_a_crash_and_differ_by_content(payload):
    """The same page makes the same eids; another content at the same cursor makes another."""
    one, two = (diff(profiles((1, A)), nothing_known(), SECRET, payload) for _ in range(2))
    eid = one.events.frame["@eid"].item()
    assert uuid.UUID(eid).version == 8
    assert two.events.frame["@eid"].item() == eid == one.upserts["eid"].item()
    assert diff(profiles((1, B)), nothing_known(), SECRET, payload).events.frame["@eid"].item() != eid


def test_without_the_secret_an_eid_tells_nothing():
    """An eid of a profile hangs on the secret, so that an encrypted e-mail cannot be found by trying."""
    eids = {
        diff(profiles((1, A)), nothing_known(), key * 32, "full").events.frame["@eid"].item() for key in (b"a", b"b")
    }
    assert len(eids) == 2


def test_no_value_rests_in_the_state():
    """What is kept are hashes of eight bytes a piece."""
    done = diff(profiles((1, A)), nothing_known(), SECRET, "changed").upserts
    assert done.schema == {"id": pl.UInt64, "eid": pl.String, "whole": pl.Binary, "parts": pl.Binary}
    assert len(done["whole"].item()) == 8
    assert len(done["parts"].item()) == 8 * (1 + len(PAYLOAD))
    assert b"a@example.com" not in done["parts"].item()


def test_an_empty_page_changes_nothing():
    """No rows, no events, nothing to remember."""
    done = diff(profiles(), nothing_known(), SECRET, "changed")
    assert (len(done.events), done.unchanged, done.upserts.height) == (0, 0, 0)


VALUES = st.fixed_dictionaries(
    {
        "email": st.none() | st.sampled_from(["", "a", "b"]),
        "caught_up": st.none() | st.integers(0, 2),
        "vip": st.none() | st.booleans(),
    }
)
STEPS = st.lists(st.lists(st.tuples(st.integers(1, 3), VALUES), max_size=8), max_size=5)


@MODES
@given(steps=STEPS)
def test_the_receiver_ends_with_what_the_source_holds(payload, steps):
    """Applying what is sent, page after page, leaves each player as the source has it; each row is sent or unchanged."""
    known, received, before = nothing_known(), {}, {}
    for rows in steps:
        done = diff(profiles(*rows), known, SECRET, payload)
        known = state_after(known, done)
        assert len(done.events) + done.unchanged == len(rows)
        for player, event in zip(done.events.frame["@player"], said(done), strict=True):
            received.setdefault(player, {}).update(event)
        for player, values in rows:
            before.setdefault(player, {}).update({name: value for name, value in values.items() if value is not None})
    # A value that became NULL is left out (on_null: omit), so the receiver keeps the last one.
    assert {player: values for player, values in received.items() if values} == {
        player: values for player, values in before.items() if values
    }


def state_after(known, done):
    return pl.concat([known, done.upserts.select("id", "whole", "parts")]).unique("id", keep="last")
