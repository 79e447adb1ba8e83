"""Members of a cluster that read one topic together: each has a part of its partitions, and they share state and budget."""

from __future__ import annotations

import json
import signal
from collections import Counter

import pytest

from daemon.conftest import Operator
from daemon.test_kafka_cluster import LEASE_S, SHARED, arrived
from daemon.test_kafka_crashes import MEMBER, VIEWS, Writer
from servers.kafka import new_name
from smartico_sync.pii.keys import new_key
from waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TOGETHER = SHARED.replace("{lease", "{topics: shared, lease")


class Team:
    """Members with one file of views, on a broker."""

    def __init__(self, operator, state, home, url, views, **more):
        (home / "state.key").write_text(new_key())
        self.members = {}
        for name in ("one", "two", "three"):
            each = self.members[name] = Operator(home / name, operator.sandbox)
            each.home.mkdir()
            each.key, each.log = operator.key, operator.log
            each.configure(url, views, timeout="2s", **more)
            shared = TOGETHER % (state, LEASE_S, home / "state.key", name)
            each.config.write_text(each.config.read_text().replace("state: ./state/sync.db", shared))

    def __getitem__(self, name):
        return self.members[name]

    def partitions(self):
        """Who reads how many of each view's partitions."""
        said = self["one"].sync("cluster", "show", "--json")
        if said.returncode:  # there is no state yet
            return {}
        return Counter((each["view"], each["member"]) for each in json.loads(said.stdout)["partitions"])

    def start(self, name):
        """Start a member; what it says is kept."""
        with (self[name].home / "said").open("ab") as said:
            return self[name].start("run", err=said)


def test_members_share_the_partitions_of_a_topic(operator, postgresql, private_kafka_mock, tmp_path):
    """They join, are killed, freeze past their session and leave: every bet counts once, in order, and no old profile comes over a newer one."""
    server = private_kafka_mock
    users, bets = server.topic(new_name("users"), 6), server.topic(new_name("bets"), 6)
    team = Team(operator, postgresql.admin_url, tmp_path, f"{server.url}?{MEMBER}", VIEWS % (users, bets))
    writer = Writer(server, users, bets)

    def goes_on():
        seen = len(operator.accepted())
        until(lambda: len(operator.accepted()) > seen + 50, 0.2)

    def reads(**wanted):
        until(
            lambda: team.partitions() == {(view, name): n for view in ("users", "bets") for name, n in wanted.items()},
            0.5,
        )

    writer.start()
    try:
        first = team.start("one")
        reads(one=6)
        second = team.start("two")
        reads(one=3, two=3)
        goes_on()
        first.kill()
        first.wait()
        reads(two=6)
        goes_on()
        first, third = team.start("one"), team.start("three")
        reads(one=2, two=2, three=2)
        goes_on()
        second.send_signal(signal.SIGSTOP)
        reads(one=3, three=3)
        goes_on()
        second.send_signal(signal.SIGCONT)
        reads(one=2, two=2, three=2)
        goes_on()
        third.send_signal(signal.SIGTERM)
        assert third.wait() == 0
        reads(one=3, two=3)
        goes_on()
    finally:
        writer.stopping.set()
        writer.join()
    wanted = Counter(range(1, writer.number + 1))
    until(lambda: Counter(number for numbers in arrived(operator)[0].values() for number in numbers) == wanted, 0.5)
    until(lambda: arrived(operator)[1] == writer.levels, 0.5)
    for each in (first, second):
        each.send_signal(signal.SIGTERM)
        assert each.wait() == 0
    assert arrived(operator)[0] == writer.wanted
    assert operator.sandbox.stats()["order_violations"] == 0
