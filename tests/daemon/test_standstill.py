"""A view that stands still says so to whoever looks, with the real daemon on a real PostgreSQL."""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import ExitStack, contextmanager

import httpx
import psycopg
import pytest

from daemon.test_backfill import PROFILES, USERS
from daemon.test_tracking import DEPOSITS, VIEW, insert
from smartico_sync.config.load import load
from smartico_sync.daemon.wiring import assemble
from smartico_sync.observe.health import assess
from smartico_sync.observe.polls import Instant
from smartico_sync.observe.view_status import derived
from waiting import until

LONG_MS = 3_000  # sixty times the interval of the views here


class Watch:
    """A running daemon with one view, and what its endpoint says now."""

    def __init__(self, operator, url):
        self.operator, self.url = operator, url

    @property
    def view(self):
        (view,) = httpx.get(f"{self.url}/status.json", trust_env=False).json()["views"]
        return view

    def metric(self, name):
        text = httpx.get(f"{self.url}/metrics", trust_env=False).text
        return float(re.search(rf'^smartico_sync_{name}{{view="[a-z]+"}} (\S+)$', text, re.MULTILINE)[1])

    def readiness(self):
        answer = httpx.get(f"{self.url}/readyz", trust_env=False)
        return answer.status_code, " | ".join(finding["message"] for finding in answer.json()["findings"])

    def is_live(self):
        try:
            return self.view["state"] == "live"
        except httpx.HTTPError:
            return False


@pytest.fixture
def watched(operator, postgresql):
    """A context manager: a daemon at work over one view, from when it is live until it has ended."""

    @contextmanager
    def at_work(view):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            listen = f"127.0.0.1:{probe.getsockname()[1]}"
        operator.configure(postgresql.url, f"  - {view}\n", timeout="60s")
        operator.config.write_text(operator.config.read_text().replace("listen: off", f"listen: {listen}"))
        daemon = operator.start("run")
        try:
            watch = Watch(operator, f"http://{listen}")
            until(watch.is_live)
            yield watch
        finally:
            daemon.kill()
            daemon.wait()

    return at_work


def stands_still(watch):
    """The lag grows past everything an idle view ever shows, wherever somebody looks, and `max_age` speaks."""
    until(lambda: watch.view["lag_ms"] > LONG_MS)
    assert watch.metric("lag_seconds") > LONG_MS / 1000
    code, findings = watch.readiness()
    assert code == 503
    assert "nothing newer than" in findings
    assert "`max_age` is 2 s" in findings
    assert watch.operator.sync("status").returncode == 1
    assert "nothing newer than" in watch.operator.sync("status").stdout


def test_a_poll_that_hangs_in_the_api_has_a_lag(watched, postgresql):
    """The API takes a request and does not answer: the lag counts on, the status says for how long the poll has been running and what it waits for."""
    postgresql.execute(*DEPOSITS)
    with watched(VIEW % ", max_age: 2s") as watch:
        watch.operator.sandbox.set_faults(["hang-after=60s"])
        insert(postgresql, 1)
        stands_still(watch)
        assert watch.view["poll_ms"] > LONG_MS / 2
        assert watch.view["waits_for"] == "api"
        assert watch.metric("poll_running_seconds") > LONG_MS / 2000


def test_a_poll_that_hangs_in_the_database_has_a_lag(watched, postgresql):
    """Somebody locks the table: likewise, and it goes on by itself once the lock is gone."""
    postgresql.execute(*DEPOSITS)
    with watched(VIEW % ", max_age: 2s") as watch:
        with psycopg.connect(postgresql.admin_url) as other:
            other.execute("LOCK TABLE deposits")
            stands_still(watch)
            assert watch.view["waits_for"] == "source"
        until(lambda: watch.view["lag_ms"] < LONG_MS and watch.is_live())
        assert watch.readiness() == (200, "")


@pytest.mark.slow
def test_profiles_whose_history_waits_for_the_api_have_a_lag(watched, postgresql):
    """A backfill of profiles keeps the view's place while the API is unavailable: the lag of the view says that its polls wait."""
    postgresql.execute(
        *USERS,
        "INSERT INTO players SELECT g, 'b', 'p' || g, timestamptz '2026-01-01Z' + g * interval '1 minute' FROM generate_series(1, 2000) g",
    )
    with watched(PROFILES % ", max_age: 2s") as watch:
        until(lambda: watch.view["watermark"])
        done = watch.operator.sync(
            "backfill", "players", "--from", "2026-01-01T00:00:00", "--rate", "200", "--profiles", "all"
        )
        assert done.returncode == 0, done.stderr
        until(lambda: (watch.view["backfill"] or {"done": 0})["done"])
        watch.operator.sandbox.set_faults(["503"])
        stands_still(watch)
        watch.operator.sandbox.set_faults([])
        until(lambda: watch.is_live() and watch.readiness()[0] == 200)
        assert json.loads(watch.operator.sync("backfill", "--list", "--json").stdout)[0]["state"] in ("open", "done")


def test_who_looks_later_is_told_that_the_poll_hangs(operator, postgresql):
    """A poll really hangs in the API; looked at 40 seconds and six minutes later, it is a warning and then critical."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, 1)
    operator.configure(postgresql.url, f"  - {VIEW % ''}\n", timeout="120s")
    stopping = threading.Event()
    with ExitStack() as stack:
        parts = assemble(load(operator.config), operator.home, stack)
        (loop,) = parts.loops
        loop.poll(stopping)
        operator.sandbox.set_faults(["hang-after=60s"])
        insert(postgresql, 2)
        hanging = threading.Thread(target=loop.poll, args=(stopping,))
        hanging.start()
        try:
            until(lambda: parts.board.views()[0].waits_for == "api")
            told = []
            for seconds in (0, 40, 360):
                now = Instant.now()
                later = Instant(now.wall_ms + 1_000 * seconds, now.steady_ms + 1_000 * seconds)
                view = derived(parts.board.facts("deposits"), later)
                health = assess([view], [])
                told.append((view.state, [each.severity for each in health.findings], health.ready))
        finally:
            stopping.set()
            hanging.join()
    assert told == [
        ("live", [], "delivering"),
        ("behind", ["warning"], "delivering"),
        ("behind", ["critical"], "not delivering"),
    ]
    assert re.fullmatch(
        r"the poll has been running for 6 min 0\d s(, the last 6 min 0\d s without progress)?; it waits for the API",
        health.findings[0].message,
    )
