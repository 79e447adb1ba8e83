"""What is RabbitMQ's own: what a queue gives once, gives again, and must never lose. On a real broker."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time

import pytest
from pika.exceptions import IncompatibleProtocolError

from servers.certificates import Authority
from servers.gateway import pump
from servers.plain import PlainServer
from smartico_sync.cli.rewind_messages import time_of
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.messages.message import place_of
from smartico_sync.core.records import LaneStep
from smartico_sync.errors import (
    ConfigError,
    MessagesLost,
    SourceRefused,
    SourceUnreachable,
    SyncError,
    ViewBroken,
    ViewMisconfigured,
    ViewRegressed,
)
from smartico_sync.sources.rabbitmq import held_messages, other_consumers
from smartico_sync.sources.rabbitmq import subscription as subscriptions
from smartico_sync.sources.rabbitmq.failures import failure_of
from smartico_sync.sources.rabbitmq.settings import settings_of
from smartico_sync.sources.registry import open_stream
from smartico_sync.sources.stream import Feed
from waiting import until

from .conftest import Book, drained, failure, taken

real = [pytest.mark.slow, pytest.mark.timeout(180)]  # the broker alone takes ten seconds to start
KINDS = ("classic", "quorum", "stream")


class Kept(Book):
    """A keeper that also remembers what it was given to keep, and what comes again."""

    def __init__(self):
        super().__init__()
        self.kept, self.again = [], []

    def returning(self, lanes):
        self.again.append(tuple(lanes))

    def keep(self, messages):
        self.kept += messages


class Rabbits:
    """One queue of one test's own, and whoever reads it."""

    def __init__(self, server, kind="classic", *, port=None, options=None, heartbeat=60, **arguments):
        self.server, self.kind = server, kind
        self.queue = server.queue(kind, **arguments)
        config = {"url": server.url(port, heartbeat=heartbeat), "options": options or {}}
        self.stream = open_stream("mq", SourceConfig.model_validate(config))
        self.book, self.open = Kept(), []

    def put(self, *values, **properties):
        bodies = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
        self.server.put(self.queue, *bodies, **properties)

    def feed(self, **more):
        return Feed("bets", **{"names": (self.queue,), "group": "g", "state": "s", **more})

    def subscribe(self, book=None, **more):
        self.open.append(self.stream.subscribe(self.feed(**more), book or self.book))
        return self.open[-1]

    def close(self):
        for subscription in self.open:
            subscription.close()


@pytest.fixture
def rabbits(rabbitmq):
    """Make a queue: `rabbits(kind)`."""
    made = []

    def make(kind="classic", **more):
        made.append(Rabbits(rabbitmq, kind, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


def page_of(subscription, count):
    """One page of so many messages: they are all there before it is taken."""
    until(lambda: (subscription.take(0, 0.0), len(subscription._received) >= count)[1], 0.02)
    page = subscription.take(count, 1)
    assert len(page.messages) == count
    return page


def committed(subscription, count):
    """So many messages at least, page by page, each committed."""
    found = []
    while len(found) < count:
        page = subscription.take(100, 0.2)
        found += page.messages
        subscription.commit(page, frozenset())
    return found


def numbers(messages):
    return [json.loads(message.value)["n"] for message in messages]


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    """Classic, quorum and stream queues."""

    pytestmark = real

    def test_messages_come_in_order_with_what_is_read_of_them(self, rabbits, kind):
        """Each once, with its time, its headers and its properties where they are read; level at the end."""
        made = rabbits(kind)
        made.put(
            *({"n": n} for n in range(500)), type="CASINO", timestamp=1_700_000_000, headers={"brand": "b", "raw": b"x"}
        )
        found = drained(made.subscribe(needs=frozenset({"headers", "properties"})))
        assert numbers(found) == list(range(500))
        offsets = [message.offset for message in found]
        assert offsets == sorted(set(offsets))
        assert {(message.lane, message.time_ms, message.key) for message in found} == {
            (made.queue, 1_700_000_000_000, None)
        }
        assert found[0].properties["type"] == "CASINO"
        assert (found[0].headers["brand"], found[0].headers["raw"]) == ("b", b"x")
        other = drained(made.subscribe(Kept())) if kind == "stream" else []
        assert {len(message.headers) + len(message.properties) for message in other} <= {0}

    def test_who_subscribes_anew_gets_what_was_not_committed(self, rabbits, kind):
        """In its order, under places that no message had before, or as before in a stream; what is committed never comes again."""
        made = rabbits(kind)
        made.put(*({"n": n} for n in range(50)))
        first = made.subscribe()
        page = page_of(first, 20)
        made.book.reach(page.messages)
        first.commit(page, frozenset())
        second = first.take(100, 1)
        first.close()
        found = drained(made.subscribe())
        assert numbers(found) == list(range(20, 50))
        if kind != "stream":
            assert not {place_of(message) for message in page.messages} & {place_of(message) for message in found}
            assert made.book.again == [(made.queue,), (made.queue,)]
        else:
            assert made.book.again == [(), ()]
            assert {place_of(message) for message in second.messages} <= {place_of(message) for message in found}

    def test_what_waits_is_told(self, rabbits, kind):
        """While it is read, and beside a daemon."""
        made = rabbits(kind)
        made.put(*({"n": n} for n in range(7)))

        def counted():
            (lag,) = made.stream.lags(made.feed(), {})
            return lag.messages == 7

        until(counted)
        subscription = made.subscribe()
        assert len(drained(subscription)) == 7
        assert subscription.standing().lanes[0].messages == 0
        assert subscription.level == "level"

    def test_nothing_is_moved_by_looking(self, rabbits, kind):
        """Samples, remarks and counts leave every message where it is, undelivered."""
        made = rabbits(kind)
        made.put(*({"n": n} for n in range(30)))
        until(lambda: made.server.waiting(made.queue) == 30)
        sample = made.stream.sample(made.feed(), 10)
        assert numbers(sample) == (list(range(20, 30)) if kind == "stream" else [])
        said = " ".join(remark.message for remark in made.stream.remarks(made.feed()))
        assert f"is a {kind} queue with 30 messages" in said
        assert ("shows no message" in said) == (kind != "stream")
        found = drained(made.subscribe())
        assert numbers(found) == list(range(30))
        assert made.open[-1].standing().deliveries == 1


@pytest.mark.parametrize("kind", ["classic", "quorum"])
class TestQueues:
    """What is open at the broker."""

    pytestmark = real

    def test_what_waits_stays_open_and_the_rest_is_forgotten(self, rabbits, kind):
        """Also behind it; it is given back for another try, and forgotten once it is settled."""
        made = rabbits(kind)
        made.put(*({"n": n} for n in range(20)))
        subscription = made.subscribe()
        page = page_of(subscription, 10)
        waiting = [place_of(page.messages[n]) for n in (3, 6)]
        subscription.commit(page, frozenset(waiting))
        rest = page_of(subscription, 10)
        subscription.commit(rest, frozenset({place_of(rest.messages[9])}))
        assert numbers(subscription.again([*waiting, "no@1"])) == [3, 6]
        subscription.settled(waiting[:1])
        assert numbers(subscription.again(waiting)) == [6]
        subscription.close()
        until(lambda: made.server.waiting(made.queue) == 2)
        assert numbers(map(as_message, made.server.bodies(made.queue))) == [6, 19]

    def test_a_time_in_another_unit_is_none(self, rabbits, kind):
        """Seconds are meant; a message of a producer that counts in milliseconds is as old as its arrival."""
        made, before = rabbits(kind), round(time.time() * 1000)
        made.put({"n": 0}, timestamp=1_769_860_800)
        made.put({"n": 1}, timestamp=1_769_860_800_000)
        made.put({"n": 2}, timestamp=(1 << 64) - 1)
        told, *others = (message.time_ms for message in committed(made.subscribe(), 3))
        assert told == 1_769_860_800_000
        assert all(before <= time_ms <= time.time() * 1000 + 1 for time_ms in others)

    def test_three_stops_keep_the_order(self, rabbits, kind):
        """Messages that were fetched and not read go back to where they were."""
        made = rabbits(kind)
        made.put(*({"n": n} for n in range(1, 51)))
        found = []
        for _ in range(3):
            subscription = made.subscribe()
            page = page_of(subscription, 12)
            found += numbers(page.messages)
            made.book.reach(page.messages)
            subscription.commit(page, frozenset())
            subscription.close()
        assert found + numbers(drained(made.subscribe())) == list(range(1, 51))

    def test_what_is_given_up_goes_to_the_dead_letter_exchange(self, rabbits, kind):
        """Where the view says so: that message, as it was, and no other."""
        made = rabbits(kind)
        dead = made.server.queue()
        made.server.owner().queue_delete(made.queue)
        made.server.queue(kind, made.queue, dead_letter_exchange="", dead_letter_routing_key=dead)
        made.put(*({"n": n} for n in range(5)))
        subscription = made.subscribe(dead_letters="broker")
        page = page_of(subscription, 5)
        subscription.give_up([place_of(page.messages[1])])
        subscription.commit(page, frozenset({place_of(page.messages[3])}))
        subscription.give_up([place_of(page.messages[3])])
        subscription.settled([place_of(page.messages[3])])
        until(lambda: made.server.waiting(dead) == 2)
        subscription.close()
        assert numbers(map(as_message, made.server.bodies(dead))) == [1, 3]
        assert made.server.waiting(made.queue) == 0

    def test_what_is_parked_for_long_is_kept_by_the_state(self, rabbits, kind, monkeypatch):
        """Before the broker loses its patience with whoever holds it open."""
        monkeypatch.setattr(held_messages, "HELD_S", 0.0)
        made = rabbits(kind)
        made.put({"n": 0}, {"n": 1})
        subscription = made.subscribe()
        page = page_of(subscription, 2)
        subscription.commit(page, frozenset({place_of(page.messages[0])}))

        def kept():
            subscription.take(10, 0.1)
            return made.book.kept

        until(kept)
        assert numbers(made.book.kept) == [0]
        assert subscription.again([place_of(page.messages[0])]) == []
        subscription.close()
        assert made.server.waiting(made.queue) == 0

    @pytest.mark.parametrize("prefetch", [1, 6])
    def test_what_waits_leaves_room_for_what_is_behind_it(self, rabbits, kind, prefetch, monkeypatch):
        """However much it is: the state keeps the first of it, and the broker goes on."""
        monkeypatch.setattr(subscriptions, "LOOK_S", 0.0)
        made = rabbits(kind, options={"prefetch": str(prefetch)})
        made.put(*({"n": n} for n in range(10)))
        subscription, found = made.subscribe(), []

        def all_came():
            page = subscription.take(100, 0.1)
            found.extend(page.messages)
            subscription.commit(page, frozenset(map(place_of, page.messages)))
            return len(found) == 10

        until(all_came)
        subscription.take(0, 0.0)
        assert numbers(found) == list(range(10))
        held = subscription.again([place_of(message) for message in found])
        assert numbers([*made.book.kept, *held]) == list(range(10))
        assert len(held) == prefetch // 3
        subscription.close()
        until(lambda: made.server.waiting(made.queue) == len(held))

    def test_large_messages_come_in_small_pages(self, rabbits, kind, monkeypatch):
        """No page has more bytes than are worked with at once, but for a message that is larger by itself."""
        for name in "core.messages.message", "sources.rabbitmq.subscription":
            monkeypatch.setattr(f"smartico_sync.{name}.PAGE_BYTES", 20_000)
        made = rabbits(kind)
        made.put(*({"n": n, "s": "x" * (30_000 if n == 7 else 3_000)} for n in range(30)))
        subscription, pages = made.subscribe(), []
        until(lambda: (pages.append(subscription.take(100, 0.2)), sum(len(page.messages) for page in pages) == 30)[1])
        assert all(page.messages.size <= 20_000 or len(page.messages) == 1 for page in pages if page.messages)
        assert numbers([each for page in pages for each in page.messages]) == list(range(30))
        for page in pages:
            subscription.commit(page, frozenset())
        until(lambda: (subscription.take(0, 0.0), made.server.waiting(made.queue) == 0)[1])

    def test_large_messages_that_wait_for_the_api_are_given_back_and_fewer_are_fetched_from_then_on(
        self, rabbits, kind, monkeypatch
    ):
        """What waits here is bounded in bytes, too; nothing is lost by it, and the note names the prefetch that fits."""
        monkeypatch.setattr(subscriptions, "LARGE_BYTES", 60_000)
        monkeypatch.setattr(subscriptions, "LOOK_S", 0.0)
        made = rabbits(kind)
        made.put(*({"n": n, "s": "x" * 3_000} for n in range(40)))
        subscription = made.subscribe()
        page = page_of(subscription, 10)
        until(lambda: (subscription.take(0, 0.05), subscription.standing().notes)[1])
        (note,) = subscription.standing().notes
        assert "prefetch: 9" in note
        until(lambda: made.server.waiting(made.queue) == 40)
        subscription.commit(page, frozenset())
        subscription.take(10, 0.01)
        assert made.book.gone
        again = made.subscribe()
        page = page_of(again, 9)
        until(lambda: made.server.waiting(made.queue) == 31)
        again.commit(page, frozenset())
        assert numbers([*page.messages, *committed(again, 31)]) == list(range(40))

    def test_while_the_api_takes_nothing_for_long_all_is_given_back_once(self, rabbits, kind, monkeypatch):
        """Then nothing is open or delivered, until it takes events again; the view begins anew then."""
        monkeypatch.setattr(subscriptions, "GIVEN_BACK_S", 0.0)
        made = rabbits(kind)
        made.put(*({"n": n} for n in range(8)))
        subscription = made.subscribe()
        page = page_of(subscription, 8)
        until(lambda: (subscription.take(0, 0.05), made.server.consumers(made.queue) == 0)[1])
        for _ in range(5):
            assert not subscription.take(10, 0.01).messages
        assert made.server.waiting(made.queue) == 8
        assert not made.book.gone
        subscription.commit(page, frozenset())
        subscription.take(10, 0.01)
        assert made.book.gone
        assert any("given back" in note for note in subscription.standing().notes)

    def test_profiles_are_read_alone(self, rabbits, kind, monkeypatch):
        """Beside another consumer they are refused, at the start and when one shows up."""
        monkeypatch.setattr(other_consumers, "FREED_S", 0.2)
        profiles = {"keyed": "player", "members": "alone", "older": "told"}
        made = rabbits(kind)
        subscription = made.subscribe(**profiles)
        with pytest.raises(ViewMisconfigured, match="2 consumers"):
            made.subscribe(Kept(), **profiles)
        other = made.server.owner()
        other.basic_consume(made.queue, lambda *_: None)
        error = failure(subscription)
        assert isinstance(error, ViewMisconfigured)
        assert "profiles need one alone" in error.message
        other.close()

    def test_a_second_consumer_of_transactions_is_told(self, rabbits, kind):
        """Their order is no longer certain."""
        made = rabbits(kind)
        subscription, other = made.subscribe(), made.subscribe(Kept())

        def told():
            subscription.take(10, 0.1)
            other.take(10, 0.0)
            return subscription.standing().notes

        until(told)
        assert "x-single-active-consumer" in told()[0]

    def test_the_next_consumer_goes_on_in_order(self, rabbits, kind):
        """With a single active consumer: what the first had open comes to the second before all that is behind it."""
        made = rabbits(kind, single_active_consumer=True, options={"prefetch": "3000"})
        subscription, standby = made.subscribe(), made.subscribe(Kept())
        made.put(*({"n": n} for n in range(3000)))
        found = committed(subscription, 100)
        assert not standby.take(10, 0.1).messages
        subscription.take(100, 1)
        made.put(*({"n": n} for n in range(3000, 4500)))
        subscription.close()
        found += committed(standby, 4500 - len(found))
        assert numbers(found) == list(range(4500))

    def test_what_a_queue_cannot_promise_is_refused(self, rabbits, kind):
        """Profiles without a version, events without a key, a start elsewhere than at what waits, patterns, times."""
        made = rabbits(kind)
        for wrong, word in (
            ({"keyed": "player"}, "`version:`"),
            ({"known_by": "place"}, "`key:`"),
            ({"start": "now"}, "`start_from`"),
            ({"named_by": "pattern"}, "`relation`"),
        ):
            with pytest.raises(ViewMisconfigured) as caught:
                made.subscribe(**wrong)
            assert word in caught.value.hint
        for asked in (lambda: made.stream.at(made.feed(), 0), lambda: made.stream.between(made.feed(), 0, 1)):
            with pytest.raises(ViewMisconfigured, match="each message once"):
                asked()

    def test_two_views_need_two_queues(self, rabbits, kind):
        """Each would get a part of the messages, and pass over what is meant for the other: neither is begun."""
        made = rabbits(kind)
        with pytest.raises(ViewMisconfigured, match="view other reads it too"):
            made.subscribe(others={made.queue: "other"})
        with pytest.raises(ViewMisconfigured, match="view other reads it too"):
            list(made.stream.remarks(made.feed(others={made.queue: "other"})))


def as_message(body):
    """A body as something that has one."""
    return type("Body", (), {"value": body})


class TestBroken:
    """Connections that end, and what is said then."""

    pytestmark = real

    def test_deliveries_are_counted_against_the_limit(self, rabbits):
        """With a warning at half of it: a broken connection counts as a delivery of everything that was fetched."""
        made = rabbits("quorum", options={"delivery_limit": "6"}, delivery_limit=6)
        made.put({"n": 0})
        for count in range(1, 4):
            subscription = made.subscribe()
            page = page_of(subscription, 1)
            standing = subscription.standing()
            assert standing.deliveries == count
            assert bool(standing.notes) == (count == 3)
            subscription.close()
        assert "after 6 the broker gives it up" in standing.notes[0]
        assert numbers(page.messages) == [0]

    def test_a_connection_that_breaks_is_said_and_nothing_is_lost(self, rabbits, proxied, rabbitmq):
        """All that was not committed comes again."""
        proxy = proxied(rabbitmq.port)
        made = rabbits(port=proxy.port)
        made.put(*({"n": n} for n in range(10)))
        subscription = made.subscribe()
        page = page_of(subscription, 10)
        proxy.drop()
        assert isinstance(failure(subscription), SourceUnreachable)
        subscription.commit(page, frozenset())  # too late, and no failure
        assert numbers(drained(made.subscribe())) == list(range(10))

    def test_a_silent_network_is_noticed_by_the_heartbeat(self, rabbits, proxied, rabbitmq):
        """Nothing is refused, and nothing answers."""
        proxy = proxied(rabbitmq.port)
        made = rabbits(port=proxy.port, heartbeat=5)
        subscription = made.subscribe()
        proxy.black_hole()
        assert isinstance(failure(subscription), SourceUnreachable)

    def test_a_queue_that_is_deleted_is_said(self, rabbits):
        """By the broker's cancellation; then it is not there."""
        made = rabbits()
        subscription = made.subscribe()
        made.server.owner().queue_delete(made.queue)
        error = failure(subscription)
        assert isinstance(error, SyncError)
        with pytest.raises(ViewBroken, match="no such queue"):
            made.subscribe()

    def test_a_channel_that_the_broker_closed_is_noticed(self, rabbits):
        """The client itself reads nothing and says nothing then."""
        made = rabbits()
        subscription = made.subscribe()
        subscription._channel.basic_ack(4711)  # as any fault of a channel: it is closed at once
        assert isinstance(failure(subscription), SourceUnreachable)

    def test_who_may_not_is_told_what_is_missing(self, rabbitmq, rabbits):
        """A wrong password, a virtual host and a queue that the user may not use; nobody there; no secret in any of it."""
        made = rabbits()
        rabbitmq.ask("PUT", "users/reader", {"password": "hunter2", "tags": ""})
        host = f"127.0.0.1:{rabbitmq.port}"
        for url, kind, said in (
            (f"amqp://reader:wrong@{host}", SourceRefused, "refuses the login"),
            (f"amqp://reader:hunter2@{host}", SourceRefused, "virtual host"),
            ("amqp://reader:hunter2@127.0.0.1:9", SourceUnreachable, "nobody answers"),
        ):
            stream = open_stream("mq", SourceConfig.model_validate({"url": url}))
            with pytest.raises(kind) as caught:
                stream.facts()
            assert said in caught.value.message + caught.value.hint
            assert "hunter2" not in caught.value.message + caught.value.hint
        rabbitmq.ask("PUT", "permissions/%2F/reader", {"configure": "", "write": "", "read": "^other$"})
        stream = open_stream("mq", SourceConfig.model_validate({"url": f"amqp://reader:hunter2@{host}"}))
        with pytest.raises(SourceRefused, match="may not read"):
            stream.subscribe(made.feed(), Kept())
        rabbitmq.ask("PUT", "permissions/%2F/reader", {"configure": "", "write": "", "read": ".*"})
        made.put({"n": 0})
        subscription = stream.subscribe(made.feed(), Kept())
        assert numbers(drained(subscription)) == [0]  # to read is all that it needs
        subscription.close()

    def test_the_next_host_is_tried(self, rabbitmq):
        """In the order in which they are written."""
        host = f"127.0.0.1:9,127.0.0.1:{rabbitmq.port}"
        stream = open_stream("mq", SourceConfig.model_validate({"url": f"amqp://{rabbitmq.user}@{host}"}))
        assert stream.facts().version

    def test_tls_with_certificates_on_both_sides(self, rabbitmq, tmp_path):
        """The broker's is checked by its name, and ours is shown."""
        authority = Authority(tmp_path)
        pair, own = authority.issue("broker", address="127.0.0.1"), authority.issue("daemon")
        seen = []

        def serve(peer):
            seen.append(peer.sock.getpeercert())

        context = pair.tls()
        context.load_verify_locations(authority.certificate)
        context.verify_mode = 2  # ours is required
        front = PlainServer(serve, context)
        options = {"ca": str(authority.certificate), "certificate": str(own.certificate), "key_file": str(own.key)}
        stream = open_stream(
            "mq", SourceConfig.model_validate({"url": f"amqps://127.0.0.1:{front.port}", "options": options})
        )
        with pytest.raises(SourceUnreachable):  # behind the handshake nobody speaks AMQP
            stream.facts()
        front.close()
        assert any("daemon" in str(each) for each in seen)

    def test_messages_come_through_tls(self, rabbits, rabbitmq, tmp_path):
        """A whole session, which shows a certificate of ours; nobody comes in without one, or believes another authority's."""
        authority, other = Authority(tmp_path), Authority(tmp_path, "other")
        context = authority.issue("broker", address="127.0.0.1").tls()
        context.load_verify_locations(authority.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        own = authority.issue("daemon")
        front = Gate(rabbitmq.port, context)
        made = rabbits()
        made.put(*({"n": n} for n in range(30)))
        shown = {"ca": str(authority.certificate), "certificate": str(own.certificate), "key_file": str(own.key)}

        def stream(options):
            url = f"amqps://{rabbitmq.user}@127.0.0.1:{front.port}"
            return open_stream("mq", SourceConfig.model_validate({"url": url, "options": options}))

        subscription = stream(shown).subscribe(made.feed(), Kept())
        assert numbers(drained(subscription)) == list(range(30))
        subscription.close()
        for options in ({"ca": shown["ca"]}, {**shown, "ca": str(other.certificate)}):
            with pytest.raises(SyncError) as caught:
                stream(options).facts()
            assert rabbitmq.address.password not in caught.value.message
        front.close()


class Gate(PlainServer):
    """TLS before a broker on a port of this machine."""

    def __init__(self, target, context):
        super().__init__(lambda peer: self._join(peer, target), context)

    def _join(self, peer, target):
        broker = socket.create_connection(("127.0.0.1", target))
        self._open.append(broker)
        threading.Thread(target=pump, args=(broker, peer.sock), daemon=True).start()
        pump(peer.sock, broker)


class TestStreams:
    """Streams have places of their own."""

    pytestmark = real

    def test_they_begin_where_the_view_says(self, rabbits):
        """Now, or at a time."""
        made = rabbits("stream")
        made.put({"n": 0}, {"n": 1})
        until(lambda: made.server.waiting(made.queue) == 2)
        subscription = made.subscribe(start="now")
        assert made.book.lanes[made.queue].next == 2
        made.put({"n": 2})
        assert numbers(taken(subscription, 1)) == [2]
        early = Kept()
        assert numbers(drained(made.subscribe(early, start=int(time.time() * 1000) - 3_600_000))) == [0, 1, 2]
        late = Kept()
        made.subscribe(late, start=int(time.time() * 1000) + 3_600_000)
        assert late.lanes[made.queue].next == 3

    def test_without_a_key_a_message_needs_a_time(self, rabbits):
        """Its place alone may come again, in a stream that is declared anew."""
        made = rabbits("stream")
        made.put({"n": 0}, timestamp=1_700_000_000)
        subscription = made.subscribe(known_by="place")
        assert numbers(taken(subscription, 1)) == [0]
        made.put({"n": 1})
        assert "no timestamp" in failure(subscription).message

    def test_one_that_was_declared_anew_is_said(self, rabbits):
        """What was read lies behind its end: it would send nothing, and say nothing."""
        made = rabbits("stream")
        made.put({"n": 0})
        made.book.lanes[made.queue] = LaneStep(made.queue, 50, 50)
        with pytest.raises(ViewRegressed, match="49 was read already"):
            made.subscribe()

    def test_one_that_lost_its_end_and_grew_again_is_said(self, rabbits, rabbitmq):
        """A later message stands where one was read: going on from a place alone would never read those before it."""
        made = rabbits("stream")
        made.put(*({"n": n} for n in range(5)))
        page = page_of(made.subscribe(), 5)
        mark = page.epochs[made.queue]
        made.book.lanes[made.queue] = LaneStep(made.queue, 5, 5, mark)
        made.put({"n": 5})
        assert numbers(drained(made.subscribe())) == [5]
        rabbitmq.owner().queue_delete(made.queue)
        rabbitmq.queue("stream", made.queue)
        made.put(*({"n": n} for n in range(10, 20)))
        made.book.lanes[made.queue] = LaneStep(made.queue, 5, 5, mark)
        with pytest.raises(ViewRegressed, match="another message at 4 ") as caught:
            made.subscribe()
        since = re.search(r" --to (\S+Z) ", caught.value.hint)[1]
        (at,) = made.stream.at(made.feed(), time_of(since)).values()
        assert at == 0

    def test_what_was_deleted_unread_stops_the_view_or_is_told(self, rabbits, monkeypatch):
        """From where to where."""
        monkeypatch.setattr("smartico_sync.sources.rabbitmq.beginning.ends", lambda *_: (6, 10))
        made = rabbits("stream")
        made.put(*({"n": n} for n in range(10)))
        made.book.lanes[made.queue] = LaneStep(made.queue, 2, 2)
        with pytest.raises(MessagesLost, match="messages 2 to 5"):
            made.subscribe()
        subscription = made.subscribe(on_gap="continue")
        assert numbers(taken(subscription, 4)) == [6, 7, 8, 9]
        assert subscription.standing().gap_messages == 4


class TestManagement:
    """What AMQP does not tell."""

    pytestmark = real

    def test_check_says_what_is_missing(self, rabbits, rabbitmq):
        """A single active consumer, deliveries enough, an exchange for dead letters, nothing that deletes by age."""
        made = rabbits("quorum", options={"management": rabbitmq.management}, delivery_limit=3, message_ttl=1000)
        said = {
            remark.message.partition(": ")[2] or remark.message: remark
            for remark in made.stream.remarks(made.feed(dead_letters="broker"))
        }
        whole = " ".join(remark.message for remark in said.values())
        for word in (
            "no x-single-active-consumer", "after 3 deliveries", "no dead-letter exchange", "by age or number",
        ):  # fmt: skip
            assert word in whole
        assert [remark.mark for remark in said.values() if "dead-letter" in remark.message] == ["wrong"]
        assert made.queue in made.stream.names()
        fine = rabbits("quorum", options={"management": rabbitmq.management}, single_active_consumer=True)
        assert "single-active" not in " ".join(remark.message for remark in fine.stream.remarks(fine.feed()))


# Without a broker


def settings(url, encryption=None, **options):
    return settings_of("mq", SourceConfig.model_validate({"url": url, "options": options, "encryption": encryption}))


def test_urls_become_settings():
    """Hosts, ports, virtual host, user and password with special characters."""
    made = settings("amqp://sync:p%40ss@mq1,mq2:5673/casino", encryption="off", prefetch="500")
    assert (made.hosts, made.vhost) == ((("mq1", 5672), ("mq2", 5673)), "casino")
    assert (made.user, made.password, made.prefetch, made.heartbeat_s) == ("sync", "p@ss", 500, 30)
    assert made.tls is None
    assert "p@ss" not in repr(made)
    assert settings("amqp://localhost").vhost == "/"
    assert settings("amqp://localhost/%2F").vhost == "/"
    secure = settings("amqp+tls://h")
    assert secure.hosts == (("h", 5671),)
    assert secure.tls.check_hostname


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("amqp:///casino", {}, "names no host"),
        ("amqp://localhost", {"ca": "/ca.pem"}, "certificates are for TLS"),
        ("amqp://localhost", {"prefetch": "0"}, "between 1 and 65535"),
        ("amqp://localhost", {"heartbeat": "soon"}, "heartbeat is not a number"),
        ("amqp://localhost", {"preftech": "1"}, "preftech"),
        ("amqp+tls://h", {"ca": "/no/such/file"}, "cannot be read"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(url, options, said):
    """By name."""
    with pytest.raises(ConfigError, match=said):
        settings(url, **options)


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "certificate required"),
        ("TLSV1_ALERT_UNKNOWN_CA", "unknown ca"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "certificate expired"),
    ],
)
def test_a_certificate_of_ours_that_the_broker_refuses_is_said(alert, said):
    """The client holds it for another protocol, as it is told after the handshake."""
    lost = f"StreamLostError: (\"Stream connection lost: SSLError(1, '[SSL: {alert}] … (_ssl.c:2580)')\",)"
    for error in (IncompatibleProtocolError(lost), ssl.SSLError(1, f"[SSL: {alert}] …")):
        told = failure_of(error, "source mq")
        assert isinstance(told, SourceRefused)
        assert told.message == f"source mq: the broker refuses our certificate: {said}"
        assert "key_file" in told.hint


def test_limits_are_those_of_the_broker_s_version():
    """RabbitMQ 4 has one of its own; a configured one goes before."""
    assert settings("amqp://localhost").deliveries("3.13.7") == 0
    assert settings("amqp://localhost").deliveries("4.0.5") == 20
    assert settings("amqp://localhost", delivery_limit="50").deliveries("4.0.5") == 50
