"""Members of a cluster that read one topic together: each has a part of its partitions, and they share state and budget."""

from __future__ import annotations

import signal

import psycopg
import pytest

from daemon.conftest import Operator
from daemon.test_kafka_cluster import LEASE_S, SHARED, ends_complete
from daemon.test_kafka_crashes import VIEWS, Writer
from servers.kafka import new_name
from smartico_sync.pii.keys import new_key
from waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TOGETHER = SHARED.replace("{lease", "{topics: shared, lease")
MEMBER = "session_timeout=6000"  # the broker of the tests takes no less, and the first to join waits for half of it
READERS = """SELECT v.name, e.member, count(*) FROM smartico_sync.lane n JOIN smartico_sync.view v ON v.no = n.view_no
    JOIN smartico_sync.lease e ON e.holder = n.owner GROUP BY 1, 2"""


class Team:
    """Members with one file of views, on a broker."""

    def __init__(self, operator, database, home, url, views, **more):
        self.database = database
        (home / "state.key").write_text(new_key())
        self.members = {}
        for name in ("one", "two", "idle"):
            each = self.members[name] = Operator(home / name, operator.sandbox)
            each.home.mkdir()
            each.key, each.log = operator.key, operator.log
            each.configure(url, views, timeout="2s", **more)
            shared = TOGETHER % (database.admin_url, LEASE_S, home / "state.key", name)
            each.config.write_text(each.config.read_text().replace("state: ./state/sync.db", shared))

    def __getitem__(self, name):
        return self.members[name]

    def partitions(self):
        """Who reads how many of each view's partitions."""
        try:
            return {(view, member): many for view, member, many in self.database.execute(READERS)}
        except psycopg.errors.UndefinedTable:
            return {}

    def start(self, name):
        """Start a member; what it says is kept."""
        with (self[name].home / "said").open("ab") as said:
            return self[name].start("run", err=said)


def test_members_share_the_partitions_of_a_topic(operator, postgresql, kafka_broker, tmp_path):
    """They begin together, one is killed, freezes past its session, the other leaves: every bet counts once, in order, and no old profile comes over a newer one."""
    server = kafka_broker
    users, bets = server.topic(new_name("users"), 6), server.topic(new_name("bets"), 6)
    team = Team(operator, postgresql, tmp_path, f"{server.url}?{MEMBER}", VIEWS % (users, bets))
    writer = Writer(server, users, bets)

    def reads(**wanted):
        """Until they have so many partitions each, and deliver."""
        shares = {(view, name): many for view in ("users", "bets") for name, many in wanted.items()}
        until(lambda: team.partitions() == shares, 0.2)
        seen = len(operator.accepted())
        until(lambda: len(operator.accepted()) > seen + 30, 0.2)

    writer.start()
    try:
        first, second = team.start("one"), team.start("two")
        reads(one=3, two=3)

        def told_by(name, *words):
            """What a command says once it tells of all four shares: while they are handed over they are nobody's."""
            seen = []
            until(lambda: (seen.append(team[name].sync(*words).stdout), seen[-1].count(" reads ") == 4)[1], 0.2)
            return seen[-1]

        said = told_by("one", "cluster", "show")
        assert all(f"{view}: " in said for view in ("users", "bets"))
        alone = told_by("idle", "status")  # from a machine without a daemon
        assert "topics of " in alone
        assert alone.count("elsewhere") == 2
        first.kill()
        first.wait()
        reads(two=6)
        first = team.start("one")
        reads(one=3, two=3)
        first.send_signal(signal.SIGSTOP)
        reads(two=6)
        first.send_signal(signal.SIGCONT)
        reads(one=3, two=3)
        second.send_signal(signal.SIGTERM)
        assert second.wait() == 0
        reads(one=6)
    finally:
        writer.stopping.set()
        writer.join()
    ends_complete(operator, writer, first)
    assert operator.sandbox.stats()["order_violations"] == 0
