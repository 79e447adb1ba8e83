"""What is known becomes findings, and findings become two answers."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observe.conftest import BEGAN, at, facts, histories
from smartico_sync.observe.endpoint import Endpoint
from smartico_sync.observe.health import assess
from smartico_sync.observe.metrics import exposition
from smartico_sync.observe.polls import Polls
from smartico_sync.observe.status_board import StatusBoard
from smartico_sync.observe.status_page import page
from smartico_sync.observe.terminal import table
from smartico_sync.observe.view_findings import SOURCE_STUCK_MS, STANDSTILL_MS
from smartico_sync.observe.view_status import BackfillStatus, derived

LIVE = Polls.since_now(BEGAN).poll_began(BEGAN).got_on(BEGAN).caught_up_at(BEGAN, 3, BEGAN)
HANGING = LIVE.poll_began(BEGAN)


def looked(polls, ms, **more):
    """What is said so many ms after the start."""
    return assess([derived(facts(polls, **more), at(ms))], [])


def told(health):
    return [(finding.severity, finding.message) for finding in health.findings]


def test_a_view_that_is_well_has_no_findings():
    """Between two polls nothing is to be said."""
    health = looked(LIVE, 900)
    assert (health.alive, health.ready, health.findings) == ("alive", "delivering", ())


@pytest.mark.parametrize(
    ("polls", "message"),
    [
        (HANGING, "the poll has been running for 60 s; it waits for the database"),
        (HANGING.got_on(at(0)).waits_for_api(None, at(59_000)), "the poll has been running for 60 s; it waits for the API"),
        (HANGING.got_on(at(20_000)), "the poll has been running for 60 s, the last 40 s without progress"),
        (LIVE, "no poll has begun for 60 s"),
    ],
)  # fmt: skip
def test_a_standstill_is_a_finding_of_its_own(polls, message):
    """For how long, and what it waits for; a warning first."""
    health = looked(polls, 60_000)
    assert told(health) == [("warning", message)]
    assert health.ready == "delivering"


@pytest.mark.parametrize("polls", [HANGING, LIVE])
@pytest.mark.parametrize(("max_age_ms", "limit"), [(None, STANDSTILL_MS), (60_000, 60_000), (3_600_000, 3_600_000)])
def test_a_standstill_becomes_critical(polls, max_age_ms, limit):
    """After five minutes, or after `max_age` where it is set, the daemon no longer says that it delivers."""
    before = looked(polls, limit, max_age_ms=max_age_ms)
    after = looked(polls, limit + 1, max_age_ms=max_age_ms)
    assert [severity for severity, _ in told(before)] == ["warning"]
    assert "critical" in [severity for severity, _ in told(after)]
    assert after.ready == "not delivering"


@pytest.mark.parametrize(("policy", "said"), [("warn", 1), ("ignore", 0), ("resend", 0)])
def test_rows_that_changed_after_delivery_are_told_where_the_policy_warns(policy, said):
    """Smartico has another state of them, and the hint names the two other choices."""
    findings = looked(LIVE, 0, mutated=3, on_mutated=policy).findings
    assert [finding.code for finding in findings] == ["mutated"] * said
    assert all("3 rows" in finding.message and "on_mutated: resend" in finding.hint for finding in findings)


def test_who_waits_behind_a_backfill_is_sent_to_it():
    """A view whose polls do not begin while its history is sent names the command that shows the history."""
    (finding,) = looked(LIVE, 60_000, backfill=BackfillStatus(5, 10, 1)).findings
    assert finding.hint == "smartico-sync backfill --list"


@given(histories(), st.integers(0, 10_000_000), st.integers(0, 10_000_000))
def test_max_age_speaks_whatever_the_view_does(history, wait, max_age_ms):
    """Whenever the lag is beyond `max_age` and beyond two intervals there is a critical finding that says so, in any state."""
    polls, end = history
    health = looked(polls, end + wait, max_age_ms=max_age_ms)
    lag = derived(facts(polls), at(end + wait)).lag_ms
    spoken = any("`max_age`" in message and severity == "critical" for severity, message in told(health))
    assert spoken == (lag > max(max_age_ms, 2_000))
    assert not spoken or health.ready == "not delivering"


def test_max_age_is_silent_between_two_good_polls():
    """A `max_age` that is shorter than the interval does not cry before every poll."""
    assert looked(LIVE, 1_900, max_age_ms=100).findings == ()


def test_the_daemon_is_stuck_only_when_no_view_gives_a_sign_of_life():
    """Waiting for an API that does not answer is life; a minute without anything from any view is none."""
    assert looked(LIVE, 60_001).alive == "stuck"
    assert looked(HANGING.waits_for_api(None, at(60_000)), 60_001).alive == "alive"
    silent, alive = (derived(facts(polls), at(60_001)) for polls in (LIVE, LIVE.poll_began(at(60_000))))
    assert assess([silent, alive], []).alive == "alive"
    assert assess([], []).alive == "alive"


def test_a_long_page_is_no_stall():
    """A source that takes its time is life, at the first page too: a restart would ask the same question again. Beyond all measure it is none."""
    opening = Polls.since_now(BEGAN).opening(BEGAN)
    for polls in (HANGING, opening, opening.poll_began(BEGAN)):
        assert looked(polls, 600_000).alive == "alive"
        assert looked(polls, 3_600_000, statement_timeout_ms=3_600_000).alive == "alive"
        assert looked(polls, SOURCE_STUCK_MS + 30_001, statement_timeout_ms=30_000).alive == "stuck"


def test_everybody_who_looks_sees_the_same_standstill():
    """Status, readiness, metrics, page and terminal are computed when they are asked for, from the same facts."""
    now = at(400_000)
    board = StatusBoard(lambda: now)
    board.put(facts(HANGING, max_age_ms=300_000))
    endpoint = Endpoint("127.0.0.1:0", board, lambda: ())
    try:
        status = json.loads(endpoint.answer("/status.json")[2])
        (view,) = status["views"]
        assert (view["state"], view["lag_ms"], view["poll_ms"], view["standstill"]) == (
            "behind",
            400_000,
            400_000,
            "hanging",
        )
        assert status["ready"] == "not delivering"
        assert endpoint.answer("/readyz")[0] == 503
        metrics = endpoint.answer("/metrics")[2].decode()
        assert re.search(r'^smartico_sync_lag_seconds\{view="deposits"\} 400\.0$', metrics, re.MULTILINE)
        assert re.search(r'^smartico_sync_view_state\{state="behind",view="deposits"\} 1\.0$', metrics, re.MULTILINE)
        assert "deposits stands still" in endpoint.answer("/")[2].decode()
        assert "polling for 6 min 40 s" in endpoint.answer("/")[2].decode()
        now = at(0)
        (view,) = json.loads(endpoint.answer("/status.json")[2])["views"]
        assert (view["state"], view["lag_ms"], view["standstill"]) == ("live", 0, "no")
    finally:
        endpoint.close()


def test_the_endpoint_keeps_its_keys():
    """Keys and metrics that monitoring relies on are there, and no fact that only ages are computed from."""
    views = (derived(facts(LIVE), at(900)),)
    board = StatusBoard(lambda: at(900))
    board.put(facts(LIVE))
    endpoint = Endpoint("127.0.0.1:0", board, lambda: ())
    try:
        (view,) = json.loads(endpoint.answer("/status.json")[2])["views"]
    finally:
        endpoint.close()
    assert {
        "name", "kind", "source", "cursor", "every_ms", "max_age_ms", "state", "late_commit", "head", "watermark", "lag_ms",
        "last_poll_ms", "last_success_ms", "counts", "per_second", "error", "hint", "error_ms", "warnings", "late",
        "null_cursors", "ahead", "mutated", "largest_tie", "skew_ms", "parked", "dead", "invalid", "missing", "compared_ms",
        "backfill",
    } <= set(view)  # fmt: skip
    assert "polls" not in view
    assert b"smartico_sync_last_success_timestamp_seconds" in exposition(views, ())


def test_a_terminal_says_that_a_view_stands_still():
    """The last column of the table names it."""
    made = table([derived(facts(HANGING), at(60_000))], "now")
    assert list(made.columns[-1].cells) == ["the poll has been running for 60 s; it waits for the database"]


def test_the_page_says_that_everything_is_delivered_when_it_is():
    """A headline that is good news, and the lag beside it."""
    view = derived(facts(LIVE), at(400))
    shown = page((view,), assess([view], []), (), "1", at(400).wall_ms)
    assert "Everything is delivered" in shown
    assert "0.4 s" in shown


def shown(*views):
    """The page over these views."""
    return page(views, assess(views, []), (), "1", at(0).wall_ms)


def test_the_page_does_not_say_delivered_of_what_it_does_not_know():
    """A poll that has been running for 28 s, not yet beyond the patience, is no proof that everything arrived."""
    view = derived(facts(HANGING), at(28_000))
    assert view.state == "live"
    assert "Everything is delivered" not in shown(view)
    assert "Delivered up to 28 s ago" in shown(view)


def test_the_page_tells_what_is_the_same_for_many_views_once():
    """One line names the first three views and how many more; the command in a hint is marked as one, its words are not."""
    unavailable = HANGING.waits_for_api(
        ("the ingest API does not take events", "try its URL: smartico-sync check"), at(10)
    )
    views = [derived(facts(unavailable, name=f"v{number}"), at(20)) for number in range(5)]
    text = shown(*views)
    assert text.count("the ingest API does not take events") == 1
    assert "v0, v1, v2 and 2 more need attention" in text
    assert "next: try its URL: <code>smartico-sync check</code>" in text
