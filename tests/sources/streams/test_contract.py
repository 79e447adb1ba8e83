"""What every broker promises, whoever asks."""

from __future__ import annotations

import time

import pytest

from smartico_sync.config.models import SourceConfig
from smartico_sync.core.messages.message import Messages
from smartico_sync.errors import SourceUnreachable, SyncError, ViewBroken
from smartico_sync.sources.registry import open_stream
from smartico_sync.sources.stream import Page
from waiting import until

from .conftest import Book, drained, places, taken


def test_messages_come_in_the_order_of_their_lane(bus):
    """Each once, with its place, its time, its key and its body."""
    made = bus(2)
    began = time.time() * 1000 - 1000
    made.put(*({"n": n} for n in range(50)), key=b"k", partition=0)
    made.put(*({"n": n} for n in range(30)), partition=1)
    found = drained(made.subscribe())
    for partition, count in ((0, 50), (1, 30)):
        mine = [message for message in found if message.lane == f"{made.topic}/{partition}"]
        assert [message.offset for message in mine] == list(range(count))
        assert [message.value for message in mine] == [b'{"n": %d}' % n for n in range(count)]
        assert all(began < message.time_ms < began + 60_000 for message in mine)
    assert {message.key for message in found if message.lane.endswith("/0")} == {b"k"}


def test_large_messages_come_in_small_pages(bus, monkeypatch):
    """No page has more bytes than are worked with at once, but for a message that is larger by itself; none is left out."""
    monkeypatch.setattr("smartico_sync.core.messages.message.PAGE_BYTES", 20_000)
    made = bus(2)
    for partition in (0, 1):
        made.put(*({"n": n, "s": "x" * (30_000 if n == 7 else 3_000)} for n in range(20)), partition=partition)
    subscription, pages = made.subscribe(), []
    until(lambda: (pages.append(subscription.take(100, 0.2).messages), sum(map(len, pages)) == 40)[1])
    assert all(page.size <= 20_000 or len(page) == 1 for page in pages)
    for lane in (f"{made.topic}/0", f"{made.topic}/1"):
        assert [each.offset for page in pages for each in page if each.lane == lane] == list(range(20))


def test_headers_come_where_they_are_read(bus):
    """And cost nothing where they are not."""
    made = bus()
    made.put({"n": 1}, headers={"type": b"CASINO"})
    (message,) = drained(made.subscribe(needs=frozenset({"headers"})))
    assert message.headers == {"type": b"CASINO"}
    other = Book()
    (message,) = drained(made.subscribe(other, group=f"h.{made.topic}"))
    assert message.headers == {}


def test_a_tombstone_has_no_body(bus):
    """And is a message."""
    made = bus()
    made.put(None, key=b"k")
    (message,) = drained(made.subscribe())
    assert message.value is None


def test_who_subscribes_anew_goes_on_where_its_state_says(bus):
    """Whatever the broker has heard of: what was taken and not committed comes again."""
    made = bus()
    made.put(*({"n": n} for n in range(10)))
    first = made.subscribe()
    found = taken(first, 10)
    made.book.reach(found[:4])
    first.commit(Page(Messages.of(found[:4])), frozenset())
    first.close()
    assert [message.offset for message in drained(made.subscribe())] == list(range(4, 10))


def test_a_new_state_begins_where_its_feed_says(bus):
    """First, or now: what was there is left out, and what comes is not."""
    made = bus()
    if made.server.ends == "wrong":
        pytest.skip("this broker tells wrong ends of topics")
    made.put({"n": 0}, {"n": 1})
    subscription = made.subscribe(start="now")
    while subscription.level == "behind":
        assert not subscription.take(100, 0.2).messages
    subscription.close()
    assert made.book.lanes[f"{made.topic}/0"].next == 2
    made.put({"n": 2})
    assert [message.offset for message in drained(made.subscribe(start="now"))] == [2]


def test_another_daemon_s_group_is_gone_on_from(bus):
    """A state that knows nothing, or less, takes what the broker says of a group that another state has moved on."""
    made = bus()
    made.put(*({"n": n} for n in range(6)))
    former = made.subscribe(state="state-0")
    found = taken(former, 6)[:4]
    made.book.reach(found)
    former.commit(Page(Messages.of(found)), frozenset())
    former.close()
    assert [message.offset for message in drained(made.subscribe(Book(), state="state-1"))] == [4, 5]


def test_a_pause_brings_nothing_and_loses_nothing(bus):
    """The membership is kept by asking on; what comes meanwhile comes afterwards, in order."""
    made = bus()
    made.put({"n": 0})
    subscription = made.subscribe()
    assert len(taken(subscription, 1)) == 1
    subscription.pause()
    made.put(*({"n": n} for n in range(1, 20)))
    for _ in range(5):
        assert not subscription.take(0, 0.05).messages
    subscription.resume()
    assert [message.offset for message in taken(subscription, 19)] == list(range(1, 20))


def test_places_are_read_again(bus):
    """In any order, also far from each other; what is not there is left out."""
    made = bus(2)
    made.put(*({"n": n} for n in range(1200)), partition=0)
    made.put({"n": 0}, partition=1)
    subscription = made.subscribe()
    wanted = [f"{made.topic}/0@{n}" for n in (1199, 3, 4, 700)] + [f"{made.topic}/1@0", f"{made.topic}/1@9"]
    found = subscription.again(wanted)
    assert sorted(places(found)) == sorted(wanted[:5])
    assert sorted(places(subscription.again(wanted[:1]))) == wanted[:1]


def test_what_waits_is_told(bus):
    """In messages, lane by lane, and when the last that was read was written."""
    made = bus()
    made.put({"n": 0})
    subscription = made.subscribe()
    taken(subscription, 1)
    drained(subscription)

    def told():
        subscription.take(100, 0.05)
        return [lag for lag in subscription.standing().lanes if lag.time_ms]

    until(told)
    (lag,) = subscription.standing().lanes
    assert (lag.lane, lag.messages) == (f"{made.topic}/0", 0)


def test_a_topic_that_is_not_there_breaks_the_view(bus):
    """It is said at once, by name."""
    made = bus()
    with pytest.raises(ViewBroken, match=r"no\.such\.topic"):
        made.subscribe(names=("no.such.topic",))


def test_a_pattern_finds_topics(bus, server):
    """Those that are called like it, and no others."""
    one, other = bus(), bus()
    one.put({"n": 1})
    other.put({"n": 2})
    found = drained(one.subscribe(names=(one.topic.replace(".", r"\."),), named_by="pattern"))
    assert {message.lane for message in found} == {f"{one.topic}/0"}


def test_a_pattern_is_one_of_python_s(bus, server):
    """Found anywhere in a name, with classes and groups that the client's own patterns do not have."""
    made = bus()
    made.put({"n": 1})
    part = made.topic.partition(".")[2]
    found = drained(made.subscribe(names=(rf"(?:\w*)\.{part[:-1]}\S$",), named_by="pattern"))
    assert [message.value for message in found] == [b'{"n": 1}']


def test_samples_are_the_newest(bus):
    """Without moving anybody."""
    made = bus()
    made.put(*({"n": n} for n in range(300)))
    found = made.stream.sample(made.feed(), 20)
    assert len(found) == 20
    if made.server.ends == "right":
        assert [message.offset for message in found] == list(range(280, 300))


def test_nobody_there_is_said(monkeypatch):
    """A port that nobody listens on."""
    monkeypatch.setattr("smartico_sync.sources.kafka.ASK_S", 0.3)
    stream = open_stream("bus", SourceConfig.model_validate({"url": "kafka://127.0.0.1:9"}))
    with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1:9"):
        stream.facts()


@pytest.mark.slow
def test_lanes_go_to_a_second_member_after_a_drain(bus):
    """Both read, each message once, and what the first had is drained first."""
    made = bus(2)
    first, second = made.subscribe(state="a"), None
    drained(first)
    other = Book()
    second = made.subscribe(other, state="b")
    while not other.lanes or not (made.book.drained or made.book.gone):
        first.take(100, 0.05)
        second.take(100, 0.05)
    made.put({"n": 0}, partition=0)
    made.put({"n": 1}, partition=1)
    found = set()
    while len(found) < 2:
        found |= {*places(first.take(100, 0.05).messages), *places(second.take(100, 0.05).messages)}
    assert found == {f"{made.topic}/0@0", f"{made.topic}/1@0"}


@pytest.mark.slow
def test_profiles_are_not_shared(bus):
    """With a state of its own, a member that is given some of the lanes halts."""
    made = bus(2)
    first = made.subscribe(state="a")
    drained(first)
    second = made.subscribe(Book(), state="b", members="alone")
    error = None
    while error is None:
        first.take(100, 0.05)
        try:
            second.take(100, 0.05)
        except SyncError as caught:
            error = caught
    assert "another member" in str(error)
