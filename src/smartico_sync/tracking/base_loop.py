"""What every view's loop does, wherever its rows come from: one thread, an order of commits, trouble and its pauses."""

from __future__ import annotations

import math
import os
import time
import traceback
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

import polars as pl
import structlog
from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.catalogue.kinds import kind
from smartico_sync.core.backoff import Backoff
from smartico_sync.errors import (
    ConfigError,
    DeliveryError,
    DeliveryHalted,
    DeliveryStopped,
    PositionMoved,
    SourceError,
    SyncError,
    Unexpected,
    ViewHalted,
    ViewRegressed,
)
from smartico_sync.tracking.event_sender import EventSender
from smartico_sync.tracking.mailbox import Mailbox
from smartico_sync.tracking.pages_in_flight import PagesInFlight
from smartico_sync.tracking.view_parts import Tools

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from smartico_sync.observe.view_status import State
    from smartico_sync.tracking.pages_in_flight import InFlight

__all__ = ["BACKOFF", "GLANCE_S", "IDLE_S", "BaseLoop", "Standing"]

BACKOFF = Backoff((1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0))  # after trouble; a database that is down is not hammered
GLANCE_S = 0.5  # how often a loop with pages in flight looks whether the API takes anything at all
IDLE_S = 60.0  # an idle loop is woken by whoever has something for it; this is only for safety
GRACE_S = 1.0  # what is in flight may still be acknowledged when a person waits, or something went wrong
LONG_S = 30.0  # a request has had five tries by then: it is one player's, and the others' events need not wait for it
FAREWELL_S = 3.0  # the same when the daemon ends

log = structlog.get_logger()

T = TypeVar("T", bound=Tools)
S = TypeVar("S", bound=EventSender)


class Standing(Struct, frozen=True):
    """How a view stands, for whoever schedules it. `tries`: how many polls have ended, well or not.

    `unregistered`: events that wait because nobody registered their brand. `waits`: long, when an answer has not come for LONG_S and
    there is nothing to read meanwhile.
    """

    progress: Literal["behind", "caught up"] = "behind"
    tries: int = 0
    error: SyncError | None = None
    dead_lettered: int = 0
    unregistered: int = 0
    waits: Literal["no", "long"] = "no"

    @property
    def settled(self) -> bool:
        """Whether others need not wait for this view any longer."""
        return self.progress == "caught up" or self.waits == "long" or (self.tries > 0 and self.error is not None)

    @property
    def halted(self) -> bool:
        """Whether only a change by the operator helps."""
        return isinstance(self.error, ViewHalted | ConfigError | DeliveryHalted)


class BaseLoop(ABC, Generic[T, S]):
    """Tracks one view. One thread at a time is in `run` or `poll`; all others use `mailbox` and `standing`.

    `most_bytes` of rows in flight, beside the bound of all views together.
    """

    backoff: ClassVar[Backoff] = BACKOFF
    """How long it pauses after trouble."""

    def __init__(self, equipment: T, sender: S, most_bytes: float = math.inf) -> None:
        self._equipment = equipment
        self._mailbox = Mailbox()
        name, delivery = equipment.view.name, equipment.delivery
        self._flight = PagesInFlight(
            name, self._mailbox.wake, equipment.memory, lambda: delivery.busy(name), most_bytes
        )
        self._sender = sender
        self._standing = Standing()
        self._committed: Literal["all", "less than was sent"] = "all"
        self._outbox: Literal["unknown", "on its way", "empty"] = "unknown"
        self._announced: Literal["nothing", "sends again"] = "nothing"
        self._failures = 0
        self._resume_at = 0.0
        self._patience_s = math.inf
        self._refused_since: float | None = None
        self._ill: tuple[float, str] | None = None

    @property
    def name(self) -> str:
        """The view's name."""
        return self._equipment.view.name

    @property
    def role(self) -> Literal["profile", "transaction"]:
        """What its rows are: profiles go before transactions."""
        return kind(self._equipment.view.kind).role

    @property
    def equipment(self) -> T:
        """What it works with."""
        return self._equipment

    @property
    def mailbox(self) -> Mailbox:
        """The way to ask it for something."""
        return self._mailbox

    @property
    def standing(self) -> Standing:
        """How it stands now."""
        return replace(self._standing, dead_lettered=self._sender.dead_lettered, unregistered=self._sender.unregistered)

    @property
    def pause_s(self) -> float:
        """Seconds until it does something again after trouble."""
        return max(0.0, self._resume_at - time.monotonic())

    def close(self, patience_s: float = 0.0) -> None:
        """Commit what is acknowledged within some seconds, and let go of the rest."""
        self._attempt(lambda: self._settle_flight(patience_s))
        self._drop_session()
        self._attempt(self._doubt)
        self._flight.close()

    def _nothing_to_read(self) -> bool:
        """Whether only answers are waited for."""
        return self._outbox == "on its way"

    @abstractmethod
    def _step(self) -> None:
        """Do the next thing there is to do, or wait for one."""

    def _drop_session(self) -> None:
        """Begin again from what the state says: what was not committed is read again, and makes the same event ids."""
        if len(self._flight):
            self._committed = "less than was sent"
        self._outbox = "unknown"
        self._flight.withdraw()

    def _empty_outbox(self) -> Literal["empty", "on its way"]:
        """Before anything is read: have the API see once more what it may have been sent, and take a step towards that.

        Else a request that it comes to late could put an old profile in the place of a newer one, read by then.
        """
        if self._outbox == "unknown":
            unsettled = self._sender.unsettled()
            for each in unsettled:
                self._flight.send(partial(self._sender.again, each), each.events.frame.estimated_size())
            if unsettled and self._announced == "nothing":  # once, however often the API must be asked
                events = sum(len(each.events) for each in unsettled)
                log.info("view.sends_again", view=self.name, pages=len(unsettled), events=events)
                self._announced = "sends again"
            self._outbox = "on its way"
        if page := self._flight.take():
            self._commit(page)
        elif len(self._flight):
            self._await_answers()
        else:
            self._outbox, self._announced = "empty", "nothing"
        return self._outbox

    def _await_answers(self) -> None:
        """Nothing is to be done before the API has answered."""
        self._mailbox.wait(GLANCE_S)
        self._look_at_api()

    def _work(self, stopping: threading.Event) -> None:
        """Step by step until the daemon ends."""
        while not stopping.is_set():
            self._step()
        self.close(FAREWELL_S)

    def _work_once(self, stopping: threading.Event, patience_s: float) -> None:
        """Step by step until one poll has ended and nothing is in flight, the daemon ends or something fails."""
        self._patience_s, tries = patience_s, self._standing.tries
        while not stopping.is_set() and (self._standing.tries == tries or len(self._flight)) and not self.pause_s:
            self._step()

    def _carry_out_turns(self) -> None:
        """Do what operators wait for, with nothing under way."""
        self._attempt(lambda: self._settle_flight(GRACE_S))
        self._drop_session()
        while turn := self._mailbox.next_operator():
            turn.carry_out()
        self._resume_at = 0.0

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do something; whatever goes wrong is remembered and told."""
        try:
            self._equipment.store.ensure_sound()  # whatever a damaged state says is not acted on
            action()
        except DeliveryStopped:
            self._drop_session()
        except SyncError as error:
            self._trouble(error)
        # A view that stands still must say so, whatever the reason; a panic of polars is no Exception.
        except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001
            if os.environ.get("SYNC_DEBUG"):
                traceback.print_exception(error)
            self._trouble(Unexpected(error))

    def _commit(self, page: InFlight) -> None:
        """Commit a page, or know that what it held may have arrived all the same."""
        try:
            page.settle()
        except BaseException:
            self._committed = "less than was sent"
            raise

    def _doubt(self) -> None:
        """Let the state know that profiles may have arrived which were never committed."""
        if self._committed == "less than was sent" and self.role == "profile":
            self._equipment.store.judge_fingerprints(self.name, "doubted")
        self._committed = "all"

    def _look_at_api(self) -> None:
        """With pages in flight: tell whether the API takes anything at all. Raises its problem when patience is over."""
        problem, oldest_s = self._equipment.delivery.problem(), self._flight.oldest_s()
        self._equipment.recorder.waits_for_api(problem, oldest_s)
        if oldest_s >= LONG_S and self._nothing_to_read():
            self._standing = replace(self._standing, waits="long")
        if problem is None:
            self._refused_since = None
            if isinstance(self._standing.error, DeliveryError):
                self._standing = replace(self._standing, error=None)
            return
        self._standing = replace(self._standing, progress="behind", error=problem)
        self._refused_since = self._refused_since or time.monotonic()
        if time.monotonic() - self._refused_since > self._patience_s:
            raise problem

    def _settle_flight(self, patience_s: float) -> None:
        """Commit what is acknowledged within some seconds."""
        until = time.monotonic() + patience_s
        while len(self._flight):
            if page := self._flight.take():
                self._commit(page)
            elif time.monotonic() < until:
                self._mailbox.wait(until - time.monotonic())
            else:
                return

    def _well(self) -> None:
        """All that was read is committed: say so where it was not well before."""
        if self._ill is not None:
            since, reason = self._ill
            self._ill = None
            log.info("view.recovered", view=self.name, after_s=round(time.monotonic() - since, 1), reason=reason)

    def _trouble(self, error: SyncError) -> None:
        """Remember what happened, and pause longer each time."""
        pause = self.backoff.pause(self._failures)
        self._failures += 1
        if isinstance(error, SourceError) and not isinstance(error, PositionMoved):
            with suppress(SyncError):  # what the API has is not touched by it
                self._settle_flight(GRACE_S)
        self._drop_session()
        self._resume_at = time.monotonic() + pause
        self._standing = Standing("behind", self._standing.tries + 1, error)
        # What stands may be the API's trouble already, which is no line of the log.
        since, before = self._ill or (time.monotonic(), None)
        self._ill = since, error.message
        if before != error.message:
            log.error("view.trouble", view=self.name, reason=error.message, hint=error.hint, pause_s=pause)
        state: State = "halted" if self._standing.halted else "degraded"
        self._equipment.recorder.failed(error, "regressed" if isinstance(error, ViewRegressed) else state)
