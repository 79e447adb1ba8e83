"""Prometheus metrics, read from the board when they are scraped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from prometheus_client.metrics_core import Metric

    from smartico_sync.daemon.vitals import Board
    from smartico_sync.delivery.destination import DestinationStatus

__all__ = ["exposition"]

STATES = ("starting", "live", "behind", "degraded", "halted", "regressed")


class Views:
    """Collects what the board and the destinations say."""

    def __init__(self, board: Board, destinations: Callable[[], Sequence[DestinationStatus]]) -> None:
        self.board = board
        self.destinations = destinations

    def collect(self) -> Iterable[Metric]:
        """Yield every metric family."""
        rows = CounterMetricFamily(
            "smartico_sync_rows", "Rows by what became of them, since the first start.", labels=["view", "outcome"]
        )
        state = GaugeMetricFamily("smartico_sync_view_state", "1 for the state a view is in.", labels=["view", "state"])
        lag = GaugeMetricFamily(
            "smartico_sync_lag_seconds", "Seconds since the view was last level with its source.", labels=["view"]
        )
        success = GaugeMetricFamily(
            "smartico_sync_last_success_timestamp_seconds", "When a poll last went well.", labels=["view"]
        )
        for view in self.board.views():
            for outcome, count in view.counts.items():
                rows.add_metric([view.name, outcome], count)
            for name in STATES:
                state.add_metric([view.name, name], 1.0 if view.state == name else 0.0)
            lag.add_metric([view.name], view.lag_ms / 1000)
            success.add_metric([view.name], view.last_success_ms / 1000)
        flight = GaugeMetricFamily("smartico_sync_requests_in_flight", "Requests under way.", labels=["destination"])
        queued = GaugeMetricFamily(
            "smartico_sync_queued_events", "Events that wait for their turn.", labels=["destination"]
        )
        minute = GaugeMetricFamily(
            "smartico_sync_requests_last_minute", "Requests of the last 60 seconds.", labels=["destination"]
        )
        for destination in self.destinations():
            flight.add_metric([destination.name], destination.in_flight)
            queued.add_metric([destination.name], destination.queued_events)
            minute.add_metric([destination.name], destination.requests_last_minute)
        return [rows, state, lag, success, flight, queued, minute]


def exposition(board: Board, destinations: Callable[[], Sequence[DestinationStatus]]) -> bytes:
    """The metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(Views(board, destinations))
    return generate_latest(registry)
