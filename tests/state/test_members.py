"""Two members and an API that answers late, with a pause between any two steps: nothing is lost, and nothing old comes after something new."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from smartico_sync.core.events import EID, PLAYER, POSITION, Events
from smartico_sync.core.outbox import packed
from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit
from smartico_sync.errors import StateError, StateLocked, StateLost
from smartico_sync.state.postgresql.tables import SCHEMA

PLAYER_ID = 7
MEMBERS = ("one", "two")
# A step of one of two members; the source changes; the n-th request that hangs comes to its end; the lease is over by the
# database's clock, as after a long pause of whoever holds it; a member is killed.
COMMANDS = st.one_of(
    st.tuples(st.just("step"), st.sampled_from(MEMBERS)),
    st.tuples(st.just("step"), st.sampled_from(MEMBERS)),
    st.tuples(st.just("change"), st.none()),
    st.tuples(st.just("arrive"), st.integers(0, 5)),
    st.tuples(st.just("expire"), st.none()),
    st.tuples(st.just("kill"), st.sampled_from(MEMBERS)),
)


@dataclass
class Request:
    """What was sent; `answered` once the API has dealt with it."""

    eid: str
    answered: bool = False


@dataclass
class World:
    """A source of one player's versions, an API that knows ids, and two members."""

    place: object
    database: object
    version: int = 0
    profile: int = 0
    known: set[str] = field(default_factory=set)
    hanging: list[Request] = field(default_factory=list)
    members: dict = field(default_factory=dict)
    stores: dict = field(default_factory=dict)
    head: int = 0

    def send(self, eid):
        """Begin a request; who sent it may be gone when it arrives."""
        request = Request(eid)
        self.hanging.append(request)
        return request

    def arrive(self, number):
        """The API deals with a request: what it knows by its id it passes over."""
        if not self.hanging:
            return
        request = self.hanging.pop(number % len(self.hanging))
        kind, version = request.eid[0], int(request.eid[1:])
        if request.eid not in self.known and kind == "p":
            assert version > self.profile, "an old profile came after a newer one"
            self.profile = version
        self.known.add(request.eid)
        request.answered = True

    def run(self, command, what):
        """Do one thing."""
        if command == "step":
            self.step(what)
        elif command == "change":
            self.version += 1
        elif command == "arrive":
            self.arrive(what)
        elif command == "expire":
            self.database.execute(f"UPDATE {SCHEMA}.lease SET expires = clock_timestamp()")
        elif command == "kill":
            self.kill(what)

    def step(self, name):
        """Let a member go on to its next pause; who lost the lease, or finds it held, begins anew."""
        try:
            next(self.members.setdefault(name, self.member(name)))
        except (StateLost, StateLocked):
            self.kill(name)
        row = None
        for store in self.stores.values():
            try:
                row = store.view("bets")
            except StateError:
                continue
        if row is not None and row.head is not None:
            head = int(row.head.cursor)
            assert head >= self.head, "a member that lost the lease moved the watermark back"
            self.head = head

    def kill(self, name):
        """End a member at once; what it sent stays on its way."""
        self.members.pop(name, None)
        if store := self.stores.pop(name, None):
            store.close("badly")

    def member(self, name):
        """What a member does, with a pause wherever it may be paused."""
        store = self.stores[name] = self.place.open()
        yield
        for view in ("users", "bets"):
            store.begin(view, "definition", "first", 1)
        for page in store.outbox("users"):
            yield
            yield from self.answer(page.events.frame.get_column(EID)[0])
            store.empty_outbox([page.id])
        while True:
            yield
            yield from self.profiles(store)
            yield from self.bets(store)

    def profiles(self, store):
        """Read the player, write the page ahead, send it, commit."""
        at, version = store.view("users").head, self.version
        if (int(at.cursor) if at is not None else 0) >= version:
            return
        yield
        number = store.keep_outbox_page("users", page(version))
        yield
        yield from self.answer(f"p{version}")
        store.commit(Commit("users", 1, head=Position(str(version)), outbox=(number,)))
        yield

    def bets(self, store):
        """The same for rows that never change, which need no page."""
        at = store.view("bets").head
        following = int(at.cursor) + 1 if at is not None else 1
        if following > self.version:
            return
        yield
        yield from self.answer(f"b{following}")
        store.commit(Commit("bets", 1, head=Position(str(following))))
        yield

    def answer(self, eid):
        """Send, and wait for the answer."""
        request = self.send(eid)
        while not request.answered:
            yield

    def settle(self):
        """Let everything come to its end: one member goes on alone, and all that hangs arrives."""
        for name in MEMBERS:
            self.kill(name)
        self.run("expire", None)
        while self.profile < self.version or self.head < self.version:
            self.step("one")
            self.arrive(0)
        while self.hanging:
            self.arrive(0)
        self.kill("one")


def page(version):
    """A page of one profile."""
    schema = {EID: pl.String, PLAYER: pl.UInt64, POSITION: pl.UInt32}
    events = pl.DataFrame({EID: [f"p{version}"], PLAYER: [PLAYER_ID], POSITION: [0]}, schema=schema)
    states = pl.DataFrame(
        {"id": [PLAYER_ID], "whole": [b"12345678"], "parts": [None], "cursor_at": [version], POSITION: [0]},
        schema={"id": pl.UInt64, "whole": pl.Binary, "parts": pl.Binary, "cursor_at": pl.Int64, POSITION: pl.UInt32},
    )
    return packed(Events(events), states)


def lived(world_of, place, database, commands):
    """A world of its own after these commands, once it has come to rest: whatever happened, the newest profile is there."""
    database.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    place.open().close()
    world = world_of(place, database)
    try:
        for command, what in commands:
            world.run(command, what)
        world.settle()
    finally:
        for name in MEMBERS:
            world.kill(name)
    assert world.profile == world.version
    return world


def in_any_order(commands, most, attempt):
    """Try lists of such commands."""

    @given(st.lists(commands, min_size=20, max_size=80))
    @settings(
        max_examples=most,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    def tried_in(some):
        attempt(some)

    tried_in()


def tried(place, database, commands):
    world = lived(World, place, database, commands)
    assert {f"b{number}" for number in range(1, world.version + 1)} <= world.known


LOST_AND_LATE = [
    ("change", None),
    *[("step", "one")] * 6,  # the page is written, and the request hangs
    ("expire", None),
    ("change", None),
    *[("step", "two")] * 4,
    ("arrive", 1),
    *[("step", "two")] * 8,
    ("arrive", 0),
    *[("step", "one")] * 3,
    ("arrive", 0),
]


def test_a_request_of_a_member_that_is_gone_changes_nothing(server_place, state_database):
    """It hangs while another member takes over and sends something newer, and then arrives."""
    tried(server_place, state_database, LOST_AND_LATE)


@pytest.mark.slow
def test_whatever_is_paused_at_whatever_step(server_place, state_database):
    """Members, the API and the lease go on in any order, and a member may be killed at any step."""
    in_any_order(COMMANDS, 25, lambda commands: tried(server_place, state_database, commands))
