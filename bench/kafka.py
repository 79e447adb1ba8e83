"""A topic: the whole daemon beside a plain consumer loop that posts the same events, in one run on one broker.

Usage: python -m bench.kafka            measure both
       python -m bench.kafka plain …    the plain loop itself: bootstrap, topic, API, how many
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import orjson
from confluent_kafka import Consumer, TopicPartition

from bench.__main__ import SYNC, line, timed
from bench.figures import keep
from servers.kafka import Broker, MockCluster, new_name, started
from servers.postgresql import free_port

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "300000"))
# The mock cluster keeps 5 MB of a partition.
PARTITIONS, PLAYERS, BATCH = 24, 20_000, 1000


def message(number: int) -> bytes:
    """One bet as an operator publishes it."""
    return (
        b'{"eventId":"e-%d","eventType":"casino.bet.placed","payload":{"user_ext_id":%d,"ext_brand_id":"casino","bet_id":"b-%d",'
        b'"bet_amount":12.50,"bet_amount_real":12.50,"bet_date":"2026-01-31T12:00:00","game_id":"starburst","game_type":"slots",'
        b'"game_provider":"NetEnt"}}' % (number, number % PLAYERS, number)
    )


def plain(bootstrap: str, topic: str, api: str, count: str) -> None:
    """What people write first: no ids, no state, no order across failures."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "plain", "fetch.queue.backoff.ms": 10})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    left, batch = int(count), []
    with httpx.Client(headers={"Authorization": "bench", "Content-Type": "application/json"}) as client:
        while left:
            for each in consumer.consume(BATCH, 0.5):
                if each.error() is not None:
                    continue
                payload = orjson.loads(each.value())["payload"]
                batch.append({
                    "eid": payload["bet_id"], "event_date": 1_769_860_800_000, "ext_brand_id": payload["ext_brand_id"],
                    "user_ext_id": str(payload["user_ext_id"]), "event_type": "casino_bet",
                    "payload": {
                        "casino_last_bet_id": payload["bet_id"], "casino_last_bet_amount": payload["bet_amount"],
                        "casino_last_bet_amount_real": payload["bet_amount_real"], "casino_last_bet_game_name": payload["game_id"],
                        "casino_last_bet_game_type": payload["game_type"], "casino_last_bet_game_provider": payload["game_provider"],
                    },
                })  # fmt: skip
                left -= 1
                if len(batch) == BATCH or not left:
                    client.post(api, content=orjson.dumps(batch)).raise_for_status()
                    batch = []
    consumer.close()


def main() -> None:
    """Fill a topic, then measure."""
    broker: Broker | MockCluster = started() if os.environ.get("SYNC_TEST_KAFKA_URL") else MockCluster()
    home = Path(tempfile.mkdtemp(prefix="smartico-sync-bench-"))
    listen = f"127.0.0.1:{free_port()}"
    api = subprocess.Popen(
        [*SYNC, "sandbox", "--listen", listen, "--check", "count", "--requests-per-minute", "1000000"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://{listen}/api/external/events/v2"
    try:
        topic = broker.topic(new_name(), PARTITIONS)
        producer = broker.producer()
        for number in range(MESSAGES):
            producer.produce(topic, message(number), b"%d" % (number % PLAYERS))
            if number % 10_000 == 0:
                producer.flush()
        producer.flush()
        print(f"kafka: {MESSAGES:,} messages in {PARTITIONS} partitions")
        words = [sys.executable, "-m", "bench.kafka", "plain", broker.bootstrap, topic, url, str(MESSAGES)]
        loop = timed(words, Path.cwd())
        figures = [line("plain loop, no guarantees", MESSAGES, [loop], [loop])]
        config = home / "views.yaml"
        config.write_text(
            f"version: 1\nsmartico: {{url: '{url}', token: bench, requests_per_minute: 1000000}}\n"
            f"state: ./sync.db\npii: {{mode: drop}}\nhealth: {{listen: off}}\n"
            f"sources: {{bus: {{url: '{broker.url}'}}}}\n"
            f"views: [{{name: bets, source: bus, relation: {topic}, root: payload, kind: casino_bets, key: bet_id}}]\n"
        )
        config.chmod(0o600)
        ours = timed([*SYNC, "run", "--once", "--config", str(config)], home)
        keep("kafka", [*figures, line("smartico-sync, state and order", MESSAGES, [ours], [loop])])
    finally:
        api.terminate()
        broker.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["plain"]:
        plain(*sys.argv[2:])
    else:
        main()
