"""What an operator has, all at once: a JSON topic, a queue as a CRM publishes it, and Debezium's topic of his players."""

from __future__ import annotations

import base64
import json
import signal
import threading
import time
from collections import Counter, defaultdict

import pytest

from servers.kafka import MEMBER, new_name
from waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
START_MS = 1_769_860_800_000
PLAYERS = 12
CONFIG = """
  - {name: deposits, source: db, relation: %s, root: payload, kind: deposits, key: transaction_id}
  - {name: players, source: db, relation: %s, format: debezium, kind: users, version: dt_update}
  - name: casino
    source: rabbit
    relation: %s
    where: {properties.type: CASINO, status: Approved}
    fields: {user_ext_id: user_id, ext_brand_id: origin, bet_id: activity_id, bet_date: timestamp, bet_amount: amount,
             win_amount: amount, type: type, game_id: game_id}
    kind: casino_bets_and_wins
    type: {column: type, bet: Bet, win: Win}
"""


def deposit(number):
    """An event in an envelope, its amount with more digits than a float has."""
    payload = {
        "transaction_id": f"t{number}", "user_ext_id": number % PLAYERS, "ext_brand_id": "b", "amount": 0,
        "dt_finalized": START_MS + number,
    }  # fmt: skip
    said = {"eventId": f"e{number}", "eventType": "deposit.final", "payload": payload, "metadata": {"source": "wallet"}}
    return json.dumps(said).replace('"amount": 0', f'"amount": {amount(number)}').encode()


def amount(number):
    return f"{number}.12345678901234567"


def activity(number, kind="Bet", status="Approved"):
    """As Fast Track's queue has it: flat, the type in a property."""
    return json.dumps({
        "activity_id": f"a{number}", "user_id": number % PLAYERS, "origin": "b", "timestamp": "2026-01-31T12:00:00Z",
        "amount": number + 0.5, "type": kind, "status": status, "game_id": "starburst", "round_id": number // 2,
    }).encode()  # fmt: skip


DECIMAL = {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}}


def change(player, level, op="u"):
    """A row of players after its change, with its schema: Debezium's own kinds of numbers and times."""
    row = {
        "type": "struct",
        "fields": [
            {"field": "user_ext_id", "type": "int64"}, {"field": "ext_brand_id", "type": "string"},
            {"field": "level", "type": "int32"}, {"field": "balance", **DECIMAL},
            {"field": "dt_update", "type": "int64", "name": "io.debezium.time.MicroTimestamp"},
        ],
    }  # fmt: skip
    cents = (level * 100 + 25).to_bytes(4, "big", signed=True)
    after = {
        "user_ext_id": player, "ext_brand_id": "b", "level": level, "balance": base64.b64encode(cents).decode(),
        "dt_update": (START_MS + level) * 1000,
    }  # fmt: skip
    gone = op == "d"
    payload = {
        "op": op,
        "before": after if gone else None,
        "after": None if gone else after,
        "source": {"ts_ms": START_MS},
    }
    schema = {"type": "struct", "fields": [{**row, "field": "before"}, {**row, "field": "after"}]}
    return json.dumps({"schema": schema, "payload": payload}).encode()


class Casino(threading.Thread):
    """Publishes to all three until told to stop; to a broker that is away once it is back."""

    def __init__(self, kafka, rabbit, topics, queue):
        super().__init__()
        self.kafka, self.rabbit, self.queue = kafka, rabbit, queue
        self.deposits, self.players = topics
        self.stopping, self.rabbit_is_there = threading.Event(), threading.Lock()
        self.number, self.levels = 0, {}
        self.activities = []

    def run(self):
        while not self.stopping.wait(0.1):
            self.number += 1
            player = self.number % PLAYERS
            key = b"%d" % player
            self.kafka.put(self.deposits, deposit(self.number), key=key)
            self.kafka.put(self.players, change(player, self.number), key=key)
            if self.number % 5 == 0:
                self.kafka.put(self.players, change(99, 1, "d"), None, key=b"99")  # somebody else is deleted
            self.levels[str(player)] = self.number
            self.activities.append(self.number)
            if self.rabbit_is_there.acquire(blocking=False):
                due, self.activities = self.activities, []
                bodies = [activity(n, ("Bet", "Win")[n % 2]) for n in due]
                self.rabbit.put(self.queue, *bodies, activity(10**6 + self.number, status="Rollback"), type="CASINO")
                self.rabbit.put(self.queue, b"of no interest", type="LOGIN_V2")
                self.rabbit_is_there.release()


def test_everything_arrives_exactly_through_restarts_and_an_outage(operator, private_kafka_mock, private_rabbitmq):
    """Brokers go and come back, the API is away for a while: every event once, values as they were published, each player's newest profile."""
    kafka, rabbit = private_kafka_mock, private_rabbitmq
    topics, queue = (kafka.topic(new_name("deposits"), 2), kafka.topic(new_name("players"), 2)), rabbit.queue("quorum")
    operator.configure(f"{kafka.url}?{MEMBER}", CONFIG % (*topics, queue), timeout="2s")
    text = operator.config.read_text()
    operator.config.write_text(text.replace("\nviews:", f"\n  rabbit:\n    url: {rabbit.url()}\nviews:"))
    casino = Casino(kafka, rabbit, topics, queue)
    casino.start()
    daemon = operator.start("run")

    def more(count=20):
        seen = len(operator.accepted())
        until(lambda: len(operator.accepted()) > seen + count, 0.2)

    try:
        more()
        with casino.rabbit_is_there:
            rabbit.stop()
            rabbit.start()
        more()
        kafka.down()
        time.sleep(3)
        kafka.up()
        more()
        operator.sandbox.set_faults(["503:1.0"])
        time.sleep(3)
        operator.sandbox.set_faults(["reset-after:0.2", "503:0.1"])
        more()
    finally:
        casino.stopping.set()
        casino.join()
    operator.sandbox.set_faults([])
    numbers = range(1, casino.number + 1)
    left = set(casino.activities)

    def arrived():
        found = defaultdict(list)
        for event in operator.accepted():
            found[event["event_type"]].append(event)
        return found

    def all_there():
        found = arrived()
        levels = {event["user_ext_id"]: event["payload"]["level"] for event in found["update_profile"]}
        there = [len(found[name]) for name in ("acc_deposit_approved", "casino_bet", "casino_win")]
        return (
            there[0] == casino.number and there[1] + there[2] == casino.number - len(left) and levels == casino.levels
        )

    until(all_there, 0.5)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert operator.sync("run", "--once", timeout=180).returncode == 0
    found = arrived()
    events = operator.accepted()
    assert len({event["eid"] for event in events}) == len(events)
    said = Counter(event["payload"]["acc_last_transaction_id"] for event in found["acc_deposit_approved"])
    assert said == Counter(f"t{n}" for n in numbers)
    assert f'"acc_last_deposit_amount":{amount(1)}' in operator.log.read_text().replace(": ", ":")
    bets = Counter(event["payload"]["casino_last_bet_id"] for event in found["casino_bet"])
    assert bets == Counter(f"a{n}" for n in numbers if n % 2 == 0 and n not in left)
    assert len(found["casino_win"]) == sum(n % 2 == 1 and n not in left for n in numbers)
    assert "99" not in {event["user_ext_id"] for event in events}
    assert {event["user_ext_id"]: event["payload"]["level"] for event in found["update_profile"]} == casino.levels
    counts = {each["view"]: each["counts"] for each in json.loads(operator.sync("watermark", "show", "--json").stdout)}
    assert all(each.get("dead_lettered", 0) == 0 for each in counts.values()), counts
