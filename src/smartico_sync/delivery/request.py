"""One request on its way: its events, whose receipt it belongs to, and what became of it so far."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Literal

import polars as pl
from msgspec import Struct, field

from smartico_sync.catalogue.events import UPDATE_PROFILE
from smartico_sync.core.batches import Batch, encode
from smartico_sync.core.events import BRAND, EID, PLAYER, TYPE, USER, Events
from smartico_sync.core.reason_codes import UNKNOWN_BRAND, UNKNOWN_USER
from smartico_sync.delivery.pending_receipt import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from smartico_sync.core.answer_errors import Refused
    from smartico_sync.delivery.pending_receipt import PendingReceipt

__all__ = ["Request"]

Shared = Literal["none", "perhaps", "assumed"]
Pace = Literal[
    "usual",
    "pausing",  # it, or one ahead of it, failed or takes long: those who need not wait for it go, if it is worth a request
    "stuck",  # the same for so long that nobody should wait for it who need not
]
Others = Literal["unknown", "answered"]


class Request(Struct, eq=False):
    """One request. `ahead` are the unfinished ones before it that may hold a player of this one, `followers` those behind it.

    `their_players` are known once somebody has asked for `players`.

    `attempts` had no usable answer, the first of which failed at `failed_at`; the last was sent at `sent_at` (steady clock,
    seconds); `silences` of the latest none at all. `place`: "offered" while it is among those of which all or some may start, "gone" from when it is taken.
    `extent`: "part" once other players' events were taken out of it, or it was made of those.
    `companions` go in the same body, behind it; of at most `company` requests, since so many failed together: 0 when it failed alone. `over`: it will not be
    sent again. `trip`: whether its events may have been with the API before. `others`: whether the API answered other requests since it was
    sent last, told when it goes again. `backlog`: the view whose backlog it belongs to, empty where
    there is none. `number`: for the log.
    """

    batch: Batch
    pending: PendingReceipt
    their_players: frozenset[int] | None = None
    ahead: set[Request] = field(default_factory=set)
    followers: dict[Request, None] = field(default_factory=dict)  # in the order in which they came
    attempts: int = 0
    silences: int = 0
    sent_at: float = 0.0
    failed_at: float = 0.0
    pace: Pace = "usual"
    place: Literal["waiting", "offered", "gone"] = "waiting"
    extent: Literal["whole", "part"] = "whole"
    company: int = 1_000_000
    companions: list[Request] = field(default_factory=list)
    trip: Literal["first", "again"] = "first"
    others: Others = "unknown"
    over: bool = False
    backlog: str = ""
    number: int = field(default_factory=partial(next, NUMBERS))

    @classmethod
    def of(cls, batch: Batch, pending: PendingReceipt) -> Request:
        """A request that nobody has sent yet."""
        return cls(batch, pending, backlog=pending.view if pending.requests_are == "full" else "")

    @property
    def players(self) -> frozenset[int]:
        """Whose events these are, or were before some of them were settled; made when somebody asks: of a full request it takes a while."""
        if self.their_players is None:
            self.their_players = frozenset(self.frame.get_column(PLAYER).to_list())
        return self.their_players

    def compared(self, other: Request) -> Shared:
        """What the slices tell of players whom two requests share.

        In a view's backlog, whose requests each hold a range of slices, two of one slice are said to share one: to compare
        all their players takes as long as the rest of the work on a request, and most often finds some.
        """
        mine, others = self.batch.slices, other.batch.slices
        if not mine or not others:
            return "perhaps"
        if not mine & others:
            return "none"
        return "assumed" if self.backlog and self.backlog == other.backlog else "perhaps"

    @property
    def frame(self) -> pl.DataFrame:
        """The events."""
        return self.batch.events.frame

    @property
    def brands(self) -> set[str]:
        """Whose events these are."""
        return set(self.frame.get_column(BRAND).unique().to_list())

    @property
    def flight(self) -> list[Request]:
        """The requests that go in one body."""
        return [self, *self.companions]

    @property
    def eids(self) -> Sequence[str]:
        """The ids of all that goes in one body, made when somebody looks."""
        return LazyTexts([each.frame for each in self.flight], EID)

    @property
    def users(self) -> Sequence[str]:
        """The players' names of the same, made when somebody looks."""
        return LazyTexts([each.frame for each in self.flight], USER)

    def batches(self, frames: Iterable[pl.DataFrame]) -> list[Batch]:
        """Parts of the request as requests of their own."""
        parts = [Events(frame, self.batch.events.raw) for frame in frames]
        return [Batch(encode(part), part) for part in parts]

    def parted(self, players: Collection[int]) -> tuple[Batch, Batch] | None:
        """The events of these players, and those of all others; None when either are none."""
        wanted = pl.Series(list(players), dtype=pl.UInt64)
        theirs = self.frame.get_column(PLAYER).is_in(wanted.implode())
        if not theirs.any() or theirs.all():
            return None
        mine, others = self.batches([self.frame.filter(theirs), self.frame.filter(~theirs)])
        return mine, others

    def halves(self) -> list[Batch]:
        """The request divided in the middle."""
        half = self.frame.height // 2
        return self.batches([self.frame.slice(0, half), self.frame.slice(half)])

    def without(self, refused: Mapping[int, Refused], accepted: Collection[int]) -> tuple[pl.DataFrame, dict[int, str]]:
        """The events, those without a property that was refused by name and may be left out; which ones, by place.

        A profile stays refused where a later one of its player was `accepted`: it would come after what is newer.
        """
        left_out: dict[int, str] = {}
        frame, optional = self.frame, self.pending.optional
        if not optional or not refused:
            return frame, left_out
        players, types = frame.get_column(PLAYER), frame.get_column(TYPE)
        overtaken = {players[place]: place for place in sorted(accepted) if types[place] == UPDATE_PROFILE}
        for place, why in refused.items():
            name = next((name for name in self.named(why) if frame.get_column(name)[place] is not None), "")
            if name and overtaken.get(players[place], -1) < place:
                left_out[place] = name
        for name in set(left_out.values()):
            places = [place for place, each in left_out.items() if each == name]
            frame = frame.with_columns(frame.get_column(name).scatter(places, None))
        return frame, left_out

    def named(self, why: Refused) -> Iterator[str]:
        """The properties that an error names and without which events may go."""
        there = self.pending.optional.intersection(self.frame.columns)
        if why.code in (UNKNOWN_USER, UNKNOWN_BRAND):
            return  # whatever its words say
        for word in why.names:
            yield from (name for name in (word, f"!{word}", f"+{word}") if name in there)

    def apart(self, places: Collection[int]) -> tuple[list[int], list[int]]:
        """The first and the second half of each player's events among these places, so that in the end each is alone."""
        of_player: dict[str, list[int]] = {}
        users = self.frame.get_column(USER)
        for place in sorted(places):
            of_player.setdefault(users[place], []).append(place)
        first = {place for listed in of_player.values() for place in listed[: (len(listed) + 1) // 2]}
        return sorted(first), sorted(set(places) - first)


class LazyTexts(list[str]):
    """A column of some frames as a sequence of texts that is made only when somebody looks: on success nobody does."""

    def __init__(self, frames: Sequence[pl.DataFrame], column: str) -> None:
        super().__init__()
        self.frames, self.column = frames, column

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(frame.get_column(self.column).to_list() for frame in self.frames)

    def __len__(self) -> int:
        return sum(frame.height for frame in self.frames)
