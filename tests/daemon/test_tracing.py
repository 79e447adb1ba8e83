"""Traces reach a collector: poll → prepare → request, with names and numbers, and nothing of what a row holds."""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.testing import capture_logs

from smartico_sync.cli.check_machine import tracing_findings
from smartico_sync.config.models import Tracing
from smartico_sync.core.tracing import UNTRACED
from smartico_sync.daemon.wiring import tracer_of
from smartico_sync.errors import DriverMissing
from smartico_sync.observe.tracing import ToldExporter

TABLE = """
CREATE TABLE users (id INTEGER PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b', user_ext_id TEXT, core_registration_date TIMESTAMP
 DEFAULT '2026-01-01 00:00:00', core_account_status TEXT DEFAULT 'ACTIVE',
 dt_update TIMESTAMP DEFAULT '2026-01-02 00:00:00', user_email TEXT);
INSERT INTO users (user_ext_id, user_email) VALUES ('ann-77', 'ann@example.com'), ('bob-78', 'bob@example.com');
"""
VIEW = "  - {name: users, source: db, relation: users, kind: users, cursor: dt_update}\n"


@pytest.fixture
def collector():
    """What takes spans: the address, the spans, and the bytes and headers of each post."""
    posts = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            posts.append((self.headers, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", posts
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def traced(operator):
    """One run over two players, with these lines of `tracing:`."""

    def run(tracing):
        replica = sqlite3.connect(operator.home / "replica.db")
        replica.executescript(TABLE)
        replica.close()
        operator.configure(f"sqlite:///{operator.home}/replica.db", VIEW)
        config = operator.config.read_text().replace(
            "pii:\n", f"tracing: {tracing}\npii:\n  properties: [user_email]\n"
        )
        operator.config.write_text(config)
        done = operator.sync("run", "--once")
        assert done.returncode == 0, done.stderr
        assert len(operator.accepted()) == 2
        return done

    return run


def spans(posts):
    """Every span that was posted."""
    for _, body in posts:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                yield from scope.spans


def said(span):
    """What a span says, but for how large the request was."""
    values = {each.key: each.value for each in span.attributes}
    return {key: getattr(value, value.WhichOneof("value")) for key, value in values.items() if key != "sync.bytes"}


def test_a_poll_its_preparation_and_its_requests_are_one_trace(traced, collector):
    """The spans stand within the poll, and hold names and numbers only."""
    endpoint, posts = collector
    traced(f"{{endpoint: {endpoint}, headers: {{Authorization: Bearer secret-of-the-collector}}}}")
    found = {span.name: span for span in spans(posts)}
    assert {name: said(span) for name, span in found.items()} == {
        "poll": {"sync.view": "users", "sync.source": "db"},
        "read": {"sync.rows": 2, "sync.late": 0},
        "prepare": {"sync.events": 2},
        "request": {"sync.destination": "smartico", "sync.events": 2, "sync.status": 200, "sync.decision": "done"},
        "commit": {},
    }
    poll = found.pop("poll")
    assert {(span.trace_id, span.parent_span_id) for span in found.values()} == {(poll.trace_id, poll.span_id)}
    assert not poll.parent_span_id
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in (poll, *found.values()))
    assert posts[0][0]["Authorization"] == "Bearer secret-of-the-collector"
    for _, body in posts:
        assert not any(word in body for word in (b"example.com", b"ann-77", b"bob-78"))


@pytest.mark.slow
def test_a_collector_that_is_away_holds_up_nothing(traced):
    """The run ends well, and no library fills the log."""
    done = traced("{endpoint: 'http://127.0.0.1:9/v1/traces'}")
    told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert not [each for each in told if each["event"] == "library"]


def test_check_tries_the_collector(collector):
    """With a post that holds no span; where none is configured nothing is said."""
    endpoint, posts = collector
    (finding,) = tracing_findings(Tracing(endpoint=endpoint))
    assert (finding.mark, len(posts), list(spans(posts))) == ("fine", 1, [])
    assert list(tracing_findings(Tracing())) == []


@pytest.mark.slow
def test_check_says_that_no_collector_answers():
    """As an advice: events are delivered without one."""
    (finding,) = tracing_findings(Tracing(endpoint="http://127.0.0.1:9/v1/traces"))
    assert finding.mark == "advice"
    assert "tracing.endpoint" in finding.hint


class Collector(SpanExporter):
    """One whose answers the test gives."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def export(self, spans):
        answer = self.answers.pop(0)
        if answer is None:
            raise OSError
        return answer


def test_it_is_told_once_that_spans_are_lost_and_once_that_they_are_not():
    """Whatever goes wrong, and however often."""
    good, bad = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
    exporter = ToldExporter(Collector(good, bad, None, bad, good, good))
    with capture_logs() as told:
        for _ in range(6):
            exporter.export([])
    assert [each["event"] for each in told] == ["tracing.failed", "tracing.recovered"]
    assert "tracing.endpoint" in told[0]["hint"]


def test_without_the_package_it_is_said_what_to_install(monkeypatch):
    """And the daemon does not start without what it was asked for."""
    monkeypatch.setitem(sys.modules, "smartico_sync.observe.tracing", None)
    with pytest.raises(DriverMissing) as caught:
        tracer_of(Tracing(endpoint="http://localhost:4318/v1/traces"))
    assert caught.value.hint == "pip install 'smartico-sync[otel]'"
    (finding,) = tracing_findings(Tracing(endpoint="http://localhost:4318/v1/traces"))
    assert (finding.mark, finding.hint) == ("wrong", caught.value.hint)
    assert tracer_of(Tracing()) is UNTRACED


@pytest.mark.parametrize(
    ("tracing", "problem"),
    [
        ("{share: 0.5}", "tracing.endpoint: missing"),
        ("{endpoint: 'localhost:4318'}", "tracing.endpoint: expected an http or https URL"),
        ("{endpoint: 'http://localhost:4318', share: 2}", "tracing.share"),
    ],
)
def test_what_is_no_collector_is_refused(operator, tracing, problem):
    """With the place, and code 2."""
    operator.configure("sqlite:///x.db", VIEW)
    operator.config.write_text(operator.config.read_text() + f"tracing: {tracing}\n")
    done = operator.sync("run", "--once")
    assert done.returncode == 2
    assert problem in done.stderr
