"""What several views write at the same moment goes into one transaction, and nobody can tell."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit, LaneStep
from smartico_sync.errors import PositionMoved, StateError, StateMissing, StateUnwritable
from smartico_sync.state.store import Store
from smartico_sync.state.together import Outcome, Together
from waiting import until

TABLES = "total", "outbox", "ledger", "lane"  # the views' own rows are sealed with a secret of each state


def at_once(store, *wishes):
    """What became of each wish, in order: all of them come while somebody else has the state."""
    became = [None] * len(wishes)

    def do(place, wish):
        try:
            became[place] = wish()
        except Exception as error:
            became[place] = type(error), str(error)

    threads = [threading.Thread(target=do, args=each) for each in enumerate(wishes)]
    commits = store.database._commits
    with store.reading():
        for number, thread in enumerate(threads, 1):
            thread.start()
            until(lambda number=number: len(commits._next) == number, 0.0005)
    for thread in threads:
        thread.join()
    return became


def tables(path):
    with closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}


def wished(store, kind, view, number):
    """One of the things that a loop writes; some of them are refused."""
    if kind == "sent":
        return lambda: store.sending(view, number)
    if kind == "too far":
        return lambda: store.sending(view, 2**70)
    counts = {"read": number, "delivered": 1} if kind == "page" else {"read": "a word"}
    return lambda: store.commit(Commit(view, number, head=Position(str(number)), counts=counts))


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(["sent", "page", "too far", "no count"]), st.sampled_from("abc"), st.integers(1, 9)),
            max_size=5,
            unique_by=lambda wish: wish[1],
        ),
        max_size=3,
    )
)  # fmt: skip
@settings(max_examples=10, deadline=None)
def test_together_leaves_what_one_after_the_other_leaves(tmp_path_factory, moments):
    """Also where some of them are refused: these alone come to nothing, and each view learns what became of its own."""
    home = tmp_path_factory.mktemp("states")
    became, left = [], []
    for way in ("together", "alone"):
        path = home / way / "sync.db"
        with Store.open(path) as store:
            for view in "abc":
                store.begin(view, "definition", "first", 1)
            for moment in moments:
                wishes = [wished(store, *wish) for wish in moment]
                outcomes = (
                    at_once(store, *wishes) if way == "together" else [at_once(store, wish)[0] for wish in wishes]
                )
                became.append([str(outcome).replace(str(path), "") for outcome in outcomes])
            views = [store.view(view) for view in "abc"]
            left.append((tables(path), views))
    assert became[: len(moments)] == became[len(moments) :]
    assert left[0] == left[1]


def test_those_that_come_meanwhile_share_a_transaction(path):
    """Their pages are written once: the log grows by less than it does for each alone."""
    with Store.open(path) as store:
        views = [f"view {number}" for number in range(8)]
        for view in views:
            store.begin(view, "definition", "first", 1)
        log = path.with_name("sync.db-wal")

        def grown(write):
            before = log.stat().st_size
            write()
            return log.stat().st_size - before

        wishes = [lambda view=view: store.commit(Commit(view, 9, counts={"read": 1})) for view in views]
        together = grown(lambda: at_once(store, *wishes))
        alone = grown(lambda: [wish() for wish in wishes])
        assert together * 2 < alone
        assert {store.row(view).counts["read"] for view in views} == {2}


def test_a_state_that_is_gone_is_told_to_everybody(path):
    """Put back, it is used again."""
    with Store.open(path) as store:
        for view in "abc":
            store.begin(view, "definition", "first", 1)
        moved = path.rename(path.with_name("elsewhere"))
        outcomes = at_once(store, *(lambda view=view: store.sending(view, 1) for view in "abc"))
        assert [kind for kind, _ in outcomes] == [StateMissing] * 3
        moved.rename(path)
        store.sending("a", 1)


def test_a_page_is_flushed_before_it_may_be_sent(path, monkeypatch):
    """When its number is known, a power cut leaves it; a disk that fails then is told, and the page goes again before all else."""
    flushed = []

    def noted(descriptor):
        with closing(sqlite3.connect(path)) as other:
            (there,) = other.execute("SELECT count(*) FROM outbox").fetchone()
        flushed.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, there))
        if len(flushed) > 1:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", noted)
    with Store.open(path) as store:
        store.begin("users", "definition", "first", 1)
        store.keep_outbox_page("users", b"a page")
        assert flushed == [("sync.db-wal", 1)]
        with pytest.raises(StateUnwritable):
            store.keep_outbox_page("users", b"another")
        store.sending("users", 3)
        assert len(flushed) == 2


def test_an_error_of_whoever_does_it_is_everybodys():
    """Nobody waits for what nobody will do."""

    def act(wishes):
        if "bad" in wishes:
            raise StateError("no")
        return [Outcome(wish.upper()) for wish in wishes]

    together = Together(threading.Lock(), act)
    assert together.do("good") == "GOOD"
    with pytest.raises(StateError):
        together.do("bad")
    assert together.do("well") == "WELL"


def test_a_lane_that_was_moved_stops_its_own_view_only(path):
    """Where another process has a lane, the pages of other views that came at the same moment are committed."""
    moved = Commit("bets", 9, lanes=(LaneStep("topic/0", 5, 6, "e"),), counts={"read": 1})
    well = Commit("users", 9, counts={"read": 1})
    with Store.open(path) as store:
        for view in ("bets", "users"):
            store.begin(view, "definition", "first", 1)
        for _ in range(2):
            refused, done = at_once(store, lambda: store.commit(moved), lambda: store.commit(well))
            assert (refused[0], done) == (PositionMoved, 0)
        assert (dict(store.row("bets").counts), dict(store.row("users").counts)) == ({}, {"read": 2})
