"""Prometheus metrics, computed when they are scraped."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from smartico_sync import __version__
from smartico_sync.observe.destination_metrics import of_destinations
from smartico_sync.observe.finding import SEVERITIES
from smartico_sync.observe.health import assess
from smartico_sync.observe.view_metrics import of_views

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

    from smartico_sync.delivery.destination import DestinationStatus
    from smartico_sync.observe.cluster_status import ClusterStatus
    from smartico_sync.observe.health import Health
    from smartico_sync.observe.view_status import ViewStatus

__all__ = ["exposition"]

STATE_SIZES = (
    ("bytes", "smartico_sync_state_bytes", "Size of the state on the disk."),
    ("free_bytes", "smartico_sync_state_free_bytes", "Of it what holds nothing any more."),
)


class Gathered:
    """Metric families as a registry collects them."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self.families = families

    def collect(self) -> Iterable[Metric]:
        """Every family."""
        return self.families


def of_process(health: Health) -> list[Metric]:
    """Whether it turns and delivers, which version it is, and how many findings there are."""
    findings = GaugeMetricFamily(
        "smartico_sync_findings", "Findings of the status page, by severity.", labels=["severity"]
    )
    for worth in SEVERITIES:
        findings.add_metric([worth], sum(each.severity == worth for each in health.findings))
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


def of_state(sizes: Mapping[str, int]) -> list[Metric]:
    """How large the state is; nothing while its disk is in trouble, which is told as a finding."""
    return [GaugeMetricFamily(name, about, value=sizes[key]) for key, name, about in STATE_SIZES if key in sizes]


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
    read = GaugeMetricFamily(
        "smartico_sync_partitions_read",
        "Partitions of topics that members share, by the member that reads them; of an empty one nobody does.",
        labels=["view", "member"],
    )
    lanes = Counter((lane.view, lane.member) for group in cluster.groups for lane in group.lanes or ())
    for (view, member), count in sorted(lanes.items()):
        read.add_metric([view, member], float(count))
    return [leader, members, read]


def standing_since(health: Health) -> dict[tuple[str, str, str], int]:
    """The longest standing finding (epoch ms) of each code, subject and severity; one that nobody has dated yet is not told."""
    told: dict[tuple[str, str, str], int] = {}
    for finding in health.each or health.findings:
        key = (finding.code, finding.subject, finding.severity)
        if finding.since_ms:
            told[key] = min(finding.since_ms, told.get(key, finding.since_ms))
    return told


def exposition(
    views: Sequence[ViewStatus],
    destinations: Sequence[DestinationStatus],
    dropped_lines: int = 0,
    health: Health | None = None,
    cluster: ClusterStatus | None = None,
    state: Mapping[str, int] | None = None,
) -> bytes:
    """The metrics in Prometheus' text format.

    `health`: as the page has it; None: what follows from views and destinations. `state`: its `bytes` and `free_bytes`, as far as
    they are known.
    """
    dropped = CounterMetricFamily(
        "smartico_sync_log_lines_dropped",
        "Lines of the log that could not be written, since the start.",
        value=dropped_lines,
    )
    registry = CollectorRegistry()
    registry.register(
        Gathered(
            [
                *of_process(health or assess(views, destinations)),
                *of_cluster(cluster),
                *of_state(state or {}),
                *of_views(views),
                *of_destinations(destinations),
                dropped,
            ]
        )
    )
    ProcessCollector(registry=registry)
    return generate_latest(registry)
