"""OpenTelemetry: spans posted as OTLP over HTTP, from a thread of their own; delivery never waits for one."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Status, StatusCode, set_span_in_context

from smartico_sync import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span as OpenTelemetrySpan
    from opentelemetry.trace import Tracer as OpenTelemetryTracer

    from smartico_sync.config.models import Tracing
    from smartico_sync.core.tracing import Fact

__all__ = ["Traces", "taken"]

TIMEOUT_S = 2.5  # of one post, its tries included
FAREWELL_S = 3.0  # at the end, for what is not posted yet; longer than one post
HINT = "look whether the collector listens at `tracing.endpoint`; spans are dropped meanwhile, and nothing else waits for it"

log = structlog.get_logger()


class Traces:
    """Begins traces, and posts a `share` of them to `endpoint`."""

    def __init__(self, config: Tracing) -> None:
        resource = Resource.create({"service.name": "smartico-sync", "service.version": __version__})
        self.provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(config.share)), resource=resource, shutdown_on_exit=False
        )
        self.provider.add_span_processor(BatchSpanProcessor(exporter_of(config)))
        self.tracer = self.provider.get_tracer("smartico_sync", __version__)

    def begin(self, name: str, **facts: Fact) -> RecordedSpan:
        """The first span of a trace, from now on."""
        return RecordedSpan(self.tracer, self.tracer.start_span(name, Context(), attributes=attributes(facts)))

    def close(self) -> None:
        """Post what is left, for so long at most."""
        ending = threading.Thread(target=self.provider.shutdown, name="tracing-end", daemon=True)
        ending.start()
        ending.join(FAREWELL_S)


def taken(config: Tracing) -> bool:
    """Whether the collector takes a post without any span."""
    exporter = exporter_of(config)
    try:
        return exporter.export([]) is SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()


def exporter_of(config: Tracing) -> ToldExporter:
    """What posts. The libraries' own words would come once for each batch; what has to be said is said here."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    headers = {name: value.get_secret_value() for name, value in config.headers.items()}
    return ToldExporter(OTLPSpanExporter(config.endpoint, headers=headers, timeout=TIMEOUT_S))


class RecordedSpan:
    """One span."""

    def __init__(self, tracer: OpenTelemetryTracer, span: OpenTelemetrySpan) -> None:
        self._tracer, self._span = tracer, span

    def note(self, **facts: Fact) -> None:
        """Say more of it."""
        self._span.set_attributes(attributes(facts))

    def past(self, name: str, seconds: float, problem: str = "", **facts: Fact) -> None:
        """A part of it is over, and took so long."""
        now = time.time_ns()
        part = self._tracer.start_span(
            name,
            set_span_in_context(self._span),
            attributes=attributes(facts),
            start_time=now - round(seconds * 1e9),
        )
        if problem:
            part.set_status(Status(StatusCode.ERROR, problem))
        part.end(now)

    def end(self, problem: str = "") -> None:
        """It is over."""
        if problem:
            self._span.set_status(Status(StatusCode.ERROR, problem))
        self._span.end()


def attributes(facts: dict[str, Fact]) -> dict[str, Fact]:
    """Facts under names that are nobody else's."""
    return {f"sync.{name}": fact for name, fact in facts.items()}


class ToldExporter(SpanExporter):
    """An exporter of which it is told once when it begins to fail, and once when it is well again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.exporter = exporter
        self.ill = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Post some spans."""
        try:
            result = self.exporter.export(spans)
        except Exception:  # noqa: BLE001 - whatever its libraries raise, spans are what is lost
            result = SpanExportResult.FAILURE
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self.ill:
            log.warning("tracing.failed", spans=len(spans), hint=HINT)
        elif self.ill and not failed:
            log.info("tracing.recovered")
        self.ill = failed
        return result

    def shutdown(self) -> None:
        """Close its connections."""
        self.exporter.shutdown()
