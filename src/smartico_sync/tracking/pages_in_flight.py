"""What is on its way to the API and not yet committed, in order and bounded."""

from __future__ import annotations

import math
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable

    from smartico_sync.core.records import Receipt
    from smartico_sync.observe.polls import Instant
    from smartico_sync.tracking.memory_budget import MemoryBudget

__all__ = ["InFlight", "PagesInFlight", "Sent"]

MOST_PAGES = 512  # small ones of polls that did not wait for a player whom the API is slow with: minutes of them
Where = Literal["here", "worker"]
Scan = Literal["none", "part"]
FULL_PAGES = 4  # of a backlog: while they keep reading, working and sending busy, more of them only cost memory


class Sent(Struct, frozen=True):
    """Rows whose events are queued. `settle` writes what their receipt changes; the loop calls it with the receipt.

    `size`: bytes of the events and of the bodies made of them; `rows`: of how many, 0 where that is not known.
    """

    receipt: Future[Receipt]
    settle: Callable[[Receipt], None]
    size: float = 0
    rows: int = 0


class InFlight(Struct, frozen=True, eq=False):
    """One page, or other rows that are committed together. `sent` resolves when its events are made and queued.

    `size` of the rows in bytes; `scan`: whether a rescan for late rows is part of it; `level`: when the reading began that
    left nothing behind it, None when it did; `until`: when it is given up (steady clock).
    `failed` hears of it when it fails, or with None when it is withdrawn.
    """

    sent: Future[Sent]
    size: float
    scan: Scan = "none"
    level: Instant | None = None
    until: float | None = None
    failed: Callable[[BaseException | None], None] = lambda _: None
    since: float = field(default_factory=time.monotonic)

    @property
    def settled(self) -> bool:
        """Whether it can be committed, or has failed."""
        return self.sent.done() and (self.sent.exception() is not None or self.sent.result().receipt.done())

    @property
    def made(self) -> float | None:
        """Bytes of its rows and of all that was made of them; None while that is under way."""
        if not self.sent.done():
            return None
        made = not self.sent.cancelled() and self.sent.exception() is None
        return self.size + (self.sent.result().size if made else 0)

    def settle(self) -> None:
        """Commit it, once settled. Raises what went wrong on the way."""
        try:
            sent = self.sent.result()
            sent.settle(sent.receipt.result())
        except BaseException as error:
            self.failed(error)
            raise

    def withdraw(self) -> None:
        """Take back what has not left yet; what is with the API already may still be accepted."""
        if not self.sent.cancel():
            with suppress(Exception):  # what could not be made was not sent
                self.sent.result().receipt.cancel()
        self.failed(None)


class PagesInFlight:
    """Used by the view's own loop only. `changed` is called, from any thread, when something may have settled.

    `busy` tells whether more pages would only wait: a few of a backlog are enough then. Where all that is left of them waits for
    some players, others are read on.

    `memory` is shared with other views; `most_bytes` of rows are the bound of this one, if it has one.

    Pages are made ready by one thread beside the loop while there is a backlog, and in the loop itself otherwise: for a
    page of a few rows a second thread only costs time.
    """

    def __init__(
        self,
        view: str,
        changed: Callable[[], None],
        memory: MemoryBudget,
        busy: Callable[[], bool] = lambda: True,
        most_bytes: float = math.inf,
    ) -> None:
        self._view = view
        self._changed = changed
        self._memory = memory
        self._busy = busy
        self._most_bytes = most_bytes
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"work-{view}")
        self._broken: BaseException | None = None
        self._ordered: deque[InFlight] = deque()
        self._beside: deque[InFlight] = deque()

    def __len__(self) -> int:
        return len(self._ordered) + len(self._beside)

    @property
    def full(self) -> bool:
        """Whether no further page should be read now: nothing goes behind one that could not be made."""
        size = sum(page.size for page in self._ordered)
        backlog = sum(page.level is None for page in self._ordered)
        self._tell_memory()
        bounds = (
            len(self._ordered) >= MOST_PAGES,
            size >= self._most_bytes,
            backlog >= FULL_PAGES and self._busy(),
            len(self) > 0 and self._memory.spent,
        )
        return self._broken is not None or any(bounds)

    def _tell_memory(self) -> None:
        held = 0.0
        for page in (*self._ordered, *self._beside):
            made = page.made
            held += self._memory.expected(self._view, page.size) if made is None else made
            # Rows that say nothing new tell nothing of those that do.
            if made is not None and page.size and made > page.size:
                self._memory.became(self._view, page.size, made, page.sent.result().rows)
        self._memory.hold(self._view, held)

    @property
    def scanning(self) -> bool:
        """Whether rows of an earlier rescan are not committed yet."""
        return any(page.scan == "part" for page in self._ordered)

    def oldest_s(self) -> float:
        """How long the oldest has been on its way; 0 when nothing is."""
        since = [page.since for page in (*self._ordered, *self._beside)]
        return time.monotonic() - min(since) if since else 0.0

    def send(
        self,
        work: Callable[[], Sent],
        size: float,
        *,
        where: Where = "here",
        scan: Scan = "none",
        level: Instant | None = None,
    ) -> None:
        """Make events of rows and queue them, to be committed in the order of these calls.

        `where`: "worker" beside the loop, "here" at once (raises what `work` raises); behind a page that the worker has
        not finished everything goes to the worker, so that events are queued in order. Behind one that could not be made
        nothing is made either: its rows would overtake.
        """
        self._add(self._ordered, InFlight(self._made(lambda: self._behind(work), where), size, scan, level))

    def _behind(self, work: Callable[[], Sent]) -> Sent:
        """Make a page, if all before it could be made."""
        if self._broken is not None:
            raise self._broken
        try:
            return work()
        except BaseException as error:
            self._broken = error
            raise

    def send_history(
        self,
        work: Callable[[], Sent],
        size: float,
        *,
        order: Literal["kept", "any"],
        patience_s: float,
        failed: Callable[[BaseException | None], None],
    ) -> None:
        """The same for rows that are given up after a while, by order kept among the others or beside them."""
        page = InFlight(self._made(work, "here"), size, until=time.monotonic() + patience_s, failed=failed)
        self._add(self._ordered if order == "kept" else self._beside, page)

    def _add(self, pages: deque[InFlight], page: InFlight) -> None:
        pages.append(page)
        self._watch(page)

    def _made(self, work: Callable[[], Sent], where: Where) -> Future[Sent]:
        if where == "worker" or any(not page.sent.done() for page in self._ordered):
            return self._worker.submit(work)
        made: Future[Sent] = Future()
        made.set_result(work())
        return made

    def _watch(self, page: InFlight) -> None:
        """Have the loop look when something happens; what it has just made itself is nothing to be told of."""

        def made(sent: Future[Sent]) -> None:
            answered(sent)
            self._changed()

        def answered(sent: Future[Sent]) -> None:
            if not sent.cancelled() and sent.exception() is None:
                sent.result().receipt.add_done_callback(lambda _: self._changed())

        if page.sent.done():
            answered(page.sent)
        else:
            page.sent.add_done_callback(made)

    def take(self) -> InFlight | None:
        """The next that can be committed or has failed, taken out; None when there is none now."""
        if self._ordered and self._ordered[0].settled:
            return self._ordered.popleft()
        page = next((page for page in self._beside if page.settled), None)
        if page is not None:
            self._beside.remove(page)
        return page

    def overdue(self) -> bool:
        """Whether something should have been answered by now that has a deadline of its own."""
        now = time.monotonic()
        return any(
            page.until is not None and page.until < now and not page.settled for page in (*self._ordered, *self._beside)
        )

    def withdraw(self) -> None:
        """Take everything back. What is being made ready is waited for, so that nothing touches the session any more."""
        pages = [*self._ordered, *self._beside]
        self._ordered.clear()
        self._beside.clear()
        for page in reversed(pages):
            page.withdraw()
        self._broken = None
        self._tell_memory()

    def close(self) -> None:
        """End the thread."""
        self._memory.hold(self._view, 0)
        self._worker.shutdown(wait=False, cancel_futures=True)
