"""Requests that several members share under one token: never more in a minute than it allows, and nearly all of those."""

from __future__ import annotations

import threading
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartico_sync.delivery import shared_limit
from smartico_sync.delivery.shared_limit import SharedLimit
from smartico_sync.errors import StateUnwritable
from waiting import until

WINDOW_S = 60.0


class Bucket:
    """The budget's row, by a clock of the test's."""

    def __init__(self, world):
        self.world, self.level, self.filled = world, 0.0, 0.0

    def draw(self, wanted, rate, size):
        now = self.world.now
        self.level = min(size, self.level + rate * max(0.0, now - self.filled))
        self.filled = now
        given = min(wanted, int(self.level))
        self.level -= given
        return given, self.level

    def close(self):
        pass


class World:
    """Members on one token, in steps of a hundredth of a second; who is paused does nothing, and uses what it holds when it wakes."""

    def __init__(self, per_minute, members):
        self.now, self.starts = 0.0, []
        self.bucket = Bucket(self)
        self.members = [
            SharedLimit(per_minute, 12, self.bucket, threading.RLock(), lambda: None, lambda: self.now)
            for _ in range(members)
        ]
        self.paused = {}
        for each in self.members:
            each.ending.set()  # its thread ends: the test draws for it
            each.asked.set()

    def step(self, member, wants):
        """A member that is not paused starts all it can of what it has; what it asked for is drawn."""
        if self.paused.get(member, 0.0) > self.now:
            return
        limit = self.members[member]
        for _ in range(wants):
            if limit.enter("live"):
                given, left = self.bucket.draw(limit.wanted, limit.per_second, limit.bucket)
                limit.take(given, left, self.now)
                if not given:
                    return
                continue
            limit.leave()
            self.starts.append(self.now)


def most_in_a_window(starts):
    inside, most = deque(), 0
    for at in starts:
        inside.append(at)
        while at - inside[0] >= WINDOW_S:
            inside.popleft()
        most = max(most, len(inside))
    return most


@settings(max_examples=8, deadline=None)
@given(
    st.sampled_from([1, 2, 7, 60, 600, 6000]),
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(0, 7), st.floats(0, 90), st.floats(0, 70)), max_size=6),
    st.sampled_from([1, 3, 50]),
)
def test_members_never_start_more_than_the_limit_in_any_minute(per_minute, members, pauses, wants):
    """Whoever pauses, for however long, and whatever it held then."""
    world = World(per_minute, members)
    for tick in range(1_300):
        world.now = tick / 10
        for member, begin, length in pauses:
            if begin <= world.now < begin + 0.1:
                world.paused[member % members] = begin + length
        for member in range(members):
            world.step(member, wants)
    assert most_in_a_window(world.starts) <= per_minute


@pytest.mark.parametrize("members", [1, 3, 8])
def test_members_that_have_enough_to_send_use_nearly_all_of_it(members):
    world = World(6000, members)
    for tick in range(4_000):
        world.now = tick / 100
        for member in range(members):
            world.step(member, 30)
    assert sum(5 <= at < 35 for at in world.starts) >= 0.95 * 6000 / 2


def test_a_state_that_cannot_be_asked_lets_nothing_start(monkeypatch):
    """And it goes on by itself when it can."""
    monkeypatch.setattr(shared_limit, "TROUBLE_S", 0.05)
    there, woken = threading.Event(), threading.Event()

    class Away:
        def draw(self, wanted, rate, size):
            if not there.is_set():
                raise StateUnwritable("the state is away", hint="wait")
            return wanted, 5.0

        def close(self):
            pass

    limit = SharedLimit(6000, 12, Away(), threading.RLock(), woken.set)
    assert limit.enter("live") > 0
    until(lambda: limit.budget_status().problem == "the state is away", 0.01)
    assert limit.enter("live") > 0
    there.set()
    assert woken.wait()
    assert limit.enter("live") == 0
    limit.close()


def test_slots_are_shared_and_one_is_left_to_each():
    limit = SharedLimit(6000, 12, Bucket(World(1, 0)), threading.RLock(), lambda: None)
    for members, slots in ((1, 12), (3, 4), (8, 1), (30, 1)):
        limit.share(members)
        assert limit.slots == slots
    limit.close()
