"""The log is a record: what began and what is over is one line each, whatever the numbers in it; what did not go is summed up."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from observe.conftest import at, ended, facts
from smartico_sync.delivery.destination_status import DestinationStatus, HaltedBrand
from smartico_sync.observe.finding import Finding, gist
from smartico_sync.observe.health import assess
from smartico_sync.observe.journal import Journal, changes
from smartico_sync.observe.polls import Polls
from smartico_sync.observe.view_status import derived

GOOD = ended(Polls.since_now(at(0)).poll_began(at(10)).reading_began(at(10)), 100, at(20))
DOWN = GOOD.failed("degraded", "source db (db:5432): connection refused", "start the database", at(1_000))


def view(polls=GOOD, now_ms=2_000, name="deposits", **more):
    return derived(replace(facts(polls, **more), name=name), at(now_ms))


@pytest.fixture
def journal():
    """A journal that is looked into by hand: `lines(views, notes)` looks once, and gives what it wrote."""
    made, seen = Journal(), {}
    made.watch(lambda: (assess(seen["views"], (), seen["notes"]), seen["views"]))

    def lines(*views, notes=()):
        seen.update(views=views, notes=notes)
        with capture_logs() as told:
            made.look()
        return [line for line in told if line["event"] != "health"]

    return lines


def test_what_begins_and_what_is_over_is_one_line_each(journal):
    """However often somebody looks, and whatever its numbers are meanwhile; what became worse is told again."""
    waits = view(parked={10001: 3}, parked_since_ms=at(0).wall_ms)
    (began,) = journal(waits)[:1]
    assert (began["event"], began["code"], began["log_level"]) == ("finding", "waiting", "warning")
    assert began["hint"]
    assert began["since"] == "2027-01-15T08:00:00Z"
    assert journal(view(parked={10001: 4}, parked_since_ms=at(0).wall_ms, now_ms=9_000)) == []
    (worse,) = journal(view(parked={10001: 400}, parked_since_ms=at(0).wall_ms))
    assert (worse["event"], worse["log_level"]) == ("finding", "error")
    (over,) = journal(view())
    assert (over["event"], over["code"], over["subject"]) == ("finding.over", "waiting", "deposits")
    assert journal(view()) == []


def test_one_cause_is_one_change_whatever_views_join_it():
    """Twelve views of a database that is down are one; that another one joins is no news, that the last one leaves is."""
    standing, found = changes({}, assess([view(DOWN, name="a"), view(DOWN, name="b")], ()), at(0))
    assert [(each.what, each.finding.subject) for each in found] == [("began", "a, b")]
    standing, found = changes(standing, assess([view(DOWN, name=name) for name in "abc"], ()), at(0))
    assert found == ()
    standing, found = changes(standing, assess([view(DOWN, name="a"), view(name="b")], ()), at(0))
    assert found == ()
    standing, found = changes(standing, assess([view(name="a")], ()), at(60_000))
    assert [(each.what, each.after_ms) for each in found] == [("over", 60_000)]
    assert standing == {}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("source db1 (10.0.0.1:5432): nobody answers", "source db2 (10.0.0.2:5432): nobody answers"),
        ("view a: relation bets_2025 does not exist", "view a: relation bets_2026 does not exist"),
        ("columns of the view changed: gone: prop1", "columns of the view changed: gone: prop2"),
    ],
)
def test_numbers_of_names_tell_causes_apart(first, second):
    """Two servers that are down are two changes, and one that is back is told while the other is not."""
    down = [Finding("warning", "a", first, code="trouble"), Finding("warning", "b", second, code="trouble")]
    standing, _ = changes({}, assess([view()], (), down[:1]), at(0))
    standing, found = changes(standing, assess([view()], (), down), at(0))
    assert [(each.what, each.finding.message) for each in found] == [("began", second)]
    _, found = changes(standing, assess([view()], (), down[1:]), at(0))
    assert [(each.what, each.finding.message) for each in found] == [("over", first)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("3 rows wait (3% of all), the first for 59 s", "1,000 rows wait (20% of all), the first for 2 min 05 s"),
        ("the disk has 1,234 MB left", "the disk has 3 MB left"),
        ("the clock is 1 h 00 min behind the API's", "the clock is 3 days behind the API's"),
        ("HTTP 503", "HTTP 502"),
    ],
)
def test_numbers_that_move_on_are_no_change(first, second):
    """Counts, shares and durations, in whatever unit."""
    assert gist(first) == gist(second)


def test_each_brand_that_is_refused_is_told():
    """Also where brands are numbers; a brand is the subject of its finding."""
    two = (("the API does not know the brand 7", "register 7"), ("the API does not know the brand 8", "register 8"))
    halted = tuple(HaltedBrand(brand, message, 0) for brand, (message, _) in zip("78", two, strict=True))
    there = DestinationStatus("default", "halted", "", None, 0, 0, 0, 1_000, halts=two, halted=halted)
    _, found = changes({}, assess([view()], (there,)), at(0))
    assert [(each.what, each.finding.subject) for each in found] == [("began", "7"), ("began", "8")]


def test_while_the_daemon_starts_nothing_is_over():
    """After a reload nobody has looked yet: what stood before stands until the views have."""
    note = Finding("warning", "state", "the disk is nearly full", code="disk")
    standing, _ = changes({}, assess([view(DOWN)], (), [note]), at(0))
    starting = view(Polls.since_now(at(0)))
    assert starting.state == "starting"
    standing, found = changes(standing, assess([starting], ()), at(0))
    assert (len(standing), found) == (2, ())


def test_rows_that_did_not_go_are_summed_up(journal, monkeypatch):
    """At once, with their codes, then once a minute of each view; values that broke a rule are in the same line."""
    none = journal(view(recent_rows=10))
    (first,) = [line for line in journal(view(given_up={7: 2}, invalid={"status": 1})) if "undel" in line["event"]]
    assert none == []
    assert (first["view"], first["given_up"], first["invalid"]) == ("deposits", {"7": 2}, {"status": 1})
    more = view(given_up={7: 5, 9: 1}, put_off={10001: 4}, parked={10001: 4}, invalid={"status": 1})
    assert [line for line in journal(more) if "undel" in line["event"]] == []
    monkeypatch.setattr("smartico_sync.observe.journal.SUM_MS", 0)
    (second,) = [line for line in journal(more) if "undel" in line["event"]]
    assert (second["given_up"], second["parked"], second["waiting"]) == (
        {"7": 3, "9": 1},
        {"10001": 4},
        {"10001": 4},
    )


def test_whether_it_delivers_is_told_when_it_changes():
    """With what it was before."""
    journal = Journal()
    seen = [view(DOWN)]
    journal.watch(lambda: (assess(seen, ()), seen))
    told = []
    for views in ([view(DOWN)], [view(DOWN)], [view()]):
        seen[:] = views
        with capture_logs() as lines:
            journal.look()
        told += [(line["before"], line["ready"]) for line in lines if line["event"] == "health"]
    assert told == [("starting", "not delivering"), ("not delivering", "delivering")]


def test_trouble_that_a_reload_ended_has_an_end():
    """Who was in trouble is gone with the reload, and who begins has nothing to recover from: the journal tells the end, once."""
    journal, seen = Journal(), [view(DOWN)]

    def look():
        return assess(seen, ()), seen

    journal.watch(look)
    journal.watch(None)
    journal.watch(look)
    with capture_logs() as lines:
        seen[:] = [view()]
        journal.look()
        journal.look()
    (over,) = [line for line in lines if line["event"] == "finding.over"]
    assert (over["code"], over["subject"]) == ("trouble", "deposits")


def test_a_finding_is_dated_since_it_was_first_seen():
    """What has no moment of its own has the one of the first look, wherever it is shown; what nobody has seen yet has none."""
    journal = Journal()
    health = assess([view(dead={7: 2})], ())
    journal.watch(lambda: (health, ()))
    assert [finding.since_ms for finding in journal.dated(health).findings] == [0]
    with capture_logs() as lines:
        journal.look()
    (finding,) = journal.dated(health).findings
    assert finding.since_ms > 0
    assert [line["code"] for line in lines if line.get("since")] == ["dead_letters"]
