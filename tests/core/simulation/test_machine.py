"""Hypothesis against the model: any order of writers, replay, polls, faults, crashes and clocks."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.simulation.database import Database, order
from core.simulation.poller import Poller

PATIENCE_MS = 70_000  # beyond every lookback, wait and settle of the model

FAULTS = ["accept", "refuse", "unknown", "crash before", "crash between", "crash after"]


class NoLoss(RuleBasedStateMachine):
    """The tracker's part over a scripted database; subclasses choose the mechanism, the cursor and the role."""

    mechanism = "fence"
    cursor = "id"
    role = "primary"
    longest_ms = 20_000

    writers = "in order"

    def __init__(self):
        super().__init__()
        dawdle_ms = 1_900 if self.writers == "in order" else 9_000
        self.database = Database(self.cursor, self.role, longest_ms=self.longest_ms, dawdle_ms=dawdle_ms)
        # An id of a block may be late by the block's time, its transaction's and its partner's in a join.
        bound = 30_000 if self.writers == "in order" else 60_000
        self.poller = Poller(self.database, self.mechanism, lookback_ms=bound, wait_ms=bound)
        self.trouble = False

    @rule()
    def begin_and_take(self):
        self.database.take(self.database.begin())

    @precondition(lambda self: self.database.open)
    @rule(which=st.integers(0, 5), end=st.sampled_from(["take", "write", "commit", "commit", "rollback"]))
    def writer(self, which, end):
        getattr(self.database, end)(self.database.open[which % len(self.database.open)])

    @rule(rows=st.integers(1, 8))
    def burst(self, rows):
        transaction = self.database.begin()
        for _ in range(rows):
            self.database.take(transaction)
        self.database.commit(transaction)

    @precondition(lambda self: self.writers == "at their worst" and self.cursor == "id")
    @rule(node=st.integers(0, 2), end=st.sampled_from(["write", "commit", "rollback"]))
    def a_node_hands_out_ids_of_its_block(self, node, end):
        transaction = self.database.begin()
        self.database.take_from_block(transaction, node)
        getattr(self.database, end)(transaction)

    @precondition(lambda self: self.writers == "at their worst" and self.cursor == "ts")
    @rule(behind_ms=st.sampled_from([500, 4_000, 9_000]), end=st.sampled_from(["write", "commit", "rollback"]))
    def a_writer_whose_clock_is_behind(self, behind_ms, end):
        transaction = self.database.begin()
        self.database.take(transaction, behind_ms)
        getattr(self.database, end)(transaction)

    @precondition(lambda self: self.writers == "at their worst" and self.database.open)
    @rule(which=st.integers(0, 5))
    def a_row_waits_for_its_partner_in_a_join(self, which):
        self.database.await_join(self.database.open[which % len(self.database.open)])

    @precondition(lambda self: self.database.unjoined)
    @rule()
    def a_join_shows_a_row(self):
        self.database.join()

    @precondition(lambda self: self.role == "standbys")
    @rule()
    def another_standby_answers(self):
        self.database.switch()

    @rule(records=st.integers(1, 6))
    def replay(self, records):
        self.database.replay(records)

    @rule(ms=st.sampled_from([1, 50, 400, 1_500, 2_100, 6_000]))
    def time_passes(self, ms):
        self.poller.advance(ms)

    @precondition(lambda self: self.role == "primary" and (self.cursor == "id" or self.mechanism == "lookback"))
    @rule(ms=st.sampled_from([-4_000, -500, 500, 4_000]))
    def clock_jumps(self, ms):
        self.database.jump(ms)

    @precondition(lambda self: len(self.poller.state.anchors) >= 3)
    @rule(share=st.floats(0, 1))
    def restore(self, share):
        """The database goes back to an older state, and gives its ids out again; the anchors notice before it is read on."""
        database, anchors = self.database, self.poller.state.anchors
        records = int(share * len(database.log))
        kept = {row for record in database.log[:records] if record.kind == "commit" for row in record.rows}
        if sum(row not in kept for row in anchors) < 3:
            return  # too little is gone to be told from erased rows
        database.restore(records)
        self.poller.flying.clear()
        assert self.poller.standing() != "steady"
        self.poller.rewind()

    @rule()
    def read(self):
        self.poller.read()

    @rule(outcome=st.sampled_from(FAULTS))
    def settle(self, outcome):
        self.trouble |= outcome != "accept" and bool(self.poller.flying)
        self.poller.settle(outcome)

    @rule()
    def poll(self):
        self.poller.poll()

    @invariant()
    def nothing_below_the_watermark_is_missing(self):
        self.poller.check()

    @invariant()
    def the_watermark_is_at_or_below_the_head(self):
        state = self.poller.state
        assert state.watermark is None or order(state.watermark) <= order(state.head)

    @invariant()
    def what_was_delivered_above_the_watermark_is_known(self):
        poller = self.poller
        if poller.late is None:
            return
        low = order(poller.state.watermark) if poller.state.watermark else (-1, -1)
        committed = {key for _, keys in poller.state.ledger for key in keys}
        above = [row for row in self.database.committed() if row.order > low and row.key in committed]
        assert not poller.unseen(above)

    def teardown(self):
        self.poller.quiesce(PATIENCE_MS)
        assert not self.poller.lost()
        ledger = [key for _, keys in self.poller.state.ledger for key in keys]
        assert len(ledger) == len(set(ledger)) == len(self.database.committed())
        if not self.trouble:
            assert set(self.poller.api.times.values()) <= {1}


MACHINES = [
    ("fence", "id", "primary", "in order"),
    ("fence", "id", "standby", "in order"),
    ("fence", "ts", "standby", "in order"),
    ("fence", "id", "standbys", "in order"),
    ("fence", "ts", "standbys", "in order"),
    ("fence + lookback", "ts", "primary", "at their worst"),
    ("fence + lookback", "ts", "standbys", "at their worst"),
    ("fence + lookback", "id", "standby", "at their worst"),
    ("gaps", "id", "primary", "at their worst"),
    ("gaps", "id", "standby", "in order"),
    ("gaps", "id", "standbys", "in order"),
    ("lookback", "id", "primary", "at their worst"),
    ("lookback", "id", "standbys", "in order"),
    ("lookback", "ts", "primary", "at their worst"),
    ("lookback", "ts", "standby", "in order"),
    ("lookback", "ts", "standbys", "in order"),
]


@pytest.mark.parametrize("examples", [3, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("mechanism", "cursor", "role", "writers"), MACHINES)
def test_no_order_of_events_loses_a_row(mechanism, cursor, role, writers, examples):
    """Whatever writers, replay, API, crashes, clocks and switches do, every committed row is delivered, once without trouble.

    Writers at their worst take times long before they write, or by clocks that are behind, hand out ids in blocks, and show
    rows by a join.
    """
    longest = 1 << 60 if mechanism == "fence" else 20_000
    chosen = {"mechanism": mechanism, "cursor": cursor, "role": role, "writers": writers, "longest_ms": longest}
    machine = type("Machine", (NoLoss,), chosen)
    machine.TestCase.settings = settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )
    machine.TestCase("runTest").runTest()
