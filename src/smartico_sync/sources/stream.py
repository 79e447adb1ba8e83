"""The seam between the daemon and brokers: messages come, and are not asked for.

A poll's `Reading` does not fit: a queue has no position to ask from, and a topic has one for each of its partitions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct, field

from smartico_sync.core.messages.message import NO_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from smartico_sync.core.messages.message import Message, Messages
    from smartico_sync.core.records import LaneStep
    from smartico_sync.sources.protocol import ServerFacts

__all__ = ["Feed", "Keep", "Keeper", "Lag", "Page", "Remark", "Standing", "Start", "Stream", "Subscription"]

Start = Literal["first", "now"]
Keep = Literal[
    "given up",  # the broker holds what waits, and forgets what is given up
    "undelivered",  # it holds neither
]


class Feed(Struct, frozen=True):
    """What one view reads of a broker.

    `names`: topics or queues, or with `named_by` pattern one regular expression. `start`: where lanes begin that nobody has
    read: `first`, `now`, or an epoch ms. `needs`: `headers`, `properties`: what messages have to be filled with. `state`: the
    identity of the state, by which a commit at the broker is known. `members`: whether the group may have others, with states
    of their own (any); has none (alone: profiles are compared with one state); or has many that share this state. `older`: whether a profile that is older
    than what was delivered is known by its `version`. `known_by`: whether an event is the same again by its key, or by its
    place only. `dead_letters`: who keeps what is given up. `others`: by name, another view that reads the same.
    """

    view: str
    names: tuple[str, ...]
    group: str
    named_by: Literal["name", "pattern"] = "name"
    start: Start | int = "first"
    needs: frozenset[str] = frozenset()
    state: str = ""
    members: Literal["any", "alone", "many"] = "any"
    on_gap: Literal["stop", "continue"] = "stop"
    keyed: Literal["player", "event"] = "event"
    older: Literal["told", "unknown"] = "unknown"
    known_by: Literal["key", "place"] = "key"
    dead_letters: Literal["state", "broker"] = "state"
    others: Mapping[str, str] = field(default_factory=dict)


class Page(Struct, frozen=True):
    """Messages that were taken together, those of one lane in order; empty where none came in time.

    `epochs`: by lane, what names the topic that its messages are of, or the last of them where topics have no name of their own. `token` is the engine's own: what `commit` needs.
    `keep`: by lane, which messages the state has to keep because the broker does not show them again; no other lane's.
    """

    messages: Messages = NO_MESSAGES
    epochs: Mapping[str, str] = field(default_factory=dict)
    token: object = None
    keep: Mapping[str, Keep] = field(default_factory=dict)


class Lag(Struct, frozen=True):
    """What waits in one lane: `messages`, and `time_ms`, when the first of them was written.

    Where nobody has seen that one, when the last that was read was written: it is younger. 0: not known.
    """

    lane: str
    messages: int
    time_ms: int = 0


class Standing(Struct, frozen=True):
    """How a subscription stands, for people and metrics. `notes`: sentences worth telling, as long as they are true.

    `advice` are those of which only people know whether all is as it should be. Counts are since it was subscribed: `rebalances`, `gap_messages` that the broker deleted unread, and `deliveries`: how
    often the message that was delivered most often has been. `lanes` are those that this member has now.
    """

    lanes: tuple[Lag, ...] = ()
    rebalances: int = 0
    gap_messages: int = 0
    deliveries: int = 0
    notes: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


class Remark(Struct, frozen=True):
    """One thing that `smartico-sync check` says of a feed. `wrong` keeps the view from working as it is meant to."""

    mark: Literal["fine", "advice", "wrong"]
    message: str
    hint: str = ""


class Keeper(Protocol):
    """What a subscription asks of the view's loop; called in the loop's own thread, inside `take` and `close`."""

    def known(self) -> Mapping[str, LaneStep]:
        """How far the state says that each lane is dealt with; lanes that it does not know begin where the feed says."""

    def begin(self, steps: Sequence[LaneStep]) -> None:
        """Write down where lanes begin, before the first of their messages is handed over. Raises PositionMoved."""

    def drain(self) -> None:
        """Lanes go to somebody else: commit what can be acknowledged within a bounded time, and let go of the rest."""

    def lost(self) -> None:
        """Lanes went to somebody else already: commit nothing of what is on its way."""

    def released(self, lanes: Sequence[str]) -> None:
        """These lanes are not this member's any more; after `drain`, and not after `lost`."""

    def returning(self, lanes: Sequence[str]) -> None:
        """All messages of these lanes that were not acknowledged come again: forget what waits of them unless it is kept."""

    def keep(self, messages: Sequence[Message]) -> None:
        """Keep messages whose rows are parked: the broker is about to forget them."""


class Subscription(Protocol):
    """One view's messages, for as long as it is subscribed. Used by the view's own loop only.

    Every method raises SourceUnreachable, SourceRefused, ViewBroken, ViewMisconfigured, MessagesLost (some were deleted
    unread and `on_gap` says stop) or ViewRegressed (another topic has the name now, or the broker was restored), and never a client's exception.
    After any of them it is closed, and the view subscribes anew from what the state says.
    """

    @property
    def level(self) -> Literal["level", "behind"]:
        """Whether every lane's end was seen, and nothing has come since."""

    def take(self, limit: int, wait_s: float) -> Page:
        """Up to `limit` messages, as soon as there are some; an empty page after `wait_s` seconds without any.

        To be called again and again, also while nothing is wanted (`limit` 0, paused): it keeps the membership alive.
        A message that was taken before may come again; one of a lane never comes before an earlier one of the same lane.
        """

    def commit(self, page: Page, waiting: frozenset[str]) -> None:
        """The state holds what a page changed, and those before it: the broker may know. Pages come in order.

        `waiting`: places of the page's messages that are parked, and have to be read again.
        """

    def give_up(self, places: Iterable[str]) -> None:
        """These messages are dead letters; called before their `commit` or `settled`. For `dead_letters` broker only."""

    def settled(self, places: Iterable[str]) -> None:
        """Parked messages at these places wait no more: delivered, or given up."""

    def pause(self) -> None:
        """Have the broker send nothing more for now; idempotent."""

    def resume(self) -> None:
        """Go on; idempotent."""

    def again(self, places: Sequence[str]) -> list[Message]:
        """The messages at these places, those that are still there, in any order; at most 1,000 a call."""

    def passed(self) -> Mapping[str, tuple[int, int]]:
        """Of lanes that were read to an end behind the last message that was taken: from where to where no message is.

        Marks of transactions, and messages of those that were aborted. The state is to know: they are not waited for, and
        when the broker deletes them nothing is lost.
        """

    def standing(self) -> Standing:
        """How it stands; asks nobody, costs microseconds."""

    def close(self) -> None:
        """Let go, with the keeper's drain first where messages are on their way; idempotent."""


class Stream(Protocol):
    """One broker. Thread-safe; every call makes a client of its own. Raises as Subscription does."""

    @property
    def engine(self) -> str:
        """The URL scheme."""

    @property
    def encryption(self) -> str:
        """How its connections are protected, in words (see `core.encryption`); empty where there is none."""

    def facts(self) -> ServerFacts:
        """Ask the broker what it is."""

    def names(self) -> tuple[str, ...]:
        """Topics or queues that the user may read. ConfigError where the broker does not tell them as it is configured."""

    def subscribe(self, feed: Feed, keeper: Keeper) -> Subscription:
        """Begin to read. Connects; lanes may be given later, inside `take`."""

    def sample(self, feed: Feed, limit: int) -> list[Message]:
        """Some of the newest messages, without moving anything. Empty where there are none, or the broker cannot show any."""

    def remarks(self, feed: Feed) -> Iterator[Remark]:
        """What `smartico-sync check` should say of topics or queues: authorisation, compaction, retention, consumers, limits."""

    def lags(self, feed: Feed, known: Mapping[str, LaneStep]) -> tuple[Lag, ...]:
        """What waits in every lane, from what the state knows. For commands beside a daemon that does not run."""

    def ends(self, feed: Feed) -> dict[str, tuple[int, int]]:
        """Of every lane the first offset that is there, and the one after the last. ViewMisconfigured as `at`."""

    def at(self, feed: Feed, moment_ms: int) -> dict[str, int]:
        """Of every lane the first offset that was written at this time or later; its end where there is none.

        ViewMisconfigured where the broker cannot be read again (`engines.Ability` replay).
        """

    def between(self, feed: Feed, low_ms: int, high_ms: int) -> Iterator[list[Message]]:
        """The messages with `low_ms <= time < high_ms` that are still there, some at a time. ViewMisconfigured as `at`."""

    def close(self) -> None:
        """Let go of everything; later calls fail."""
