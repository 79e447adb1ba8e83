"""Which changes are worth waking somebody: what passes by itself is not told, and what flaps is told once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from smartico_sync.observe.journal import key_of

if TYPE_CHECKING:
    from smartico_sync.observe.finding import Code
    from smartico_sync.observe.journal import Change

__all__ = ["MOST", "PendingAlerts"]

SETTLE_S = 10.0  # what is over sooner wakes nobody
QUIET_S = 60.0  # what comes back sooner was not over
MOST = 1_000  # changes that wait for a receiver that is unavailable: every view of a large installation, and its causes
Key = tuple[str, str, str]
UNTOLD: frozenset[Code] = frozenset({"advice", "alerts"})  # the former is for the page; the latter would tell itself


class PendingAlerts:
    """What is to be told to one receiver, and when; moments are seconds of the steady clock. Used under the receiver's lock.

    A change waits until it has settled, and until the receiver has taken it: what is over by then is never told. Between `take` and
    `taken` or `failed` nobody knows whether the receiver has it, and more may change. `dropped` counts what found no room.
    """

    def __init__(self, severity: Literal["warning", "critical"]) -> None:
        self._severity = severity
        self._told: set[Key] = set()
        self._sending: dict[Key, Change] = {}
        self._waiting: dict[Key, tuple[float, Change]] = {}
        self.dropped = 0

    def note(self, change: Change, now: float) -> None:
        """Something changed."""
        if change.finding.code in UNTOLD:
            return
        key = key_of(change.finding)
        waiting, sending = self._waiting.pop(key, None), self._sending.get(key)
        known = sending.what != "over" if sending is not None else key in self._told
        if change.what == "over":
            if known:
                self._waiting[key] = now + QUIET_S, change
            return
        if self._severity == "critical" and change.finding.severity != "critical":
            return
        if known and change.what == "began":
            return  # it came back before its end was told
        if len(self._waiting) >= MOST:
            self.dropped += 1
            return
        due = waiting[0] if waiting and waiting[1].what != "over" else now + SETTLE_S
        self._waiting[key] = due, change

    def take(self, now: float) -> list[Change]:
        """What is to be told now, to be answered by `taken` or `failed`."""
        due = [change for moment, change in self._waiting.values() if moment <= now]
        self._sending = {key_of(change.finding): change for change in due}
        for key in self._sending:
            del self._waiting[key]
        return due

    def next_due(self) -> float | None:
        """When there will be something to tell; None when nothing waits."""
        return min((due for due, _ in self._waiting.values()), default=None)

    def taken(self) -> None:
        """The receiver has what was to be told."""
        for key, change in self._sending.items():
            if change.what == "over":
                self._told.discard(key)
            else:
                self._told.add(key)
        self._sending = {}

    def failed(self, now: float) -> None:
        """The receiver does not have it: it waits again, unless what changed meanwhile takes its place, or it is over."""
        for key, change in self._sending.items():
            later = self._waiting.get(key)
            if later is None:
                self._waiting[key] = now, change
            elif change.what == "over" or (later[1].what == "over" and key not in self._told):
                del self._waiting[key]  # it is as the receiver knows it
        self._sending = {}
