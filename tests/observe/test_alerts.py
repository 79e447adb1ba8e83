"""Alerts: what begins and what is over reaches a webhook, once; a receiver that is away holds nobody up, and its URL is told nowhere."""

from __future__ import annotations

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from structlog.testing import capture_logs

from servers.gateway import Gateway
from servers.webhook import SECRET, Webhook
from smartico_sync.config.models import AlertReceiver
from smartico_sync.observe import alerts as module
from smartico_sync.observe import pending_alerts
from smartico_sync.observe.alerts import Alerts, Receiver
from smartico_sync.observe.finding import Finding
from smartico_sync.observe.health import Health
from smartico_sync.observe.journal import Change, Journal
from smartico_sync.observe.pending_alerts import QUIET_S, SETTLE_S, PendingAlerts
from waiting import until

WAITING = Finding(
    "warning", "deposits", "3 rows wait <now> & then", "smartico-sync status", 1_800_000_000_000, 0, "waiting"
)
STOPPED = Finding("critical", "bets", "view bets: rows are refused", "smartico-sync preview bets", code="trouble")
DELIVERING = Health("alive", "delivering", ())


@pytest.fixture
def receiver(monkeypatch):
    """A receiver at work that waits for nothing: `made = receiver(url, format="json")`."""
    monkeypatch.setattr(pending_alerts, "SETTLE_S", 0.0)
    monkeypatch.setattr(pending_alerts, "QUIET_S", 0.0)
    monkeypatch.setattr(module, "BACKOFF", module.Backoff((0.05,)))
    made = []

    def start(url, environ=None, **more):
        made.append(Receiver("on_call", AlertReceiver(url=SecretStr(url), **more), environ or {}))
        return made[-1]

    yield start
    for each in made:
        each.close()


def told(change, **more):
    return Change(change, more.pop("finding", WAITING), **more)


def test_slack_is_told_what_began_what_is_worse_and_what_is_over(receiver, webhook):
    """In words, with the command to type; nothing in them is taken for a mention or a link."""
    one = receiver(webhook.url)
    one.note([told("began"), told("began", finding=STOPPED)], "not delivering")
    until(lambda: len(webhook.bodies) == 1)
    text = webhook.bodies[0]["text"]
    assert text.splitlines()[0].endswith(": not delivering")
    assert ":large_yellow_circle: *deposits*: 3 rows wait &lt;now&gt; &amp; then (since 2027-01-15T08:00:00Z)" in text
    assert "> next: smartico-sync preview bets" in text
    one.note([told("over", after_ms=720_000)], "delivering")
    until(lambda: len(webhook.bodies) == 2)
    assert ":large_green_circle: *deposits* is well again after 0:12:00" in webhook.bodies[1]["text"]


def test_json_holds_the_findings_as_data(receiver, webhook):
    """For programs, whatever they make of it."""
    receiver(webhook.url, format="json").note([told("began", finding=STOPPED)], "not delivering")
    until(lambda: webhook.bodies)
    (body,) = webhook.bodies
    assert (body["service"], body["ready"], body["more"]) == ("smartico-sync", "not delivering", 0)
    (change,) = body["changes"]
    assert (change["change"], change["code"], change["severity"]) == ("began", "trouble", "critical")
    assert (change["subject"], change["next"]) == ("bets", "smartico-sync preview bets")


def test_a_receiver_that_is_away_is_a_finding_and_told_when_it_is_back(receiver, webhook):
    """It is tried again; what is over by then is never told; and its URL, which is a secret, stands nowhere."""
    webhook.status = 500
    with capture_logs() as lines:
        one = receiver(webhook.url)
        one.note([told("began"), told("began", finding=STOPPED)], "not delivering")
        until(lambda: one.finding() is not None)
        finding = one.finding()
        until(lambda: len(webhook.bodies) >= 2)
        one.note([told("over")], "not delivering")
        sent = len(webhook.bodies)
        until(lambda: len(webhook.bodies) > sent + 1)
        webhook.status = 200
        until(lambda: one.finding() is None)
        until(lambda: any(line["event"] == "alert" for line in lines))
    assert "the receiver on_call (127.0.0.1) does not take alerts: HTTP 500" in finding.message
    assert "smartico-sync test-alerts" in finding.hint
    assert "deposits" not in webhook.bodies[-1]["text"]
    assert "bets" in webhook.bodies[-1]["text"]
    assert [line["event"] for line in lines] == ["alert.failed", "alert.recovered", "alert"]
    assert SECRET not in str(lines) + finding.message + finding.hint + repr(one.config)


def test_a_receiver_that_hangs_holds_up_nobody(receiver, webhook, monkeypatch):
    """Neither whoever has something to tell, nor the other receivers; it is given up, told, and tried again."""
    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
    with Webhook() as other:
        webhook.answering.clear()
        hanging, well = receiver(webhook.url), receiver(other.url)
        for one in (hanging, well):
            one.note([told("began")], "delivering")
        until(lambda: other.bodies)
        until(lambda: hanging.finding() is not None)
        assert "does not take alerts" in hanging.finding().message
        assert SECRET not in hanging.finding().message
        webhook.answering.set()
        until(lambda: hanging.finding() is None)
        other.shutdown()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://127.0.0.1:1/"])
def test_nobody_there_is_told_with_the_host_only(receiver, url):
    """Whatever goes wrong between here and there."""
    one = receiver(url + SECRET)
    one.note([told("began")], "delivering")
    until(lambda: one.finding() is not None)
    assert SECRET not in one.finding().message


def test_alerts_take_the_proxy_that_the_environment_names(receiver, webhook):
    """As the ingest API does."""
    proxy = {"http_proxy": f"http://127.0.0.1:{webhook.server_address[1]}"}
    receiver(f"http://hooks.example.com/{SECRET}", proxy).note([told("began")], "delivering")
    until(lambda: webhook.bodies)
    assert webhook.paths == [f"http://hooks.example.com/{SECRET}"]


def test_a_proxy_that_refuses_is_told_as_the_proxy(receiver):
    """Nobody looks for a wrong webhook because a proxy wants a login."""
    with closing(Gateway(1, login="user:password")) as proxy:
        one = receiver(f"https://hooks.example.com/{SECRET}", {"https_proxy": f"http://127.0.0.1:{proxy.port}"})
        one.note([told("began")], "delivering")
        until(lambda: one.finding() is not None)
        assert "the proxy does not let us through: HTTP 407" in one.finding().message


def test_what_a_journal_sees_reaches_the_receivers(receiver, webhook):
    """From the findings of a look to the message, and to the message that it is over."""
    alerts, seen = Alerts(), [[WAITING], [WAITING], []]
    alerts._receivers["on_call"] = receiver(webhook.url, format="json")
    journal = Journal(alerts.tell)
    journal.watch(lambda: (Health("alive", "delivering", (), tuple(seen.pop(0))), ()))
    for messages in (1, 1, 2):
        journal.look()
        until(lambda messages=messages: len(webhook.bodies) == messages)
    assert [[change["change"] for change in body["changes"]] for body in webhook.bodies] == [["began"], ["over"]]


def test_a_reload_keeps_receivers_that_are_as_they_were(webhook):
    """What they were told is not told again; one that is gone ends."""
    one = AlertReceiver(url=SecretStr(webhook.url))
    alerts = Alerts()
    alerts.use({"a": one, "b": one})
    first = dict(alerts._receivers)
    alerts.use({"a": one, "c": one})
    assert alerts._receivers["a"] is first["a"]
    first["b"].thread.join()
    alerts.tell([told("began")], DELIVERING)
    assert alerts.findings() == ()
    alerts.close()
    first["a"].thread.join()


def sent(pending, now, outcome="taken"):
    """What is told at a moment."""
    due = pending.take(now)
    if outcome == "taken":
        pending.taken()
    else:
        pending.failed(now)
    return [change.what for change in due]


def test_what_passes_by_itself_wakes_nobody_and_what_flaps_is_told_once():
    """Ten seconds of trouble are no alert; one that comes back within a minute has not ended."""
    pending = PendingAlerts("warning")
    pending.note(told("began"), 0.0)
    assert sent(pending, SETTLE_S - 1) == []
    pending.note(told("over"), SETTLE_S - 1)
    assert pending.next_due() is None
    pending.note(told("began"), 100.0)
    assert sent(pending, 100.0 + SETTLE_S) == ["began"]
    for at in (120.0, 140.0, 160.0):
        pending.note(told("over"), at)
        pending.note(told("began"), at + 5)
    assert pending.next_due() is None
    pending.note(told("over"), 200.0)
    assert sent(pending, 200.0 + QUIET_S - 1) == []
    assert sent(pending, 200.0 + QUIET_S) == ["over"]


def test_only_what_is_critical_where_nothing_else_is_wanted():
    """Also once a warning has become critical; advice is for the page."""
    pending = PendingAlerts("critical")
    pending.note(told("began"), 0.0)
    pending.note(told("began", finding=Finding("warning", "a", "no index", code="advice")), 0.0)
    assert pending.next_due() is None
    worse = Finding("critical", "deposits", "300 rows wait", code="waiting")
    pending.note(told("worse", finding=worse), 1.0)
    assert sent(pending, SETTLE_S + 1) == ["worse"]


steps = st.sampled_from(["begins", "ends", "take", "taken", "failed"])


@given(st.lists(st.tuples(steps, st.floats(0, 40)), max_size=30))
def test_whatever_happens_a_receiver_knows_in_the_end_how_it_stands(history):
    """It hears of beginnings and ends in turn, also when things change while a message is on its way, or the message fails."""
    pending, now, stands, on_its_way, heard = PendingAlerts("warning"), 0.0, False, [], []

    def answered(step):
        nonlocal on_its_way
        if step == "taken":
            heard.extend(change.what for change in on_its_way)
            pending.taken()
        else:
            pending.failed(now)
        on_its_way = []

    for step, pause in history:
        now += pause
        if step in ("begins", "ends") and stands != (step == "begins"):
            stands = step == "begins"
            pending.note(told("began" if stands else "over"), now)
        elif step == "take" and not on_its_way:
            on_its_way = pending.take(now)
        elif step in ("taken", "failed") and on_its_way:
            answered(step)
    if on_its_way:
        answered("taken")
    heard += sent(pending, now + 1_000)
    assert heard == [("began", "over")[at % 2] for at in range(len(heard))]
    assert (len(heard) % 2 == 1) == stands
