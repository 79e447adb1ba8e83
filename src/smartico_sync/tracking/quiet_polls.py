"""Polls of views in which nothing but a new row is expected: all those of a source by one question, in one round trip."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog

from smartico_sync.errors import SyncError, Unexpected
from smartico_sync.tracking.clocks import steady_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Future

    from smartico_sync.tracking.loop import ViewLoop
    from smartico_sync.tracking.quiet import Quiet

__all__ = ["QuietPolls"]

log = structlog.get_logger()


class QuietPolls:
    """Polls for loops that are quiet, in a thread for each source; where there is news the loop itself is asked to poll.

    Whatever goes wrong is left to the loops: they meet it themselves, and tell it.
    """

    def __init__(self) -> None:
        self._threads: dict[int, ThreadPoolExecutor] = {}
        self._under_way: dict[int, Future[None]] = {}
        self._unable: set[int] = set()

    def take(self, loops: Iterable[ViewLoop]) -> list[ViewLoop]:
        """Begin to poll for those that are quiet; the others, who must poll themselves. By one thread only."""
        left: list[ViewLoop] = []
        asked: dict[int, list[tuple[ViewLoop, Quiet]]] = {}
        now = steady_ms()
        for loop in loops:
            source, quiet = id(loop.equipment.source), loop.quiet
            before = self._under_way.get(source)
            if quiet is None or now >= quiet.until or source in self._unable or (before and not before.done()):
                left.append(loop)
            else:
                asked.setdefault(source, []).append((loop, quiet))
        for source, some in asked.items():
            if source not in self._threads:
                self._threads[source] = ThreadPoolExecutor(1, thread_name_prefix="quiet")
            self._under_way[source] = self._threads[source].submit(self._poll, source, some)
        return left

    def close(self) -> None:
        """End the threads; what is under way is not waited for."""
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)

    def _poll(self, source: int, some: Sequence[tuple[ViewLoop, Quiet]]) -> None:
        equipment = some[0][0].equipment
        began = equipment.recorder.board.clock()
        try:
            news = equipment.source.news([(quiet.relation, quiet.after) for _, quiet in some])
        except SyncError:
            news = None
        except Exception as error:  # noqa: BLE001 - the loops poll on, whatever the reason
            log.error("quiet_polls", reason=Unexpected(error).message)  # noqa: TRY400 - no traceback in the log
            news = None
        else:
            if news is None:
                self._unable.add(source)
        for place, (loop, quiet) in enumerate(some):
            if news is not None and not news.found[place] and news.server == quiet.server and loop.quiet is quiet:
                loop.equipment.recorder.found_nothing(began)
            else:
                loop.mailbox.ask_to_poll()
