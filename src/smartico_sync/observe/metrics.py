"""Prometheus metrics, computed when they are scraped."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from smartico_sync import __version__
from smartico_sync.core.late_commit.lookback import BUCKETS_MS
from smartico_sync.delivery.request_log import BUCKETS_S
from smartico_sync.observe.health import assess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

    from smartico_sync.delivery.destination import DestinationStatus
    from smartico_sync.observe.cluster_status import ClusterStatus
    from smartico_sync.observe.health import Health
    from smartico_sync.observe.view_status import StreamStatus, ViewStatus

__all__ = ["exposition"]

LATENESS_S = tuple(bound / 1000 for bound in BUCKETS_MS)
DESTINATION_STATES = ("idle", "delivering", "backing_off", "halted")
STATES = ("starting", "live", "behind", "degraded", "halted", "regressed")
# What leaves its stage again is no counter; it is told by code below. The last is part of `duplicate`.
STAGES = ("dead_lettered", "parked", "duplicate_unknown")
# Gauges of a view: name, what it says, and where it is.
GAUGES: tuple[tuple[str, str, Callable[[ViewStatus], float]], ...] = (
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
        "Of the last thousand rows of this process, the share that was given up.",
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
    ("compared_timestamp_seconds", "When the source was last compared.", lambda view: view.compared_ms / 1000),
)
COUNTERS: tuple[tuple[str, str, Callable[[ViewStatus], float]], ...] = (
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


class Views:
    """Collects what is known of views and destinations at one moment."""

    def __init__(
        self,
        views: Sequence[ViewStatus],
        destinations: Sequence[DestinationStatus],
        health: Health,
        dropped_lines: int,
        cluster: ClusterStatus | None = None,
        state: Mapping[str, int] | None = None,
    ) -> None:
        self.views = views
        self.destinations = destinations
        self.health = health
        self.dropped_lines = dropped_lines
        self.cluster, self.state = cluster, state or {}

    def collect(self) -> Iterable[Metric]:
        """Yield every metric family."""
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
        late = HistogramMetricFamily(
            "smartico_sync_lateness_seconds", "How late rows became visible (lookback).", labels=["view"]
        )
        for view in self.views:
            for outcome, count in view.counts.items():
                if outcome not in STAGES:
                    rows.add_metric([view.name, outcome], count)
            for name in STATES:
                state.add_metric([view.name, name], 1.0 if view.state == name else 0.0)
            for family, counts in ((dead, view.dead), (parked, view.parked)):
                for code, count in counts.items():
                    family.add_metric([view.name, str(code)], count)
            for name, count in view.invalid.items():
                invalid.add_metric([view.name, name], count)
            for name, count in view.left_out.items():
                left_out.add_metric([view.name, name], count)
            if view.late.counts:
                late.add_metric([view.name], buckets(view.late.counts, LATENESS_S), view.late.total_ms / 1000)
        flight = GaugeMetricFamily("smartico_sync_requests_in_flight", "Requests under way.", labels=["destination"])
        queued = GaugeMetricFamily(
            "smartico_sync_queued_events", "Events that wait for their turn.", labels=["destination"]
        )
        minute = GaugeMetricFamily(
            "smartico_sync_requests_last_minute", "Requests of the last 60 seconds.", labels=["destination"]
        )
        sent = CounterMetricFamily(
            "smartico_sync_events",
            "Events by what the API said of them, since the start.",
            labels=["destination", "verdict"],
        )
        asked = CounterMetricFamily(
            "smartico_sync_requests", "Requests by what was made of the answer.", labels=["destination", "decision"]
        )
        size = CounterMetricFamily("smartico_sync_sent_bytes", "Bytes of request bodies.", labels=["destination"])
        took = CounterMetricFamily(
            "smartico_sync_request_seconds", "Time spent waiting for answers.", labels=["destination"]
        )
        for destination in self.destinations:
            for verdict, count in destination.events.items():
                sent.add_metric([destination.name, verdict], count)
            for decision, count in destination.requests.items():
                asked.add_metric([destination.name, decision], count)
            size.add_metric([destination.name], destination.sent_bytes)
            took.add_metric([destination.name], destination.seconds)
            flight.add_metric([destination.name], destination.in_flight)
            queued.add_metric([destination.name], destination.queued_events)
            minute.add_metric([destination.name], destination.requests_last_minute)
        return [
            *of_process(self.health),
            *of_cluster(self.cluster),
            *of_views(self.views),
            replicas_of(self.views),
            *of_state(self.state),
            names_of(self.views),
            states_of(self.destinations),
            *of_streams(self.views),
            rows,
            state,
            dead,
            parked,
            invalid,
            left_out,
            late,
            flight,
            queued,
            minute,
            sent,
            asked,
            size,
            took,
            answers_of(self.destinations),
            CounterMetricFamily(
                "smartico_sync_log_lines_dropped",
                "Lines of the log that could not be written, since the start.",
                value=self.dropped_lines,
            ),
        ]


def names_of(views: Sequence[ViewStatus]) -> Metric:
    """Each view with its source and kind, to join with."""
    known = GaugeMetricFamily(
        "smartico_sync_view_info", "1 for each view, with its source and kind.", labels=["view", "source", "kind"]
    )
    for view in views:
        known.add_metric([view.name, view.source, view.kind], 1.0)
    return known


def states_of(destinations: Sequence[DestinationStatus]) -> Metric:
    """How each destination stands."""
    standing = GaugeMetricFamily(
        "smartico_sync_destination_state", "1 for the state a destination is in.", labels=["destination", "state"]
    )
    for destination in destinations:
        for name in DESTINATION_STATES:
            standing.add_metric([destination.name, name], 1.0 if destination.state == name else 0.0)
    return standing


def answers_of(destinations: Sequence[DestinationStatus]) -> Metric:
    """How long the API takes."""
    took = HistogramMetricFamily(
        "smartico_sync_request_duration_seconds", "How long answers of the API took.", labels=["destination"]
    )
    for each in destinations:
        if each.durations:
            took.add_metric([each.name], buckets(each.durations, BUCKETS_S), each.seconds)
    return took


def replicas_of(views: Sequence[ViewStatus]) -> Metric:
    """How far the replicas are behind; nothing of what is none."""
    behind = GaugeMetricFamily(
        "smartico_sync_replica_lag_seconds", "How far a view's replica is behind its primary.", labels=["view"]
    )
    for view in views:
        if view.replica_lag_ms is not None:
            behind.add_metric([view.name], view.replica_lag_ms / 1000)
    return behind


def of_state(state: Mapping[str, int]) -> list[Metric]:
    """How large the state is; nothing while that cannot be read."""
    if not state:
        return []
    return [
        GaugeMetricFamily("smartico_sync_state_bytes", "The state on its disk.", value=state["bytes"]),
        GaugeMetricFamily(
            "smartico_sync_state_free_bytes", "Of them those that hold nothing.", value=state["free_bytes"]
        ),
    ]


def of_process(health: Health) -> list[Metric]:
    """Whether it turns and delivers, which version it is, and how many findings there are."""
    findings = GaugeMetricFamily(
        "smartico_sync_findings", "Findings of the status page, by severity.", labels=["severity"]
    )
    for severity in ("critical", "warning"):
        findings.add_metric([severity], sum(each.severity == severity for each in health.findings))
    since = GaugeMetricFamily(
        "smartico_sync_finding_since_timestamp_seconds",
        "Since when a finding of the status page stands, by its code and what it is about.",
        labels=["code", "subject", "severity"],
    )
    for (code, subject, severity), ms in standing_since(health).items():
        since.add_metric([code, subject, severity], ms / 1000)
    info = GaugeMetricFamily("smartico_sync_build_info", "1, with the version.", labels=["version"])
    info.add_metric([__version__], 1.0)
    return [
        info,
        GaugeMetricFamily(
            "smartico_sync_alive", "1 while the daemon turns, as /healthz says.", value=float(health.alive == "alive")
        ),
        GaugeMetricFamily(
            "smartico_sync_ready",
            "1 while the daemon delivers, as /readyz says.",
            value=float(health.ready in ("delivering", "standing by")),
        ),
        findings,
        since,
    ]


def of_cluster(cluster: ClusterStatus | None) -> list[Metric]:
    """Which groups this member works with; nothing where the state is a file."""
    if cluster is None:
        return []
    leader = GaugeMetricFamily(
        "smartico_sync_leader", "1 for each group of views that this member works with, 0 for others.", labels=["group"]
    )
    for group in cluster.groups:
        leader.add_metric([group.name], float(group.role == "works"))
    members = GaugeMetricFamily(
        "smartico_sync_members", "Members that are there, this one among them.", value=len(cluster.members)
    )
    return [leader, members]


def standing_since(health: Health) -> dict[tuple[str, str, str], int]:
    """The longest standing finding (epoch ms) of each code, subject and severity; one that nobody has dated yet is not told."""
    told: dict[tuple[str, str, str], int] = {}
    for finding in health.each or health.findings:
        key = (finding.code, finding.subject, finding.severity)
        if finding.since_ms:
            told[key] = min(finding.since_ms, told.get(key, finding.since_ms))
    return told


def of_views(views: Sequence[ViewStatus]) -> list[Metric]:
    """The families with one number a view."""
    families: list[Metric] = []
    for kind, table in ((GaugeMetricFamily, GAUGES), (CounterMetricFamily, COUNTERS)):
        for name, about, value in table:
            family = kind(f"smartico_sync_{name}", about, labels=["view"])
            for view in views:
                number = value(view)
                if number or not name.endswith("_timestamp_seconds"):  # what never was has no moment, and not 1970
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


def buckets(counts: Sequence[int], bounds_s: Sequence[float]) -> list[tuple[str, float]]:
    """A histogram's cumulative buckets, by their upper bound in seconds."""
    bounds = [*(f"{bound:g}" for bound in bounds_s), "+Inf"]
    return list(zip(bounds, map(float, accumulate(counts)), strict=True))


def exposition(
    views: Sequence[ViewStatus],
    destinations: Sequence[DestinationStatus],
    dropped_lines: int = 0,
    health: Health | None = None,
    cluster: ClusterStatus | None = None,
    state: Mapping[str, int] | None = None,
) -> bytes:
    """The metrics in Prometheus' text format. `health`: as the page has it; None: what follows from views and destinations. `state`: its sizes, where it has any."""
    registry = CollectorRegistry()
    registry.register(Views(views, destinations, health or assess(views, destinations), dropped_lines, cluster, state))
    return generate_latest(registry)
