"""Who is to hold which group: every member follows the same rules from what it sees."""

from __future__ import annotations

from math import ceil, inf

from hypothesis import given, settings
from hypothesis import strategies as st

from smartico_sync.state.fair_share import Member, Seat, plan

LEASE_S = 10.0
GROUPS = ("a", "b", "c", "d")
SAME = dict.fromkeys(GROUPS, "one")


def member(name, here_s=100.0, groups=SAME):
    return Member(name, name, here_s, groups)


def settled(members, seats, rounds=30):
    """Who holds what once every member has looked so many times, in an order of its own; what is let go is free for a while."""
    for _ in range(rounds):
        for each in members:
            planned = plan(each.id, members, list(seats.values()), LEASE_S)
            for group in planned.release:
                seats[group] = Seat(group, "", 0.0, seats[group].wanted)
            for group in planned.take:
                seats[group] = Seat(group, each.id, 0.0, seats.get(group, Seat(group, "", inf)).wanted)
            seats.update(
                {name: Seat(name, seat.holder, seat.free_s + LEASE_S / 3, seat.wanted) for name, seat in seats.items()}
            )
    return seats


@given(
    members=st.lists(st.sampled_from("uvwxyz"), min_size=1, max_size=6, unique=True),
    held=st.dictionaries(st.sampled_from(GROUPS), st.sampled_from("uvwxyz")),
    wanted=st.dictionaries(st.sampled_from(GROUPS), st.sampled_from("uvwxyz")),
)
@settings(max_examples=60, deadline=None)
def test_every_group_is_held_and_none_holds_two_more_than_another(members, held, wanted):
    """From whatever stood before, also by members that are gone; what an operator placed is where he placed it."""
    there = [member(name) for name in members]
    seats = {
        group: Seat(group, held.get(group, "") if held.get(group) in members else "", 5.0, wanted.get(group, ""))
        for group in GROUPS
    }
    after = settled(there, seats)
    assert all(seat.holder in members for seat in after.values())
    for group, name in wanted.items():
        assert name not in members or after[group].holder == name
    if not set(wanted.values()) & set(members):
        counts = [sum(seat.holder == name for seat in after.values()) for name in members]
        assert max(counts) - min(counts) <= 1
        assert max(counts) <= ceil(len(GROUPS) / len(members))
    again = settled(there, dict(after), 5)
    assert {group: seat.holder for group, seat in again.items()} == {
        group: seat.holder for group, seat in after.items()
    }


def test_a_member_alone_takes_everything_at_once():
    """Nothing waits for members that are not there."""
    assert plan("u", [member("u")], [], LEASE_S).take == GROUPS


def test_the_one_with_less_takes_what_becomes_free():
    """Others wait for a third of a lease."""
    seats = [Seat("a", "u", 0), Seat("b", "u", 0), Seat("c", "v", 0), Seat("d", "", 1.0)]
    there = [member("u"), member("v")]
    assert plan("v", there, seats, LEASE_S).take == ("d",)
    assert plan("u", there, seats, LEASE_S).take == ()


def test_a_later_member_that_groups_views_otherwise_is_refused():
    """The earlier one goes on with them, and nobody takes what is held under another name."""
    old = Member("u", "u", 2.0, {"a": "one", "b": "one"}, views={"a": frozenset("xy"), "b": frozenset("z")})
    new = Member("v", "v", 1.0, {"c": "two", "d": "two"}, views={"c": frozenset("yz"), "d": frozenset("w")})
    planned = plan("v", [old, new], [], LEASE_S)
    assert planned.refused == {"c": "u"}
    assert planned.take == ("d",)
    assert not plan("u", [old, new], [], LEASE_S).refused
    held = [Seat("a", "u", 0.0, views=frozenset("xy"))]
    assert plan("v", [new], held, LEASE_S).take == ("d",)
    assert plan("v", [new], [Seat("a", "", 0.0, views=frozenset("xy"))], LEASE_S).take == ("c", "d")


def test_a_later_member_with_other_views_is_refused():
    """It takes nothing of that group, also when it is free, until the earlier one is gone; the other groups are its own."""
    old, new = member("u", 2.0), member("v", 1.0, {**SAME, "a": "two"})
    free = [Seat(group, "", inf) for group in GROUPS]
    planned = plan("v", [old, new], free, LEASE_S)
    assert planned.refused == {"a": "u"}
    assert planned.take == ("b", "c")
    assert plan("v", [new], free, LEASE_S).take == GROUPS
    held = [Seat(group, "u", 0.0) for group in GROUPS]
    assert "a" not in plan("u", [old, new], held, LEASE_S).release


def test_what_was_let_go_on_purpose_is_left_to_others():
    """Until the time is over."""
    free = [Seat("a", "", 50.0)]
    resting = Member("u", "u", 100.0, {"a": "one"}, frozenset("a"))
    assert plan("u", [resting], free, LEASE_S).take == ()
    assert plan("u", [member("u", groups={"a": "one"})], free, LEASE_S).take == ("a",)


def test_what_a_member_let_go_on_purpose_is_not_given_back():
    """While it rests: nobody would work with it."""
    there = [Member("u", "u", 100.0, SAME, frozenset("abc")), member("v")]
    seats = [Seat(group, "v", 0.0) for group in GROUPS]
    assert plan("v", there, seats, LEASE_S).release == ("d",)


def test_what_a_member_let_go_on_purpose_goes_to_one_that_has_its_share():
    """Those that rest do not count: else it would be nobody's until they have rested."""
    there = [Member("u", "u", 100.0, SAME, frozenset("a")), member("v")]
    seats = [Seat("a", "", 0.1, before="u"), Seat("b", "u", 0.0), Seat("c", "v", 0.0), Seat("d", "v", 0.0)]
    assert plan("v", there, seats, LEASE_S).take == ("a",)


def test_nobody_waits_for_the_member_that_let_a_group_go():
    """It has the least now, and yet the others take what is free at once."""
    there = [Member("u", "u", 100.0, {"a": "one"}, frozenset("a")), member("v", groups={"a": "one"})]
    released = [Seat("a", "", 0.1, before="u")]
    assert plan("v", there, released, LEASE_S).take == ("a",)
    assert plan("u", there, released, LEASE_S).take == ()
