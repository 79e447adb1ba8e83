"""The metrics of destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from smartico_sync.core.verdicts import Decision
from smartico_sync.delivery.request_log import BUCKETS_S
from smartico_sync.observe.view_metrics import histogram_buckets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client.metrics_core import Metric

    from smartico_sync.delivery.destination import DestinationStatus

__all__ = ["of_destinations"]

DESTINATION_STATES = ("idle", "delivering", "backing_off", "halted")
# What the API may say, so that each has its series from the start.
VERDICTS = ("delivered", "duplicate", "refused")
DECISIONS: tuple[str, ...] = get_args(Decision)


def of_destinations(destinations: Sequence[DestinationStatus]) -> list[Metric]:
    """Every family of destinations."""
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
    durations = HistogramMetricFamily(
        "smartico_sync_request_duration_seconds",
        "How long a request waited for its answer, since the start.",
        labels=["destination"],
    )
    drawn = CounterMetricFamily(
        "smartico_sync_budget_requests",
        "Requests that were drawn from the budget that members share, and of them those that were lost unused, since the start.",
        labels=["destination", "became"],
    )
    waited = CounterMetricFamily(
        "smartico_sync_budget_wait_seconds",
        "How long requests that were ready waited for that budget, since the start.",
        labels=["destination"],
    )
    for destination in destinations:
        if destination.budget is not None:
            drawn.add_metric([destination.name, "drawn"], destination.budget.drawn)
            drawn.add_metric([destination.name, "lost"], destination.budget.lost)
            waited.add_metric([destination.name], destination.budget.waited_s)
        for verdict, count in {**dict.fromkeys(VERDICTS, 0), **destination.events}.items():
            sent.add_metric([destination.name, verdict], count)
        for decision, count in {**dict.fromkeys(DECISIONS, 0), **destination.requests}.items():
            asked.add_metric([destination.name, decision], count)
        size.add_metric([destination.name], destination.sent_bytes)
        took.add_metric([destination.name], destination.seconds)
        counts = destination.durations or (0,) * (len(BUCKETS_S) + 1)
        durations.add_metric([destination.name], histogram_buckets(BUCKETS_S, counts), destination.seconds)
        flight.add_metric([destination.name], destination.in_flight)
        queued.add_metric([destination.name], destination.queued_events)
        minute.add_metric([destination.name], destination.requests_last_minute)
    return [states_of(destinations), flight, queued, minute, sent, asked, size, took, durations, drawn, waited]


def states_of(destinations: Sequence[DestinationStatus]) -> Metric:
    """How each destination stands."""
    standing = GaugeMetricFamily(
        "smartico_sync_destination_state", "1 for the state a destination is in.", labels=["destination", "state"]
    )
    for destination in destinations:
        for name in DESTINATION_STATES:
            standing.add_metric([destination.name, name], 1.0 if destination.state == name else 0.0)
    return standing
