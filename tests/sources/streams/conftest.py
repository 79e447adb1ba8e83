"""Every broker that the contract is tested on, as a subscription's caller sees it."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from servers.kafka import new_name
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.messages.message import place_of
from smartico_sync.errors import SyncError
from smartico_sync.sources.registry import open_stream
from smartico_sync.sources.stream import Feed

BROKERS = [
    pytest.param("kafka_mock"),
    pytest.param("kafka_mock_groups", marks=pytest.mark.slow),
    pytest.param("kafka_broker", marks=pytest.mark.slow),
]


class Book:
    """A keeper that remembers, as the state does."""

    def __init__(self):
        self.lanes, self.drained, self.gone, self.released_lanes = {}, 0, 0, []

    def known(self):
        return dict(self.lanes)

    def begin(self, steps):
        for step in steps:
            assert (self.lanes[step.lane].next if step.lane in self.lanes else None) == step.expected
            self.lanes[step.lane] = replace(step, expected=step.next)

    def drain(self):
        self.drained += 1

    def released(self, lanes):
        self.released_lanes += lanes

    def lost(self):
        self.gone += 1

    def reach(self, messages):
        for message in messages:
            at = message.offset + 1
            self.lanes[message.lane] = replace(self.lanes[message.lane], expected=at, next=at)


class Bus:
    """One topic of one test's own, and whoever reads it."""

    def __init__(self, server, partitions=1):
        self.server = server
        self.topic = server.topic(new_name(), partitions)
        self.stream = open_stream("bus", SourceConfig.model_validate({"url": f"{server.url}?{server.member}"}))
        self.book, self.open = Book(), []

    def put(self, *values, partition=0, **more):
        bodies = [value if isinstance(value, bytes | None) else json.dumps(value).encode() for value in values]
        self.server.put(self.topic, *bodies, partition=partition, **more)

    def feed(self, **more):
        chosen = {"names": (self.topic,), "group": f"g.{self.topic}", "state": "state-1", **more}
        return Feed("bets", **chosen)

    def subscribe(self, book=None, **more):
        self.open.append(self.stream.subscribe(self.feed(**more), book or self.book))
        return self.open[-1]

    def close(self):
        for subscription in self.open:
            subscription.close()


@pytest.fixture(params=BROKERS)
def server(request):
    """A broker."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def bus(server):
    """Make a topic: `bus(partitions)`."""
    made = []

    def make(partitions=1):
        made.append(Bus(server, partitions))
        return made[-1]

    yield make
    for each in made:
        each.close()


def taken(subscription, count):
    """So many messages, in the order in which they come."""
    found = []
    while len(found) < count:
        found += subscription.take(100, 0.2).messages
    return found


def drained(subscription):
    """All messages up to the end."""
    found = []
    while True:
        page = subscription.take(100, 0.2)
        found += page.messages
        if not page.messages and subscription.level == "level":
            return found


def failure(subscription):
    """What a subscription ends with."""
    while True:
        try:
            subscription.take(100, 0.2)
        except SyncError as error:
            return error


def places(messages):
    return [place_of(message) for message in messages]
