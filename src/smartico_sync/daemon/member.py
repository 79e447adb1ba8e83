"""A member of a cluster: it sees who is there, and works with its share of the groups of views, each apart from the others."""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from msgspec.structs import replace

from smartico_sync.config.token_groups import token_groups
from smartico_sync.daemon.cluster_view import divided, groups_of, members_of, names_of
from smartico_sync.daemon.group_work import GroupWork
from smartico_sync.errors import ConfigError, StateError, StateHeld
from smartico_sync.observe.cluster_status import ANSWERS, ClusterStatus
from smartico_sync.observe.finding import Finding
from smartico_sync.state.fair_share import plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from smartico_sync.config.models import Configuration
    from smartico_sync.config.token_groups import TokenGroup
    from smartico_sync.daemon.wiring import Parts
    from smartico_sync.errors import SyncError
    from smartico_sync.observe.status_board import StatusBoard
    from smartico_sync.state.fair_share import Plan
    from smartico_sync.state.place import ServerPlace
    from smartico_sync.state.postgresql.membership import Membership, Seen
    from smartico_sync.state.store import Store

__all__ = ["Member"]

BEATS = 3  # in the time of a lease
SILENT_S = 2.0  # for an answer of the state: it comes within milliseconds, unless something is wrong
# How soon it is noticed that a group was let go; with the beats of a lease of 10 s two statements a second.
GLANCE_S = 1.5
SILENT = "check that its server, and what stands before it, do not hang; this member goes on by itself"
SKEW_S = 60.0  # clocks of one data centre differ by less; retentions and `max_age` go by the member's own

log = structlog.get_logger()


class Member:
    """Takes groups and lets them go, until `stopping` is set. Its views are on `board` while it works with them.

    Made by `join`. Safe to ask from any thread.
    """

    def __init__(
        self,
        configuration: Configuration,
        base: Path,
        place: ServerPlace,
        board: StatusBoard,
        stopping: threading.Event,
        membership: Membership,
        seen: Seen,
    ) -> None:
        self.configuration, self.base, self.board, self.stopping = configuration, base, board, stopping
        self.place = place
        self.groups = {group.name: group for group in token_groups(configuration)}
        self.divided = divided(configuration)
        self.alone, self.together = self.divided.alone, self.divided.together
        self.digests = digests_of(place)
        self.work: dict[str, GroupWork] = {}
        self.resting: dict[str, float] = {}  # groups that are left to others, until when
        self.failed: dict[
            str, tuple[float, SyncError]
        ] = {}  # groups that could not be worked with, and when they are tried again
        self.attend: Callable[[], None] = lambda: (
            None
        )  # called by `forever` now and then, and whenever a group comes or goes
        self._membership, self._seen = membership, seen
        self._seen_at = time.monotonic()
        self._plan: Plan | None = None
        self._trouble: StateError | None = None
        self._asked_at: float | None = None
        self._looks = threading.Event()
        self._lock = threading.Lock()

    @classmethod
    def join(
        cls,
        configuration: Configuration,
        base: Path,
        place: ServerPlace,
        board: StatusBoard,
        stopping: threading.Event,
    ) -> Member:
        """Be there, making the tables at the very first start. Raises StateError."""
        board.leave(view.name for view in configuration.views)
        own = replace(place, id=uuid4())
        membership = own.membership()
        try:
            return cls(configuration, base, own, board, stopping, membership, membership.beat(digests_of(own)))
        except BaseException:
            membership.leave()
            raise

    def forever(self) -> None:
        """Work until `stopping`; every group is let go by then."""
        threading.Thread(target=self._wake_in_the_end, name="member-end", daemon=True).start()
        try:
            while not self.stopping.is_set():
                self._looks.clear()
                self.look()
                self.attend()
                self.rest()
        finally:
            for work in self.at_work():
                work.stop("the daemon ends")
            for work in tuple(self.work.values()):
                work.join()
            self.attend()
            self._membership.leave()

    def rest(self) -> None:
        """Wait for the next beat, or until a group comes or goes: nobody waits for a beat to take over what was let go."""
        until = time.monotonic() + self.place.lease_s / BEATS
        while (left_s := until - time.monotonic()) > 0 and not self._looks.wait(min(GLANCE_S, left_s)):
            if self._moved():
                return

    def _moved(self) -> bool:
        """Whether there is anything to do before the next beat."""
        try:
            with self._asking():
                return self._membership.moved(self._seen, self.able())
        except StateError as error:  # the next beat tells whether it lasts
            self._trouble = error
            return False

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Note since when an answer of the state is waited for: whoever was paused meanwhile does not blame it."""
        self._asked_at = time.monotonic()
        try:
            yield
        finally:
            self._asked_at = None

    def _wake_in_the_end(self) -> None:
        self.stopping.wait()
        self._looks.set()

    def look(self) -> None:
        """Say that this member is there, see the others, and do what follows."""
        self.collect()
        try:
            with self._asking():
                seen = self._membership.beat(self.able(), self.rests())
        except StateError as error:
            self._trouble = error
            return
        now = time.monotonic()
        nobody_s = self.groups.keys() - self.alone.keys()
        planned = plan(str(self.place.id), seen.members, seen.seats(), self.place.lease_s, nobody_s)
        if self._plan is None or planned.refused != self._plan.refused:
            for name, other in planned.refused.items():
                log.warning(
                    "cluster.refused", group=name, reason=f"{other} was there before, with other views", hint=ANSWERS
                )
        self._seen, self._seen_at, self._plan, self._trouble = seen, now, planned, None
        for name in planned.release:
            if name in self.work:
                self.work[name].stop("another member is to have it")
        for name in planned.take:
            group = self.alone[name]
            self.take(name, group, self.place.only(name, names_of(group)))
        self.take_part(planned)
        self.share_slots()

    def take_part(self, planned: Plan) -> None:
        """Read topics together with the others: not with groups that another member knows otherwise, nor what an operator let go."""
        resting, now = self.rests(), time.monotonic()
        for name, group in self.together.items():
            place = self.place.beside(name, names_of(group))
            own = place.groups[0].name
            if name in planned.refused and own in self.work:
                self.work[own].stop("another member was there before, with other views")
            elif name not in resting and name not in planned.refused and self.failed.get(own, (now,))[0] <= now:
                self.take(own, group, place)

    def share_slots(self) -> None:
        """Let each that uses a token at this moment have its part of the requests that may be under way at once."""
        for work in self.at_work():
            if work.parts is not None and work.group.name in self.together:
                name = work.group.name
                users = sum(each.live and name in (each.name, each.shares) for each in self._seen.holders)
                work.parts.delivery.share(users)

    def take(self, name: str, group: TokenGroup, place: ServerPlace) -> None:
        """Begin to work with views of a group, in a thread of its own."""
        if name in self.work or self.stopping.is_set():
            return
        mine = names_of(group)
        elsewhere = frozenset(view.name for view in self.configuration.views if view.name not in mine)
        place = replace(place, first="was there")  # since this member joined
        # Where a member uses a token for topics and for views, what it sends is told apart.
        called = " (topics)" if place.groups[0].shares in self.alone else ""
        work = GroupWork(group, self.configuration, self.base, place, self.board, elsewhere, self._looks.set, called)
        with self._lock:
            self.work[name] = work
        work.start()

    def collect(self) -> None:
        """Forget the groups whose work is over; one that failed is left to others for a while."""
        for name, work in tuple(self.work.items()):
            if work.over:
                with self._lock:
                    del self.work[name]
                if work.error is None:
                    self.failed.pop(name, None)
                elif not isinstance(work.error, StateHeld) or name not in self.alone:
                    self.failed[name] = (time.monotonic() + self.place.lease_s, work.error)

    def able(self) -> dict[str, str]:
        """The groups that this member can work with, as far as it knows; those that failed are left to others for the time of a lease."""
        now = time.monotonic()
        return {name: digest for name, digest in self.digests.items() if self.failed.get(name, (now,))[0] <= now}

    def rests(self) -> set[str]:
        """The groups that are left to others for now."""
        now = time.monotonic()
        return {name for name, until in tuple(self.resting.items()) if until > now}

    def at_work(self) -> list[GroupWork]:
        """The groups that are worked with here."""
        with self._lock:
            return [work for work in self.work.values() if not work.over]

    def parts(self) -> list[Parts]:
        """What works here now."""
        return [work.parts for work in self.at_work() if work.parts is not None]

    def release(self, group: str) -> None:
        """Let a group go, or all, and leave it to others for the time of a lease. Raises ConfigError where it is not held here."""
        mine = [work for work in self.at_work() if group in ("", work.group.name)]
        if not mine:
            raise ConfigError(
                f"this member does not work with {f'a group {group}' if group else 'any group'}",
                hint="smartico-sync cluster show says who does",
            )
        for work in mine:
            self.resting[work.group.name] = time.monotonic() + self.place.lease_s
            if work.group.name in self.alone:
                self.place.want(work.group.name, "")
            work.stop("an operator released it")

    def store_of(self, view: str) -> Store:
        """The store to which a view's changes go. Raises StateHeld where another member works with it."""
        works = self.at_work()
        for work in works:
            if work.parts is not None and view in [each.name for each in work.group.views]:
                return work.parts.store
        group = next((group for group in self.groups.values() if view in [each.name for each in group.views]), None)
        if group is None and (parts := self.parts()):
            return parts[0].store  # it is not configured any more, and nobody works with it
        holder = next(
            (
                each.member
                for each in self._seen.holders
                if each.live and group and (each.name == group.name or view in each.views)
            ),
            "nobody for now",
        )
        raise StateHeld(
            f"view {view} is worked with by {holder}, not here",
            hint="run it on that machine; smartico-sync cluster show says who works with what",
        )

    def status(self) -> ClusterStatus:
        """How the cluster stands, as this member sees it."""
        seen, me = self._seen, self.name
        fresh = time.monotonic() - self._seen_at <= self.place.lease_s
        groups = groups_of(self.divided, self.place, seen, me, self.names_at_work())
        return ClusterStatus(me, "yes" if fresh else "no", groups, members_of(seen), tuple(self.findings(fresh=fresh)))

    def names_at_work(self) -> set[str]:
        """The names of the leases under which this member works."""
        with self._lock:
            return {name for name, work in self.work.items() if work.parts is not None and not work.over}

    @property
    def name(self) -> str:
        """What this member is called."""
        return next((each.name for each in self._seen.members if each.id == str(self.place.id)), self.place.member)

    def findings(self, *, fresh: bool) -> list[Finding]:
        """What is not as it should be."""
        found = []
        asking_s = time.monotonic() - (self._asked_at or math.inf)
        if not fresh and (self._trouble is not None or asking_s >= min(SILENT_S, self.place.lease_s / BEATS)):
            silent = (
                f"the state {self.place} does not answer: this member neither sees the others nor takes anything over"
            )
            trouble = self._trouble or StateError(silent, hint=SILENT)
            found.append(Finding("critical", "state", trouble.message, trouble.hint, code="cluster"))
        elif fresh and asking_s >= SILENT_S:
            found.append(
                Finding("warning", "state", f"the state {self.place} does not answer for now", SILENT, code="cluster")
            )
        for name, other in (self._plan.refused if self._plan else {}).items():
            told = f"group {name}: {other} was there before, with other views than this configuration has, or another `sources:` or `pii:` for them"
            found.append(Finding("warning", "state", told, ANSWERS, code="cluster"))
        skew = self._seen.skew_s
        if abs(skew) >= SKEW_S:
            told = f"the clock of this machine is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} that of the state's database"
            hint = "set both by NTP; leases go by the database's clock, and what is kept for a time by this machine's"
            found.append(Finding("warning", "clock", told, hint, code="clock"))
        at_work = self.names_at_work()
        for name, (_, error) in tuple(self.failed.items()):
            if name not in at_work:
                found.append(Finding("critical", f"group {name}", error.message, error.hint, code="cluster"))
        return found


def digests_of(place: ServerPlace) -> dict[str, str]:
    """What tells configurations of one group apart, by its name."""
    return {group.name: group.digest for group in place.groups}
