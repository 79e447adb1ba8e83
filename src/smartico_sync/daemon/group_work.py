"""One group of views at work: its lease, its connections, its requests and its loops, apart from those of other groups."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import structlog
from msgspec.structs import replace

from smartico_sync.daemon.scheduler import Scheduler
from smartico_sync.daemon.wiring import assemble
from smartico_sync.errors import StateHeld, SyncError, Unexpected

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from smartico_sync.config.models import Configuration
    from smartico_sync.config.token_groups import TokenGroup
    from smartico_sync.daemon.wiring import Parts
    from smartico_sync.delivery.destination import DestinationStatus
    from smartico_sync.observe.status_board import StatusBoard
    from smartico_sync.state.place import ServerPlace

__all__ = ["GroupWork"]

log = structlog.get_logger()


class GroupWork:
    """Works with a group from `start` until `stop`, or until its lease is lost. `changed` is called when it has begun and when it is over.

    `called`: what the names of its destinations end with. `parts` are there while it works; `error` says why it could not. `elsewhere`: the views of other groups.
    """

    def __init__(
        self,
        group: TokenGroup,
        configuration: Configuration,
        base: Path,
        place: ServerPlace,
        board: StatusBoard,
        elsewhere: frozenset[str],
        changed: Callable[[], None],
        called: str = "",
    ) -> None:
        self.group, self.configuration, self.base = group, group.part_of(configuration), base
        self.place, self.board, self.elsewhere, self.changed = place, board, elsewhere, changed
        self.called = called
        self.parts: Parts | None = None
        self.scheduler: Scheduler | None = None
        self.error: SyncError | None = None
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"group-{group.name}", daemon=True)
        self._over = False

    @property
    def over(self) -> bool:
        """Whether it works no more, and holds nothing."""
        return self._over

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, why: str) -> None:
        """End the views, and let another member have the group. Safe from any thread."""
        if not self.stopping.is_set():
            log.warning("state.given_up", group=self.group.name, reason=why)
            self.stopping.set()

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def destinations(self) -> tuple[DestinationStatus, ...]:
        """Where its events go; not the destination of the other brands, when it has none of them."""
        if self.parts is None:
            return ()
        main = self.parts.delivery.default.name
        mine = (each for each in self.parts.delivery.status() if self.group.main or each.name != main)
        return tuple(replace(each, name=each.name + self.called) for each in mine)

    def _work(self) -> None:
        try:
            with ExitStack() as stack:
                parts = assemble(self.configuration, self.base, stack, self.board, self.place)
                parts.store.when_lost(partial(self.stop, "the lease is another's, or could not be renewed"))
                loops = parts.loops
                self.scheduler = Scheduler(loops, parts.store, self.configuration, self.stopping, self.elsewhere)
                log.info("cluster.works", group=self.group.name, views=len(loops), before=parts.store.before)
                self.parts = parts
                self.changed()
                self.scheduler.forever()
        except SyncError as error:
            self.error = error
            if not isinstance(error, StateHeld):
                log.warning("cluster.failed", group=self.group.name, reason=error.message, hint=error.hint)
        except Exception as error:  # noqa: BLE001 - the other groups go on, and this one is tried again
            self.error = Unexpected(error)
            log.error("cluster.failed", group=self.group.name, reason=self.error.message, hint=self.error.hint)  # noqa: TRY400 - its words may hold a row's values
        finally:
            self.board.leave(view.name for view in self.group.views)
            self.parts, self._over = None, True
            self.changed()
