"""`smartico-sync run` with a state in PostgreSQL: a member of a cluster, which has its share of the groups of views."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import structlog
from msgspec import to_builtins

from smartico_sync import __version__
from smartico_sync.cli.run_reports import tell
from smartico_sync.daemon import asking
from smartico_sync.daemon.control import Control
from smartico_sync.daemon.member import Member
from smartico_sync.daemon.operations import Operations
from smartico_sync.daemon.reload import tried
from smartico_sync.daemon.state_place import state_place
from smartico_sync.errors import StateError
from smartico_sync.observe.cluster_status import with_cluster
from smartico_sync.observe.glance import Glance
from smartico_sync.observe.health import assess
from smartico_sync.observe.status_document import status_document
from smartico_sync.state.place import ServerPlace
from smartico_sync.tracking.clocks import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from smartico_sync.config.models import Configuration
    from smartico_sync.core.records import DeadLetter
    from smartico_sync.daemon.ending import Ending
    from smartico_sync.daemon.reload import Reload
    from smartico_sync.daemon.start import Start
    from smartico_sync.delivery.destination import DestinationStatus
    from smartico_sync.observe.endpoint import Endpoint
    from smartico_sync.observe.finding import Finding
    from smartico_sync.observe.health import Health
    from smartico_sync.observe.journal import Journal
    from smartico_sync.observe.status_board import StatusBoard
    from smartico_sync.observe.view_status import ViewStatus
    from smartico_sync.state.database import StateSizes

__all__ = ["take_part"]

log = structlog.get_logger()


def take_part(
    path: Path,
    configuration: Configuration,
    start: Start,
    ending: Ending,
    reload: Reload,
    board: StatusBoard,
    endpoint: Endpoint | None,
    journal: Journal,
    notes: Callable[[], Sequence[Finding]],
) -> Configuration | None:
    """Work with this configuration's share until another one is loaded, which is returned, or the daemon ends. Raises what no waiting mends."""
    base = path.absolute().parent
    tried(configuration, base)
    if endpoint is not None:
        endpoint.begins(board, notes, journal.dated)

    def joined() -> Member:
        place = state_place(configuration, base)
        if not isinstance(place, ServerPlace):
            raise StateError(
                f"the state {place} is a file: one machine works with it", hint="name a server as `state:`"
            )
        return Member.join(configuration, base, place, board, ending.stopping)

    member = start.until(joined)
    member.stopping = reload.begin(configuration)
    attendance = Attendance(member, reload, endpoint, notes, journal.dated)
    where = "no status page"
    if endpoint is not None:
        endpoint.destinations, endpoint.sizes, endpoint.dead_letters = (
            attendance.destinations, attendance.sizes, attendance.dead_letters,
        )  # fmt: skip
        endpoint.cluster, endpoint.starting = member.status, "no"
        where = endpoint.url
    tell(configuration, str(member.place))
    log.info("started", version=__version__, views=len(configuration.views), groups=len(member.groups), page=where)
    with ExitStack() as stack:
        stack.callback(attendance.close)
        journal.watch(attendance.health)
        stack.callback(journal.watch, None)
        if sys.stderr.isatty():
            from smartico_sync.observe.terminal import Progress  # noqa: PLC0415 - rich, a tenth of a start

            stack.enter_context(Progress(board.views, where))
        member.attend = attendance.look
        member.forever()
    return reload.following()


class Attendance:
    """Answers operators, also while this member stands by: it can be looked at, and be given another configuration.

    Where two members of one name share a machine, the one that works listens.
    """

    def __init__(
        self,
        member: Member,
        reload: Reload,
        endpoint: Endpoint | None,
        notes: Callable[[], Sequence[Finding]],
        dated: Callable[[Health], Health],
    ) -> None:
        self.member, self.reload, self.endpoint, self.notes, self.dated = member, reload, endpoint, notes, dated
        self.started_ms = now_ms()
        self.sizes = Glance(self.size)
        self.control: Control | None = None

    def look(self) -> None:
        """Listen, where nobody else does who works; from one thread."""
        if self.endpoint is not None:
            self.endpoint.sources = self.sources()
        if self.control is not None and self.control.listens:
            return
        path = self.member.place.path
        if self.member.parts() or not asking.answered(path):
            self.close()
            self.control = Control(path, self, self.status, self.reload.ask)

    def close(self) -> None:
        """Stop listening; idempotent."""
        control, self.control = self.control, None
        if control is not None:
            control.close()

    def asked_by(self, still_wanted: Callable[[], bool]) -> Operations:
        """What may be changed here now. Raises StateError where nothing is worked with."""
        works = [work for work in self.member.at_work() if work.parts is not None]
        parts = self.member.parts()
        if not parts:
            busy = sorted({each.member for each in self.member.place.holders() if each.live})
            raise StateError(
                f"{self.member.place} is held by {', '.join(busy) or 'nobody for now'}, and this member stands by",
                hint="run commands that change something there; smartico-sync cluster show says who works",
            )
        loops = {loop.name: loop for part in parts for loop in part.loops}
        return Operations(
            parts[0].store, loops, Woken([work.scheduler.backfills.wake for work in works if work.scheduler]),
            still_wanted=still_wanted, give_up=self.member.release, store_of=self.member.store_of,
        )  # fmt: skip

    def destinations(self) -> Sequence[DestinationStatus]:
        """Where events of the groups that are worked with here go."""
        return tuple(each for work in self.member.at_work() for each in work.destinations())

    def sources(self) -> dict[str, str]:
        """How the connections that are used here are protected."""
        return {name: words for part in self.member.parts() for name, words in part.sources.items()}

    def size(self) -> StateSizes | None:
        """How large the state is; None where this member works with nothing of it."""
        parts = self.member.parts()
        return parts[0].store.sizes() if parts else None

    def dead_letters(self, view: str) -> Sequence[DeadLetter]:
        """The last dead letters of a view."""
        parts = self.member.parts()
        return parts[0].store.newest_dead_letters(view) if parts else ()

    def health(self) -> tuple[Health, tuple[ViewStatus, ...]]:
        """How it does now, and its views."""
        views = self.member.board.views()
        return with_cluster(assess(views, self.destinations(), self.notes()), self.member.status()), views

    def status(self) -> dict[str, Any]:
        """How the member does, for whoever asks over the control socket."""
        (health, views), destinations, cluster = self.health(), self.destinations(), self.member.status()
        document = status_document(views, destinations, self.dated(health), started_ms=self.started_ms, now_ms=now_ms())
        connections = [{"name": name, "connection": words} for name, words in self.sources().items() if words]
        if sizes := self.sizes.answer():
            document["state"] = to_builtins(sizes)
        return {**document, "sources": connections, "cluster": to_builtins(cluster)}


class Woken:
    """Has several be woken as one."""

    def __init__(self, wakes: Sequence[Callable[[], None]]) -> None:
        self.wakes = wakes

    def wake(self) -> None:
        """Wake them all."""
        for wake in self.wakes:
            wake()
