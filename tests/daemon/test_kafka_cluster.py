"""A group of several daemons: with one state in PostgreSQL the topics go to whoever holds the lease; with a state each, profiles are refused."""

from __future__ import annotations

import json
import signal
from collections import Counter, defaultdict

import pytest

from daemon.conftest import Operator
from daemon.test_kafka_crashes import MEMBER, VIEWS, Writer
from servers.kafka import new_name
from smartico_sync.pii.keys import new_key
from waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LEASE_S = 2
SHARED = 'state: "%s"\ncluster: {lease: %ds, key_file: %s, member: %s}'


def arrived(operator):
    """What arrived of each player's bets, in the order in which it did, and his newest profile."""
    bets, levels = defaultdict(list), {}
    events = operator.accepted()
    assert len({event["eid"] for event in events}) == len(events)
    for event in events:
        if event["event_type"] == "bet":
            bets[event["user_ext_id"]].append(event["payload"]["number"])
        else:
            levels[event["user_ext_id"]] = event["payload"]["level"]
    return bets, levels


def ends_complete(operator, writer, works):
    """All arrives, once and in order, and the member that works ends cleanly."""
    wanted = Counter(range(1, writer.number + 1))
    until(lambda: Counter(number for numbers in arrived(operator)[0].values() for number in numbers) == wanted, 0.5)
    until(lambda: arrived(operator)[1] == writer.levels, 0.5)
    works.send_signal(signal.SIGTERM)
    assert works.wait() == 0
    assert arrived(operator)[0] == writer.wanted


def test_members_with_one_state_hand_the_topics_over(operator, postgresql, private_kafka_mock, tmp_path):
    """One is killed, one frozen past its lease, one ends: every bet counts once, in order, and no old profile comes over a newer one."""
    server = private_kafka_mock
    users, bets = server.topic(new_name("users"), 3), server.topic(new_name("bets"), 3)
    (tmp_path / "state.key").write_text(new_key())
    members = {}
    for name in ("one", "two"):
        each = members[name] = Operator(tmp_path / name, operator.sandbox)
        each.home.mkdir()
        each.key, each.log = operator.key, operator.log
        each.configure(f"{server.url}?{MEMBER}", VIEWS % (users, bets), timeout="2s")
        shared = SHARED % (postgresql.admin_url, LEASE_S, tmp_path / "state.key", name)
        each.config.write_text(each.config.read_text().replace("state: ./state/sync.db", shared))
    one, two = members.values()
    writer = Writer(server, users, bets)

    def goes_on():
        seen = len(operator.accepted())
        until(lambda: len(operator.accepted()) > seen + 50, 0.2)

    writer.start()
    try:
        first = one.start("run")
        goes_on()
        second = two.start("run")
        until(lambda: len(postgresql.execute("SELECT name FROM smartico_sync.member")) == 2)
        first.kill()
        first.wait()
        goes_on()  # two works
        first = one.start("run")
        goes_on()
        second.send_signal(signal.SIGSTOP)
        goes_on()  # one works
        second.send_signal(signal.SIGCONT)
        goes_on()
        first.send_signal(signal.SIGTERM)
        assert first.wait() == 0
        goes_on()  # two works again
    finally:
        writer.stopping.set()
        writer.join()
    ends_complete(operator, writer, second)


def test_members_with_a_state_each_are_refused_profiles(operator, private_kafka_mock, tmp_path):
    """Whoever is given a part of the partitions says so, and sends nothing of them; alone again it goes on, and nothing was lost."""
    server = private_kafka_mock
    users = server.topic(new_name("users"), 2)
    other = Operator(tmp_path / "other", operator.sandbox)
    other.home.mkdir()
    other.key = operator.key
    view = VIEWS.splitlines()[1] % users + "\n"
    for each in (operator, other):
        each.configure(f"{server.url}?{MEMBER}", view)

    def put(*levels):
        for level in levels:
            for player in range(8):
                said = {"user_ext_id": player, "ext_brand_id": "b", "level": level}
                server.put(users, json.dumps(said).encode(), partition=player % 2)

    put(1)
    first = operator.start("run")
    until(lambda: len(operator.accepted()) == 8)
    with (other.home / "said").open("wb") as said:
        second = other.start("run", err=said)
    until(lambda: "partitions are given to this daemon" in (other.home / "said").read_text(), 0.2)
    second.send_signal(signal.SIGTERM)
    assert second.wait() == 0
    assert all(event["payload"]["level"] == 1 for event in operator.accepted())
    assert len(operator.accepted()) == 8  # the second sent nothing
    put(2)
    until(lambda: len(operator.accepted()) == 16, 0.2)
    first.send_signal(signal.SIGTERM)
    assert first.wait() == 0
