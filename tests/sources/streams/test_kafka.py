"""What Kafka does that no queue does: lost and recreated topics, positions that are gone, partitions that are added."""

from __future__ import annotations

import base64
import json
import threading
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from msgspec.structs import replace
from structlog.testing import capture_logs

from servers.kafka import MEMBER
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.messages.message import Messages
from smartico_sync.core.records import PLACED, LaneStep
from smartico_sync.errors import (
    ConfigError,
    MessagesLost,
    SourceRefused,
    SourceUnreachable,
    ViewBroken,
    ViewMisconfigured,
    ViewRegressed,
)
from smartico_sync.sources.kafka import assignment
from smartico_sync.sources.kafka.assignment import Committed
from smartico_sync.sources.kafka.client import Client
from smartico_sync.sources.kafka.lanes import Lanes
from smartico_sync.sources.kafka.membership import Membership
from smartico_sync.sources.kafka.settings import settings_of
from smartico_sync.sources.kit.abandonable import MOST_ABANDONED
from smartico_sync.sources.registry import open_stream
from smartico_sync.sources.stream import Feed, Page
from waiting import until

from .conftest import Book, Bus, drained, failure, places, taken

FEED = Feed("bets", ("t",), "g", state="mine")
FIRST_MS = 1_769_860_800_000


@pytest.fixture
def mock_bus(kafka_mock):
    """A topic on the mock cluster."""
    made = []

    def make(partitions=1, server=kafka_mock):
        made.append(Bus(server, partitions))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize(
    ("known", "committed", "expected"),
    [
        (None, Committed(-1001), None),
        (None, Committed(7, "other"), 7),
        (None, Committed(7, ""), 7),
        (None, Committed(7, "mine"), None),  # an operator has placed the view anew
        (5, Committed(-1001), 5),
        (5, Committed(3, "mine"), 5),
        (5, Committed(9, "mine"), 5),  # a restored state: what it does not know goes again, under the same ids
        (5, Committed(9, "other"), 9),
        (5, Committed(9, ""), 5),  # some other program, which sends nothing
        (5, Committed(3, "other"), 5),
    ],
)
def test_where_a_lane_goes_on(known, committed, expected):
    """The state counts, unless another daemon has gone on from it."""
    step = None if known is None else LaneStep("t/0", known, known)
    assert assignment.reconciled(FEED, step, committed) == expected


def test_where_an_operator_puts_a_lane_it_goes_on():
    """Whatever the brokers hold, also those that keep no metadata; and whatever topic has the name now, which is told from then on."""
    placed = LaneStep("t/0", 5, 5, PLACED)
    assert assignment.reconciled(FEED, placed, Committed(9, "")) == 5
    assert assignment.reborn(FEED, "t/0", placed, "another") is None
    assert assignment.step("t/0", placed, 5, "").epoch == ""
    assert assignment.step("t/0", placed, 5, "another").epoch == "another"


def test_a_partition_that_is_added_begins_at_its_first_message():
    """Whatever `start_from` says of the topic: its messages came while the view was there."""
    now = Feed("bets", ("t",), "g", start="now")
    assert assignment.begin_at(now, "t/0", {}) == "now"
    assert assignment.begin_at(now, "t/1", {"t/0": LaneStep("t/0", 1, 1)}) == "first"
    assert assignment.begin_at(now, "u/0", {"t/0": LaneStep("t/0", 1, 1)}) == "now"
    found = replace(now, names=("[tu]",), named_by="pattern")
    assert assignment.begin_at(found, "u/0", {}) == "now"
    assert assignment.begin_at(found, "u/0", {"t/0": LaneStep("t/0", 1, 1)}) == "first"


def test_a_position_behind_the_end_is_said(mock_bus):
    """A restored cluster, or a topic that was recreated: nothing would ever come, and nothing would say so."""
    bus = mock_bus()
    bus.put({"n": 1})
    bus.book.lanes[f"{bus.topic}/0"] = LaneStep(f"{bus.topic}/0", 50, 50)
    error = failure(bus.subscribe())
    assert isinstance(error, ViewRegressed)
    assert "49 was read already" in error.message
    assert "watermark rewind" in error.hint


def test_messages_that_were_deleted_unread_stop_the_view_or_are_told(mock_bus, monkeypatch):
    """From where to where; with `on_gap: continue` it goes on behind them, and says so for as long as it runs."""
    bus = mock_bus()
    bus.put(*({"n": n} for n in range(10)))
    lane = f"{bus.topic}/0"
    bus.book.lanes[lane] = LaneStep(lane, 2, 2)
    monkeypatch.setattr("smartico_sync.sources.kafka.membership.ends", lambda *_: (6, 10))
    error = failure(bus.subscribe())
    assert isinstance(error, MessagesLost)
    assert "messages 2 to 5" in error.message
    bus.close()
    subscription = bus.subscribe(on_gap="continue")
    assert [message.offset for message in drained(subscription)] == [6, 7, 8, 9]
    assert subscription.standing().gap_messages == 4
    assert "messages 2 to 5" in subscription.standing().notes[0]


def test_another_topic_under_the_same_name_is_said(mock_bus, monkeypatch):
    """By its id: before a message of it is taken for one of the old."""
    bus = mock_bus()
    lane = f"{bus.topic}/0"
    bus.book.lanes[lane] = LaneStep(lane, 0, 0, "old-id")
    monkeypatch.setattr(
        "smartico_sync.sources.kafka.membership.TopicIds.told", lambda _, wait_s=0: {bus.topic: "new-id"}
    )
    error = failure(bus.subscribe())
    assert isinstance(error, ViewRegressed)
    assert "deleted and created anew" in error.message


def test_partitions_that_are_added_wait_for_those_that_were_there(mock_bus):
    """A player may have moved to a new one: what the old one holds of him comes first."""
    bus = mock_bus(2)
    bus.put(*({"n": n} for n in range(30)), partition=0)
    bus.put(*({"n": n} for n in range(30)), partition=1)
    lane = f"{bus.topic}/0"
    bus.book.lanes[lane] = LaneStep(lane, 5, 5)
    found = places(taken(bus.subscribe(start="now"), 55))
    assert found == [f"{lane}@{n}" for n in range(5, 30)] + [f"{bus.topic}/1@{n}" for n in range(30)]


def test_a_partition_that_is_added_waits_again_when_it_comes_back():
    """Also where the state knows it by now, and where those that were there have been read already."""
    lanes = Lanes(FEED)
    old, new = LaneStep("t/0", 5, 5), LaneStep("t/1", None, 0)
    lanes.give([old, new], ["t/0"], "all")
    assert lanes.stopped == {"t/1"}
    assert not lanes.level(lambda _: 5)
    lanes.forget(["t/0", "t/1"])
    lanes.give([old, LaneStep("t/1", 0, 0)], ["t/0", "t/1"], "all")
    assert lanes.stopped == {"t/1"}
    assert lanes.end("t/0", 5) == {"t/1"}
    assert lanes.stopped == set()
    lanes.give([LaneStep("t/2", None, 0)], ["t/0", "t/1"], "more")  # t/1 was not read to its end
    assert lanes.stopped == {"t/2"}
    assert lanes.end("t/1", 0) == {"t/2"}
    lanes.end("t/2", 0)
    lanes.give([LaneStep("t/3", None, 0)], ["t/0", "t/1", "t/2"], "more")  # nothing is left to wait for
    assert lanes.stopped == set()


@pytest.mark.parametrize("cluster", ["kafka_mock", pytest.param("kafka_mock_groups", marks=pytest.mark.slow)])
def test_a_pause_ends_for_lanes_that_went_and_came_back(mock_bus, cluster, request):
    """The client itself remembers it for as long as it runs: nothing would ever come of them, and nothing would say so."""
    bus = mock_bus(2, request.getfixturevalue(cluster))
    subscription = bus.subscribe()
    drained(subscription)
    places = subscription._consumer.assignment()
    subscription.pause()
    subscription._member.taken(subscription._consumer, places)
    subscription.resume()
    subscription._member.given(subscription._consumer, places)
    bus.put({"n": 1}, partition=0)
    bus.put({"n": 1}, partition=1)
    assert len(taken(subscription, 2)) == 2


def test_lanes_that_are_taken_are_drained_first(mock_bus):
    """And those that were lost are not; either way the broker hears of nothing that was not committed."""
    bus = mock_bus(2)
    subscription = bus.subscribe()
    drained(subscription)
    places = subscription._consumer.assignment()
    subscription._member.taken(subscription._consumer, places)
    assert (bus.book.drained, bus.book.gone) == (1, 0)
    subscription._member.given(subscription._consumer, places)
    subscription._member.lost(subscription._consumer, places)
    assert (bus.book.drained, bus.book.gone) == (1, 1)
    assert subscription._lanes.next == {}


def test_a_part_of_the_lanes_is_refused_where_profiles_are_compared_with_one_state(mock_bus):
    """Another member has the rest, and would compare them with another state."""
    bus = mock_bus(2)
    subscription = bus.subscribe(members="alone")
    drained(subscription)
    places = subscription._consumer.assignment()
    subscription._member.taken(subscription._consumer, places)
    subscription._member.given(subscription._consumer, places[:1])
    error = failure(subscription)
    assert isinstance(error, ViewMisconfigured)
    assert "1 of 2 partitions" in error.message


def test_messages_of_a_lane_that_was_taken_are_not_handed_over(mock_bus):
    """Whoever has it now reads them."""
    bus = mock_bus(2)
    subscription = bus.subscribe()
    drained(subscription)
    bus.put({"n": 1}, partition=0)
    bus.put({"n": 1}, partition=1)
    received = []
    while len(received) < 2:
        received += [each for each in subscription._consumer.consume(2, 0.2) if each.error() is None]
    subscription._lanes.forget([f"{bus.topic}/0"])
    assert places(subscription._read(received)) == [f"{bus.topic}/1@0"]
    assert [lag.lane for lag in subscription._lanes.lags(lambda _: -1)] == [f"{bus.topic}/1"]


def test_the_broker_hears_of_commits_with_the_state_s_name(mock_bus):
    """So that another daemon knows whose they are."""
    bus = mock_bus()
    bus.put({"n": 0}, {"n": 1})
    subscription = bus.subscribe()
    found = taken(subscription, 2)
    subscription.commit(Page(Messages.of(found)), frozenset())
    subscription.close()
    from confluent_kafka import TopicPartition

    reader = bus.stream._settings.reader(f"g.{bus.topic}")
    (told,) = reader.committed([TopicPartition(bus.topic, 0)], timeout=5)
    assert (told.offset, told.metadata) == (2, "state-1")
    reader.close()


@pytest.mark.slow
def test_lanes_are_given_back_before_the_client_is_closed(mock_bus, monkeypatch):
    """With what is in flight committed, by the view's own thread: a client that closes may never have its callbacks' answers."""
    bus, held, threads = mock_bus(partitions=2), [], []
    bus.book.drain = lambda: threads.append(threading.current_thread())
    subscription = bus.subscribe()
    bus.put({"n": 1})
    drained(subscription)
    close = Client.close
    monkeypatch.setattr(Client, "close", lambda client: (held.append(client.assignment()), close(client)))
    subscription.close()
    assert (held, threads) == ([[]], [threading.current_thread()])
    assert sorted(bus.book.released_lanes) == [f"{bus.topic}/0", f"{bus.topic}/1"]


@pytest.mark.slow
def test_lanes_that_nobody_has_heard_of_yet_are_given_back_too(mock_bus, monkeypatch):
    """The group gave them between the last look and the end: the client says so before it is closed, and not in its close."""
    bus, closing, told = mock_bus(), [], []
    given, close = Membership.given, Client.close
    monkeypatch.setattr(Membership, "given", lambda *of: (told.append(len(closing)), given(*of)))
    monkeypatch.setattr(Client, "close", lambda client: (closing.append(client), close(client)))
    subscription = bus.subscribe()
    time.sleep(0.5)  # the client joins by itself, and waits until somebody listens
    subscription.close()
    assert (told, len(closing)) == ([0], 1)


@pytest.mark.slow
def test_a_client_is_not_closed_while_it_holds_lanes(mock_bus, monkeypatch):
    """Where the group is slow to take them the view goes on meanwhile, and says so; the client is closed once they are given back."""
    bus, slow, told = mock_bus(), threading.Event(), []
    bus.put({"n": 1})
    monkeypatch.setattr("smartico_sync.sources.kafka.membership.GIVE_BACK_S", 0.01)
    unsubscribe, poll, close = Client.unsubscribe, Client.poll, Client.close
    monkeypatch.setattr(Client, "unsubscribe", lambda _: None)
    monkeypatch.setattr(
        Client, "poll", lambda client, wait: (slow.is_set() and unsubscribe(client), poll(client, wait))[1]
    )
    monkeypatch.setattr(Client, "close", lambda client: (told.append(len(client.assignment())), close(client)))
    subscription = bus.subscribe()
    taken(subscription, 1)
    with capture_logs() as lines:
        subscription.close()
        time.sleep(0.3)
        before = [*told]
        slow.set()
    until(lambda: told)
    assert (before, told) == ([], [0])
    assert [line["event"] for line in lines] == ["view.unclosed"]


def test_a_client_that_never_closes_is_left_behind(mock_bus, monkeypatch):
    """The view goes on without it, and says so; after some it makes no more threads for them."""
    bus, hangs = mock_bus(), threading.Event()
    bus.put({"n": 1})
    monkeypatch.setattr("smartico_sync.sources.kafka.subscription.CLOSE_S", 0.01)
    close = Client.close
    monkeypatch.setattr(Client, "close", lambda client: (hangs.wait(), close(client)))
    with capture_logs() as lines:
        for _ in range(MOST_ABANDONED + 2):
            bus.subscribe().close()
    left = [thread for thread in threading.enumerate() if thread.name == "source-calls"]
    hangs.set()
    assert len(left) == MOST_ABANDONED
    assert [line["event"] for line in lines] == ["view.unclosed"] * (MOST_ABANDONED + 2)
    until(lambda: not any(thread.is_alive() for thread in left))


@pytest.mark.slow
def test_brokers_that_are_gone_are_said(private_kafka_mock, mock_bus):
    """After some seconds in which none came back."""
    bus = mock_bus(server=private_kafka_mock)
    bus.put({"n": 0})
    subscription = bus.subscribe()
    drained(subscription)
    private_kafka_mock.down()
    assert isinstance(failure(subscription), SourceUnreachable)
    private_kafka_mock.up()
    bus.put({"n": 1})
    assert len(drained(bus.subscribe(Book()))) == 2


@pytest.mark.slow
def test_what_another_program_reads_in_the_group_is_told_and_read_once_it_is_gone(kafka_broker):
    """It has a part of the partitions while it is there, and commits what it read: that is not sent by it."""
    bus = Bus(kafka_broker, 2)
    bus.put(*({"n": n} for n in range(4)), partition=0)
    bus.put(*({"n": n} for n in range(4)), partition=1)
    subscription = bus.subscribe()
    bus.book.reach(taken(subscription, 8))
    assert subscription.standing().advice == ()
    group = {"group.id": bus.feed().group, "partition.assignment.strategy": "range", "session.timeout.ms": 6000}
    other = Consumer({"bootstrap.servers": kafka_broker.bootstrap, **group, "log_level": 0})
    other.subscribe([bus.topic])

    def shared():
        other.poll(0.05)
        subscription.take(10, 0.05)
        return other.assignment() and subscription.standing().advice

    until(shared, 0.0)
    (told,) = subscription.standing().advice
    assert told.startswith(f"1 of 2 partitions are given to this daemon: another member of group {bus.feed().group} ")
    (theirs,) = other.assignment()
    bus.put({"n": 4}, partition=theirs.partition)
    other.commit(offsets=[TopicPartition(bus.topic, theirs.partition, 5)], asynchronous=False)
    other.close()
    assert places(taken(subscription, 1)) == [f"{bus.topic}/{theirs.partition}@4"]
    until(lambda: (subscription.take(10, 0.05), subscription.standing().advice == ())[1], 0.0)
    bus.close()


@pytest.mark.slow
def test_a_topic_that_is_recreated_is_said(kafka_broker):
    """A real broker, between two subscriptions: a consumer that is at work meanwhile is ended by a fault of the client library."""
    bus = Bus(kafka_broker)
    bus.put(*({"n": n} for n in range(20)))
    subscription = bus.subscribe()
    bus.book.reach(drained(subscription))
    assert bus.book.lanes[f"{bus.topic}/0"].epoch
    bus.close()
    kafka_broker.delete(bus.topic)
    kafka_broker.topic(bus.topic)
    error = failure(bus.subscribe())
    assert isinstance(error, ViewRegressed), error
    bus.close()


def test_times_beyond_all_calendars_are_none(mock_bus):
    """Of producers that count in nanoseconds: nobody says when it was, and the messages are read."""
    bus = mock_bus()
    for moment in (FIRST_MS, FIRST_MS * 1000, FIRST_MS * 1_000_000, (1 << 63) - 1):
        bus.put({"n": moment}, timestamp=moment)
    found = taken(bus.subscribe(), 4)
    assert [message.time_ms for message in found] == [FIRST_MS, 0, 0, 0]
    assert [message.time_ms for message in bus.stream.sample(bus.feed(), 4)] == [FIRST_MS, 0, 0, 0]


def test_what_is_behind_the_last_message_and_is_none_does_not_wait():
    """Marks of transactions: an end behind them is where the lane is, until a message comes."""
    lanes = Lanes(FEED)
    lanes.give([LaneStep("t/0", 5, 5), LaneStep("t/1", 2, 2)], ["t/0", "t/1"], "all")
    lanes.took("t/0", 5, FIRST_MS)
    assert [lag.messages for lag in lanes.lags(lambda lane: 7 if lane == "t/0" else 2)] == [1, 0]
    lanes.end("t/0", 7)
    lanes.end("t/1", 2)
    assert lanes.passed == {"t/0": (6, 7)}
    lanes.end("t/0", 9)
    assert lanes.passed == {"t/0": (6, 9)}
    assert [lag.messages for lag in lanes.lags(lambda lane: 9 if lane == "t/0" else 2)] == [0, 0]
    lanes.took("t/0", 9, FIRST_MS)
    assert lanes.passed == {}


@pytest.mark.slow
def test_transactions_leave_marks_that_are_no_messages(kafka_broker):
    """They are not waited for, and the state may be put behind them."""
    bus = Bus(kafka_broker)
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap, "transactional.id": bus.topic, "log_level": 0})
    producer.init_transactions(20)
    for some in ((0, 1), (2,)):
        producer.begin_transaction()
        for n in some:
            producer.produce(bus.topic, json.dumps({"n": n}).encode())
        producer.commit_transaction(20)
    subscription = bus.subscribe()
    found = drained(subscription)
    assert [json.loads(message.value)["n"] for message in found] == [0, 1, 2]
    ((lane, (since, at)),) = subscription.passed().items()
    assert (since, at) == (found[-1].offset + 1, found[-1].offset + 2)
    assert bus.stream.ends(bus.feed())[lane] == (0, at)
    subscription._look_at = 0.0
    subscription.take(10, 0.1)
    assert [lag.messages for lag in subscription.standing().lanes] == [0]
    bus.close()


@pytest.mark.slow
def test_times_are_places(kafka_broker):
    """What was written at that time or later, and all between two times."""
    bus = Bus(kafka_broker)
    now = int(time.time() * 1000)
    for n in range(10):
        bus.put({"n": n}, timestamp=now - 10_000 + n * 1000)
    some = [message.offset for part in bus.stream.between(bus.feed(), now - 8_000, now - 4_000) for message in part]
    assert some == [2, 3, 4, 5]
    assert bus.stream.at(bus.feed(), 0) == {f"{bus.topic}/0": 0}


def test_a_topic_that_is_not_there_is_named_with_those_that_are(mock_bus):
    """The likeliest first: a name is often written a little wrong."""
    bus = mock_bus(1)
    with pytest.raises(ViewBroken) as caught:
        bus.stream.ends(bus.feed(names=(f"{bus.topic}x",)))
    assert caught.value.hint.startswith(f"check `relation`; the user may see {bus.topic}")


def test_what_waits_is_counted_beside_a_daemon(mock_bus):
    """From what the state knows."""
    bus = mock_bus(2)
    for n in range(8):
        bus.put({"n": n}, partition=1, timestamp=FIRST_MS + n * 1_000)
    lags = bus.stream.lags(bus.feed(), {f"{bus.topic}/1": LaneStep("", 3, 3)})
    assert {lag.lane.rpartition("/")[2]: lag.messages for lag in lags} == {"0": 0, "1": 5}
    assert {lag.lane.rpartition("/")[2]: lag.time_ms for lag in lags} == {"0": 0, "1": FIRST_MS + 3_000}
    assert bus.stream.ends(bus.feed()) == {f"{bus.topic}/0": (0, 0), f"{bus.topic}/1": (0, 8)}
    (_, beyond) = bus.stream.lags(bus.feed(), {f"{bus.topic}/1": LaneStep("", 30, 30)})
    assert beyond.messages == 0


def settings(url, encryption=None, **options):
    url = url.replace("kafkas://", "kafka+tls://")  # as it is opened
    return settings_of("bus", SourceConfig.model_validate({"url": url, "options": options, "encryption": encryption}))


def test_urls_become_settings():
    """Hosts, TLS, user and password with special characters; what is the client's own goes on to it."""
    made = settings(
        "kafka+tls://sync:p%40ss@b1:9093,b2/?sasl=plain", ca="/ca.pem", **{"librdkafka.fetch.min.bytes": "1"}
    )
    assert made.common["bootstrap.servers"] == "b1:9093,b2:9092"
    assert made.common["security.protocol"] == "SASL_SSL"
    assert (made.common["sasl.mechanism"], made.common["sasl.password"]) == ("PLAIN", "p@ss")
    assert made.common["ssl.ca.location"] == "/ca.pem"
    assert made.common["fetch.min.bytes"] == "1"
    assert "p@ss" not in repr(made)
    assert made.encryption == "encrypted and verified"
    near = settings("kafka://localhost")
    assert (near.common["security.protocol"], near.encryption) == ("PLAINTEXT", "in the clear, within this machine")


def test_a_statement_timeout_that_is_long_for_a_broker_is_taken():
    """The client takes five minutes at most for an answer; a query that reads a table may need more, and the key is one for both."""
    made = settings_of("bus", SourceConfig.model_validate({"url": "kafka://localhost", "statement_timeout": "10m"}))
    assert made.common["socket.timeout.ms"] == 300_000


def test_the_way_to_another_machine_is_encrypted_unless_words_say_otherwise():
    """`kafka://` is in the clear, so it is refused there; the hint names what to write."""
    with pytest.raises(ConfigError, match="in the clear, on the way to another machine") as refused:
        settings("kafka://b1")
    assert "kafkas://" in refused.value.hint
    off = settings("kafka://b1", encryption="off")
    assert (off.common["security.protocol"], off.encryption) == ("PLAINTEXT", "in the clear")
    unverified = settings("kafka+tls://b1", encryption="unverified")
    assert unverified.common["enable.ssl.certificate.verification"] is False
    with pytest.raises(ConfigError, match="contradict"):
        settings("kafka+tls://b1", encryption="off")


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        (
            "kafkas://sync:secret@b-1.casino.abc.c2.kafka.eu-west-1.amazonaws.com:9096", {},
            {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "sync"},
        ),
        (
            "kafkas://%24ConnectionString:Endpoint%3Dsb%3A%2F%2Fn%2F@n.servicebus.windows.net:9093", {"sasl": "plain"},
            {"sasl.mechanism": "PLAIN", "sasl.username": "$ConnectionString", "sasl.password": "Endpoint=sb://n/"},
        ),
        (
            "kafkas://KEY:SECRET@pkc-1.eu-west-1.aws.confluent.cloud:9092", {"sasl": "plain"},
            {"bootstrap.servers": "pkc-1.eu-west-1.aws.confluent.cloud:9092", "sasl.mechanism": "PLAIN", "sasl.username": "KEY"},
        ),
        (
            "kafkas://client:secret@b1", {"sasl": "oidc", "librdkafka.sasl.oauthbearer.token.endpoint.url": "https://idp/token"},
            {"sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc", "sasl.oauthbearer.client.id": "client"},
        ),
    ],
    ids=["MSK by SCRAM", "Event Hubs", "Confluent Cloud", "OAuth"],
)  # fmt: skip
def test_services_are_reached_as_the_docs_say(url, options, expected):
    """And the client takes what is made of it."""
    made = settings(url, **options)
    assert expected.items() <= made.common.items()
    made.reader("g").close()


def test_iam_signs_with_the_credentials_of_the_machine(monkeypatch):
    """For the region that the brokers' names tell; the client gets a token that ends."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_EC2_METADATA_DISABLED", "true"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    host = "kafkas://b-1.casino.abc.c2.kafka.eu-west-1.amazonaws.com:9098"
    made = settings(host, sasl="msk-iam")
    assert made.common["security.protocol"] == "SASL_SSL"
    assert made.common["sasl.mechanism"] == "OAUTHBEARER"
    token, ends = made.common["oauth_cb"]("")
    signed = base64.urlsafe_b64decode(token + "==").decode()
    assert signed.startswith("https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect")
    assert "hunter2" not in signed
    assert time.time() < ends < time.time() + 3600
    made.reader("g").close()
    told = base64.urlsafe_b64decode(
        settings("kafkas://b1:9098", sasl="msk-iam", region="eu-north-1").common["oauth_cb"]("")[0] + "=="
    )
    assert told.startswith(b"https://kafka.eu-north-1.")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("kafkas://b1:9098", "do not tell the region"),
        ("kafkas://u:p@b-1.x.kafka.eu-west-1.amazonaws.com:9098", "has no user"),
        ("kafka://localhost", "with TLS only"),
    ],
)
def test_iam_says_what_it_lacks(url, said):
    """And never the password."""
    with pytest.raises(ConfigError, match=said):
        settings(url, sasl="msk-iam")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"librdkafka.auto.offset.reset": "latest"}, "auto.offset.reset is set by the daemon"),
        ({"librdkafka.partition.assignment.strategy": "cooperative-sticky"}, "cooperative"),
        ({"sasl": "kerberos"}, "no sasl is called"),
        ({"retries": "1"}, "retries"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(options, said):
    """By name, and without their values."""
    with pytest.raises(ConfigError, match=said):
        settings("kafka://u:p@localhost", **options)


def test_a_setting_that_the_client_refuses_is_named():
    """And its value, which may be a secret, is not."""
    made = settings("kafka://localhost", **{"librdkafka.no.such.setting": "hunter2"})
    with pytest.raises(ConfigError, match=r"no\.such\.setting") as caught:
        made.reader("g")
    assert "hunter2" not in str(caught.value)


def test_what_is_set_for_members_is_not_for_readers():
    """Else the client refuses it there, for what it has by itself."""
    made = settings("kafka://localhost", **{"librdkafka.max.poll.interval.ms": "31000"})
    assert made.common["max.poll.interval.ms"] == "31000"
    made.reader("g").close()


def test_no_secret_is_logged(kafka_mock, capfd, monkeypatch):
    """Also where the client is told to debug: its own lines go nowhere."""
    monkeypatch.setattr("smartico_sync.sources.kafka.topics.ASK_S", 0.5)
    url = kafka_mock.url.replace("://", "://user:hunter2@")
    stream = open_stream("bus", SourceConfig.model_validate({"url": f"{url}?{MEMBER}&librdkafka.debug=all"}))
    with pytest.raises((SourceUnreachable, SourceRefused)):
        stream.sample(Feed("v", ("t",), "g"), 1)
    said = capfd.readouterr()
    assert "hunter2" not in said.out + said.err
    assert said.err == ""


def test_partitions_that_are_added_wait_for_those_that_other_members_read():
    """A player may have moved to one of them; what the others have still to read of him goes first. It is begun only then."""
    lanes = Lanes(Feed("users", ("players",), "group", members="many"))
    added = LaneStep("players/2", None, 0, "")
    lanes.wait_for({"players/0": 5}, [added])
    lanes.give([LaneStep("players/1", 3, 3, ""), added], {"players/0", "players/1"}, "all")
    assert lanes.stopped == {"players/2"}
    assert lanes.end("players/1", 3) == set()
    assert lanes.others_are({"players/0": LaneStep("players/0", 4, 4, "")}) == set()
    assert lanes.others_are({"players/0": LaneStep("players/0", 5, 5, "")}) == {"players/2"}
    assert lanes.begun({"players/2"}) == [added]
    assert lanes.stopped == set()


@pytest.mark.slow
def test_the_first_of_many_members_places_every_partition(mock_bus):
    """Also those that it is not given: another member that begins at the same time takes none of them for one that was added later."""
    bus = mock_bus(4)
    bus.put({"n": 1}, partition=3)
    one, two = (bus.subscribe(members="many", start="now") for _ in range(2))

    def shared():
        for each in (one, two):
            each.take(10, 0.01)
        return len(one._lanes.next) == len(two._lanes.next) == 2

    until(shared, 0)
    assert {lane: step.next for lane, step in bus.book.lanes.items()} == {f"{bus.topic}/{n}": n == 3 for n in range(4)}
