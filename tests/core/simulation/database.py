"""A scripted database: values taken early, commits in any order, rollbacks, snapshots, a standby that replays, clocks."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from smartico_sync.core.late_commit.mechanism import ReadTime
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Snapshot


@dataclass(frozen=True)
class Row:
    """One row; `cursor` is its id or its time, whichever the view is tracked by."""

    cursor: int
    key: int

    @property
    def position(self):
        return Position(str(self.cursor), (str(self.key),))

    @property
    def order(self):
        return (self.cursor, self.key)


@dataclass(frozen=True)
class Record:
    """One record of the write-ahead log."""

    kind: str  # write | commit | abort
    xid: int
    clock_ms: int
    rows: tuple[Row, ...] = ()


@dataclass
class Transaction:
    """`taken`: values given out but not yet written; a transaction has an id only from its first write on."""

    began_ms: int
    xid: int | None = None
    taken: list[tuple[Row, int]] = field(default_factory=list)
    written: list[Row] = field(default_factory=list)


@dataclass
class Block:
    """Ids that one node of an application keeps in memory, and hands out when it needs them."""

    ids: list[int]
    since_ms: int


BLOCK = 5


@dataclass
class Database:
    """`cursor`: what the view is tracked by. `longest_ms`: no transaction, block of ids or join outlives it. `dawdle_ms`: a
    value is written at most so long after it was taken. Time passes only by `advance`.

    With the role `standbys` there are two behind one address, and `facing` is the one that answers."""

    cursor: str = "id"
    role: str = "primary"
    longest_ms: int = 1 << 60
    dawdle_ms: int = 1_900
    true_ms: int = 1_000_000
    skew_ms: int = 0
    next_id: int = 1
    next_key: int = 1
    next_xid: int = 100
    log: list[Record] = field(default_factory=list)
    replayed: int = 0
    other: int = 0
    facing: int = 0
    open: list[Transaction] = field(default_factory=list)
    blocks: dict[int, Block] = field(default_factory=dict)
    unjoined: list[tuple[Row, int]] = field(default_factory=list)

    @property
    def clock_ms(self):
        return self.true_ms + self.skew_ms

    def begin(self):
        self.open.append(Transaction(self.true_ms))
        return self.open[-1]

    def take(self, transaction, behind_ms=0):
        """Give out the next value, as nextval() or now() does; or a time by the clock of an application server."""
        row = Row(self.next_id if self.cursor == "id" else self.clock_ms - behind_ms, self.next_key)
        self.next_id += 1
        self.next_key += 1
        transaction.taken.append((row, self.true_ms))

    def take_from_block(self, transaction, node):
        """A node hands out its next id; the database hears of each block only."""
        if not self.blocks.get(node, Block([], 0)).ids:
            self.blocks[node] = Block(list(range(self.next_id, self.next_id + BLOCK)), self.true_ms)
            self.next_id += BLOCK
        transaction.taken.append((Row(self.blocks[node].ids.pop(0), self.next_key), self.true_ms))
        self.next_key += 1

    def await_join(self, transaction):
        """Commit everything but one row's partner in a join: the row itself is not to be seen yet."""
        self.write(transaction)
        if transaction.written:
            self.unjoined.append((transaction.written.pop(), self.true_ms))
        self.end(transaction, "commit")

    def join(self):
        """The partner arrives, in a transaction of its own, and with it the oldest row that waits for one."""
        row, _ = self.unjoined.pop(0)
        partner = self.begin()
        partner.taken.append((row, self.true_ms))
        self.commit(partner)

    def switch(self):
        """The address leads to the other standby."""
        self.facing = 1 - self.facing
        self.replayed, self.other = self.other, self.replayed

    def write(self, transaction):
        """Insert what was taken; not yet visible to others."""
        if not transaction.taken:
            return
        if transaction.xid is None:
            transaction.xid = self.next_xid
            self.next_xid += 1
        transaction.written += [row for row, _ in transaction.taken]
        transaction.taken.clear()
        self.log.append(Record("write", transaction.xid, self.clock_ms))

    def commit(self, transaction):
        self.write(transaction)
        self.end(transaction, "commit")

    def rollback(self, transaction):
        transaction.taken.clear()
        self.end(transaction, "abort")

    def end(self, transaction, kind):
        self.open.remove(transaction)
        if transaction.xid is not None:
            self.log.append(Record(kind, transaction.xid, self.clock_ms, tuple(transaction.written)))

    def advance(self, ms):
        """Let time pass; writers that would break an assumption of the model write or commit first."""
        self.drain_backlog(ms)
        self.true_ms += ms

    def jump(self, ms):
        """Set the clock."""
        self.drain_backlog(max(ms, 0))
        self.skew_ms += ms

    def drain_backlog(self, ms):
        for transaction in list(self.open):
            if any(self.true_ms + ms - since > self.dawdle_ms for _, since in transaction.taken):
                self.write(transaction)
            values = [row.cursor for row in transaction.written] + [row.cursor for row, _ in transaction.taken]
            late = self.clock_ms + ms - min(values, default=0) if self.cursor == "ts" and values else 0
            if max(self.true_ms + ms - transaction.began_ms, late) > self.longest_ms:
                self.commit(transaction)
        for node, block in list(self.blocks.items()):
            if self.true_ms + ms - block.since_ms > self.longest_ms:
                del self.blocks[node]  # the node restarts, and its ids are never used
        while self.unjoined and self.true_ms + ms - self.unjoined[0][1] > self.longest_ms // 2:
            self.join()

    def replay(self, records):
        """The standby goes on. What was not followed by a commit is not even sent: it waits in the primary's buffers."""
        flushed = max((i + 1 for i, record in enumerate(self.log) if record.kind == "commit"), default=0)
        self.replayed = max(self.replayed, min(flushed, self.replayed + records))

    def restore(self, records):
        """Back to an older state; ids given out since are given out again, and nodes ask for new blocks: none gives an id twice."""
        self.log = self.log[:records]
        self.open.clear()
        self.unjoined.clear()
        self.blocks.clear()
        self.replayed, self.other = min(self.replayed, records), min(self.other, records)
        self.next_id = max((row.cursor for record in self.log for row in record.rows), default=0) + 1

    def committed(self):
        return [row for record in self.log if record.kind == "commit" for row in record.rows]

    def reading(self, steady_ms, flaw=""):
        return Reading(self, steady_ms, flaw)


class Reading:
    """One snapshot. `flaw` breaks one assumption on purpose: `completed` (xmax as PostgreSQL's own snapshot has it) or
    `wall clock` (the clock runs on while replay stands still)."""

    def __init__(self, database, steady_ms, flaw):
        log = database.log if database.role == "primary" else database.log[: database.replayed]
        seen = [record.xid for record in log]
        ended = [record.xid for record in log if record.kind != "write"]
        running = set(seen) - set(ended)
        completed = max(ended, default=99) + 1
        upcoming = database.next_xid if database.role == "primary" else max(seen, default=99) + 1
        xmin = min(running | {completed})
        clock = database.clock_ms
        if database.role != "primary" and flaw != "wall clock":
            clock = next((record.clock_ms for record in reversed(log) if record.kind == "commit"), 0)
        server = "" if database.role == "primary" or flaw == "nameless" else f"standby {database.facing}"
        snapshot = Snapshot(xmin, completed if flaw == "completed" else upcoming)
        self.read_time = ReadTime(clock, steady_ms, snapshot, server)
        self.rows = sorted(
            (row for record in log if record.kind == "commit" for row in record.rows), key=lambda row: row.order
        )

    def page(self, after, limit, through=None):
        low = (-1, -1) if after is None else order(after)
        high = 1 << 62 if through is None else int(through)
        return [row for row in self.rows if row.order > low and row.cursor <= high][:limit]

    def keys(self, after, high):
        low = (-1, -1) if after is None else order(after)
        return [row for row in self.rows if row.order > low and row.cursor <= int(high)]

    def ask(self, ids, ranges):
        wanted = set(ids)
        return [
            row for row in self.rows if row.cursor in wanted or any(low <= row.cursor <= high for low, high in ranges)
        ]

    def head(self):
        return self.rows[-1] if self.rows else None


def order(position):
    return (int(position.cursor), int(position.key[0]))


def shifted(read_time, ms):
    return replace(read_time, steady_ms=read_time.steady_ms + ms)
