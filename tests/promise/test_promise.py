"""The promise, over everything that happens to an operator at once: no order of events loses, doubles or overtakes a row.

Writers hold transactions open, take ids in blocks or times by clocks that are behind, and show rows by a join; keys repeat;
profiles come after the events of their players, and the API refuses any of them for a while; replicas switch; the daemon is killed, its state is restored and cut off, its
views are renamed; and three views, one of them without a key, tell of the same players.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from promise.casino import Casino
from promise.installation import Installation
from promise.smartico import PROFILE, Smartico
from smartico_sync.errors import ViewMisconfigured
from smartico_sync.tracking import base_loop, clocks
from smartico_sync.tracking import loop as loop_module

LONGEST_MS = 20_000  # no transaction, block of ids or join outlives it
LOOKBACK_MS = 60_000  # an id of a block may be late by the block's time, its transaction's and its partner's in a join
PATIENCE_MS = LOOKBACK_MS + 10_000
EVENTS = {"players": PROFILE, "bets": "bet", "notes": "note"}

# A profile is changed under its row's lock: its cursors are taken in the order of its changes, and no two are the same.
PLAYERS, TABLES = st.sampled_from("pqr"), st.sampled_from(["players", "bets", "bets", "notes"])
EVENT_TABLES = st.sampled_from(["bets", "notes"])
THEN = st.sampled_from(["nothing", "read", "committed"])
ENDS = st.sampled_from(["write", "commit", "commit", "rollback"])


class Promise(RuleBasedStateMachine):
    """Subclasses choose the cursor, who answers behind the address, and whether its snapshots can be a fence."""

    cursor, role, fence = "id", "primary", True

    def __init__(self):
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.casino = Casino(self.cursor, self.role, self.fence, LONGEST_MS)
        self.before = clocks.time, base_loop.GRACE_S, loop_module.GRACE_S
        # The process shares the casino's clock, and waits for nobody.
        clocks.time = SimpleNamespace(time_ns=self.nanoseconds, monotonic_ns=self.nanoseconds)
        base_loop.GRACE_S = loop_module.GRACE_S = 0.0
        self.smartico = Smartico()
        self.installation = Installation(Path(self.home.name), self.casino, self.smartico, LOOKBACK_MS)

    def nanoseconds(self):
        return self.casino.steady_ms * 1_000_000

    # What writers do

    @rule(table=TABLES, player=PLAYERS, rows=st.integers(1, 6), then=THEN)
    def rows_come(self, table, player, rows, then="nothing"):
        profile = table == "players"
        self.casino.advance(1 if profile else 0)
        transaction = self.casino.database.begin()
        for _ in range(1 if profile else rows):
            self.casino.put(transaction, table, player)
        self.casino.database.commit(transaction)
        self.casino.advance(1 if profile else 0)
        self.follow(then)

    @rule(table=EVENT_TABLES, player=PLAYERS)
    def a_transaction_begins(self, table, player):
        self.casino.put(self.casino.database.begin(), table, player)

    @precondition(lambda self: self.casino.database.open)
    @rule(which=st.integers(0, 5), end=ENDS)
    def a_transaction_goes_on(self, which, end):
        transactions = self.casino.database.open
        getattr(self.casino.database, end)(transactions[which % len(transactions)])

    @precondition(lambda self: self.cursor == "id")
    @rule(table=EVENT_TABLES, player=PLAYERS, node=st.integers(0, 1), end=ENDS, then=THEN)
    def a_node_hands_out_an_id_of_its_block(self, table, player, node, end, then):
        transaction = self.casino.database.begin()
        self.casino.put(transaction, table, player, node=node)
        getattr(self.casino.database, end)(transaction)
        self.follow(then)

    @precondition(lambda self: self.cursor == "ts")
    @rule(table=EVENT_TABLES, player=PLAYERS, behind_ms=st.sampled_from([500, 4_000, 9_000]), end=ENDS, then=THEN)
    def a_writer_whose_clock_is_behind(self, table, player, behind_ms, end, then):
        transaction = self.casino.database.begin()
        self.casino.put(transaction, table, player, behind_ms=behind_ms)
        getattr(self.casino.database, end)(transaction)
        self.follow(then)

    @precondition(lambda self: self.casino.database.open)
    @rule(which=st.integers(0, 5))
    def a_row_waits_for_its_partner_in_a_join(self, which):
        transactions = self.casino.database.open
        self.casino.database.await_join(transactions[which % len(transactions)])

    @precondition(lambda self: self.casino.database.unjoined)
    @rule()
    def a_join_shows_a_row(self):
        self.casino.database.join()

    @precondition(lambda self: any(content.table == "bets" for content in self.casino.contents.values()))
    @rule(which=st.integers(0, 9), player=PLAYERS)
    def a_key_repeats(self, which, player):
        """Two different bets carry one business id."""
        known = [content.transaction for content in self.casino.contents.values() if content.table == "bets"]
        transaction = self.casino.database.begin()
        self.casino.put(transaction, "bets", player, known[which % len(known)])
        self.casino.database.commit(transaction)

    # What servers do

    @precondition(lambda self: self.role == "standbys")
    @rule(records=st.integers(1, 6))
    def a_standby_replays(self, records):
        self.casino.database.replay(records)

    @precondition(lambda self: self.role == "standbys")
    @rule()
    def another_standby_answers(self):
        self.casino.database.switch()

    @rule(ms=st.sampled_from([50, 1_500, 2_100, 6_000, 30_000]), then=THEN)
    def time_passes(self, ms, then):
        self.casino.advance(ms)
        self.follow(then)

    # What the daemon and the API do

    @rule(view=st.sampled_from(list(EVENTS)))
    def a_view_polls(self, view):
        self.installation.loops[view].poll()

    def follow(self, then):
        """Often something is read before the next thing happens, and answered, and committed."""
        if then == "nothing":
            return
        if self.role == "standbys":
            self.casino.database.replay(9)
        for loop in self.installation.loops.values():
            loop.poll()
        if then == "committed":
            self.smartico.answer_all()
            for loop in self.installation.loops.values():
                loop.go_on()

    @rule(starts=st.integers(0, 3), which=st.integers(0, 9))
    def requests_are_answered(self, starts, which):
        for _ in range(starts):
            self.smartico.start()
        self.smartico.answer(which)

    @rule(kind=st.sampled_from(["", "", *EVENTS.values()]), starts=st.integers(0, 3))
    def the_api_refuses(self, kind, starts):
        """From now on whatever is of that kind; requests may have begun before."""
        for _ in range(starts):
            self.smartico.start()
        self.smartico.refusing = kind

    @rule(view=st.sampled_from(list(EVENTS)))
    def a_view_commits(self, view):
        self.installation.loops[view].go_on()

    # What operators and machines do

    @rule(
        how=st.sampled_from(["well", "badly"]),
        fate=st.sampled_from(["taken", "gone"]),
        renamed=st.sampled_from([None, *EVENTS]),
    )
    def the_process_starts_again(self, how, fate, renamed):
        """After an update or a kill; perhaps one of its views has another name."""
        self.installation.end(how, fate)
        if renamed:
            self.installation.rename(renamed)
        self.installation.begin()

    @rule(then=THEN)
    def the_state_is_copied(self, then):
        self.installation.copy()
        self.follow(then)

    @precondition(lambda self: self.installation.copies)
    @rule(back=st.integers(1, 3), how=st.sampled_from(["restore", "cut"]), fate=st.sampled_from(["taken", "gone"]))
    def the_state_goes_back(self, back, how, fate):
        """A copy is restored, or a power cut takes what was committed since."""
        copies = self.installation.copies
        self.installation.end("well" if how == "restore" else "badly", fate)
        getattr(self.installation, how)(copies[-min(back, len(copies))])
        self.installation.begin()

    # What must be so in the end

    def come_to_rest(self):
        """Every writer ends, every player has a profile that is taken, and polls go on until each mechanism has had its time."""
        database = self.casino.database
        self.smartico.refusing = ""
        for transaction in list(database.open):
            database.commit(transaction)
        while database.unjoined:
            database.join()
        known = {} if self.smartico.refused[PROFILE] else self.casino.profiles()  # whose last profile was taken
        for player in {content.player for content in self.casino.contents.values()} - known.keys():
            self.rows_come("players", player, 1)
        until = self.casino.steady_ms + PATIENCE_MS
        rounds = 0
        while self.casino.steady_ms < until or (not self.installation.settled() and rounds < 100):
            rounds += 1
            beat = database.begin()
            self.casino.put(beat, "beats", "")
            database.commit(beat)
            database.replay(1 << 30)
            database.other = database.replayed
            self.follow("committed")
            self.casino.advance(5_000 if self.casino.steady_ms < until else 600_000)

    def teardown(self):
        try:
            self.come_to_rest()
            for table, kind in EVENTS.items():
                self.check(table, kind)
        finally:
            self.installation.close()
            self.home.cleanup()
            clocks.time, base_loop.GRACE_S, loop_module.GRACE_S = self.before

    def check(self, table, kind):
        """Every row of a view was taken, once and in order, or given up and kept as that, or the view says why it stands still."""
        error, name = self.installation.loops[table].standing.error, self.installation.names[table]
        row = self.installation.store.view(name)
        counts = dict(row.counts) if row else {}
        assert 2 * counts.get("read", 0) == sum(n for name, n in counts.items() if name != "duplicate_unknown"), counts
        if table == "players":
            assert error is None, error
            assert self.smartico.profiles == self.casino.profiles(), "an older profile stayed"
            return
        accepted, rows = self.smartico.accepted[kind], [row.key for row in self.casino.committed(table)]
        assert len(set(accepted)) == len(accepted), f"{table}: counted twice"
        assert set(accepted) <= set(rows)
        self.check_order(table, accepted, self.smartico.refused[kind])
        told = [self.casino.contents[number].transaction for number in rows]
        if table == "bets" and self.cursor == "ts" and len(set(told)) < len(told):
            assert isinstance(error, ViewMisconfigured), "a row was swallowed"
            assert "not unique" in error.message
            return
        assert error is None, error
        given_up, missing = self.installation.store.dead_letters(view=name, limit=1000), set(rows) - set(accepted)
        assert missing <= self.smartico.refused[kind], f"{table}: lost"
        assert len(given_up) >= len(missing), f"{table}: refused, and forgotten"
        if table == "bets":
            assert {letter.row.key for letter in given_up} >= {
                self.casino.contents[each].transaction for each in missing
            }

    def check_order(self, table, accepted, refused):
        """What pages brought one after another was taken one after another, for each player.

        Not what a later session brought the other way round, because it had come late; nor rows of one cursor value, nor what
        was refused for itself: nothing waits for that.
        """
        taken = {number: place for place, number in enumerate(accepted)}
        cursors = {row.key: row.cursor for row in self.casino.committed(table)}
        seen, before = [], defaultdict(set)
        for session in self.casino.sessions.get(table, []):
            rows = list(dict.fromkeys(session))
            for place, number in enumerate(rows):
                if number in seen:
                    before[number] -= set(rows[place:])
                else:
                    before[number] = {*seen, *rows[:place]} - set(rows[place:])
            seen += [number for number in rows if number not in seen]
        for number, earlier in before.items():
            late = [
                other
                for other in earlier
                if number in taken
                and other not in refused
                and self.same_player(number, other)
                and cursors[other] < cursors[number]
                and taken.get(other, len(taken)) > taken[number]
            ]
            assert not late, f"{table}: {number} went before {late}"

    def same_player(self, one, other):
        return self.casino.contents[one].player == self.casino.contents[other].player


FEW = 10  # examples
MACHINES = [("id", "primary", True), ("ts", "standbys", True), ("id", "primary", False), ("ts", "standbys", False)]


@pytest.mark.parametrize("examples", [2, pytest.param(25, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("cursor", "role", "fence"), MACHINES)
def test_no_order_of_events_breaks_the_promise(cursor, role, fence, examples):
    """Every row that a view shows is taken once, in its player's order, or the view says what is wrong with it.

    The short form tries the same orders every time, the long one others.
    """
    machine = type("Machine", (Promise,), {"cursor": cursor, "role": role, "fence": fence})
    machine.TestCase.settings = settings(
        max_examples=examples,
        derandomize=examples < FEW,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )
    machine.TestCase("runTest").runTest()
