"""One view's consumer, and the messages that come to it.

The broker keeps what it was not told to forget. So nothing is acknowledged before the state holds it, nothing is ever put back,
and no consumer is cancelled: a channel that is closed gives all its open messages back in their order.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import structlog
from pika.exceptions import AMQPError

from smartico_sync.core.messages.message import PAGE_BYTES, fitting
from smartico_sync.core.records import LaneStep
from smartico_sync.errors import SourceUnreachable, ViewBroken
from smartico_sync.sources.rabbitmq.acknowledgements import acks
from smartico_sync.sources.rabbitmq.beginning import counted_from, mark, refuse, stream_step, timeless
from smartico_sync.sources.rabbitmq.failures import translated
from smartico_sync.sources.rabbitmq.held_messages import HeldMessages
from smartico_sync.sources.rabbitmq.other_consumers import shared, wait_for_others
from smartico_sync.sources.rabbitmq.queues import (
    OFFSET_HEADER,
    consume,
    counts,
    kind_of,
    leave,
    messages_of,
    written_ms,
)
from smartico_sync.sources.rabbitmq.remaining import Remaining
from smartico_sync.sources.rabbitmq.settings import version_of
from smartico_sync.sources.stream import Lag, Page, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pika import BasicProperties

    from smartico_sync.core.messages.message import Message
    from smartico_sync.sources.rabbitmq.queues import Kind
    from smartico_sync.sources.rabbitmq.settings import Settings
    from smartico_sync.sources.stream import Feed, Keep, Keeper

__all__ = ["RabbitSubscription"]

LOOK_S = 1.0  # how often queues are counted, and the channel looked at: after a timeout of the broker nothing comes, and nothing is said
GIVEN_BACK_S = 600.0  # what waits longer for the API is given back: the broker's own patience is 30 minutes by default
LARGE_BYTES = 64_000_000  # of messages that wait here: the daemon stays below 400 MB; what is more is given back
PAGES = 3  # in the prefetch: one comes while one is worked with and one is at the API
BUSY = 100  # messages that came at once: more are coming
GATHER_S = 0.1  # which are waited for then, as behind messages that are on their way: they share what a page costs

log = structlog.get_logger()


class RabbitSubscription:
    """As `sources.stream.Subscription` says, over one channel of one connection."""

    def __init__(self, settings: Settings, feed: Feed, keeper: Keeper, fewer: Callable[[int], None]) -> None:
        self._settings, self._feed, self._keeper = settings, feed, keeper
        self._fewer = fewer  # of which prefetch the next subscription is to be
        self._place = settings.place
        self._received: deque[tuple[str, int, int, BasicProperties, bytes]] = deque()
        self._size = 0  # bytes of their bodies
        self._open: deque[tuple[int, float]] = deque()  # the last tag of each page that is on its way, and since when
        self._held = HeldMessages(keeper, self._acknowledge, self._refuse)
        self._next: dict[str, int] = {}
        self._times: dict[str, int] = {}
        self._committed_tag = self._gap = 0
        self._deliveries = 1
        self._failed: Exception | None = None
        self._given_back: Literal["no", "yes", "the API is back"] = "no"
        self._look_at = 0.0
        self._notes: dict[str, str] = {}
        self._connection = settings.connected(feed.view)
        with translated(self._place):
            self._channel = self._connection.channel()
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        """Find out what the queues are, where they go on, and consume."""
        feed, connection = self._feed, self._connection
        self._kinds: dict[str, Kind] = {queue: kind_of(connection, queue, self._place) for queue in feed.names}
        for queue, kind in self._kinds.items():
            refuse(feed, queue, kind)
            if kind != "stream":
                wait_for_others(feed, connection, queue, self._place)
        self._remaining = Remaining(self._kinds)
        known = self._keeper.known()
        self._keeper.returning([queue for queue, kind in self._kinds.items() if kind != "stream"])
        self._base, steps = counted_from(self._kinds, known), []
        for queue, kind in self._kinds.items():
            before = known.get(queue)
            step = LaneStep(queue, before.next if before else None, self._base)
            if kind == "stream":
                step, end, gap = stream_step(connection, feed, queue, before, self._place)
                self._remaining.ends(queue, end, counts(connection, queue, self._place).messages)
                self._gap += gap
                if gap:
                    self._tell("gap", f"{queue}: {gap} messages were deleted before they were read, and are lost")
            steps.append(step)
        self._keeper.begin(steps)
        self._next = {step.lane: step.next for step in steps}
        self._keep: dict[str, Keep] = {
            queue: "undelivered" if kind == "stream" else "given up" for queue, kind in self._kinds.items()
        }
        self._limit = self._settings.deliveries(version_of(connection)) if "quorum" in self._kinds.values() else 0
        with translated(self._place):
            self._channel.basic_qos(prefetch_count=self._settings.prefetch)
            self._channel.add_on_cancel_callback(self._cancelled)
            connection.add_on_connection_blocked_callback(self._block)
            connection.add_on_connection_unblocked_callback(self._unblock)
        for queue, kind in self._kinds.items():
            self._consume(queue, {OFFSET_HEADER: self._next[queue]} if kind == "stream" else {})

    def _consume(self, queue: str, arguments: Mapping[str, object]) -> None:
        receive = self._received.append

        def take(tag: int, redelivered: int, properties: BasicProperties, body: bytes) -> None:
            self._size += len(body)
            receive((queue, tag, redelivered, properties, body))

        with translated(self._place, queue):
            consume(self._connection, self._channel, queue, take, arguments)

    # What the loop asks

    @property
    def level(self) -> Literal["level", "behind"]:
        """Whether nothing was left in any queue at the last look, and nothing has come since."""
        if self._given_back != "no" or self._received:
            return "behind"
        return "level" if self._remaining.none(self._next) else "behind"

    def take(self, limit: int, wait_s: float) -> Page:
        """Up to `limit` messages, fewer where they are large."""
        if self._given_back != "no":
            return self._wait(wait_s)
        self._pump(0.0 if self._received or not limit else wait_s, limit)
        now = time.monotonic()
        self._complain()
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            self._look(now)
        if not limit or not self._received:
            if limit and not self._open:
                self._count()
            return Page()
        return self._page(limit, now)

    def commit(self, page: Page, waiting: frozenset[str]) -> None:
        """Let the broker forget the page, but what waits."""
        if not page.messages or not isinstance(page.token, range):
            return
        tags = page.token
        self._committed_tag = tags[-1]
        if self._open and self._open[0][0] == tags[-1]:
            self._open.popleft()
        if self._given_back == "yes":
            self._given_back = "the API is back"
        if self._given_back != "no" or not self._channel.is_open:
            self._held.forget_given_up()
            return
        earlier: Literal["none held", "some held"] = "some held" if len(self._held) else "none held"
        of_queues = (each for each in zip(tags, page.messages, strict=True) if self._kinds[each[1].lane] != "stream")
        named = self._held.named(of_queues, waiting)
        with suppress(AMQPError, OSError):  # the next look says so
            for ack in acks(tags[0], tags[-1], named, earlier=earlier):
                self._channel.basic_ack(ack.tag, multiple=ack.how == "through")

    def give_up(self, places: Iterable[str]) -> None:
        """Hand these over to the dead-letter exchange, once they are committed."""
        self._held.give_up(places)

    def settled(self, places: Iterable[str]) -> None:
        """Let the broker forget what waited."""
        self._held.settle(places)

    def pause(self) -> None:
        """The prefetch is what stops the broker."""

    def resume(self) -> None:
        """It goes on by itself."""

    def again(self, places: Sequence[str]) -> list[Message]:
        """The messages at these places that are held; others are kept by the state."""
        return self._held.at(places)

    def passed(self) -> Mapping[str, tuple[int, int]]:
        """None: behind its last message a queue has nothing."""
        return {}

    def standing(self) -> Standing:
        """How it stands."""
        here = Counter(queue for queue, *_ in self._received)
        came = {queue: at + (here[queue] if self._kinds[queue] == "stream" else 0) for queue, at in self._next.items()}
        on_the_way = len(self._received) + (self._open[-1][0] - self._committed_tag if self._open else 0)
        full: Literal["free", "full"] = "full" if on_the_way >= self._settings.prefetch else "free"
        lags = tuple(
            Lag(queue, self._remaining.of(queue, came, full) + here[queue], self._times.get(queue, 0))
            for queue in self._kinds
        )
        return Standing(lags, 0, self._gap, self._deliveries, notes=tuple(self._notes.values()))

    def close(self) -> None:
        """Give all open messages back, in their order."""
        with suppress(AMQPError, OSError):
            if self._channel.is_open:
                leave(self._channel)
        with suppress(AMQPError, OSError):
            if self._connection.is_open:
                self._connection.close()

    # Messages

    def _pump(self, wait_s: float, limit: int) -> None:
        """Take what the network holds, up to a page; behind messages that are on their way, also what comes in a moment."""
        with translated(self._place):
            self._connection.process_data_events(wait_s)
            enough, before, until = min(limit, self._settings.prefetch // PAGES), 0, time.monotonic() + GATHER_S
            while 0 < len(self._received) < enough and self._size < PAGE_BYTES:
                left = until - time.monotonic()
                gathering = left > 0 and (self._open or len(self._received) >= BUSY)
                if not gathering and len(self._received) == before:
                    return
                before = len(self._received)
                self._connection.process_data_events(left if gathering else 0.0)

    def _page(self, limit: int, now: float) -> Page:
        """The next messages, as a page."""
        fits = min(limit, len(self._received))
        if self._size > PAGE_BYTES:
            fits = fitting((len(body) for *_, body in self._received), fits)
        some = [self._received.popleft() for _ in range(fits)]
        queues, tags, again, told, bodies = map(list, zip(*some, strict=True))
        self._size -= sum(map(len, bodies))
        offsets = [self._base + tag for tag in tags]
        for place, queue in enumerate(queues) if "stream" in self._kinds.values() else ():
            if self._kinds[queue] == "stream":
                offsets[place] = int(told[place].headers[OFFSET_HEADER])
                if self._feed.known_by == "place" and not written_ms(told[place]):
                    raise timeless(self._feed, queue)
        for place, redelivered in enumerate(again) if any(again) else ():
            if redelivered and self._kinds[queues[place]] != "stream":
                self._delivered(int((told[place].headers or {}).get("x-delivery-count", 1)) + 1)
        messages = messages_of(queues, offsets, told, bodies, self._feed)
        self._next |= {queue: offset + 1 for queue, offset in messages.last.items()}
        self._times |= dict(zip(queues, messages.times_ms, strict=True))
        self._open.append((tags[-1], now))
        self._remaining.came(now)
        marks = self._marks(queues, told, bodies) if "stream" in self._kinds.values() else {}
        return Page(messages, marks, range(tags[0], tags[-1] + 1), self._keep)

    def _marks(self, queues: Sequence[str], told: Sequence[BasicProperties], bodies: Sequence[bytes]) -> dict[str, str]:
        """What the last message of each stream is known by."""
        read_ms, last = round(time.time() * 1000), dict(zip(queues, range(len(queues)), strict=True))
        return {
            queue: mark(self._feed, told[place], bodies[place], read_ms)
            for queue, place in last.items()
            if self._kinds[queue] == "stream"
        }

    def _acknowledge(self, tag: int) -> None:
        """Let the broker forget a message."""
        with suppress(AMQPError, OSError):
            self._channel.basic_ack(tag)

    def _refuse(self, tag: int) -> None:
        """Hand a message to the queue's dead-letter exchange."""
        with suppress(AMQPError, OSError):
            self._channel.basic_nack(tag, requeue=False)

    def _delivered(self, times: int) -> None:
        """A message has come so many times."""
        if times <= self._deliveries:
            return
        self._deliveries = times
        if self._limit and 2 * times >= self._limit:
            self._tell(
                "deliveries",
                f"a message was delivered {times} times, and after {self._limit} the broker gives it up unread: connections break too often; "
                "raise delivery-limit in the queue's policy",
            )

    # Now and then

    def _complain(self) -> None:
        """Raise what nobody has raised yet."""
        if self._failed is not None:
            self._held.keep()
            raise self._failed
        if not self._channel.is_open:
            raise SourceUnreachable(
                f"{self._place}: the broker closed the channel: a message was open longer than its consumer_timeout",
                hint="raise consumer_timeout of the broker to an hour at least",
            )

    def _look(self, now: float) -> None:
        """Count, see who else reads, and let nothing be open for too long."""
        self._count()
        for queue, count in self._remaining.counts.items():
            if self._kinds[queue] != "stream" and count.consumers > 1:
                self._tell(f"shared {queue}", shared(self._feed, queue, count.consumers))
            else:
                self._notes.pop(f"shared {queue}", None)
        # What waits must not use up the prefetch either: one of its pages, and the others are for what is behind it.
        self._held.keep_overdue(now, self._settings.prefetch // PAGES)
        if self._open and now - self._open[0][1] > GIVEN_BACK_S:
            self._give_back("the API takes nothing for long: open messages were given back to the broker")
        elif self._open and self._size > LARGE_BYTES:
            fit = max(PAGES, len(self._received) * LARGE_BYTES // (2 * self._size))
            self._fewer(fit)
            self._give_back(
                f"messages that wait for the API took {self._size // 1_000_000:,} MB of memory: they were given back to the broker, "
                f"and {fit:,} are fetched at once from now on; `options: {{prefetch: {fit}}}` of the source begins with that"
            )

    def _give_back(self, why: str) -> None:
        """Let the broker have all that is open, and consume again once the API takes events."""
        self._given_back = "yes"
        log.warning(
            "view.given_back", view=self._feed.view, hint="nothing: it consumes again once the API takes events"
        )
        self._tell("given back", why)
        self._received.clear()
        self._size = 0
        self.close()

    def _count(self) -> None:
        """Count on the channel that consumes, and ask something more: what was given to us before the count has arrived then."""
        try:
            with translated(self._place):
                self._remaining.count(self._channel)
                self._channel.basic_qos(prefetch_count=self._settings.prefetch)
                self._connection.process_data_events(0)
        except ViewBroken:
            self._held.keep()
            raise

    def _wait(self, wait_s: float) -> Page:
        """Consume again once the API takes events: what was given back comes once more."""
        if self._given_back == "the API is back":
            self._keeper.lost()
        time.sleep(wait_s)
        return Page()

    def _tell(self, what: str, sentence: str) -> None:
        """Note what people should know, once."""
        if what not in self._notes:
            log.warning("view.note", view=self._feed.view, reason=sentence)
        self._notes[what] = sentence

    # What the broker says by itself

    def _cancelled(self, _method: object) -> None:
        self._failed = SourceUnreachable(
            f"{self._place}: the broker ended the consumer: the queue was deleted, or has moved to another node",
            hint="nothing, if it moved; else declare it again",
        )

    def _block(self, _connection: object, _method: object) -> None:
        self._tell("blocked", "the broker takes no messages from producers: it is short of memory or disk")

    def _unblock(self, _connection: object, _method: object) -> None:
        self._notes.pop("blocked", None)
