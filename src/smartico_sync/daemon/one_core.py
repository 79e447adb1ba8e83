"""One core while little is to do.

A poll of one row passes Python's global lock from thread to thread a hundred times: each call of a driver, of SQLite, polars or a
socket gives it away. Where two cores share the threads, nearly each time one of them waits for the other, or is woken for it, which
costs a quarter to a third of all CPU of many views with few rows (docs/speed.md). Where all share one core, whoever gave the lock
away mostly has it again before anybody else runs.

So while this process takes less than `CALM` of a core its threads are held on the one that is used least, and let go as soon as that
one is full, by us or by others: the kernel moves nobody who is held.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import structlog
from msgspec import Struct

from smartico_sync.errors import Unexpected

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from types import TracebackType

__all__ = ["Look", "OneCore", "wanted"]

LOOK_S = 1.0  # a backlog that begins has one core for no longer than this; a look itself takes some 0.1 ms
CALM_LOOKS = 3  # whoever has just worked off a page may well have another one
CALM = (
    0.5  # of a core: held on one, the same work takes a third less, so half of it and more is free for what comes next
)
FULL = 0.8  # of a core: above it threads wait for each other, and another core may have time
TICKS = os.sysconf("SC_CLK_TCK")

log = structlog.get_logger()


class Look(Struct, frozen=True):
    """What was used until `at_s`: `own_s`, CPU seconds of this process; `busy_s`, those of each core, by whomever."""

    at_s: float
    own_s: float
    busy_s: Mapping[int, float]

    @classmethod
    def taken(cls) -> Look:
        """That of this moment. A core that the kernel does not tell of counts as quiet."""
        busy_s: dict[int, float] = {}
        with suppress(OSError):
            for line in Path("/proc/stat").read_text("ascii").splitlines():
                name, *ticks = line.split()
                if name.startswith("cpu") and name != "cpu":
                    spent = [int(each) for each in ticks[:8]]  # what guests take is in it already
                    busy_s[int(name[3:])] = (sum(spent) - spent[3] - spent[4]) / TICKS  # but for idle and waiting
        return cls(time.monotonic(), time.process_time(), busy_s)


def wanted(looks: Sequence[Look], held: int | None, allowed: Collection[int]) -> int | None:
    """The core of those allowed on which to hold this process from now on; None: let it run on all of them.

    `looks`: those since it was last held or let go, oldest first, at most `CALM_LOOKS + 1`; `held`: where it has been since.
    """
    if held is not None:
        if len(looks) < 2:
            return held
        before, now = looks[-2], looks[-1]
        return None if max(own(before, now), used(before, now, held)) > FULL else held
    if len(looks) <= CALM_LOOKS:
        return None
    first, now = looks[0], looks[-1]
    mine, others = own(first, now), {core: used(first, now, core) for core in sorted(allowed)}
    quietest = min(others, key=lambda core: others[core])
    return quietest if mine < CALM and mine + others[quietest] < FULL else None


def own(before: Look, now: Look) -> float:
    """What share of a core this process used between two looks."""
    return (now.own_s - before.own_s) / max(now.at_s - before.at_s, 1e-9)


def used(before: Look, now: Look, core: int) -> float:
    """What share of that core was used between two looks, by us and by others."""
    return (now.busy_s.get(core, 0.0) - before.busy_s.get(core, 0.0)) / max(now.at_s - before.at_s, 1e-9)


class OneCore:
    """A context manager that looks each second, from a thread of its own, until its end; then all is let go.

    What somebody else says of the cores of this process (a unit's `CPUAffinity=`, a container, `taskset`) is obeyed: only among those
    is one chosen, and threads that others have moved stay where they are. Without Linux, or with one core, it does nothing.
    """

    def __init__(self, look_s: float = LOOK_S) -> None:
        self._look_s = look_s
        self._allowed: frozenset[int] = frozenset()
        self._held: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="one-core", daemon=True)

    def __enter__(self) -> Self:
        if hasattr(os, "sched_setaffinity"):
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        try:
            self._look_again()
        except Exception as error:  # noqa: BLE001 - the daemon goes on without, whatever the reason
            mistake = Unexpected(error)
            log.error("cores", reason=mistake.message, hint=mistake.hint)  # noqa: TRY400 - no traceback in the log
        if self._held is not None:
            self._hold(None)

    def _look_again(self) -> None:
        looks: deque[Look] = deque(maxlen=CALM_LOOKS + 1)
        while not self._ended.wait(self._look_s):
            here = frozenset(os.sched_getaffinity(0))
            if here != self._placed():  # the first look, or somebody else has moved us
                self._allowed, self._held = here, None
                looks.clear()
            looks.append(Look.taken())
            core = wanted(looks, self._held, self._allowed)
            if core != self._held and len(self._allowed) > 1:
                looks.clear()
                self._hold(core)

    def _placed(self) -> frozenset[int]:
        """The cores that our threads may use as far as we know."""
        return self._allowed if self._held is None else frozenset({self._held})

    def _hold(self, core: int | None) -> None:
        """Move all threads that are where they were put last; those that begin meanwhile come from one of them."""
        before, self._held = self._placed(), core
        after = self._placed()
        moved: set[int] = set()
        while fresh := {int(task.name) for task in Path("/proc/self/task").iterdir()} - moved:
            for task in fresh:
                with suppress(OSError):  # it has ended, or nobody may be moved here
                    if os.sched_getaffinity(task) == before:
                        os.sched_setaffinity(task, after)
            moved |= fresh
        log.debug("cores", held=sorted(after), of=sorted(self._allowed))
