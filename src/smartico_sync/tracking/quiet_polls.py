"""Polls of views in which nothing but a new row is expected: all those of a source by one question, in one round trip."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import structlog

from smartico_sync.errors import SyncError, Unexpected
from smartico_sync.tracking.clocks import steady_ms
from smartico_sync.tracking.source_checks import next_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Future

    from smartico_sync.sources.protocol import Digest
    from smartico_sync.tracking.loop import ViewLoop
    from smartico_sync.tracking.quiet import Again, Quiet

__all__ = ["QuietPolls"]

AT_ONCE_MS = 250  # what is looked at in one round trip, as long as it took before: rows that come are told of behind it

log = structlog.get_logger()


class QuietPolls:
    """Polls for loops that are quiet, in a thread for each source; where there is news the loop itself is asked to poll.

    Whatever goes wrong is left to the loops: they meet it themselves, and tell it.
    """

    def __init__(self) -> None:
        self._threads: dict[int, ThreadPoolExecutor] = {}
        self._under_way: dict[int, Future[None]] = {}
        self._unable: set[int] = set()
        self._closed = False

    def take(self, loops: Iterable[ViewLoop]) -> list[ViewLoop]:
        """Begin to poll for those that are quiet; the others, who must poll themselves. By one thread only."""
        if self._closed:  # the daemon ends while polls are due
            return list(loops)
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
            with suppress(RuntimeError):  # closed in this moment
                self._under_way[source] = self._threads[source].submit(self._poll, source, some)
        return left

    def close(self) -> None:
        """End the threads; what is under way is not waited for."""
        self._closed = True
        for thread in tuple(self._threads.values()):
            thread.shutdown(wait=False, cancel_futures=True)

    def _poll(self, source: int, some: Sequence[tuple[ViewLoop, Quiet]]) -> None:
        equipment, now = some[0][0].equipment, steady_ms()
        began = equipment.recorder.board.clock()
        due = looks_of([quiet for _, quiet in some], now)
        replication: Literal["not asked", "asked"] = (
            "asked" if any(now >= quiet.replication_ms for _, quiet in some) else "not asked"
        )
        try:
            news = equipment.source.news(
                [quiet.asked(looks) for (_, quiet), looks in zip(some, due, strict=True)], replication
            )
        except SyncError:
            news = None
        except Exception as error:  # noqa: BLE001 - the loops poll on, whatever the reason
            log.error("quiet_polls", reason=Unexpected(error).message)  # noqa: TRY400 - no traceback in the log
            news = None
        else:
            if news is None:
                self._unable.add(source)
        for place, (loop, quiet) in enumerate(some):
            if news is None or news.found[place] or news.server != quiet.server or loop.quiet is not quiet:
                loop.mailbox.ask_to_poll()
                continue
            changed = look(due[place], news.digests[place], now) if due[place] else []
            if replication == "asked" and news.replication is not None:
                loop.equipment.recorder.replicates(news.replication)
                quiet.replication_ms = steady_ms() + next_ms(news.replication)
            if changed or (replication == "asked" and news.replication is None):
                loop.mailbox.ask_to_poll()
            else:
                loop.equipment.recorder.found_nothing(began)


def looks_of(some: Sequence[Quiet], now: int) -> list[list[Again]]:
    """What is to be looked at again now, of each; what would keep the others waiting for too long comes with the next poll."""
    left = AT_ONCE_MS
    chosen = []
    for quiet in some:
        due = [each for each in quiet.again if now >= each.due_ms]
        if due and (left := left - sum(each.cost_ms for each in due)) < 0:
            due = []
        chosen.append(due)
    return chosen


def look(due: Sequence[Again], digests: Sequence[Digest], now: int) -> list[Again]:
    """What is not as it was; all else is due again after its time."""
    changed = []
    for each, digest in zip(due, digests, strict=True):
        if digest == each.was:
            each.due_ms = now + each.every_ms
        else:
            changed.append(each)
    return changed
