"""The tracker's part, reduced to what decides about loss: read, deliver, commit, crash."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from core.simulation.database import order
from smartico_sync.core.late_commit.delivered_keys import DeliveredKeys
from smartico_sync.core.late_commit.fence import Fence
from smartico_sync.core.late_commit.gaps import Gaps
from smartico_sync.core.late_commit.lookback import Lookback
from smartico_sync.core.late_commit.mechanism import AskIds, KeyScan, Mark, Page
from smartico_sync.core.restore_detection import ANCHORS, Facts, judge

AHEAD = 3  # pages read before the first is acknowledged


class Lost(AssertionError):
    """A row that can never be found any more."""


@dataclass
class State:
    """What survives a crash: changed by one commit or not at all."""

    head: Any = None
    watermark: Any = None
    late: str = ""
    ledger: list[tuple[int, list[int]]] = field(default_factory=list)
    commits: int = 0
    anchors: tuple = ()
    generation: int = 0


@dataclass
class Api:
    """What the receiver has taken: content by event id, and how often."""

    content: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    times: Counter = field(default_factory=Counter)

    def accept(self, rows, generation):
        """An event's id is that of its row's cursor and key, as the source gives them out, in a generation."""
        for row in rows:
            eid = (generation, *row.order)
            assert self.content.setdefault(eid, row.key) == row.key, "one event id, two contents"
            self.times[eid] += 1


@dataclass
class Sent:
    """A page on its way."""

    page: Page
    rows: list
    last: Any


@dataclass
class Poller:
    """`mechanism`: fence, fence + lookback, gaps, lookback, or naive, which only ever reads on after the head."""

    database: Any
    mechanism: str
    limit: int = 5
    settle_ms: int = 2_000
    lookback_ms: int = 30_000
    wait_ms: int = 30_000
    pipelined: bool = True
    quiet: bool = False  # ask only whether there are rows while nothing else is due
    flaw: str = ""
    api: Api = field(default_factory=Api)
    state: State = field(default_factory=State)
    steady_ms: int = 0
    skipped: int = 0
    digests: int = 0

    def __post_init__(self):
        self.restart()

    def restart(self):
        """A new process: nothing but the state is left."""
        self.late = None
        self.read_time = None
        self.known = DeliveredKeys()
        self.flying = deque()
        self.position = self.state.head
        self.pace = "caught_up"
        self.nothing = None
        self.looked_ms = 0

    def start(self, read_time):
        newest = self.state.commits
        held = (read_time, self.state.watermark, self.state.head, self.state.late, newest)
        if self.mechanism.startswith("fence"):
            lookback_ms = self.lookback_ms if self.mechanism == "fence + lookback" else 0
            self.late = Fence.start(*held, settle_ms=self.settle_ms, lookback_ms=lookback_ms)
        elif self.mechanism == "gaps":
            self.late = Gaps.start(*held, wait_ms=self.wait_ms)
        else:
            self.late = Lookback.start(*held, lookback_ms=self.lookback_ms)
        for seq, keys in self.state.ledger:
            if seq > self.late.since:
                self.known = self.known.append(seq, pl.Series(keys, dtype=pl.UInt64))

    def read(self):
        """One reading; its rows are now on their way."""
        if len(self.flying) >= (AHEAD if self.pipelined else 1):
            return
        reading = self.database.reading(self.steady_ms, self.flaw)
        read_time = reading.read_time
        if self.mechanism == "naive":
            rows = reading.page(self.position, self.limit)
            self.send(Page(read_time, self.mark(rows)), rows, rows)
            return
        if self.quiet and self.waits_for_rows(reading):
            return
        if self.late is None:
            self.start(read_time)
        self.read_time = read_time
        busy = any(sent.page.scan is not None for sent in self.flying)
        foreseen = self.late.expected(read_time.scan_ms, "busy" if busy else self.pace)
        self.late, scan = self.late.rescan(read_time, "busy" if busy else self.pace)
        assert foreseen == (None if isinstance(scan, AskIds) else scan), (
            "what a reading asks for is known when it is begun"
        )
        through = self.late.safe_upper_bound
        rows = reading.page(self.position, self.limit, through)
        if len(rows) == self.limit:
            self.pace = "behind"
            source = reading.head()
            self.late = self.late.with_target(read_time, self.mark([source]))
        else:
            self.pace = "caught_up" if through is None else self.pace
            self.late = self.late.with_target(read_time, None)
        keys = []
        if scan is not None:
            keys = (
                self.covered(scan, reading.keys(scan.after, scan.high))
                if isinstance(scan, KeyScan)
                else reading.ask(scan.ids, scan.ranges)
            )
        # What is on its way is as good as known.
        flying = {row.key for sent in self.flying for row in sent.rows}
        new = [row for row in self.unseen(rows) if row.key not in flying]
        taken = flying | {row.key for row in rows}
        found = [row for row in self.unseen(keys) if row.key not in taken]
        if isinstance(scan, KeyScan):
            self.nothing = None if found else (scan, reading.keys(scan.after, scan.high))
        self.looked_ms = 0
        page = Page(
            read_time,
            self.mark(rows),
            ids=pl.Series([row.cursor for row in rows], dtype=pl.Int64),
            found=pl.Series([row.cursor for row in found], dtype=pl.Int64),
            found_ms=pl.Series([row.cursor for row in found], dtype=pl.Int64) if self.database.cursor == "ts" else None,
            scan=scan,
            cost_ms=len(keys) // 5,
            through=through,
        )
        self.send(page, new + found, rows)

    def waits_for_rows(self, reading):
        """Whether this reading is left out, as of a view that nothing but a row behind the head can bring to read."""
        before, now = self.read_time, reading.read_time
        if (
            before is None
            or self.late is None
            or self.flying
            or self.pace != "caught_up"
            or before.server != now.server
        ):
            return False
        if reading.page(self.position, 1):
            return False
        skips = now.steady_ms < self.late.due_ms(before) or self.finds_nothing(reading)
        self.skipped += skips
        return skips

    def finds_nothing(self, reading):
        """Whether the scan that is due would find the same keys in which it found nothing, as a digest tells now and then."""
        again, now = self.late.repeated(self.read_time), reading.read_time.steady_ms
        if again is None or self.nothing is None or now >= again.until_ms:
            return False
        scan, keys = self.nothing
        if (scan.after, scan.high, scan.key) != (again.scan.after, again.scan.high, again.scan.key):
            return False
        if now < self.looked_ms + again.every_ms:
            return True
        if reading.keys(again.scan.after, again.scan.high) != keys:
            return False
        self.looked_ms, self.digests = now, self.digests + 1
        return True

    def covered(self, scan, rows):
        text = {"@cursor": [str(row.cursor) for row in rows], "@key.0": [str(row.key) for row in rows]}
        return rows[: scan.covered(pl.DataFrame(text, schema=dict.fromkeys(text, pl.String))).height]

    def mark(self, rows):
        if not rows:
            return None
        time = rows[-1].cursor if self.database.cursor == "ts" else None
        return Mark(rows[-1].position, self.state.commits, time)

    def send(self, page, rows, in_order):
        if in_order:
            self.position = in_order[-1].position
        self.flying.append(Sent(page, rows, in_order[-1].position if in_order else None))

    def unseen(self, rows):
        mask = self.known.unseen(pl.Series([row.key for row in rows], dtype=pl.UInt64))
        return [row for row, new in zip(rows, mask.to_list(), strict=True) if new]

    def settle(self, outcome):
        """The oldest page on its way: accept, refuse, unknown (accepted, but no answer), or a crash before, between the
        acknowledgement and the commit, or after the commit."""
        if not self.flying:
            return
        if outcome in ("accept", "unknown", "crash between", "crash after"):
            self.api.accept(self.flying[0].rows, self.state.generation)
        if outcome in ("accept", "crash after"):
            self.commit(self.flying.popleft())
        if outcome in ("refuse", "unknown"):
            self.flying.clear()
            self.position, self.pace = self.state.head, "caught_up"
        if outcome.startswith("crash"):
            self.restart()

    def commit(self, sent):
        if self.mechanism == "naive":
            self.state.head = sent.last or self.state.head
            return
        page = sent.page
        if page.head is not None:
            page = Page(**{**vars_of(page), "head": Mark(page.head.position, self.state.commits, page.head.cursor_ms)})
        after = self.late.delivered(page)
        mark = after.watermark.position if after.watermark else None
        before = self.state.watermark
        assert before is None or (mark is not None and order(mark) >= order(before)), "the watermark went back"
        commits = self.state.commits + 1
        keys = [row.key for row in sent.rows]
        ledger, anchors = [*self.state.ledger, (commits, keys)], self.state.anchors
        if sent.rows:
            anchors = (*anchors, sent.rows[-1])[-ANCHORS:]
        head = sent.last or self.state.head
        self.state = State(head, mark, after.dump(), ledger, commits, anchors, self.state.generation)
        self.known = self.known.append(commits, pl.Series(keys, dtype=pl.UInt64)).forget(after.since)
        self.late = after

    def poll(self, outcome="accept"):
        self.read()
        while self.flying:
            self.settle(outcome)
            if outcome != "accept":
                break

    def advance(self, ms):
        self.database.advance(ms)
        self.steady_ms += ms

    def quiesce(self, patience_ms):
        """Every writer ends, the standby catches up, and polls go on until each mechanism has had its time."""
        for transaction in list(self.database.open):
            self.database.commit(transaction)
        while self.database.unjoined:
            self.database.join()
        until = self.steady_ms + patience_ms
        while self.steady_ms < until or self.behind():
            beat = self.database.begin()
            self.database.take(beat)
            self.database.commit(beat)
            self.database.replay(1 << 30)
            self.poll()
            self.advance(700)
        self.database.replay(1 << 30)
        self.poll()
        self.poll()

    def behind(self):
        return self.pace == "behind"

    def lost(self):
        sent = {(eid[1:], key) for eid, key in self.api.content.items() if eid[0] == self.state.generation}
        return [row for row in self.database.committed() if (row.order, row.key) not in sent]

    def standing(self):
        """What the anchors say of the source."""
        reading = self.database.reading(self.steady_ms)
        there, source = set(reading.rows), reading.head()
        head, mark = self.state.head, self.state.watermark
        highest = "at head or above"
        if source is None:
            highest = "none"
        elif mark is not None and source.order < order(mark):
            highest = "below watermark"
        elif head is not None and source.order < order(head):
            highest = "below head"
        found = sum(row in there for row in self.state.anchors)
        return judge("view", Facts(len(self.state.anchors), found, highest)).state

    def rewind(self):
        """What the operator types: back to the start, with event ids that none had before."""
        self.state = State(generation=self.state.generation + 1)
        self.restart()

    def check(self):
        """What is at or below the watermark and committed has been delivered: nothing will look there again."""
        mark = self.state.watermark
        if mark is not None and self.mechanism != "naive":
            gone = [row for row in self.lost() if row.order <= order(mark)]
            if gone:
                raise Lost(gone)


def vars_of(page):
    return {name: getattr(page, name) for name in page.__struct_fields__}
