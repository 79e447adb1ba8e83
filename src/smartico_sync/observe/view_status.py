"""How every view does: trackers store facts, and what follows from them is computed at the moment somebody looks."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

from smartico_sync.observe.polls import Instant, Polls, State, WaitsFor

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BackfillStatus",
    "FailedBackfill",
    "LaneStatus",
    "LateStatus",
    "ReplicaStatus",
    "SentProperty",
    "State",
    "StreamStatus",
    "ViewFacts",
    "ViewStatus",
    "derived",
    "patience_ms",
]

PATIENCE_INTERVALS = 10  # one poll that is late or slow is no news, ten in a row are
REPLICAS = ("physical standby", "logical replica")  # roles of a server that shows what another one wrote before
PATIENCE_MS = 30_000  # the default statement_timeout and the API's default timeout: what takes less ends by itself


class LateStatus(Struct, frozen=True):
    """What a view's late-commit mechanism sees.

    `late_rows` were found below the head, so many since the first start for lookback and gaps, since this start for
    the fence. `pinned_ms`: how long a writer has been keeping the watermark. `missing_ids` are waited for, `given_up_ids`
    never came. `counts` of lateness by bucket (`core.lookback.BUCKETS_MS`, one more for the rest), their sum `total_ms` and
    `most_ms` are measured for lookback; `advice_ms` is the lookback they ask for. `window_keys` are kept in memory,
    `rescanned_keys` were read again since this start.
    """

    late_rows: int = 0
    pinned_ms: int = 0
    missing_ids: int = 0
    given_up_ids: int = 0
    counts: tuple[int, ...] = ()
    total_ms: int = 0
    most_ms: int = 0
    advice_ms: int | None = None
    window_keys: int = 0
    rescanned_keys: int = 0


class BackfillStatus(Struct, frozen=True):
    """History on its way: `done` of `total` rows (0: not counted), at most `rate` a second; `reason`: what it waits for."""

    done: int
    total: int
    rate: int
    reason: str = ""

    @property
    def left_s(self) -> int | None:
        """Seconds until it is done, if nothing slows it down; None when nobody counted the rows."""
        return max(0, self.total - self.done) // self.rate if self.total else None


class FailedBackfill(Struct, frozen=True):
    """The view's newest backfill, given up at `at_ms`: what was asked for was not all sent, and nobody tries again."""

    id: int
    reason: str
    at_ms: int


class SentProperty(Struct, frozen=True):
    """One property that a view sends: the columns it comes from, what it becomes, and how a personal value is protected.

    `protection`: empty for what is not personal. A column that is sent nowhere has no `name`.
    """

    name: str
    columns: tuple[str, ...]
    type: str = ""
    protection: Literal["", "encrypt", "drop", "plain"] = ""


class LaneStatus(Struct, frozen=True):
    """What waits in a topic's partition, or in a queue: messages, and for how long the first of them has been (ms)."""

    name: str
    lag: int
    lag_ms: int


class StreamStatus(Struct, frozen=True):
    """A view of messages: `lanes` are those that this daemon has now. Counts are since this start, `skipped` by reason.

    `lag` messages wait, the first of them for `lag_ms`. `gap_messages` the broker deleted unread. `deliveries`: how often the
    message that the broker delivered most often has been.
    """

    lanes: tuple[LaneStatus, ...] = ()
    rebalances: int = 0
    reconnects: int = 0
    gap_messages: int = 0
    deliveries: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)

    @property
    def lag(self) -> int:
        """Messages that wait."""
        return sum(lane.lag for lane in self.lanes)

    @property
    def lag_ms(self) -> int:
        """For how long the first of them has been waiting."""
        return max((lane.lag_ms for lane in self.lanes), default=0)


class ReplicaStatus(Struct, frozen=True):
    """How a view's server stood in its replication when it was `asked`, see `core.replication`.

    `lag_ms`: how far it was behind its primary. `clock_ms`: its own clock then, 0 where it does not tell.
    """

    state: Literal["primary", "replica", "stopped", "unknown"]
    lag_ms: int
    clock_ms: int
    hint: str
    asked: Instant

    def lag_now_ms(self, now: Instant) -> int:
        """How far it is behind at a later moment: one that has stopped falls back further."""
        return self.lag_ms + (now.ms_since(self.asked) if self.state == "stopped" else 0)

    def ahead_now_ms(self, now: Instant) -> int | None:
        """Its clock minus ours at a later moment, also when ours was set since; None where it does not tell."""
        return self.clock_ms + now.ms_since(self.asked) - now.wall_ms if self.clock_ms else None


class ViewFacts(Struct, frozen=True):
    """What is known of one view.

    `max_age_ms`: a lag beyond it is an alert. `statement_timeout_ms`: how long the source may take for one query. `head` is the cursor of the last delivered row in order; at and below `watermark`
    nothing can still appear.
    `null_cursors` rows have no place in the order; `ahead` rows dated ahead of the clock were sent before their time;
    `mutated` delivered rows were found changed, of which `on_mutated` says what becomes; `stale` profiles were older than what was delivered and not sent, since this
    start; `unknown_duplicates` the API had since this start, of rows that this state had never sent, and for
    `uncompared_duplicates` the source was not asked whether another row has their key; `repeated_profiles` rows shared the player with
    another one of their page; `largest_tie` rows shared
    one cursor value; `skew_ms`: the source's clock minus ours, on a replica its lag included. `invalid` values broke a rule
    since this start, by property, and `left_out` values the API refused; `parked` and `dead` are waiting and given up now, by reason code, and the first of the
    former waits since `parked_since_ms` (epoch ms, 0: none does). `replica`: how the server stands in its replication, None
    before it was asked.
    `given_up` and `put_off`: how often since this start a row was given up, or parked for another try, by reason code.
    Of the `warnings` those that only say what could be better are `advice`.
    Of the last `recent_rows` rows of this process `recent_refused` were given up, whatever became of them since.
    At the last comparison, `compared_ms` (epoch ms), `missing` rows were in the source and not in the ledger, and of
    `looked` profiles so many were `differing` from what was sent. `server_role`: what the source is, as its engine tells it; `properties`:
    what is sent of a row, then the columns that are sent nowhere.
    """

    name: str
    kind: str
    source: str
    cursor: str
    every_ms: int
    polls: Polls
    max_age_ms: int | None = None
    statement_timeout_ms: int = 0
    late_commit: str = ""
    head: str = ""
    watermark: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    late: LateStatus = field(default_factory=LateStatus)
    replica: ReplicaStatus | None = None
    null_cursors: int = 0
    ahead: int = 0
    mutated: int = 0
    on_mutated: Literal["ignore", "warn", "resend"] = "ignore"
    stale: int = 0
    unknown_duplicates: int = 0
    uncompared_duplicates: int = 0
    repeated_profiles: int = 0
    largest_tie: int = 0
    skew_ms: int = 0
    parked: Mapping[int, int] = field(default_factory=dict)
    parked_since_ms: int = 0
    dead: Mapping[int, int] = field(default_factory=dict)
    given_up: Mapping[int, int] = field(default_factory=dict)
    put_off: Mapping[int, int] = field(default_factory=dict)
    recent_rows: int = 0
    recent_refused: int = 0
    invalid: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    missing: int = 0
    differing: int = 0
    looked: int = 0
    compared_ms: int = 0
    backfill: BackfillStatus | None = None
    failed_backfill: FailedBackfill | None = None
    server_role: str = ""
    properties: tuple[SentProperty, ...] = ()
    stream: StreamStatus | None = None


known = attrgetter(*ViewFacts.__struct_fields__)


class ViewStatus(ViewFacts, frozen=True, kw_only=True):
    """The facts and what follows from them at one moment. Moments are epoch ms, 0 for never; ages are ms.

    `lag_ms`: how long ago the last poll that found nothing newer began reading: every row that the source showed before
    has been dealt with, and of what came since that is not known. So it grows between two polls, and while one hangs;
    before the first such poll of this process it counts from the start. By how much a replica says that it is behind is part of it.
    `clock_ahead_ms`: the server's own clock minus ours, None where it does not tell.
    `state`: trouble first; `live` while the last poll caught up and the lag is within `patience_ms`, else `behind`.
    `standstill`: for longer than `patience_ms` the poll under way has not got on (`hanging`), or none has begun
    (`waiting`); trouble that is told as `error` is not told again.
    `poll_ms`: how long the poll under way has been running, 0 between polls; `still_ms`: since when no poll began, got on or
    ended; `silent_ms`: since when there was no sign of life at all, a wait for the API included. `error_ms`: since when the
    view has been in trouble without a break; `parked_oldest_ms`: for how long the first parked row has been waiting.
    `replica_lag_ms`: how far a replica is behind, or how old what it shows may be where it does not tell; None where the source is none.
    `recent_refused`: those that were not delivered or dropped since.
    """

    state: State
    lag_ms: int
    standstill: Literal["no", "hanging", "waiting"]
    poll_ms: int
    still_ms: int
    silent_ms: int
    waits_for: WaitsFor
    last_poll_ms: int
    last_success_ms: int
    caught_up_ms: int
    per_second: float
    error: str
    hint: str
    error_ms: int
    parked_oldest_ms: int
    replica_lag_ms: int | None
    clock_ahead_ms: int | None


def patience_ms(every_ms: int) -> int:
    """For how long nothing need be known of a view that is polled so often."""
    return max(PATIENCE_MS, PATIENCE_INTERVALS * every_ms)


def derived(facts: ViewFacts, now: Instant) -> ViewStatus:
    """How a view does at a moment that is not before the facts."""
    polls = facts.polls
    trouble = polls.trouble
    behind_ms = facts.replica.lag_now_ms(now) if facts.replica and facts.replica.state != "unknown" else 0
    # A row that was given up is a dead letter, or waits to be tried again, until it is delivered or dropped.
    undelivered = sum(facts.dead.values()) + sum(facts.parked.values())
    told = dict(zip(ViewFacts.__struct_fields__, known(facts), strict=True))
    return ViewStatus(
        **told | {"recent_refused": min(facts.recent_refused, undelivered)},
        state=_state(facts, now),
        lag_ms=_lag_ms(polls, now) + behind_ms,
        standstill=_standstill(facts, now),
        poll_ms=now.ms_since(polls.under_way) if polls.under_way else 0,
        still_ms=now.ms_since(polls.got_on_last),
        silent_ms=now.ms_since(polls.seen),
        waits_for="api" if polls.unanswered else polls.waits_for,
        last_poll_ms=0 if polls.moved == polls.since else polls.moved.wall_ms,
        last_success_ms=polls.succeeded.wall_ms if polls.succeeded else 0,
        caught_up_ms=polls.caught_up.wall_ms if polls.caught_up else 0,
        per_second=polls.rate.per_second(now) if polls.rate else 0.0,
        error=trouble.message if trouble else "",
        hint=trouble.hint if trouble else "",
        error_ms=trouble.since.wall_ms if trouble else 0,
        parked_oldest_ms=max(0, now.wall_ms - facts.parked_since_ms) if facts.parked_since_ms else 0,
        replica_lag_ms=_replica_lag_ms(facts, now),
        clock_ahead_ms=facts.replica.ahead_now_ms(now) if facts.replica else None,
    )


def _replica_lag_ms(facts: ViewFacts, now: Instant) -> int | None:
    if facts.replica is not None and facts.replica.state in ("replica", "stopped"):
        return facts.replica.lag_now_ms(now)
    return max(0, -facts.skew_ms) if facts.server_role in REPLICAS else None


def _lag_ms(polls: Polls, now: Instant) -> int:
    return now.ms_since(polls.caught_up or polls.since)


def _state(facts: ViewFacts, now: Instant) -> State:
    polls = facts.polls
    if polls.trouble is not None:
        return polls.trouble.state
    if polls.outcome == "none":
        return "starting"
    fresh = _lag_ms(polls, now) <= patience_ms(facts.every_ms)
    return "live" if polls.outcome == "caught_up" and fresh else "behind"


def _standstill(facts: ViewFacts, now: Instant) -> Literal["no", "hanging", "waiting"]:
    polls = facts.polls
    if now.ms_since(polls.got_on_last) <= patience_ms(facts.every_ms):
        return "no"
    if polls.under_way is not None:
        return "no" if polls.trouble is not None and polls.trouble.cause == "api" else "hanging"
    # Between polls there is a pause after an error, and before the first one profiles of another view may go first.
    return "no" if polls.trouble is not None or polls.ended is None else "waiting"
