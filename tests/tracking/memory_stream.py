"""A broker in memory, as the seam has it: what the loop of a view of messages is tested on."""

from __future__ import annotations

import json
from collections import defaultdict

from smartico_sync.core.messages.message import Message, Messages, split_place
from smartico_sync.core.records import LaneStep
from smartico_sync.sources.protocol import ServerFacts
from smartico_sync.sources.stream import Lag, Page, Standing


class MemorySubscription:
    """Takes every lane at its first `take`; `revoke` and `lose` happen at the next."""

    def __init__(self, stream, feed, keeper):
        self.stream, self.feed, self.keeper = stream, feed, keeper
        self.at = None
        self.committed, self.waiting, self.paused, self.closed, self.takes = [], [], 0, False, 0
        self.next_event = None

    @property
    def level(self):
        return "level" if self.at is not None and self.left() == 0 else "behind"

    def left(self):
        return sum(max(0, len(log) - self.at.get(lane, 0)) for lane, log in self.stream.lanes.items())

    def assign(self):
        known = self.keeper.known()
        first = {lane: 0 if self.feed.start == "first" else len(log) for lane, log in self.stream.lanes.items()}
        steps = [known.get(lane) or LaneStep(lane, None, first[lane], self.stream.epoch) for lane in self.stream.lanes]
        self.keeper.begin(steps)
        self.at = {step.lane: step.next for step in steps}

    def take(self, limit, wait_s):
        self.takes += 1
        if self.stream.failing:
            raise self.stream.failing.pop()
        if self.at is None:
            self.assign()
        if self.next_event is not None:
            event, self.next_event = self.next_event, None
            event(self.keeper)
            self.assign()
            return Page()
        if self.paused or not limit:
            return Page()
        found = []
        for lane, log in self.stream.lanes.items():
            some = log[self.at[lane] : self.at[lane] + limit - len(found)]
            found += some
            self.at[lane] += len(some)
        if not found:
            self.stream.idle(wait_s)
        return Page(Messages.of(found), dict.fromkeys(self.stream.lanes, self.stream.epoch), keep=self.stream.keep)

    def commit(self, page, waiting):
        self.committed.append([f"{message.lane}@{message.offset}" for message in page.messages])
        self.waiting += waiting

    def give_up(self, places):
        self.stream.given_up += places

    def settled(self, places):
        self.waiting = [place for place in self.waiting if place not in set(places)]

    def pause(self):
        self.paused += 1

    def resume(self):
        self.paused = 0

    def again(self, places):
        found = []
        for place in places if not self.stream.keep else ():
            lane, offset = split_place(place)
            found += [message for message in self.stream.lanes[lane] if message.offset == offset]
        return found

    def passed(self):
        return self.stream.passed if self.at is not None and self.left() == 0 else {}

    def standing(self):
        at = self.at or {}
        return Standing(tuple(Lag(lane, len(log) - at.get(lane, 0)) for lane, log in self.stream.lanes.items()))

    def close(self):
        self.closed = True


class MemoryStream:
    """Lanes by name; `put` appends. `failing` errors are raised by the next takes."""

    engine = "memory"
    encryption = ""

    def __init__(self, *lanes):
        self.lanes = {lane: [] for lane in lanes or ("bets/0",)}
        self.epoch, self.failing, self.subscriptions, self.given_up = "one", [], [], []
        self.passed = {}  # where lanes end that have something behind their last message
        self.keep = {}  # by lane, what it does not show again
        self.times = defaultdict(lambda: 1_700_000_000_000)

    def put(self, *values, lane="bets/0", key=None, headers=None, time_ms=None):
        for value in values:
            log = self.lanes[lane]
            body = value if isinstance(value, bytes | None) else json.dumps(value).encode()
            self.times[lane] += 1000
            at = self.times[lane] if time_ms is None else time_ms
            log.append(Message(lane, len(log), at, key, body, headers or {}))

    def idle(self, wait_s):
        import time

        time.sleep(min(wait_s, 0.005))

    def subscribe(self, feed, keeper):
        self.subscriptions.append(MemorySubscription(self, feed, keeper))
        return self.subscriptions[-1]

    def facts(self):
        return ServerFacts("memory", "1", "broker", "")

    def names(self):
        return tuple(self.lanes)

    def sample(self, feed, limit):
        return [message for log in self.lanes.values() for message in log[-limit:]]

    def close(self):
        pass
