"""The board on which trackers write what happens, and from which everybody reads how every view does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from msgspec.structs import replace

from smartico_sync.observe.polls import Instant
from smartico_sync.observe.view_status import derived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from smartico_sync.observe.polls import Polls
    from smartico_sync.observe.view_status import ViewFacts, ViewStatus

__all__ = ["StatusBoard"]


class StatusBoard:
    """The facts of every view, in the order of the configuration, and the clock of those who look. Thread-safe."""

    def __init__(self, clock: Callable[[], Instant] = Instant.now) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._facts: dict[str, ViewFacts] = {}
        # Newer than those among the facts: they change many times a minute, all else seldom.
        self._polls: dict[str, Polls] = {}
        self._left: frozenset[str] = frozenset()

    def put(self, facts: ViewFacts) -> None:
        """Begin with a view, or anew."""
        with self._lock:
            self._facts[facts.name], self._polls[facts.name] = facts, facts.polls
            self._left -= {facts.name}

    def leave(self, names: Iterable[str]) -> None:
        """Tell no more of views that another member works with, until they are begun with again."""
        with self._lock:
            self._left |= set(names)

    def change(self, name: str, changed: Callable[[ViewFacts], ViewFacts]) -> None:
        """Replace the facts of a view by what follows from them. `changed` is called with the lock held, and calls nobody."""
        with self._lock:
            self._facts[name] = facts = changed(self._now(name))
            self._polls[name] = facts.polls

    def change_facts(self, name: str, changed: Callable[[ViewFacts], ViewFacts]) -> None:
        """The same for a change that neither reads nor makes anything of the polls."""
        with self._lock:
            self._facts[name] = changed(self._facts[name])

    def change_polls(self, name: str, changed: Callable[[Polls, ViewFacts], Polls]) -> None:
        """Replace what is known of a view's polls alone; of the facts that `changed` is given only the others hold."""
        with self._lock:
            self._polls[name] = changed(self._polls[name], self._facts[name])

    def facts(self, name: str) -> ViewFacts:
        """What is known of a view."""
        with self._lock:
            return self._now(name)

    def _now(self, name: str) -> ViewFacts:
        facts, polls = self._facts[name], self._polls[name]
        return facts if facts.polls is polls else replace(facts, polls=polls)

    def views(self) -> tuple[ViewStatus, ...]:
        """How every view does now, all of them at the same moment."""
        known, now = self._all(), self.clock()
        return tuple(derived(facts, now) for facts in known)

    def last_seen(self) -> tuple[ViewStatus, ...]:
        """How every view did when it was last heard of: for a run in which each ends as soon as it has caught up."""
        return tuple(derived(facts, facts.polls.seen) for facts in self._all())

    def _all(self) -> tuple[ViewFacts, ...]:
        with self._lock:
            return tuple(self._now(name) for name in self._facts if name not in self._left)
