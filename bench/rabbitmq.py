"""A queue: the whole daemon beside a plain pika loop that posts the same events, in one run on one broker.

Usage: python -m bench.rabbitmq            measure both
       python -m bench.rabbitmq plain …    the plain loop itself: URL, queue, API, how many
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import orjson
import pika

from bench.__main__ import SYNC, line, timed
from bench.figures import keep
from bench.kafka import BATCH, message
from servers.postgresql import free_port
from servers.rabbitmq import Node, Rabbit, program

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "100000"))
PREFETCH = 3 * BATCH


def plain(url: str, queue: str, api: str, count: str) -> None:
    """What people write first: acknowledged once it is posted; no ids, no state."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=PREFETCH)
    left, batch = int(count), []
    with httpx.Client(headers={"Authorization": "bench", "Content-Type": "application/json"}) as client:
        for method, _, body in channel.consume(queue):
            payload = orjson.loads(body)["payload"]
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
                channel.basic_ack(method.delivery_tag, multiple=True)
                batch = []
            if not left:
                break
    connection.close()


def filled(broker: Rabbit) -> str:
    """A queue with all messages."""
    queue = broker.queue("classic")
    connection = pika.BlockingConnection(pika.URLParameters(broker.url()))
    channel = connection.channel()
    channel.tx_select()
    for number in range(MESSAGES):
        channel.basic_publish("", queue, message(number))
        if number % BATCH == 0:
            channel.tx_commit()
    channel.tx_commit()
    connection.close()
    return queue


def main() -> None:
    """Fill two queues alike, then measure."""
    given = os.environ.get("SYNC_TEST_RABBITMQ_URL")
    if not given and program() is None:
        print("rabbitmq: not installed; apt-get install rabbitmq-server, or SYNC_TEST_RABBITMQ_URL")
        return
    broker = Rabbit(given) if given else Node()
    home = Path(tempfile.mkdtemp(prefix="smartico-sync-bench-"))
    listen = f"127.0.0.1:{free_port()}"
    api = subprocess.Popen(
        [*SYNC, "sandbox", "--listen", listen, "--check", "count", "--requests-per-minute", "1000000"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://{listen}/api/external/events/v2"
    try:
        one, other = filled(broker), filled(broker)
        print(f"rabbitmq: {MESSAGES:,} messages in a classic queue")
        words = [sys.executable, "-m", "bench.rabbitmq", "plain", broker.url(), one, url, str(MESSAGES)]
        loop = timed(words, Path.cwd())
        figures = [line("plain loop, no guarantees", MESSAGES, [loop], [loop])]
        config = home / "views.yaml"
        config.write_text(
            f"version: 1\nsmartico: {{url: '{url}', token: bench, requests_per_minute: 1000000}}\n"
            f"state: ./sync.db\npii: {{mode: drop}}\nhealth: {{listen: off}}\n"
            f"sources: {{mq: {{url: '{broker.url()}'}}}}\n"
            f"views: [{{name: bets, source: mq, relation: {other}, root: payload, kind: casino_bets, key: bet_id}}]\n"
        )
        config.chmod(0o600)
        ours = timed([*SYNC, "run", "--once", "--config", str(config)], home)
        keep("rabbitmq", [*figures, line("smartico-sync, state and order", MESSAGES, [ours], [loop])])
    finally:
        api.terminate()
        broker.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["plain"]:
        plain(*sys.argv[2:])
    else:
        main()
