"""Members of one group that come, go and freeze, a state that is restored, and an API that is away for long."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter, defaultdict

import pytest

from daemon.conftest import Operator
from daemon.test_kafka_crashes import MEMBER, Writer
from servers.kafka import new_name
from waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TURNS = int(os.environ.get("SYNC_TEST_TURNS", "2"))  # of five seconds; 24 are the long form, `make streams-long`
BETS = "  - {name: bets, source: db, relation: %s, kind: custom, event_type: bet, key: [id], event_date: at, page_rows: 300}\n"


@pytest.fixture
def team(operator, private_kafka_mock, tmp_path):
    """Two daemons with a state each, in one group, on a topic that is written to."""
    topic = private_kafka_mock.topic(new_name("bets"), 4)
    other = Operator(tmp_path / "other", operator.sandbox)
    other.home.mkdir()
    other.key = operator.key
    for each in (operator, other):
        each.configure(f"{private_kafka_mock.url}?{MEMBER}", BETS % topic, timeout="2s")
    writer = Writer(private_kafka_mock, private_kafka_mock.topic(new_name("users"), 1), topic)
    yield operator, other, writer
    writer.stopping.set()
    if writer.ident is not None:
        writer.join()


def bets(operator):
    """What arrived of each player, in the order in which it first did."""
    arrived = defaultdict(list)
    for event in operator.accepted():
        arrived[event["user_ext_id"]].append(event["payload"]["number"])
    return arrived


def proved(operator, writer):
    """Every bet once, each player's in their order."""
    arrived = bets(operator)
    assert Counter(number for numbers in arrived.values() for number in numbers) == Counter(range(1, writer.number + 1))
    assert arrived == writer.wanted


def test_members_that_come_and_go_and_freeze_past_their_session(team):
    """Nothing is lost, counted twice or out of order while one joins and leaves every five seconds and the other is frozen."""
    stays, comes, writer = team
    first = stays.start("run")
    writer.start()
    for _ in range(TURNS):
        second = comes.start("run")
        until(lambda: len(stays.accepted()) > 0)
        time.sleep(1)
        first.send_signal(signal.SIGSTOP)
        time.sleep(3)  # twice its session: its lanes are somebody else's when it wakes up in the middle of its work
        first.send_signal(signal.SIGCONT)
        time.sleep(1)
        second.send_signal(signal.SIGTERM)
        assert second.wait() == 0
    writer.stopping.set()
    writer.join()
    until(lambda: sum(map(len, bets(stays).values())) == writer.number, 0.5)
    first.send_signal(signal.SIGTERM)
    assert first.wait() == 0
    assert stays.sync("run", "--once").returncode == 0
    proved(stays, writer)


def test_an_api_that_is_away_for_longer_than_a_member_may_be_silent(operator, private_kafka_mock):
    """The member goes on asking: it keeps its lanes, and everything arrives once the API is back."""
    topic = private_kafka_mock.topic(new_name("bets"), 2)
    silent = f"{MEMBER}&librdkafka.max.poll.interval.ms=3000"
    operator.configure(f"{private_kafka_mock.url}?{silent}", BETS % topic, timeout="2s")
    writer = Writer(private_kafka_mock, private_kafka_mock.topic(new_name("users"), 1), topic)
    operator.sandbox.set_faults(["503:1.0"])
    with (operator.home / "said").open("wb") as said:
        daemon = operator.start("run", err=said)
    writer.start()
    time.sleep(9)
    writer.stopping.set()
    writer.join()
    assert operator.accepted() == []
    operator.sandbox.set_faults([])
    until(lambda: len(operator.accepted()) == writer.number, 0.2)
    assert "max poll" not in (operator.home / "said").read_text()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    proved(operator, writer)


def test_a_restored_state_sends_again_under_the_same_ids(operator, kafka_mock):
    """What the backup did not know goes again, and counts once; the broker's own position does not hide it."""
    topic = kafka_mock.topic(new_name("bets"), 1)
    operator.configure(f"{kafka_mock.url}?{MEMBER}", BETS % topic)

    def put(*numbers):
        for number in numbers:
            said = {"id": number, "number": number, "user_ext_id": 1, "ext_brand_id": "b", "at": 1_769_860_800_000}
            kafka_mock.put(topic, json.dumps(said).encode())

    state = operator.home / "state"
    put(1, 2, 3)
    assert operator.sync("run", "--once").returncode == 0
    shutil.copytree(state, operator.home / "backup")
    put(4, 5)
    assert operator.sync("run", "--once").returncode == 0
    shutil.rmtree(state)
    shutil.copytree(operator.home / "backup", state)
    put(6)
    done = operator.sync("run", "--once")
    assert done.returncode == 0, done.stderr
    assert bets(operator) == {"1": [1, 2, 3, 4, 5, 6]}
    assert operator.sandbox.stats()["duplicates"] == 2
    (counts,) = (each["counts"] for each in json.loads(operator.sync("watermark", "show", "--json").stdout))
    assert counts["read"] == 6


def test_two_views_read_one_topic(operator, kafka_mock):
    """Each as a group of its own, whatever becomes of the other."""
    topic = kafka_mock.topic(new_name("bets"), 2)
    other = "  - {name: wins, source: db, relation: %s, kind: custom, event_type: win, key: [id], event_date: at, where: {won: true}}\n"
    operator.configure(f"{kafka_mock.url}?{MEMBER}", BETS % topic + other % topic)
    for number in range(20):
        said = {
            "id": number,
            "user_ext_id": number % 3,
            "ext_brand_id": "b",
            "at": 1_769_860_800_000,
            "won": number % 2 == 0,
        }
        kafka_mock.put(topic, json.dumps(said).encode(), key=b"%d" % (number % 3))
    done = operator.sync("run", "--once")
    assert done.returncode == 0, done.stderr
    assert Counter(event["event_type"] for event in operator.accepted()) == {"bet": 20, "win": 10}
    found = json.loads(operator.sync("status", "--json").stdout)["views"]
    assert [sum(lane["lag"] for lane in view["stream"]["lanes"]) for view in found] == [0, 0]
