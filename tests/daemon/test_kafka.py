"""Kafka from the command line: what an operator types, and what arrives."""

from __future__ import annotations

import datetime as dt
import json
import signal
import time

import pytest

from daemon.command import run
from servers.kafka import new_name
from waiting import until

MEMBER = "instance_id=none&session_timeout=6000"


class Topic:
    """One topic and an operator who reads it."""

    def __init__(self, operator, server, view="", partitions=2):
        self.operator, self.server = operator, server
        self.name = server.topic(new_name(), partitions)
        self.view = view

    def configure(self, more="", kind="casino_bets", url=None):
        view = f"  - {{name: bets, source: db, relation: {self.name}, kind: {kind}{more}}}\n"
        self.operator.configure(url or f"{self.server.url}?{MEMBER}", view)

    def put(self, *bets, **more):
        for bet in bets:
            body = bet if isinstance(bet, bytes | None) else json.dumps(bet).encode()
            key = str(bet["user_ext_id"]).encode() if isinstance(bet, dict) else b"x"
            self.server.put(self.name, body, key=key, **more)

    def ids(self):
        return sorted(event["payload"].get("casino_last_bet_id") or event["eid"] for event in self.operator.accepted())


def bet(number, player=1, **more):
    return {
        "bet_id": f"b{number}", "user_ext_id": player, "ext_brand_id": "b", "bet_amount": 1.50, "game_id": "g",
        "bet_date": "2026-01-01T00:00:00Z", **more,
    }  # fmt: skip


def said(done):
    """What was printed, in one line."""
    return " ".join(done.stdout.split())


@pytest.fixture
def topic(operator, kafka_mock):
    """A topic with two partitions, configured as bets."""
    made = Topic(operator, kafka_mock)
    made.configure()
    return made


def test_a_topic_reaches_the_api_once(topic):
    """`run --once` takes what is there and ends; what comes later is taken by the next, and nothing twice."""
    topic.put(*(bet(n, n % 5) for n in range(40)), b"{broken", None)
    done = topic.operator.sync("run", "--once", "--log", "json")
    assert done.returncode == 6, done.stderr  # one dead letter
    assert len(topic.operator.accepted()) == 40
    topic.put(bet(40), bet(3, 3))
    assert topic.operator.sync("run", "--once").returncode == 0
    events = topic.operator.accepted()
    assert len(events) == 41
    assert len({event["eid"] for event in events}) == 41
    shown = json.loads(topic.operator.sync("watermark", "show", "--json").stdout)[0]
    assert sum(shown["lanes"].values()) == 44
    counts = shown["counts"]
    assert counts["read"] == 44
    assert (counts["delivered"], counts["duplicate"], counts["dead_lettered"], counts["skipped"]) == (41, 1, 1, 1)


@pytest.mark.slow
def test_check_says_what_the_topic_is_and_what_it_lacks(topic):
    """Reachability, the sample as it is mapped, members that no message has; nothing is sent or moved."""
    topic.put(bet(1), bet(2, 2))
    done = topic.operator.sync("check")
    assert done.returncode == 0, done.stdout
    assert f"{topic.name} with 2 partitions" in said(done)
    assert "of 2 messages 2 become events" in said(done)
    assert "key bet_id" in said(done)
    topic.configure(", root: payload")
    done = topic.operator.sync("check")
    assert done.returncode == 2
    assert "no object at payload" in said(done)
    assert topic.operator.accepted() == []


@pytest.mark.slow
def test_check_wants_profiles_in_one_order(topic):
    """Where a player's states lie in several partitions an older one may come last: a version is asked for."""
    topic.configure(kind="users")
    for partition in (0, 1):
        topic.put({"user_ext_id": 1, "ext_brand_id": "b", "level": partition, "dt": "2026-01-01"}, partition=partition)
    done = topic.operator.sync("check")
    assert done.returncode == 2
    assert "several partitions" in said(done)
    topic.configure(", version: dt", kind="users")
    assert topic.operator.sync("check").returncode == 0


def test_preview_shows_the_body(topic):
    """The newest messages, as they would be sent."""
    topic.put(bet(1), bet(2), b"[]")
    done = topic.operator.sync("preview", "bets", "--limit", "3")
    assert done.returncode == 0
    assert "casino_last_bet_amount" in done.stdout
    assert "would be a dead letter" in done.stderr


@pytest.mark.slow
def test_what_was_given_up_and_is_read_again_is_what_becomes_of_it_now(topic):
    """Refused again after a rewind it is given up once, as before; accepted it is no dead letter any more."""

    def counts():
        shown = json.loads(topic.operator.sync("watermark", "show", "--json").stdout)[0]["counts"]
        return shown["read"], shown.get("delivered", 0), shown["dead_lettered"]

    topic.put(bet(1), b"{broken", bet(2))
    topic.operator.sandbox.set_faults(["refuse=1"])
    for _ in range(2):
        assert topic.operator.sync("run", "--once").returncode == 6
        assert counts() == (3, 0, 3)
        assert len(json.loads(topic.operator.sync("dead-letters", "list", "--json").stdout)) == 3
        assert topic.operator.sync("watermark", "rewind", "bets", "--to", "first").returncode == 0
    topic.operator.sandbox.set_faults([])
    assert topic.operator.sync("run", "--once").returncode == 6
    assert counts() == (3, 2, 1)
    (letter,) = json.loads(topic.operator.sync("dead-letters", "list", "--json").stdout)
    assert letter["code"] == 0


@pytest.mark.slow
def test_a_rewind_sends_again_under_the_same_ids(topic):
    """By offset, or to the first message; what is sent again counts once."""
    topic.put(*(bet(n) for n in range(5)))
    topic.operator.sync("run", "--once")
    lanes = json.loads(topic.operator.sync("watermark", "show", "--json").stdout)[0]["lanes"]
    (lane,) = [lane for lane, at in lanes.items() if at]
    done = topic.operator.sync("watermark", "rewind", "bets", "--to", f"{lane}@3")
    assert done.returncode == 0, done.stderr
    assert f"{lane}@3" in done.stdout
    topic.operator.sync("run", "--once")
    done = topic.operator.sync("watermark", "rewind", "bets", "--to", "first")
    assert done.returncode == 0, done.stderr
    topic.operator.sync("run", "--once")
    assert len({event["eid"] for event in topic.operator.accepted()}) == 5
    counts = json.loads(topic.operator.sync("watermark", "show", "--json").stdout)[0]["counts"]
    assert counts["read"] == 5 + 2 + 5
    assert counts["duplicate"] == 7
    for nonsense, told in (
        ("yesterday", "is no place of messages"), (f"{topic.name}/7@1", "reads no partition"), ("other/0@1", "reads no partition"),
        (f"{lane}@99", "has the offsets 0 to 5, and not 99"),
    ):  # fmt: skip
        done = topic.operator.sync("watermark", "rewind", "bets", "--to", nonsense)
        assert done.returncode == 2
        assert told in done.stderr
    topic.put(bet(9))
    for place in (f"{lane}@6", "2999-01-01"):
        done = topic.operator.sync("watermark", "rewind", "bets", "--to", place)
        assert done.returncode == 2
        assert f"1 message of {lane}, from 5 on, would never be sent" in done.stderr
    assert topic.operator.sync("run", "--once").returncode == 0
    assert "b9" in topic.ids()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [("backfill", "bets", "--from", "2026-01-01T00:00:00"), ("watermark", "accept", "bets")],
)
def test_what_a_command_cannot_do_on_messages_it_says(topic, words):
    """With exit code 2, and what to do instead."""
    topic.operator.sync("run", "--once")
    done = topic.operator.sync(*words)
    assert done.returncode == 2
    assert "messages" in done.stderr


@pytest.mark.slow
def test_a_first_configuration_is_written_from_topics(operator, private_kafka_mock):
    """What it proposes is read, and what it does not is named with a reason; nothing of a password is in it."""
    words = ["init", "--url", private_kafka_mock.url, "--output", operator.config, "--api", operator.sandbox.url]
    done = run(words, operator.home, 60)
    assert done.returncode == 2
    assert "none may be seen" in done.stderr
    bets, audit = private_kafka_mock.topic("game.bet-placed.v1", 2), private_kafka_mock.topic("audit", 1)
    made = Topic(operator, private_kafka_mock)
    made.name = bets
    made.put(*(bet(n, n % 3) for n in range(12)))
    private_kafka_mock.put(audit, b"text")
    done = run(words, operator.home, 60)
    assert done.returncode == 0, done.stderr
    assert f"{bets}: kind casino_bets" in done.stdout
    text = operator.config.read_text()
    assert "audit: its messages are no JSON objects" in text
    for asked, value in (
        ("${SMARTICO_TOKEN}", "t"),
        ("${SYNC_PII_KEY}", operator.key),
        ("start_from: now", "start_from: first"),
    ):
        text = text.replace(asked, value)
    operator.config.write_text(text)
    done = operator.sync("check")
    assert done.returncode == 0, done.stdout
    assert operator.sync("run", "--once").returncode == 0
    assert len(operator.accepted()) == 12


@pytest.mark.slow
def test_a_dead_letter_is_tried_again_at_its_place(topic):
    """The message is read once more from the topic; it is still broken, or the rules have changed."""
    topic.put(bet(1), bet(2, bet_date="soon"))
    topic.operator.sync("run", "--once")
    (letter,) = json.loads(topic.operator.sync("dead-letters", "list", "--json").stdout)
    assert letter["cursor"].startswith(f"{topic.name}/")
    topic.configure(", columns: {bet_date: null, placed: bet_date}")
    done = topic.operator.sync("dead-letters", "retry", "--all")
    assert "1 dead letter is" in done.stdout
    assert topic.operator.sync("run", "--once").returncode == 0
    assert len(topic.operator.accepted()) == 2


@pytest.mark.slow
def test_a_running_daemon_takes_what_comes(topic):
    """Soon, and ends when it is told to, with all that it sent committed."""
    daemon = topic.operator.start("run")
    for n in range(5):
        topic.put(bet(n))
    until(lambda: len(topic.operator.accepted()) == 5)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert topic.operator.sync("run", "--once").returncode == 0
    assert len(topic.operator.accepted()) == 5


@pytest.mark.slow
def test_status_and_metrics_tell_what_waits(topic):
    """In messages and seconds for each partition, also while no daemon runs."""
    topic.put(bet(1))
    topic.operator.sync("run", "--once")
    topic.put(*(bet(n) for n in range(2, 9)), timestamp=round(time.time() * 1000) - 3_601_000)
    lanes = json.loads(topic.operator.sync("status", "--json").stdout)["views"][0]["stream"]["lanes"]
    assert sum(lane["lag"] for lane in lanes) == 7
    assert [lane["lag_ms"] > 3_600_000 for lane in lanes] == [lane["lag"] > 0 for lane in lanes]
    assert "7 messages wait, the first for 1 h" in topic.operator.sync("status").stdout


@pytest.fixture
def real_topic(operator, kafka_broker):
    """The same on a broker that has times and ids of topics."""
    made = Topic(operator, kafka_broker, partitions=1)
    made.configure()
    return made


@pytest.mark.slow
def test_a_topic_that_is_recreated_is_read_as_the_hint_says(real_topic):
    """The next start says what happened and sends nothing; its command reads the new one, and what was sent before counts once."""
    real_topic.put(*(bet(n) for n in range(3)))
    assert real_topic.operator.sync("run", "--once").returncode == 0
    real_topic.server.delete(real_topic.name)
    real_topic.server.topic(real_topic.name)
    real_topic.put(bet(2), bet(7))
    done = real_topic.operator.sync("run", "--once")
    assert done.returncode == 3
    assert "another one than was read" in done.stderr
    assert "smartico-sync watermark rewind bets --to first" in done.stderr
    assert len(real_topic.operator.accepted()) == 3
    done = real_topic.operator.sync("watermark", "rewind", "bets", "--to", "first", "--yes")
    assert done.returncode == 0, done.stderr
    assert real_topic.operator.sync("run", "--once").returncode == 0
    assert real_topic.ids() == ["b0", "b1", "b2", "b7"]


@pytest.mark.slow
def test_messages_of_a_time_are_compared_and_those_that_are_missing_are_sent(real_topic):
    """What an operator went past by hand is found by key, within the time that is asked for; then nothing is missing."""
    now = int(time.time() * 1000)
    for n in range(8):
        real_topic.put(bet(n), timestamp=now - 3_600_000 + n * 60_000)
    done = real_topic.operator.sync("run", "--once")
    assert done.returncode == 0, done.stderr
    moments = [f"{dt.datetime.fromtimestamp(now / 1000 - 3600 + s, dt.UTC):%Y-%m-%dT%H:%M:%S}" for s in (90, 330)]
    words = ("reconcile", "--view", "bets", "--from", moments[0], "--to", moments[1])
    done = real_topic.operator.sync(*words)
    assert done.returncode == 0, done.stderr
    assert "4 rows" in done.stdout
    for n in range(8, 12):
        real_topic.put(bet(n), timestamp=now - 3_600_000 + n * 60_000)
    lane = f"{real_topic.name}/0"
    done = real_topic.operator.sync("watermark", "rewind", "bets", "--to", f"{lane}@10", "--yes")
    assert done.returncode == 0, done.stderr
    real_topic.operator.sync("run", "--once")
    assert "b9" not in real_topic.ids()
    done = real_topic.operator.sync("reconcile", "--view", "bets", "--json")
    assert "b8" in done.stdout
    assert "b9" in done.stdout
    done = real_topic.operator.sync("reconcile", "--view", "bets", "--send")
    real_topic.operator.sync("run", "--once")
    assert sorted(set(real_topic.ids())) == sorted(f"b{n}" for n in range(12)), done.stdout + done.stderr
    assert real_topic.operator.sync("reconcile", "--view", "bets").returncode == 0


@pytest.mark.slow
def test_a_message_is_traced_by_its_key(topic):
    """Whether it was acknowledged, when it was written, and under which id."""
    topic.put(bet(1), bet(2, bet_date="soon"))
    topic.operator.sync("run", "--once")
    (event,) = topic.operator.accepted()
    topic.put(bet(3))
    found = json.loads(topic.operator.sync("trace", "bets", "b3", "--json").stdout)
    assert [row["acknowledged"] for row in found["rows"]] == [False]
    found = json.loads(topic.operator.sync("trace", "bets", "b2", "--json").stdout)
    assert found["undelivered"][0]["stage"] == "given up"
    assert found["letters"] == found["undelivered"]
    assert event["eid"]


def test_wrong_settings_are_told_by_line(topic):
    """What cannot be meant for messages, and what the daemon sets itself."""
    topic.configure(", cursor: id, every: 1s")
    done = topic.operator.sync("check")
    assert done.returncode == 2
    assert "`cursor` is not for messages" in done.stderr
    assert "`every` is not for messages" in done.stderr
    topic.configure(url=f"{topic.server.url}?librdkafka.enable.auto.commit=true")
    done = topic.operator.sync("run", "--once")
    assert done.returncode == 2
    assert "enable.auto.commit is set by the daemon" in done.stderr
