"""Seeded storms: the mechanisms lose nothing where the naive reader does, and each assumption is needed."""

from __future__ import annotations

import pytest

from core.simulation.database import Database, order
from core.simulation.poller import Poller
from core.simulation.storm import losses, storm
from smartico_sync.core.restore_detection import Facts, judge

SEEDS = range(6)
EVERY = [("fence", "id"), ("fence", "ts"), ("gaps", "id"), ("lookback", "ts")]
ONE_OR_MORE = pytest.mark.parametrize(
    "seeds", [SEEDS[:1], pytest.param(SEEDS[1:], marks=pytest.mark.slow)], ids=["one", "more"]
)


@ONE_OR_MORE
@pytest.mark.parametrize("role", [pytest.param("primary", marks=pytest.mark.slow), "standby"])
@pytest.mark.parametrize(("mechanism", "cursor"), EVERY)
def test_nothing_is_lost_whatever_fails(mechanism, cursor, role, seeds):
    """With refusals, timeouts after acceptance and crashes between any two steps, every committed row arrives."""
    assert losses(seeds, mechanism, cursor=cursor, role=role, faults="all") == 0


@pytest.mark.parametrize(("mechanism", "cursor"), EVERY)
def test_nothing_is_sent_twice_without_trouble(mechanism, cursor):
    """While the API answers and the process lives, each row is sent exactly once."""
    poller = storm(7, mechanism, cursor=cursor)
    assert set(poller.api.times.values()) == {1}
    assert len(poller.api.times) == len(poller.database.committed())


@pytest.mark.parametrize("cursor", ["id", "ts"])
@pytest.mark.parametrize("role", ["primary", "standby"])
def test_the_naive_reader_loses_rows_in_the_same_storms(cursor, role):
    """Reading on after the highest value loses rows in every seed: the model can fail."""
    assert losses(SEEDS, "naive", cursor=cursor, role=role) == len(SEEDS)


WORST = [("fence + lookback", "ts"), ("fence + lookback", "id"), ("gaps", "id"), ("lookback", "ts")]


@ONE_OR_MORE
@pytest.mark.parametrize("role", ["primary", "standbys"])
@pytest.mark.parametrize(("mechanism", "cursor"), WORST)
def test_writers_at_their_worst_lose_nothing(mechanism, cursor, role, seeds):
    """Times taken early or by clocks that are behind, ids in blocks, joins: what comes within the bound arrives."""
    options = {"lookback_ms": 60_000, "wait_ms": 60_000}
    assert losses(seeds, mechanism, cursor=cursor, role=role, writers="at their worst", **options) == 0


@pytest.mark.parametrize("role", ["primary", pytest.param("standbys", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("mechanism", "cursor"), WORST)
def test_a_view_that_is_read_only_when_something_is_due_loses_nothing(mechanism, cursor, role):
    """While it is quiet no reading is made but for rows behind its head: its late rows arrive all the same."""
    options = {"lookback_ms": 60_000, "wait_ms": 60_000, "writers": "at their worst", "quiet": True}
    poller = storm(0, mechanism, cursor=cursor, role=role, **options)
    assert poller.lost() == []
    # A fence reads on until both of two servers have stamped its heads.
    assert poller.skipped or role == "standbys"
    assert poller.digests or mechanism == "gaps" or role == "standbys"


@pytest.mark.parametrize("cursor", ["id", "ts"])
def test_a_fence_alone_does_not_know_of_clocks_blocks_and_joins(cursor):
    """It speaks of transactions only: the same writers lose rows in every seed."""
    assert losses(SEEDS, "fence", cursor=cursor, writers="at their worst") == len(SEEDS)


@ONE_OR_MORE
@pytest.mark.parametrize("mechanism", ["fence", "gaps"])
def test_servers_that_take_turns_lose_nothing(mechanism, seeds):
    """Two standbys behind one address, each as far as it is: a head is stamped only by one that contains it."""
    assert losses(seeds, mechanism, role="standbys", faults="all") == 0


def test_stamps_of_servers_that_are_not_told_apart_lose_rows():
    """A standby that is further back stamps heads with ids that were given out long before."""
    assert losses(SEEDS, "fence", role="standbys", flaw="nameless") > 0


def quiet_orm(**options):
    """An id is taken early by a writer that inserts a moment later and stays open, while nobody else writes."""
    pause = options.pop("pause", 1_500)
    database = Database(role=options.pop("role", "primary"))
    poller = Poller(database, "fence", **options)
    early = database.begin()
    database.take(early)
    other = database.begin()
    database.take(other)
    database.commit(other)
    database.replay(10)
    for _ in range(3):
        poller.poll()
        poller.advance(pause // 3)
    database.write(early)
    for _ in range(8):
        poller.poll()
        poller.advance(1_500)
    database.commit(early)
    poller.quiesce(20_000)
    return poller


@pytest.mark.parametrize("role", ["primary", "standby"])
def test_a_quiet_database_loses_nothing(role):
    """One writer that takes its id early and stays open is waited for, even when no other transaction ends."""
    assert not quiet_orm(role=role).lost()


def test_a_stamp_must_be_the_next_transaction_id():
    """PostgreSQL's snapshot xmax is one past the last that ended: as a stamp it passes an open writer by."""
    assert quiet_orm(flaw="completed").lost()


def test_the_clock_of_a_standby_must_stand_still_with_its_replay():
    """A wall clock settles heads although the standby has not heard of the writers yet."""
    assert quiet_orm(role="standby", flaw="wall clock").lost()


def test_a_head_must_settle_before_it_is_stamped():
    """A writer that has its id but no transaction id yet is invisible to a stamp that is taken at once."""
    assert quiet_orm(settle_ms=0).lost()


@pytest.mark.parametrize(
    ("mechanism", "cursor", "options"), [("lookback", "ts", {"lookback_ms": 5_000}), ("gaps", "id", {"wait_ms": 5_000})]
)
def test_a_bound_shorter_than_the_transactions_loses_rows(mechanism, cursor, options):
    """Lookback and gaps keep their promise only for rows that come within their bound."""
    assert losses(SEEDS, mechanism, cursor=cursor, **options) > 0


@pytest.mark.parametrize(("mechanism", "cursor"), [*EVERY, ("fence + lookback", "ts")])
def test_a_first_load_remembers_little(mechanism, cursor):
    """However long the view, what is known while it is loaded stays a small part of it, and each row is sent once."""
    database = Database(cursor, longest_ms=20_000)
    for _ in range(150):
        batch = database.begin()
        for _ in range(10):
            database.take(batch)
        database.commit(batch)
        database.advance(300)
    poller = Poller(database, mechanism, limit=10, lookback_ms=5_000, wait_ms=5_000)
    pending = []
    while poller.state.head is None or poller.behind():
        poller.read()
        poller.settle("accept")
        poller.advance(200)
        low = poller.late.since
        pending.append(sum(len(keys) for seq, keys in poller.state.ledger if seq > low))
    poller.quiesce(40_000)
    assert not poller.lost()
    assert set(poller.api.times.values()) == {1}
    assert max(pending) < 900
    assert pending[-5] < 300


@pytest.mark.parametrize("records", [0, 60, 150])
def test_a_restored_database_is_noticed(records):
    """After a restore the newest rows are gone and the source ends below the watermark: the view stops before it reads."""
    poller = storm(3, "fence")
    database, before = poller.database, poller.state
    anchors = sorted(database.committed(), key=lambda row: row.order)[-16:]
    database.restore(records)
    reading = database.reading(poller.steady_ms)
    there = {row.order for row in reading.rows}
    source = reading.head()
    highest = (
        "none"
        if source is None
        else "below watermark"
        if source.order < order(before.watermark)
        else "at head or above"
    )
    facts = Facts(len(anchors), sum(row.order in there for row in anchors), highest)
    assert judge("casino", facts).state == "regressed"
