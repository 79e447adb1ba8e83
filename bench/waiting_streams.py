"""What a view of a topic and one of a queue take beside a backlog: CPU while nothing comes, the lag of a thousand events a second,
and memory while the API takes nothing and everything waits.

Usage: python -m bench.waiting_streams; BENCH_SECONDS says how long each is looked at, BENCH_WAITING how many messages wait.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import orjson
import pika

from bench.__main__ import COMMAND, ENVIRONMENT
from bench.figures import keep
from bench.kafka import PARTITIONS, message
from bench.trickle import listens, spent
from servers.kafka import Broker, MockCluster, new_name, started
from servers.postgresql import free_port
from servers.rabbitmq import Node, Rabbit, program
from waiting import until

SECONDS = float(os.environ.get("BENCH_SECONDS", "20"))
WAITING = int(os.environ.get("BENCH_WAITING", "300000"))
RATE, TICK_S = 1000, 0.02
SETTLE_S = 5.0
VIEW = (
    "{name: bets, source: bus, relation: %s, root: payload, kind: custom, event_type: bet, key: bet_id, event_date: at}"
)

Put = Callable[[list[bytes]], None]


@contextmanager
def daemon(url: str, relation: str, *faults: str) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """The daemon over a topic or a queue, the sandbox that it sends to, and the file of what that took."""
    home = Path(tempfile.mkdtemp(prefix="smartico-sync-waiting-"))
    listen, log = f"127.0.0.1:{free_port()}", home / "taken.jsonl"
    words = [COMMAND, "sandbox", "--listen", listen, "--log", log, "--requests-per-minute", "1000000"]
    words += [word for fault in faults for word in ("--fault", fault)]
    api = subprocess.Popen([*map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    config = home / "views.yaml"
    config.write_text(
        f"version: 1\nsmartico: {{url: 'http://{listen}/api/external/events/v2', token: bench, requests_per_minute: 1000000}}\n"
        f"state: ./sync.db\npii: {{mode: drop}}\nhealth: {{listen: off}}\n"
        f"sources: {{bus: {{url: '{url}'}}}}\nviews: [{VIEW % relation}]\n"
    )
    config.chmod(0o600)
    words = [COMMAND, "run", "--config", config]
    process = subprocess.Popen(
        [*map(str, words)], cwd=home, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process, listen, log
    finally:
        process.terminate()
        process.wait()
        api.terminate()


def bet(number: int) -> bytes:
    """As in the other measurements, with the time at which it was published."""
    return message(number).replace(b'"payload":{', b'"payload":{"at":%d,' % (time.time_ns() // 1_000_000), 1)


def idle_percent(process: subprocess.Popen[bytes]) -> float:
    """Percent of a core over a while in which nothing comes."""
    before, began = spent(process), time.monotonic()
    time.sleep(SECONDS)
    return (spent(process) - before) / (time.monotonic() - began) * 100


def lags_ms(put: Put, log: Path, first: int) -> list[int]:
    """How long events were on their way from the broker to the API, at RATE a second."""
    found: list[int] = []
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        until_s, number, rest = time.monotonic() + SECONDS, first, b""
        while time.monotonic() < until_s or len(found) < number - first:
            if time.monotonic() < until_s:
                put([bet(number + each) for each in range(round(RATE * TICK_S))])
                number += round(RATE * TICK_S)
            time.sleep(TICK_S)
            *lines, rest = (rest + file.read()).split(b"\n")
            now = time.time_ns() // 1_000_000
            found += [now - orjson.loads(line)["event_date"] for line in lines]
    return found


def peak_mb(process: subprocess.Popen[bytes]) -> float:
    """The most memory that the process has had."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def measured(name: str, url: str, made: Callable[[], str], putter: Callable[[str], Put]) -> dict[str, Any]:
    """All three, of one broker."""
    relation = made()
    put = putter(relation)
    with daemon(url, relation) as (process, _, log):
        put([bet(0)])
        until(lambda: log.exists() and log.stat().st_size > 0, 0.2)
        time.sleep(SETTLE_S)
        idle = idle_percent(process)
        lags = lags_ms(put, log, 1)
    middle, p99 = median(lags), quantiles(lags, n=100)[98]
    print(f"{name}: idle {idle:.2f} % of a core; lag at {RATE:,}/s {middle:.0f} ms, p99 {p99:.0f} ms", flush=True)
    relation = made()
    put = putter(relation)
    for number in range(0, WAITING, 1000):
        put([bet(each) for each in range(number, min(number + 1000, WAITING))])
    with daemon(url, relation, "503:1.0") as (process, listen, _):
        until(lambda: listens(f"http://{listen}"), 0.5)
        until(lambda: httpx.get(f"http://{listen}/stats").json()["requests"] > 0, 1.0)
        time.sleep(SECONDS)
        peak = peak_mb(process)
    print(f"{name}: {peak:.0f} MB with the API unavailable and {WAITING:,} messages waiting", flush=True)
    return {"idle_percent": idle, "lag_ms": middle, "lag_p99_ms": p99, "peak_mb": peak, "waiting": WAITING}


def topics() -> dict[str, Any]:
    """Kafka."""
    broker: Broker | MockCluster = started() if os.environ.get("SYNC_TEST_KAFKA_URL") else MockCluster()
    producer = broker.producer()

    def putter(topic: str) -> Put:
        def put(bodies: list[bytes]) -> None:
            for number, body in enumerate(bodies):
                producer.produce(topic, body, b"%d" % number)
            producer.flush()

        return put

    try:
        return measured("kafka", broker.url, lambda: broker.topic(new_name(), PARTITIONS), putter)
    finally:
        broker.close()


def queues() -> dict[str, Any]:
    """RabbitMQ."""
    given = os.environ.get("SYNC_TEST_RABBITMQ_URL")
    broker = Rabbit(given) if given else Node()

    def putter(queue: str) -> Put:
        connection = pika.BlockingConnection(pika.URLParameters(broker.url()))
        channel = connection.channel()

        def put(bodies: list[bytes]) -> None:
            for body in bodies:
                channel.basic_publish("", queue, body)
            connection.process_data_events()

        return put

    try:
        return measured("rabbitmq", broker.url(), lambda: broker.queue("classic"), putter)
    finally:
        broker.close()


if __name__ == "__main__":
    figures = {"kafka": topics()}
    if os.environ.get("SYNC_TEST_RABBITMQ_URL") or program() is not None:
        figures["rabbitmq"] = queues()
    keep("waiting_streams", figures)
