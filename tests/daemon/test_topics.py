"""Topics from the command line: topics that appear, offsets that expire, members with logins, and messages that nobody can read."""

from __future__ import annotations

import json
import signal

import pytest

from servers.certificates import Authority
from servers.kafka import MEMBER, new_name
from servers.kafka_front import KafkaFront
from waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
VIEW = "  - {name: bets, source: db, relation: %s, kind: custom, event_type: bet, key: [id], event_date: at%s}\n"
PASSWORD, WRITTEN = "hunter2,=/ü", "hunter2%2C%3D%2F%C3%BC"
START_MS = 1_769_860_800_000
BET = {"bet_id": "x", "user_ext_id": 1, "ext_brand_id": "b", "bet_amount": 1.5, "game_id": "g", "bet_date": START_MS}


def bet(number, **more):
    return {"id": number, "user_ext_id": number % 3, "ext_brand_id": "b", "at": START_MS, **more}


def body(number, **more):
    return json.dumps(bet(number, **more)).encode()


def numbers(operator):
    return sorted(event["payload"]["id"] for event in operator.accepted())


def test_a_topic_that_appears_is_read_from_its_first_message(operator, kafka_mock):
    """While the daemon runs, and while it does not; a view that begins `now` lets only those go that were there before it."""
    name = new_name()
    first, quick = kafka_mock.topic(f"{name}.se"), "librdkafka.topic.metadata.refresh.interval.ms=300"
    kafka_mock.put(first, body(1))
    operator.configure(f"{kafka_mock.url}?{MEMBER}&{quick}", VIEW % (f"/{name}.*/", ", start_from: now"))
    assert operator.sync("run", "--once").returncode == 0
    daemon = operator.start("run")
    kafka_mock.put(first, body(2))
    until(lambda: numbers(operator) == [2])
    second = kafka_mock.topic(f"{name}.mt", 2)
    kafka_mock.put(second, body(3), partition=0)
    kafka_mock.put(second, body(4), partition=1)
    until(lambda: numbers(operator) == [2, 3, 4])
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    third = kafka_mock.topic(f"{name}.no")
    kafka_mock.put(third, body(5))
    assert operator.sync("run", "--once").returncode == 0
    assert numbers(operator) == [2, 3, 4, 5]


def test_offsets_that_expired_change_nothing(operator, kafka_mock):
    """A group that the brokers know nothing of: the state knows where each partition is."""
    topic = kafka_mock.topic(new_name(), 2)
    url = f"{kafka_mock.url}?{MEMBER}"
    operator.configure(url, VIEW % (topic, ", start_from: now"))
    assert operator.sync("run", "--once").returncode == 0
    for partition in (0, 1):
        kafka_mock.put(topic, body(partition), partition=partition)
    assert operator.sync("run", "--once").returncode == 0
    text = operator.config.read_text()
    operator.config.write_text(text.replace("\nviews:", "\n    group: another\nviews:"))
    kafka_mock.put(topic, body(2), partition=0)
    assert operator.sync("run", "--once").returncode == 0
    assert numbers(operator) == [0, 1, 2]
    assert operator.sandbox.stats()["duplicates"] == 0


def refused(operator):
    """What a daemon says that the broker does not let in."""
    with (operator.home / "said").open("wb") as told:
        daemon = operator.start("run", err=told, out=told)
    until(lambda: "refuses the login" in (operator.home / "said").read_text(), 0.2)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    return (operator.home / "said").read_text()


def test_a_wrong_password_of_a_queue_is_said_and_not_shown(operator, rabbitmq):
    """By the daemon, which goes on trying."""
    name = rabbitmq.queue()
    url = rabbitmq.url().replace(rabbitmq.user, f"{rabbitmq.address.user}:hunter3")
    operator.configure(url, VIEW % (name, ""))
    assert "hunter3" not in refused(operator)


def test_a_daemon_logs_in_and_says_no_secret(operator, kafka_mock, tmp_path):
    """Through TLS, the client told to debug: neither the right password nor a wrong one is in anything that is printed or kept."""
    authority = Authority(tmp_path)
    tls = authority.issue("broker", address="127.0.0.1").tls()
    port = int(kafka_mock.url.rpartition(":")[2])
    front = KafkaFront(port, mechanism="SCRAM-SHA-512", user="sync", password=PASSWORD, tls=tls)
    topic = kafka_mock.topic(new_name())
    kafka_mock.put(topic, body(1))

    def configure(password):
        url = f"kafkas://sync:{password}@127.0.0.1:{front.port}?{MEMBER}&librdkafka.debug=all"
        operator.configure(f"{url}&ca={authority.certificate}", VIEW % (topic, ""))

    try:
        configure("hunter3")
        said = [refused(operator)]
        configure(WRITTEN)
        for words in (("check",), ("run", "--once", "--log", "json"), ("status", "--json")):
            done = operator.sync(*words)
            said.append(done.stdout + done.stderr)
    finally:
        front.close()
    assert numbers(operator) == [1]
    kept = [file.read_bytes() for file in (operator.home / "state").rglob("*") if file.is_file()]
    for secret in ("hunter", PASSWORD, WRITTEN):
        assert not any(secret in text for text in said)
        assert not any(secret.encode() in file for file in kept)


POISON = (
    b"", b" ", b"\xff\xfe", b"{", b"[1]", b"null", b"7", b'"text"', b"{}", b"\x00\x00\x00\x00\x01schema", b"\x1f\x8b\x08\x00",
    b'{"bet_id": 1E400}', b'{"bet_id": NaN}', b"[" * 100_000, b'{"user_ext_id": 1, "ext_brand_id": "b"}',
    *(json.dumps(BET | more).encode() for more in (
        {"bet_id": None}, {"user_ext_id": None}, {"bet_date": "soon"}, {"bet_amount": "much"}, {"bet_id": "\ud800"},
    )),
)  # fmt: skip


@pytest.mark.parametrize("broker", ["kafka", "quorum", "stream"])
def test_what_cannot_be_read_is_given_up_and_the_view_goes_on(operator, request, broker):
    """Each by itself, wherever it stands among good ones; it is listed with its place, and what it holds is in no log."""
    good = [f"b{number:02}" for number in range(len(POISON))]
    if broker == "kafka":
        server = request.getfixturevalue("kafka_mock")
        name, url = server.topic(new_name()), f"{server.url}?{MEMBER}"
    else:
        server = request.getfixturevalue("rabbitmq")
        name, url = server.queue(broker), server.url()
    operator.configure(url, f"  - {{name: bets, source: db, relation: {name}, kind: casino_bets}}\n")
    for bad, number in zip(POISON, good, strict=True):
        server.put(name, bad, json.dumps(BET | {"bet_id": number}).encode())

    def arrived():
        return [event["payload"]["casino_last_bet_id"] for event in operator.accepted()]

    done = operator.sync("run", "--once", "--log", "json")
    assert done.returncode == 6, done.stderr
    assert arrived() == good
    assert "soon" not in done.stderr + done.stdout
    shown = json.loads(operator.sync("watermark", "show", "--json").stdout)[0]["counts"]
    assert (shown["read"], shown["delivered"], shown["dead_lettered"]) == (2 * len(good), len(good), len(good))
    listed = json.loads(operator.sync("dead-letters", "list", "--json").stdout)
    assert len(listed) == len(POISON)
    assert operator.sync("run", "--once").returncode == 0
    assert arrived() == good
