"""Lanes that members share: whoever claims one is the only one who can write of it, and gets what was on its way with it."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

import polars as pl
import pytest
from hypothesis import strategies as st
from msgspec.structs import replace

from smartico_sync.core.events import EID, PLAYER, POSITION, Events
from smartico_sync.core.outbox import packed
from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit, LaneStep
from smartico_sync.errors import PositionMoved, StateHeld, StateLocked, StateLost
from state.test_members import MEMBERS, World, in_any_order, lived
from state.test_members import page as one_version

A, B = "bets/0", "bets/1"


@pytest.fixture
def member(server_place):
    """Opens the state as a member that shares the topics of its group."""
    opened = []

    def make(name):
        own = replace(server_place, member=name, id=uuid4()).beside("default", ("users", "bets"))
        opened.append(own.open())
        opened[-1].begin("bets", "{}", "first", 1)
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def step(lane, expected, after):
    return LaneStep(lane, expected, after, "")


def page(number):
    """A page of one profile, as it is written ahead."""
    frame = pl.DataFrame(
        {EID: [f"e{number}"], PLAYER: pl.Series([7], dtype=pl.UInt64), POSITION: pl.Series([0], dtype=pl.UInt32)}
    )
    whole = pl.Series([bytes([number]) * 8], dtype=pl.Binary)
    known = frame.select(
        id=PLAYER, whole=whole, parts=pl.lit(None, pl.Binary), cursor_at=pl.lit(number, pl.Int64)
    ).with_columns(frame[POSITION])
    return packed(Events(frame), known)


def test_who_claims_a_lane_shuts_out_who_had_it(member):
    """Also where nobody has moved it: a commit, a page written ahead and the settling of one are refused, and nothing of them is written."""
    one, two = member("one"), member("two")
    assert one.claim("bets", [step(A, None, 0), step(B, None, 0)]).left == "well"
    one.commit(Commit("bets", 2, lanes=(step(A, 0, 5),), counts={"read": 5}))
    (number,) = one.keep_outbox_of_lanes("bets", {A: page(1)})
    assert two.outbox("bets") == []
    claimed = two.claim("bets", [step(A, 5, 5)])
    assert claimed.left == "badly"
    assert [each.id for each in two.outbox("bets")] == [number]
    for late in (
        lambda: one.commit(Commit("bets", 3, lanes=(step(A, 5, 9),), counts={"read": 4})),
        lambda: one.commit(Commit("bets", 3, held=frozenset({A}), counts={"read": 4})),
        lambda: one.commit(Commit("bets", 3, outbox=(number,), counts={"read": 4})),
        lambda: one.keep_outbox_of_lanes("bets", {A: page(2)}),
    ):
        with pytest.raises(PositionMoved):
            late()
    one.commit(Commit("bets", 4, lanes=(step(B, 0, 1),), counts={"read": 1}))  # what is still its own
    two.commit(Commit("bets", 5, outbox=(number,)))
    assert two.outbox("bets") == []
    assert {name: lane.next for name, lane in two.lanes("bets").items()} == {A: 5, B: 1}
    assert two.view("bets").counts == {"read": 6}


def test_a_lane_that_was_given_up_is_taken_over_without_doubt(member):
    """And of the first load it is known lane by lane how far it went."""
    one, two = member("one"), member("two")
    one.claim("bets", [step(A, None, 0), step(B, None, 0)])
    one.give_up("bets", [B])
    assert two.claim("bets", [step(B, 0, 0)]).left == "well"
    one.reached("bets", 10)
    assert one.view("bets").level_ms == 0
    one.give_up("bets", [A])
    assert two.claim("bets", [step(A, 0, 0)]).first_load == "under way"
    two.reached("bets", 11)
    assert two.view("bets").level_ms == 11
    assert two.own_lanes("bets") == {A, B}


def test_a_lane_that_an_operator_moved_is_nobody_s(member):
    one, two = member("one"), member("two")
    one.claim("bets", [step(A, None, 7)])
    two.rewind("bets", None, at_ms=9, lanes_at={A: 3})
    assert one.own_lanes("bets") == set()
    with pytest.raises(PositionMoved):
        one.commit(Commit("bets", 3, lanes=(step(A, 7, 9),)))
    assert one.lanes("bets")[A].next == 3


def test_rows_that_wait_go_with_their_lane(member, parked):
    one, two = member("one"), member("two")
    one.claim("bets", [step(A, None, 0)])
    two.claim("bets", [step(B, None, 0)])
    waits = parked("7", due=10)
    waits = replace(waits, row=replace(waits.row, view="bets", position=Position(f"{A}@3")))
    one.commit(Commit("bets", 2, lanes=(step(A, 0, 4),), parked=(waits,)))
    assert two.parked("bets", 20, 10) == []
    assert [each.row.position.cursor for each in one.parked("bets", 20, 10)] == [f"{A}@3"]


def test_the_first_who_reads_settles_what_the_view_is(member):
    """The other begins anew with that, and both remember what messages are made of."""
    one, two = member("one"), member("two")
    before = one.row("bets").definition
    two.learn("bets", lambda known: known + "-", None, before)  # of what has no key
    one.learn("bets", lambda known: known + "a", "by one", before)
    with pytest.raises(PositionMoved):
        two.learn("bets", lambda known: known + "b", "by two", before)
    two.learn("bets", lambda known: known + "b", None, before)
    assert (one.row("bets").definition, one.row("bets").late) == ("by one", "-ab")


def test_members_need_names_of_their_own_and_a_command_works_alone(member, server_place):
    member("one")
    with pytest.raises(StateHeld, match="a member of this name"):
        member("one")
    with pytest.raises(StateHeld, match="is held by"):
        server_place.open()  # a command: nobody reads meanwhile


@pytest.mark.slow
def test_members_draw_no_more_than_there_is_from_one_row(server_place):
    """Eight at once, by the clock of the database: what they are given together is what came in, and nobody gets what another got."""
    server_place.open().close()
    budgets = [server_place.budget("token") for _ in range(8)]
    rate, size, seconds, given = 200.0, 1_000.0, 2.0, []
    began = time.monotonic()
    budgets[0].draw(0, rate, size)

    def draws(budget):
        while time.monotonic() - began < seconds:
            given.append(budget.draw(20, rate, size)[0])

    threads = [threading.Thread(target=draws, args=(budget,)) for budget in budgets]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    given.append(budgets[0].draw(int(size), rate, size)[0])  # what nobody came for in time
    took = time.monotonic() - began
    assert 0.9 * rate * seconds <= sum(given) <= rate * took + 1
    for each in budgets:
        each.close()


class Topic(World):
    """As World, for messages of one lane, which a broker gives to one of two members; who had it before may not know of it yet."""

    given_to = "one"

    def run(self, command, what):
        if command == "give":
            self.given_to = what
        else:
            super().run(command, what)

    def step(self, name):
        """Let a member go on to its next pause; who is refused, or lost its lease, begins anew."""
        try:
            next(self.members.setdefault(name, self.member(name)))
        except PositionMoved:
            self.members.pop(name)
        except (StateLost, StateLocked):
            self.kill(name)

    def member(self, name):
        """What a member does, with a pause wherever it may be paused."""
        if name not in self.stores:
            self.stores[name] = replace(self.place, member=name, id=uuid4()).beside("default", ("users", "bets")).open()
            self.stores[name].begin("bets", "{}", "first", 1)
        store = self.stores[name]
        while self.given_to != name:
            yield
        yield
        known = store.lanes("bets").get(A)
        at = 1 if known is None else known.next
        store.claim("bets", [step(A, None if known is None else at, at)])
        yield
        for each in store.outbox("bets"):
            yield
            yield from self.answer(each.events.frame.get_column(EID)[0])
            store.commit(Commit("bets", 2, outbox=(each.id,)))
        while True:
            yield
            if at > self.version:
                continue
            (number,) = store.keep_outbox_of_lanes("bets", {A: one_version(at)})
            yield
            yield from self.answer(f"p{at}")
            store.commit(Commit("bets", 3, lanes=(step(A, at, at + 1),), outbox=(number,)))
            at += 1

    def settle(self):
        """One member goes on alone, and all that hangs arrives."""
        for name in MEMBERS:
            self.kill(name)
        self.run("expire", None)
        self.given_to = "one"
        while self.profile < self.version or self.hanging:
            self.step("one")
            self.arrive(0)


GIVES = st.one_of(
    st.tuples(st.just("step"), st.sampled_from(MEMBERS)),
    st.tuples(st.just("step"), st.sampled_from(MEMBERS)),
    st.tuples(st.just("step"), st.sampled_from(MEMBERS)),
    st.tuples(st.just("change"), st.none()),
    st.tuples(st.just("arrive"), st.integers(0, 5)),
    st.tuples(st.just("give"), st.sampled_from(MEMBERS)),
    st.tuples(st.just("kill"), st.sampled_from(MEMBERS)),
)
LATE = [
    ("change", None),
    *[("step", "one")] * 5,  # the page is written, and the request hangs
    ("give", "two"),
    ("change", None),
    *[("step", "two")] * 6,
    ("arrive", 1),
    *[("step", "two")] * 6,
    ("arrive", 1),
    *[("step", "two")] * 3,
    ("arrive", 0),  # what hung all the while
    *[("step", "one")] * 3,
]


def test_a_request_of_a_member_that_lost_its_lane_changes_nothing(server_place, state_database):
    """It hangs while the lane goes to another member, which sends something newer, and then arrives."""
    lived(Topic, server_place, state_database, LATE)


@pytest.mark.slow
def test_whatever_is_paused_while_a_lane_goes_from_one_to_the_other(server_place, state_database):
    """Members, the broker and the API go on in any order, and a member may be killed at any step."""
    in_any_order(GIVES, 12, lambda commands: lived(Topic, server_place, state_database, commands))
