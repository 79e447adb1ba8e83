"""Findings by cause: one outage is one finding, the worst first, and what waits or is refused is never hidden by a good headline."""

from __future__ import annotations

from msgspec.structs import replace

from observe.conftest import at, ended, facts
from smartico_sync.delivery.destination_status import DestinationStatus
from smartico_sync.observe.health import Finding, assess
from smartico_sync.observe.polls import Polls
from smartico_sync.observe.status_page import sentence
from smartico_sync.observe.view_status import FailedBackfill, derived

BEGAN = Polls.since_now(at(0))
GOOD = ended(BEGAN.poll_began(at(10)).reading_began(at(10)), 100, at(20))
DOWN = GOOD.failed("degraded", "source db (db:5432): connection refused", "start the database", at(1_000))
COUNTS = {"read": 100, "delivered": 100}


def view(name="deposits", polls=GOOD, **more):
    return derived(replace(facts(polls, counts=COUNTS, **more), name=name), at(2_000))


def test_one_outage_of_many_views_is_one_finding():
    """It names three views and how many more, since when, and when it was well last."""
    health = assess([view(f"view{n}", DOWN) for n in range(12)], ())
    (finding,) = health.findings
    assert finding.subject == "view0, view1, view2 and 9 more"
    assert finding.message == "source db (db:5432): connection refused"
    assert (finding.since_ms, finding.last_good_ms) == (at(1_000).wall_ms, at(20).wall_ms)


def test_an_api_that_is_away_is_told_once():
    """By its destination, not again by each view that waits for it."""
    waits = GOOD.poll_began(at(500)).waits_for_api(
        ("the ingest API is unavailable: HTTP 503", "smartico-sync check"), at(600)
    )
    away = DestinationStatus("default", "backing_off", "HTTP 503", None, 0, 0, 0, 1_000)
    health = assess([view("a", waits), view("b", waits)], (away,))
    assert [each.subject for each in health.findings] == ["default"]
    assert health.ready == "not delivering"


def test_the_worst_comes_first_and_advice_last():
    """Critical before warnings; of those what has a next command before what has none."""
    notes = [
        Finding("warning", "a", "advice"),
        Finding("warning", "b", "mend it", "smartico-sync check"),
        Finding("critical", "c", "gone", "x"),
    ]
    assert [each.subject for each in assess([], (), notes).findings] == ["c", "b", "a"]


def test_what_could_be_better_comes_after_all_that_is_wrong():
    """An index that is missing, whatever there is to do about it; a column that is gone is no advice."""
    some = view(
        warnings=("gone, and sent no more: x; next: accept", "no index; next: CREATE INDEX"),
        advice=("no index; next: CREATE INDEX",),
        dead={0: 3},
    )
    assert [(each.severity, each.code) for each in assess([some], ()).findings] == [
        ("warning", "source"),
        ("warning", "dead_letters"),
        ("advice", "advice"),
    ]


def test_an_api_that_is_away_is_the_headline():
    """It is not the views that wait for it that need attention; one that is broken for another reason is named."""
    waits = GOOD.waits_for_api(("the ingest API is unavailable: HTTP 503", "smartico-sync check"), at(600))
    away = DestinationStatus("default", "backing_off", "HTTP 503", None, 0, 0, 0, 1_000)
    views = [view("a", waits), view("b")]
    assert sentence(views, assess(views, (away,))) == ("bad", "Not delivering: the API is unavailable")
    views.append(view("c", DOWN))
    assert sentence(views, assess(views, (away,))) == ("bad", "Not delivering: a, c need attention")


def test_what_is_critical_is_in_the_headline():
    """Also where every view is live: whose rows are refused, for instance."""
    some = view(recent_rows=31, recent_refused=30, dead={0: 30})
    assert sentence([some], assess([some], ())) == ("bad", "Not delivering: deposits needs attention")


def test_what_is_missing_is_in_the_headline():
    """Rows that a comparison found, and columns that are sent no more: not everything is delivered then."""
    some = view(missing=1_096)
    assert sentence([some], assess([some], ())) == ("warn", "Delivered, but for 1,096 rows missing")
    some = view(warnings=("gone, and sent no more: x; next: accept",))
    assert sentence([some], assess([some], ())) == ("warn", "Delivered, but look at deposits")


def test_rows_that_wait_are_in_the_headline():
    """Never "Everything is delivered" while rows wait; many of them, and more than were delivered, are no delivery."""
    some = view(parked={10001: 3}, parked_since_ms=at(0).wall_ms)
    health = assess([some], ())
    assert sentence([some], health) == ("warn", "Delivered, but 3 rows wait")
    assert "3 rows wait (3% of all that was read), the first for 2 s" in health.findings[0].message
    assert health.ready == "delivering"
    most = view(parked={10001: 522}, parked_since_ms=at(0).wall_ms)
    assert assess([most], ()).ready == "not delivering"


def test_rows_that_wait_say_what_the_first_of_their_player_waits_for():
    """However many wait behind it: what they wait for, and what mends it, is what the first one does."""
    for code, words, hint in (
        (10001, "does not know their players", "`users` delivers"),
        (125, "nobody registered their brand", "alias"),
    ):
        some = view(parked={-4: 40, code: 2}, parked_since_ms=at(0).wall_ms)
        (finding,) = assess([some], ()).findings
        assert finding.message.startswith("42 rows wait")
        assert words in finding.message
        assert hint in finding.hint


def test_a_backfill_that_was_given_up_is_a_finding():
    """It was asked for, and nobody tries it again."""
    some = view(failed_backfill=FailedBackfill(3, "the key is not unique", at(0).wall_ms))
    health = assess([some], ())
    (finding,) = health.findings
    assert (finding.code, finding.severity, finding.since_ms) == ("backfill", "warning", at(0).wall_ms)
    assert "backfill 3 was given up" in finding.message
    assert "the key is not unique" in finding.message
    assert "smartico-sync backfill --cancel 3" in finding.hint
    assert health.ready == "delivering"


def test_a_share_that_is_refused_is_a_finding():
    """5 % of the last rows are a warning, half of them mean that it is no delivery; a handful says nothing."""
    assert assess([view(recent_rows=20, recent_refused=9)], ()).findings == ()
    (dead,) = assess([view(recent_rows=20, recent_refused=9, dead={2: 9})], ()).findings
    assert dead.code == "dead_letters"
    warning, _ = assess([view(recent_rows=1_000, recent_refused=50, dead={2: 50})], ()).findings
    assert (warning.severity, warning.message) == ("warning", "50 of the last 1,000 rows were given up (5%)")
    nearly_all = view(recent_rows=1_000, recent_refused=900, dead={2: 900})
    health = assess([nearly_all], ())
    assert (health.findings[0].severity, health.ready) == ("critical", "not delivering")
    assert sentence([nearly_all], health)[0] == "bad"


def test_a_small_share_is_not_told_as_none():
    """`0%` of two million would say that no row waits."""
    view = derived(facts(GOOD, parked={10001: 522}, counts={"delivered": 1_999_000}), at(2_000))
    (finding,) = assess((view,), ()).findings
    assert finding.message.startswith("522 rows wait (less than 1% of all that was read)")


def test_what_keeps_events_from_arriving_is_read_first():
    """Before values that break a rule, and before what was given up earlier."""
    view = derived(facts(GOOD, invalid={"user_email": 12}, dead={20001: 9}), at(2_000))
    api = DestinationStatus("default", "backing_off", "HTTP 503", None, 0, 0, 0, 1_000)
    findings = assess((view,), (api,)).findings
    assert findings[0].code == "api_unavailable"
