"""Rows that commit late: the words the three mechanisms share, and the choice between them.

How a reading uses a mechanism (every value is frozen; each step returns the next one):

    mechanism, scan = mechanism.rescan(moment, pace)       inside each reading, before its rows are sent
        KeyScan: `keys(scan.low, scan.high, …, after=scan.after)` in the same snapshot, minus the known → stragglers
        AskIds: `by_cursor(ids)` and the keys of each range in the same snapshot, minus the known → stragglers
    … page and stragglers are delivered and acknowledged …
    after = mechanism.delivered(Page(…))                   right before the commit, in page order
    commit(watermark=after.watermark, late=after.dump())   only now `after` replaces `mechanism`

A mechanism never learns of rows that were not acknowledged, so a failed delivery or commit needs no undoing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self

if TYPE_CHECKING:
    import polars as pl

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Family, Snapshot

__all__ = [
    "AskIds", "Choice", "KeyScan", "Mark", "Mechanism", "MechanismName", "Moment", "Pace", "Page", "Policy", "choose",
]  # fmt: skip

MechanismName = Literal["fence", "gaps", "lookback"]
Policy = Literal["auto", "fence", "gaps", "lookback"]
Pace = Literal[
    "level",  # the last page was not full: stragglers are wanted at once
    "behind",  # a backlog is being read: stragglers can wait a little
    "busy",  # rows of an earlier rescan are not committed yet: ask for nothing
]

WHOLE: frozenset[Family] = frozenset({"integer", "decimal"})
TIMES: frozenset[Family] = frozenset({"timestamp", "instant", "date"})


@dataclass(frozen=True, slots=True)
class Moment:
    """When a reading took place. `clock_ms`: the source's clock, on a replica its replay time, read no later than the
    snapshot was taken. `steady_ms`: a monotonic clock of ours. `snapshot`: None where the engine has none."""

    clock_ms: int
    steady_ms: int
    snapshot: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """The head as one page left it. `seq`: the newest ledger sequence *before* that page's commit (its own keys stay
    known a little longer, which is harmless). `cursor_ms`: for a time the last epoch ms its value may stand for (the end
    of the day for a date), else None."""

    position: Position
    seq: int
    cursor_ms: int | None = None


@dataclass(frozen=True, slots=True)
class KeyScan:
    """Read all keys after the position `after` (from the start for None) with cursor <= `high`. Keys beyond the head that
    share its cursor are part of the answer: subtract the page of the same reading as well as the known ones.

    `extent`: only a full scan lets the watermark move; a recent one finds fresh stragglers cheaply.
    """

    after: Position | None
    upto: Mark
    extent: Literal["full", "recent"]

    @property
    def low(self) -> str | None:
        """The inclusive lower cursor bound for an index; None from the start."""
        return None if self.after is None else self.after.cursor

    @property
    def high(self) -> str:
        """The inclusive upper cursor bound."""
        return self.upto.position.cursor


@dataclass(frozen=True, slots=True)
class AskIds:
    """Ask for these ids, and for the ids inside these inclusive ranges, again. Ranges may hold delivered rows: subtract
    the known ones. `number` tells one ask from another."""

    ids: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]
    number: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """What one commit adds, all of it delivered.

    `moment`: of the reading the rows come from. `head`: the last in-order row, None when there was none. `ids`: cursors of
    the in-order rows, ascending, integers or their text (gaps only). `found`: cursors of the stragglers, likewise. `scan`:
    the rescan of that reading if it ran to its end; all it found is part of this commit. `cost_ms`: how long it took.
    `through`: the mechanism's ceiling if the page was read with it as bound.
    """

    moment: Moment
    head: Mark | None = None
    ids: pl.Series | None = None
    found: pl.Series | None = None
    scan: KeyScan | AskIds | None = None
    cost_ms: int = 0
    through: str | None = None


class Mechanism(Protocol):
    """A way to find late rows. Frozen; created by the class method `start` of each mechanism at the first reading."""

    @property
    def name(self) -> MechanismName:
        """The word of the configuration."""

    @property
    def watermark(self) -> Mark | None:
        """At and below it nothing can still appear; None: nowhere yet. Keys of ledger sequences up to `seq` need not be
        known any more. Never moves backwards."""

    @property
    def ceiling(self) -> str | None:
        """While behind: nothing at or below this cursor can still appear. Read pages with `through=ceiling`: their rows
        need no rescan. A page that comes back short means the ceiling is reached: call `aimed(moment, None)`."""

    def aimed(self, moment: Moment, source_head: str | None) -> Self:
        """Say how high the source reaches, once when a page comes back full; None when level or the ceiling is reached.
        Later aims are ignored until it is cleared. This keeps a first load from remembering every row."""

    def rescan(self, moment: Moment, pace: Pace) -> tuple[Self, KeyScan | AskIds | None]:
        """What to look at again in this reading. Call it in every reading; adopt the returned mechanism at once."""

    def delivered(self, page: Page) -> Self:
        """The mechanism as it is to be committed with the page; adopt it when the commit has succeeded."""

    def dump(self) -> str:
        """What must survive a restart, as JSON text. Holds no row values but ids."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which mechanism protects a view. `why`: one sentence. `problem`: empty, or why the policy cannot work here, with
    `hint` as the change to make; `mechanism` is then the nearest that can, or None."""

    mechanism: MechanismName | None
    why: str
    problem: str = ""
    hint: str = ""


UNORDERED = {
    "oracle": "on Oracle RAC each node has its own range of ids, so they are not ordered: prefer a timestamp there",
    "mongodb": "ids made by clients are not ordered: prefer (timestamp, _id)",
}


def choose(policy: Policy, cursor: Family, engine: str, fence_reason: str) -> Choice:
    """Choose by the policy, the cursor's family, the engine and `ServerFacts.fence` (empty: the fence is valid)."""
    natural = natural_choice(cursor, engine, fence_reason)
    if policy in ("auto", natural.mechanism):
        return natural
    if policy == "fence":
        if cursor in WHOLE | TIMES and not fence_reason:
            return Choice("fence", "the configuration says so, and the snapshot fence is valid here")
        reason = fence_reason or f"a cursor of family {cursor} does not grow"
        return refused(natural, f"late_commit: fence cannot work here: {reason}")
    if policy == "gaps":
        if cursor in WHOLE:
            return Choice(
                "gaps", join("the configuration says so, and the cursor is an integer", UNORDERED.get(engine, ""))
            )
        return refused(
            natural,
            f"late_commit: gaps needs an integer cursor, this one is {cursor}: nothing is missing between two of its values",
        )
    if cursor in TIMES:
        return Choice("lookback", "the configuration says so, and the cursor is a time")
    return refused(
        natural, f"late_commit: lookback needs a timestamp as cursor, this one is {cursor}: its values have no age"
    )


def natural_choice(cursor: Family, engine: str, fence_reason: str) -> Choice:
    """What `auto` means."""
    if cursor not in WHOLE | TIMES:
        return Choice(
            None,
            f"no mechanism fits a cursor of family {cursor}",
            f"a cursor of family {cursor} does not grow with time, so rows that commit late cannot be found",
            "choose an incrementing id or a timestamp as cursor",
        )
    if not fence_reason:
        return Choice("fence", "the snapshot fence is valid here: no row can be missed, however late it commits")
    without = f"no fence ({fence_reason})"
    if cursor in WHOLE:
        return Choice(
            "gaps",
            join(f"{without}; the cursor is an integer, so missing ids are asked for again", UNORDERED.get(engine, "")),
        )
    return Choice("lookback", f"{without}; the cursor is a time, so the last while is scanned again")


def refused(natural: Choice, problem: str) -> Choice:
    """The policy cannot work; name the one that can."""
    hint = f"set late_commit: {natural.mechanism} or auto" if natural.mechanism else natural.hint
    return Choice(natural.mechanism, natural.why, problem, hint)


def join(first: str, second: str) -> str:
    """Two remarks, or one."""
    return f"{first}; {second}" if second else first
