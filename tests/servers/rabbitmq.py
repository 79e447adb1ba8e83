"""A private RabbitMQ: the real thing, a node of its own name in a directory of its own, on free ports.

SYNC_TEST_RABBITMQ_URL names a broker of one's own instead (amqp://user:password@host:port/vhost?management=http://host:15672, whose
user may do everything); queues are made there, and taken away.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from functools import partial
from pathlib import Path
from urllib.parse import quote

import httpx
import pika
import pytest
from pika.exceptions import UnroutableError

from servers.postgresql import free_port
from smartico_sync.sources.kit.url import parse
from waiting import until

NAME = "rabbitmq"
PLACES = "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"
MISSING = "RabbitMQ is not installed: apt-get install rabbitmq-server; or set SYNC_TEST_RABBITMQ_URL"
DURABLE = 2


def program() -> Path | None:
    """The server itself: Debian's own script insists on its service's user."""
    return next(iter(sorted(Path("/").glob(PLACES[1:]))), None)


class Rabbit:
    """A broker, and its owner."""

    def __init__(self, url: str) -> None:
        self.address = parse(url)
        self.made: list[str] = []
        self._connection = None

    @property
    def user(self) -> str:
        return f"{quote(self.address.user)}:{quote(self.address.password)}"

    @property
    def port(self) -> int:
        return int(self.address.hosts[0][1])

    @property
    def management(self) -> str:
        return self.address.parameters["management"]

    def url(self, port: int | None = None, **parameters) -> str:
        host, own = self.address.hosts[0]
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"amqp://{self.user}@{host}:{port or own}/{quote(self.address.path, safe='')}?{query}"

    def owner(self):
        """A channel that may do everything."""
        if self._connection is None or not self._connection.is_open:
            host, port = self.address.hosts[0]
            login = pika.PlainCredentials(self.address.user, self.address.password)
            self._connection = pika.BlockingConnection(
                pika.ConnectionParameters(host, int(port), self.address.path or "/", login, heartbeat=0)
            )
        channel = self._connection.channel()
        channel.confirm_delivery()
        return channel

    def queue(self, kind: str = "classic", name: str | None = None, **arguments) -> str:
        """Declare a queue of no other test's name."""
        name = name or f"q.{uuid.uuid4().hex[:12]}"
        told = {"x-queue-type": kind} | {f"x-{each.replace('_', '-')}": value for each, value in arguments.items()}
        self.owner().queue_declare(name, durable=True, arguments=told)
        self.made.append(name)
        return name

    def put(self, queue: str, *bodies: bytes, **properties) -> None:
        """Publish, confirmed, each in its queue: a broker that is starting confirms and drops what has no queue yet."""
        channel, told = self.owner(), pika.BasicProperties(delivery_mode=DURABLE, **properties)

        def routed(body):
            try:
                channel.basic_publish("", queue, body, told, mandatory=True)
            except UnroutableError:
                return False
            return True

        for body in bodies:
            until(partial(routed, body), 0.1)
        channel.close()

    def bodies(self, queue: str) -> list[bytes]:
        """Take all that waits in a queue."""
        channel, found = self.owner(), []
        while True:
            method, _, body = channel.basic_get(queue, auto_ack=True)
            if method is None:
                channel.close()
                return found
            found.append(body)

    def waiting(self, queue: str) -> int:
        channel = self.owner()
        count = channel.queue_declare(queue, passive=True).method.message_count
        channel.close()
        return count

    def ask(self, method: str, path: str, body=None):
        """The management API; `/` of the virtual host is written by the caller as %2F."""
        answer = httpx.request(
            method,
            f"{self.management}/api/{path}",
            json=body,
            auth=(self.address.user, self.address.password),
            timeout=30,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def hang_up(self) -> None:
        """Close the owner's connection."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.is_open:
            connection.close()

    def consumers(self, queue: str) -> int:
        channel = self.owner()
        count = channel.queue_declare(queue, passive=True).method.consumer_count
        channel.close()
        return count

    def close(self) -> None:
        """Take away what was made."""
        channel = self.owner()
        for name in self.made:
            channel.queue_delete(name)
        self.hang_up()


class Node(Rabbit):
    """A broker in a process of its own. `patience_s`: how long a consumer may take for a message, where it is not a minute."""

    def __init__(self, patience_s: int = 0) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="sync-rabbit-"))
        self.ports = {name: free_port() for name in ("amqp", "management", "distribution", "epmd")}
        super().__init__(
            f"amqp://guest:guest@127.0.0.1:{self.ports['amqp']}/?management=http://127.0.0.1:{self.ports['management']}"
        )
        self.environment = {
            "HOME": self.home, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": f"sync{self.ports['amqp']}@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": self.ports["amqp"], "RABBITMQ_DIST_PORT": self.ports["distribution"],
            "RABBITMQ_MNESIA_BASE": self.home / "data", "RABBITMQ_LOG_BASE": self.home / "log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.home / "plugins", "RABBITMQ_CONFIG_FILE": self.home / "rabbit",
            "RABBITMQ_ADVANCED_CONFIG_FILE": self.home / "advanced.config", "RABBITMQ_CONF_ENV_FILE": self.home / "none.conf",
            "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": self.ports["epmd"],
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
        }  # fmt: skip
        (self.home / "plugins").write_text("[rabbitmq_management].\n")
        (self.home / "rabbit.conf").write_text(
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.ports['management']}\n"
            "disk_free_limit.absolute = 1MB\nconsumer_timeout = 60000\n"
        )
        if patience_s:  # which it looks at once a minute by itself
            (self.home / "advanced.config").write_text(
                f"[{{rabbit, [{{consumer_timeout, {patience_s * 1000}}}, {{channel_tick_interval, 500}}]}}].\n"
            )
        self.process: subprocess.Popen | None = None
        self.start()

    def start(self) -> None:
        self._launch()

        def listens():
            if self.process.poll() is not None:
                said = (self.home / "out").read_text(errors="replace")
                assert "eaddrinuse" in said, said[-2000:]
                self._launch()  # somebody's connection had the port for a moment
                return False
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.ports["amqp"]), 1):
                return "completed" in (self.home / "out").read_text(errors="replace")
            return False

        until(listens, 0.1)

    def _launch(self) -> None:
        environment = {name: str(value) for name, value in self.environment.items()}
        with (self.home / "out").open("wb") as out:
            self.process = subprocess.Popen(
                [program()], env=environment, stdout=out, stderr=out, cwd="/", start_new_session=True
            )

    def stop(self) -> None:
        """As a crash would be."""
        self.hang_up()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        until(self._gone, 0.02)

    def _gone(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports["amqp"])) != 0

    def close(self) -> None:
        self.stop()
        epmd = shutil.which("epmd")
        if epmd is not None:
            port = str(self.ports["epmd"])
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            subprocess.run([epmd, "-port", port, "-kill"], check=False, **quiet)
        shutil.rmtree(self.home, ignore_errors=True)


def started() -> Rabbit:
    """A broker of one's own, or one that is named; skips where there is none, unless SYNC_TEST_REQUIRE names it."""
    if given := os.environ.get("SYNC_TEST_RABBITMQ_URL"):
        return Rabbit(given)
    if program() is None:
        if NAME in os.environ.get("SYNC_TEST_REQUIRE", "").split(","):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return Node()


@pytest.fixture(scope="session")
def rabbitmq():
    """A broker for this worker's whole session."""
    broker = started()
    yield broker
    broker.close()


@pytest.fixture
def impatient_rabbitmq():
    """A broker that closes the channel of whoever takes longer than three seconds for a message."""
    if program() is None:
        pytest.skip(MISSING)
    broker = Node(patience_s=3)
    yield broker
    broker.close()


@pytest.fixture
def private_rabbitmq():
    """A broker of one test's own, which it may kill and start again."""
    if program() is None:
        pytest.skip(MISSING)
    broker = Node()
    yield broker
    broker.close()
