"""Smartico ends with what the source holds: whatever is refused, comes late or is on its way at the same time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from parts import parts
from smartico_sync.catalogue.kinds import kind
from smartico_sync.core.events import EID, ENVELOPE, PLAYER, POSITION
from smartico_sync.core.outcome import Retried, build_commit
from smartico_sync.core.pipeline import PipelineOptions, positions_of, prepare
from smartico_sync.core.planning import plan
from smartico_sync.core.records import Holds, Receipt, Refusal
from smartico_sync.core.relation import Column, Relation
from smartico_sync.core.view_mapping import Options
from smartico_sync.tracking.fingerprints import Fingerprints

SECRET = bytes(range(32))
START = datetime(2026, 1, 1, tzinfo=UTC)
LATER_MS = int(START.timestamp() * 1000) + 10**9
COLUMNS = {"ext_brand_id": "text", "user_ext_id": "integer", "dt_update": "instant", "x": "text", "y": "text"}
SCHEMA = {"ext_brand_id": pl.String, "user_ext_id": pl.Int64, "dt_update": pl.Datetime("us", "UTC"),
          "x": pl.String, "y": pl.String}  # fmt: skip
MODES = pytest.mark.parametrize("payload", ["full", "changed"])


@cache
def mapping():
    columns = tuple(Column(name, family, family) for name, family in COLUMNS.items())
    relation = Relation("users", "dt_update", ("ext_brand_id", "user_ext_id"), relation="users", columns=columns)
    return plan("users", kind("users"), relation, Options())


def page(rows):
    """Rows (moment in µs, player, x, y), as a source hands them over."""
    frame = pl.DataFrame(
        [("b", player, START + timedelta(microseconds=at), x, y) for at, player, x, y in rows],
        schema=SCHEMA,
        orient="row",
    )
    return frame.with_columns(
        pl.col("dt_update").cast(pl.String).alias("@cursor"),
        pl.col("ext_brand_id").alias("@key.0"),
        pl.col("user_ext_id").cast(pl.String).alias("@key.1"),
    )


@dataclass
class Stored:
    """What the state holds."""

    profiles_of: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(
            schema={"id": pl.UInt64, "whole": pl.Binary, "parts": pl.Binary, "cursor_at": pl.Int64}
        )
    )
    parked: dict = field(default_factory=dict)

    def profiles(self, _view, ids):
        return self.profiles_of.filter(pl.col("id").is_in(ids.implode()))

    def commit(self, commit):
        self.profiles_of = pl.concat([self.profiles_of, commit.profiles]).unique("id", keep="last", maintain_order=True)
        for number in commit.resolved:
            del self.parked[number]
        for letter in commit.dead_letters:
            self.parked.pop(letter.id, None)
        for each in commit.parked:
            number = each.id or max(self.parked, default=0) + 1
            self.parked[number] = replace(each, id=number)


class Receiver:
    """What Smartico holds of each player, and of which moment; it knows what it has taken by its id."""

    def __init__(self):
        self.holds, self.taken, self.ages = {}, set(), {}

    def take(self, batch, refused):
        """A receipt: the events whose turn it is are refused, all others taken."""
        names = [name for name in batch.send.frame.columns if name not in ENVELOPE]
        refusals, duplicates = [], 0
        for event in batch.send.frame.iter_rows(named=True):
            if refused():
                refusals.append(Refusal(event[POSITION], event[EID], 2, "refused"))
            elif event[EID] in self.taken:
                duplicates += 1
            else:
                self.taken.add(event[EID])
                age = positions_of(batch.places)[event[POSITION]].cursor
                assert age >= self.ages.get(event[PLAYER], ""), "an older profile landed after a newer one"
                self.ages[event[PLAYER]] = age
                said = {name: event[name] for name in names if event[name] is not None}
                self.holds.setdefault(event[PLAYER], {}).update(said)
        delivered = len(batch.send.frame) - len(refusals) - duplicates
        return Receipt(delivered, duplicates, tuple(refusals), 1, 1)


class Daemon:
    """A view of profiles: pages are made ready ahead of the answers, and committed in order."""

    def __init__(self, payload):
        self.options = PipelineOptions(mapping=mapping(), secret=SECRET, payload=payload, park_ms=10**9)
        self.stored, self.receiver, self.flying = Stored(), Receiver(), deque()
        self.fingerprints = Fingerprints(self.stored, "users", payload)
        self.rows, self.dead, self.counts = {}, set(), {}

    def send(self, rows, retried=None):
        frame = page(rows)
        holds = Holds(earlier=tuple(batch.holds.own for batch, _ in self.flying))
        waiting = {each.row.player for each in self.stored.parked.values()} if retried is None else set()
        batch = prepare(frame, self.options, self.fingerprints.known, LATER_MS, waiting, holds=holds)
        self.rows |= dict(zip(positions_of(frame), rows, strict=True))
        self.fingerprints.sent(batch.profiles)
        self.flying.append((batch, retried or Retried()))

    def answer(self, refused=lambda: False):
        """The oldest page is answered and committed."""
        if not self.flying:
            return
        batch, retried = self.flying[0]
        receipt = self.receiver.take(batch, refused)
        commit = build_commit(batch, receipt, self.options, 5, retried)
        self.stored.commit(commit)
        self.dead |= {self.rows[letter.row.position] for letter in commit.dead_letters}
        for name, n in commit.counts.items():
            self.counts[name] = self.counts.get(name, 0) + n
        self.fingerprints.settled()
        self.flying.popleft()

    def retry(self):
        """Parked rows are read again where they are."""
        parked = tuple(self.stored.parked[number] for number in sorted(self.stored.parked))
        if parked and not any(len(retried) for _, retried in self.flying):
            self.send([self.rows[each.row.position] for each in parked], Retried(parked))

    def settle(self):
        while self.flying or self.stored.parked:
            self.retry()
            self.answer()


WORD = st.sampled_from("ab")
ROW = st.tuples(st.integers(0, 3), st.integers(1, 2), WORD, WORD)
STEP = st.one_of(
    st.tuples(st.just("read"), st.lists(ROW, min_size=1, max_size=4)),
    st.tuples(st.just("late"), st.lists(ROW, min_size=1, max_size=2)),
    st.tuples(st.just("answer"), st.lists(st.booleans(), min_size=4, max_size=4)),
    st.tuples(st.just("retry"), st.none()),
)


A_FIRST, ANSWER = ("read", [(0, 1, "a", "a")]), ("answer", [])


def draw(told):
    """Answers in turn; no event is refused after them."""
    left = deque(told)
    return lambda: left.popleft() if left else False


@MODES
@parts(4)
@settings(max_examples=13)
@given(steps=st.lists(STEP, max_size=14))
@example(steps=[A_FIRST, ANSWER, ("read", [(0, 1, "b", "b")]), ("read", [(0, 1, "b", "a")]), ("answer", [True])])
@example(steps=[A_FIRST, ANSWER, ("read", [(0, 1, "b", "a")]), ("read", [(0, 1, "b", "a")]), ("answer", [True])])
@example(steps=[A_FIRST, ANSWER, ("read", [(0, 1, "b", "a"), (0, 1, "a", "a")]), ("answer", [False, True])])
@example(
    steps=[A_FIRST, ANSWER, ("read", [(0, 1, "b", "a"), (0, 1, "a", "a"), (0, 1, "a", "b")]), ("answer", [False, True])]
)
@example(steps=[A_FIRST, ("late", [(0, 1, "b", "b")]), ("answer", [True])])
def test_smartico_ends_with_what_the_source_holds(payload, part, steps):
    """Refusals of any profile, late rows and pages in flight: as if what was refused had never been read.

    Nothing older lands after something newer; when all is settled Smartico holds the newest row of each player, unless that very
    row was refused; and after one more row of each, whatever it says, Smartico holds that.
    """
    daemon, now, newest, used = Daemon(payload), 0, {}, set()
    for name, told in steps:
        rows = []
        for step, player, x, y in told if name in ("read", "late") else ():
            now += 10 * (step + 1) if name == "read" else 0
            row = (now if name == "read" else now - 10 * step - 5, player, x, y)
            if row[:2] not in used:  # a view never shows two rows with one cursor and key
                used.add(row[:2])
                rows.append(row)
                newest[player] = max(row, newest.get(player, row))
        if rows:
            daemon.send(sorted(rows))
        elif name == "answer":
            daemon.answer(draw(told))
        elif name == "retry":
            daemon.retry()
    daemon.settle()
    counts = dict(daemon.counts)
    assert 2 * counts.pop("read", 0) == sum(daemon.counts.values())
    hashes = {}
    for player, row in newest.items():
        hashes[player] = player_hash(player)
        if row not in daemon.dead:
            assert daemon.receiver.holds[hashes[player]] == {"x": row[2], "y": row[3]}
    for words in ("aa", "bb", "ab"):
        now += 10
        daemon.send([(now, player, *words) for player in newest])
        daemon.settle()
        for player in newest:
            assert daemon.receiver.holds[hashes[player]] == {"x": words[0], "y": words[1]}


@cache
def player_hash(player):
    batch = prepare(
        page([(0, player, "a", "a")]),
        PipelineOptions(mapping=mapping(), secret=SECRET, park_ms=1),
        lambda _: Stored().profiles_of,
        0,
    )
    return batch.send.frame.get_column(PLAYER)[0]
