"""No order of reads, answers, commits and tries lets an event of a player overtake an earlier one."""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from smartico_sync.catalogue.kinds import kind
from smartico_sync.core.answer_errors import Refused
from smartico_sync.core.batches import batches
from smartico_sync.core.events import EID, KEY, PLAYER
from smartico_sync.core.late_commit.mechanism import ReadTime
from smartico_sync.core.pipeline import PipelineOptions, positions_of
from smartico_sync.core.planning import plan
from smartico_sync.core.relation import Column, Relation
from smartico_sync.core.tracing import UNTRACED
from smartico_sync.core.verdicts import Verdict
from smartico_sync.core.view_mapping import Options
from smartico_sync.delivery.backlog import Backlog
from smartico_sync.delivery.pending_receipt import PendingReceipt
from smartico_sync.delivery.request import Request
from smartico_sync.state.store import Store
from smartico_sync.tracking import event_sender, sender
from smartico_sync.tracking.key_watch import Explained
from smartico_sync.tracking.memory_budget import MemoryBudget
from smartico_sync.tracking.read_result import ReadResult
from smartico_sync.tracking.sender import Sender

COLUMNS = (Column("ext_brand_id", "text", "text"), Column("user_ext_id", "text", "text"), Column("id", "int", "integer"),
           Column("at", "timestamptz", "instant"))  # fmt: skip
RELATION = Relation("bets", "id", ("id",), relation="bets", columns=COLUMNS)
MAPPING = plan("bets", kind("custom"), RELATION, Options(event_type="bet", event_date="at"))
START = datetime(2026, 1, 1, tzinfo=UTC)
MOST = 2  # events a request: a player's events fill several


class Deaf:
    """Hears of everything and does nothing."""

    def __getattr__(self, _name):
        return lambda *_, **__: None


def page(rows):
    """Rows (id, player), as a source hands them over."""
    frame = pl.DataFrame(
        [("b", player, number, START + timedelta(seconds=number)) for number, player in rows],
        schema={"ext_brand_id": pl.String, "user_ext_id": pl.String, "id": pl.Int64, "at": pl.Datetime("us", "UTC")},
        orient="row",
    )
    text = pl.col("id").cast(pl.String)
    return frame.with_columns(text.alias("@cursor"), text.alias("@key.0"))


class Router:
    """Delivery without threads: who is asked next is the test's choice."""

    def __init__(self):
        self.backlog, self.under_way, self.accepted, self.taken = Backlog(), [], defaultdict(list), set()

    def send(self, view, events, *, priority, holds, **_requests):
        pending = PendingReceipt(view, priority, events, holds)
        ready, _ = batches(events, MOST, 10**6)
        self.backlog.add([Request.of(batch, pending) for batch in ready], pending)
        return pending.future

    def start(self):
        """Send the next request that may start; one that failed goes in parts."""
        order = self.backlog.player_order
        order.release(1)
        request = order.take()
        if request is None:
            return
        if request.pending.over:
            self.backlog.drop(request)
            return
        if request.attempts:
            order.scatter(request, 2)
        request.pace = "usual"
        self.backlog.hold_back(request, {})
        if not request.over:
            self.under_way.append(request)

    def answer(self, which, known):
        """The API answers one of the requests under way: it knows some players, and what it has taken before."""
        if not self.under_way:
            return
        request = self.under_way.pop(which % len(self.under_way))
        refused, duplicates = self.judged(request, known)
        if request.pending.over:
            self.backlog.drop(request)
        else:
            self.backlog.settle(request, Verdict("done", refused=refused, duplicates=frozenset(duplicates)))

    def takes_long(self, which):
        """One of the requests under way takes long: others may go before its players."""
        if self.under_way:
            self.backlog.player_order.stuck(self.under_way[which % len(self.under_way)])

    def fail(self, which, known, outcome):
        """One of the requests under way has no answer, whether the API took it or not, and goes again."""
        if not self.under_way:
            return
        request = self.under_way.pop(which % len(self.under_way))
        if outcome == "taken":
            self.judged(request, known)
        if request.pending.over:
            self.backlog.drop(request)
            return
        request.attempts, request.trip = request.attempts + 1, "again"
        self.backlog.player_order.postpone(request, 0)
        self.backlog.player_order.stuck(request)

    def judged(self, request, known):
        """What the API makes of the events: the refused, and the duplicates."""
        refused, duplicates = {}, set()
        for place, event in enumerate(request.frame.select(EID, KEY, PLAYER, "@user").iter_rows(named=True)):
            if event[EID] in self.taken:
                duplicates.add(place)
            elif event["@user"] not in known:
                refused[place] = Refused(10001, "User not found")
            else:
                self.taken.add(event[EID])
                self.accepted[event["@user"]].append(int(event[KEY]))
        return refused, duplicates


class Order(RuleBasedStateMachine):
    """One view with its sender, its store and the delivery's backlog; pages are committed in their order."""

    def __init__(self):
        super().__init__()
        self.home = TemporaryDirectory()
        self.store = Store.open(Path(self.home.name) / "sync.db")
        self.row = self.store.begin("bets", "definition", "first", 1)
        self.router, self.flight, self.rows = Router(), deque(), []
        self.read_to = 0
        view = SimpleNamespace(
            name="bets", skip_cjm="never", on_mutated="warn", max_refused=SimpleNamespace(count=10**9, share=1.0)
        )
        equipment = SimpleNamespace(
            view=view, store=self.store, delivery=self.router, recorder=Deaf(), source=self,
            protection=SimpleNamespace(apply=lambda events: events),
            tracer=UNTRACED, memory=MemoryBudget(),
        )  # fmt: skip
        reader = SimpleNamespace(after=lambda *_: None, adopt=lambda *_: None, also=lambda *_: None, watermark=None)
        self.session = SimpleNamespace(
            prepared=SimpleNamespace(mapping=MAPPING, relation=RELATION), reader=reader,
            options=PipelineOptions(mapping=MAPPING, secret=bytes(32), park_ms=10**17),
            fingerprints=SimpleNamespace(known=None, ages=None),
            keys=SimpleNamespace(
                look=lambda *_: None, sending=lambda *_: None, settled=lambda: None, answered=lambda _: Explained(),
                explain=lambda *_: Explained(), compare=lambda *_: None, may_be_known=lambda _: True,
            ),
        )  # fmt: skip
        clock = count(10**9, 700)
        self.before = sender.now_ms
        sender.now_ms = event_sender.now_ms = lambda: next(clock)
        self.sender = Sender(equipment)
        self.sender.begin(self.row)

    @contextmanager
    def reading(self, _relation):
        yield SimpleNamespace(clock_ms=0, rows=self.found)

    def found(self, positions):
        wanted, rows = set(positions), page(self.rows)
        return rows.filter(pl.Series([position in wanted for position in positions_of(rows)], dtype=pl.Boolean))

    @rule(players=st.text("pqr", min_size=1, max_size=5))
    def read(self, players):
        for player in players:
            self.rows.append((len(self.rows) + 1, player))
        self.read_on()

    def read_on(self):
        rows = page(self.rows[self.read_to :])
        if rows.height:
            self.flight.append(self.sender.page(self.session, ReadResult(ReadTime(0, 0, None), rows)))
            self.read_to = len(self.rows)

    @rule(starts=st.integers(0, 2), which=st.integers(0, 9), known=st.sampled_from(["", "", "p", "pq", "pqr"]))
    def answer(self, starts, which, known):
        for _ in range(starts):
            self.router.start()
        self.router.answer(which, known)

    @rule(which=st.integers(0, 9))
    def takes_long(self, which):
        self.router.takes_long(which)

    @rule(which=st.integers(0, 9), outcome=st.sampled_from(["taken", "lost"]))
    def fail(self, which, outcome):
        self.router.fail(which, "pqr", outcome)

    @rule()
    def commit(self):
        if self.flight and self.flight[0].receipt.done():
            sent = self.flight.popleft()
            sent.settle(sent.receipt.result())

    @rule()
    def retry(self):
        parked = self.sender.due()
        if parked:
            self.flight.append(self.sender.retries(self.session, parked))

    @rule()
    def begin_anew(self):
        """Something went wrong: what was not committed is read again; what is under way may still be accepted."""
        for sent in reversed(self.flight):
            sent.receipt.cancel()
        self.flight.clear()
        head = self.store.view("bets").head
        self.read_to = int(head.cursor) if head else 0
        self.sender.begin(self.row)
        self.read_on()

    def teardown(self):
        for _ in range(3000):
            self.retry()
            self.answer(1, 0, "pqr")
            self.commit()
            if not self.flight and not self.store.parked_counts() and self.read_to == len(self.rows):
                break
        sender.now_ms = event_sender.now_ms = self.before
        wanted = defaultdict(list)
        for number, player in self.rows:
            wanted[player].append(number)
        counts = dict(self.store.view("bets").counts)
        self.store.close()
        self.home.cleanup()
        assert self.router.accepted == wanted
        assert 2 * counts.get("read", 0) == sum(counts.values())


def test_a_row_read_while_the_last_one_that_waits_is_on_its_way():
    """It waits behind that one, and what is read once that one is delivered waits behind both."""
    order = Order()
    order.read("p")
    order.answer(1, 0, "")
    order.commit()
    while not order.flight:
        order.retry()
    order.read("p")
    order.answer(1, 0, "p")
    order.commit()
    order.read("p")
    order.answer(1, 0, "p")
    assert order.router.accepted["p"] == [1]
    order.teardown()


TestOrder = Order.TestCase
TestOrder.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.slow
class TestMoreOrders(Order.TestCase):
    """The same, more often."""


TestMoreOrders.settings = settings(TestOrder.settings, max_examples=100)
