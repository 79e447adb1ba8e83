"""`kill -9`, again and again, while a topic is written to and the API fails in every way."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter, defaultdict

import pytest

from servers.kafka import new_name
from waiting import until

KILLS = int(os.environ.get("SYNC_TEST_KILLS", "25"))  # 50 are the long form, `make streams-long`
AT_WORK = 0.75  # of the kills: on a busy machine the others come before the daemon has done anything
FAULTS = ["503:0.08", "429=1s:0.02", "reset-before:0.08", "reset-after:0.08", "garbage:0.05", "latency=30ms"]
# A member that was killed is replaced soon: the mock cluster waits for it, whatever its name.
MEMBER = "instance_id=none&session_timeout=1500&librdkafka.heartbeat.interval.ms=300"
VIEWS = """
  - {name: users, source: db, relation: %s, kind: users}
  - {name: bets, source: db, relation: %s, kind: custom, event_type: bet, key: [id], event_date: at, page_rows: 300}
"""
PLAYERS = 60


class Writer(threading.Thread):
    """Players who bet and change, keyed by player, until told to stop."""

    def __init__(self, server, users, bets):
        super().__init__()
        self.server, self.users, self.bets = server, users, bets
        self.stopping, self.number = threading.Event(), 0
        self.wanted, self.levels = defaultdict(list), {}

    def run(self):
        dice = random.Random(1)
        while not self.stopping.wait(0.02):
            for _ in range(dice.randrange(1, 20)):
                player = dice.randrange(PLAYERS)
                self.number += 1
                self.wanted[str(player)].append(self.number)
                said = {"id": self.number, "user_ext_id": player, "ext_brand_id": "b", "at": time.time_ns() // 1000000}
                self.server.put(self.bets, json.dumps({**said, "number": self.number}).encode(), key=b"%d" % player)
            self.levels[str(player)] = self.number
            said = {"user_ext_id": player, "ext_brand_id": "b", "level": self.number}
            self.server.put(self.users, json.dumps(said).encode(), key=b"%d" % player)


def killed_at_work(operator, dice):
    """Start the daemon, and kill it: at any moment from its start on, or at any after something of it has arrived."""

    def arrived():
        return operator.log.stat().st_size if operator.log.exists() else 0

    before = arrived()
    daemon = operator.start("run")
    if dice.random() < AT_WORK:
        until(lambda: arrived() > before, 0.05)
    time.sleep(dice.random() * 3)
    daemon.kill()
    daemon.wait()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kills_lose_nothing_double_nothing_and_keep_the_order(operator, private_kafka_mock):
    """Whatever moment the daemon dies in: every bet arrives under one id, each player's in their order, and his newest profile."""
    server = private_kafka_mock
    users, bets = server.topic(new_name("users"), 3), server.topic(new_name("bets"), 3)
    operator.configure(f"{server.url}?{MEMBER}", VIEWS % (users, bets), timeout="2s")
    operator.sandbox.set_faults(FAULTS)
    dice, writer = random.Random(1), Writer(server, users, bets)
    writer.start()
    try:
        for _ in range(KILLS):
            killed_at_work(operator, dice)
    finally:
        writer.stopping.set()
        writer.join()
    operator.sandbox.set_faults([])
    done = operator.sync("run", "--once", timeout=900)
    assert done.returncode == 0, done.stderr
    events = operator.accepted()
    assert len({event["eid"] for event in events}) == len(events)
    arrived, newest = defaultdict(list), {}
    for event in events:
        if event["event_type"] == "bet":
            arrived[event["user_ext_id"]].append(event["payload"]["number"])
        else:
            newest[event["user_ext_id"]] = event["payload"]["level"]
    assert Counter(number for numbers in arrived.values() for number in numbers) == Counter(range(1, writer.number + 1))
    assert arrived == writer.wanted
    assert newest == writer.levels
