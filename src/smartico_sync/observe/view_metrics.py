"""The metrics of views."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from smartico_sync.core.late_commit.lookback import BUCKETS_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client.metrics_core import Metric

    from smartico_sync.observe.view_status import StreamStatus, ViewStatus

__all__ = ["histogram_buckets", "of_views"]

STATES = ("starting", "live", "behind", "degraded", "halted", "regressed")
# What becomes of rows, so that each has its series from the start.
OUTCOMES = ("read", "delivered", "duplicate", "unchanged", "skipped", "dropped")
# What leaves its stage again is no counter; it is told by code below. The last is part of `duplicate`.
STAGES = ("dead_lettered", "parked", "duplicate_unknown")
# Gauges of a view: name, what it says, and where it is.
GAUGES: tuple[tuple[str, str, Callable[[ViewStatus], float | None]], ...] = (
    (
        "lag_seconds",
        "Seconds since the last poll that found nothing newer began to read.",
        lambda view: view.lag_ms / 1000,
    ),
    (
        "poll_running_seconds",
        "How long the poll under way has been running, 0 between polls.",
        lambda view: view.poll_ms / 1000,
    ),
    (
        "standstill_seconds",
        "Seconds since a poll last began, read, committed or ended.",
        lambda view: view.still_ms / 1000,
    ),
    (
        "caught_up_timestamp_seconds",
        "When the last poll that found nothing newer began to read.",
        lambda view: view.caught_up_ms / 1000,
    ),
    (
        "last_success_timestamp_seconds",
        "When a poll last went well.",
        lambda view: view.last_success_ms / 1000,
    ),
    (
        "watermark_pinned_seconds",
        "How long a writer that stays open has been keeping the watermark (fence).",
        lambda view: view.late.pinned_ms / 1000,
    ),
    ("missing_ids", "Ids below the head that are waited for (gaps).", lambda view: view.late.missing_ids),
    ("window_keys", "Keys of delivered rows above the watermark, in memory.", lambda view: view.late.window_keys),
    ("null_cursor_rows", "Rows without a place in the order.", lambda view: view.null_cursors),
    ("future_rows", "Rows dated ahead of the clock, sent before their time.", lambda view: view.ahead),
    ("largest_tie_rows", "Most rows seen that share one cursor value.", lambda view: view.largest_tie),
    (
        "clock_skew_seconds",
        "The source's clock minus ours; on a replica its lag is part of it.",
        lambda view: view.skew_ms / 1000,
    ),
    (
        "parked_oldest_seconds",
        "For how long the first row that waits for a try has been waiting, 0 while none does.",
        lambda view: view.parked_oldest_ms / 1000,
    ),
    (
        "recent_refused_ratio",
        "Of the last thousand rows of this process, the share that was given up and not delivered since.",
        lambda view: view.recent_refused / view.recent_rows if view.recent_rows else 0.0,
    ),
    ("unacknowledged_rows", "Rows the last comparison found in the source only.", lambda view: view.missing),
    (
        "differing_profiles",
        "Profiles of the last comparison's sample that hold something else than was sent.",
        lambda view: view.differing,
    ),
    (
        "backfill_rows_left",
        "Rows of the view's history that are still to be sent.",
        lambda view: max(0, view.backfill.total - view.backfill.done) if view.backfill else 0,
    ),
    (
        "replica_lag_seconds",
        "How old what a replica shows may be, since the commit it replayed last; where the source is a replica.",
        lambda view: None if view.replica_lag_ms is None else view.replica_lag_ms / 1000,
    ),
    ("compared_timestamp_seconds", "When the source was last compared.", lambda view: view.compared_ms / 1000),
)
COUNTERS: tuple[tuple[str, str, Callable[[ViewStatus], float | None]], ...] = (
    ("late_rows", "Rows found below the head, because they became visible late.", lambda view: view.late.late_rows),
    (
        "rescanned_keys",
        "Keys read again in search of late rows, since the start.",
        lambda view: view.late.rescanned_keys,
    ),
    ("given_up_ids", "Missing ids that never came (gaps).", lambda view: view.late.given_up_ids),
    (
        "unknown_duplicates",
        "Rows the API had already though this state never sent them, since the start.",
        lambda view: view.unknown_duplicates,
    ),
    ("mutated_rows", "Delivered rows found changed, since the start.", lambda view: view.mutated),
)
# The same of views of messages only.
STREAM_GAUGES: tuple[tuple[str, str, Callable[[StreamStatus], float]], ...] = (
    ("stream_partitions", "Partitions or queues that this daemon reads now.", lambda stream: len(stream.lanes)),
    (
        "stream_deliveries",
        "How often the message that was delivered most often has been.",
        lambda stream: stream.deliveries,
    ),
)
STREAM_COUNTERS: tuple[tuple[str, str, Callable[[StreamStatus], float]], ...] = (
    ("stream_rebalances", "Assignments of partitions, since the start.", lambda stream: stream.rebalances),
    ("stream_reconnects", "Connections that were made anew, since the start.", lambda stream: stream.reconnects),
    (
        "stream_gap_messages",
        "Messages that the broker deleted before they were read, since the start.",
        lambda stream: stream.gap_messages,
    ),
)


def of_views(views: Sequence[ViewStatus]) -> list[Metric]:
    """Every family of views."""
    return [*single_numbers(views), names_of(views), *of_rows(views), lateness_of(views), *of_streams(views)]


def of_rows(views: Sequence[ViewStatus]) -> list[Metric]:
    """What became of rows and values, and the states of views."""
    rows = CounterMetricFamily(
        "smartico_sync_rows", "Rows by what became of them, since the first start.", labels=["view", "outcome"]
    )
    state = GaugeMetricFamily("smartico_sync_view_state", "1 for the state a view is in.", labels=["view", "state"])
    dead = GaugeMetricFamily("smartico_sync_dead_letters", "Rows that were given up.", labels=["view", "code"])
    parked = GaugeMetricFamily("smartico_sync_parked_rows", "Rows that wait for a try.", labels=["view", "code"])
    invalid = CounterMetricFamily(
        "smartico_sync_invalid_values",
        "Values that broke a rule or could not be read, since the start.",
        labels=["view", "property"],
    )
    left_out = CounterMetricFamily(
        "smartico_sync_left_out_values",
        "Values that did not go because the API refused their property, since the start.",
        labels=["view", "property"],
    )
    given_up = CounterMetricFamily(
        "smartico_sync_given_up_rows", "Rows that were given up, since the start.", labels=["view", "code"]
    )
    put_off = CounterMetricFamily(
        "smartico_sync_put_off_rows", "Rows that were parked for another try, since the start.", labels=["view", "code"]
    )
    for view in views:
        for outcome, count in {**dict.fromkeys(OUTCOMES, 0), **view.counts}.items():
            if outcome not in STAGES:
                rows.add_metric([view.name, outcome], count)
        for name in STATES:
            state.add_metric([view.name, name], 1.0 if view.state == name else 0.0)
        for by_code, counts in (
            (dead, view.dead),
            (parked, view.parked),
            (given_up, view.given_up),
            (put_off, view.put_off),
        ):
            for code, count in counts.items():
                by_code.add_metric([view.name, str(code)], count)
        for by_property, values in ((invalid, view.invalid), (left_out, view.left_out)):
            for name, count in values.items():
                by_property.add_metric([view.name, name], count)
    return [rows, state, dead, parked, given_up, put_off, invalid, left_out]


def lateness_of(views: Sequence[ViewStatus]) -> Metric:
    """How late rows became visible, where that is measured."""
    late = HistogramMetricFamily(
        "smartico_sync_lateness_seconds", "How late rows became visible (lookback).", labels=["view"]
    )
    for view in views:
        if view.late.counts:
            bounds = [bound / 1000 for bound in BUCKETS_MS]
            late.add_metric([view.name], histogram_buckets(bounds, view.late.counts), view.late.total_ms / 1000)
    return late


def names_of(views: Sequence[ViewStatus]) -> Metric:
    """Each view with its source and kind, to join with."""
    known = GaugeMetricFamily(
        "smartico_sync_view_info", "1 for each view, with its source and kind.", labels=["view", "source", "kind"]
    )
    for view in views:
        known.add_metric([view.name, view.source, view.kind], 1.0)
    return known


def single_numbers(views: Sequence[ViewStatus]) -> list[Metric]:
    """The families with one number a view; none for a view where there is nothing to know."""
    families: list[Metric] = []
    for kind, table in ((GaugeMetricFamily, GAUGES), (CounterMetricFamily, COUNTERS)):
        for name, about, value in table:
            family = kind(f"smartico_sync_{name}", about, labels=["view"])
            for view in views:
                number = value(view)
                if number is not None and (
                    number or not name.endswith("_timestamp_seconds")
                ):  # what never was is not 1970
                    family.add_metric([view.name], number)
            families.append(family)
    return families


def of_streams(views: Sequence[ViewStatus]) -> list[Metric]:
    """The families of views of messages; none where there are none."""
    streams = [(view.name, view.stream) for view in views if view.stream is not None]
    if not streams:
        return []
    lag = GaugeMetricFamily("smartico_sync_stream_lag_messages", "Messages that wait.", labels=["view", "lane"])
    age = GaugeMetricFamily(
        "smartico_sync_stream_lag_seconds",
        "For how long the first message that waits has been.",
        labels=["view", "lane"],
    )
    skipped = CounterMetricFamily(
        "smartico_sync_stream_skipped", "Messages that became no rows, since the start.", labels=["view", "reason"]
    )
    families: list[Metric] = [lag, age, skipped]
    for name, stream in streams:
        for lane in stream.lanes:
            lag.add_metric([name, lane.name], lane.lag)
            age.add_metric([name, lane.name], lane.lag_ms / 1000)
        for reason, count in stream.skipped.items():
            skipped.add_metric([name, reason], count)
    for kind, table in ((GaugeMetricFamily, STREAM_GAUGES), (CounterMetricFamily, STREAM_COUNTERS)):
        for what, about, value in table:
            family = kind(f"smartico_sync_{what}", about, labels=["view"])
            for name, stream in streams:
                family.add_metric([name], value(stream))
            families.append(family)
    return families


def histogram_buckets(bounds_s: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """A histogram's cumulative buckets by their upper bound in seconds; `counts` has one more, for the rest."""
    names = [*(f"{bound:g}" for bound in bounds_s), "+Inf"]
    return list(zip(names, map(float, accumulate(counts)), strict=True))
