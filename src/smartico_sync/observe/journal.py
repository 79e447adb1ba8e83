"""The journal: what changed in the daemon's health from one look to the next is one line of the log, and so is that it is over."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Self

import structlog
from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.errors import Unexpected
from smartico_sync.observe.finding import SEVERAL, SHARED, Finding, by_cause, gist
from smartico_sync.observe.polls import Instant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from smartico_sync.observe.finding import Code
    from smartico_sync.observe.health import Health
    from smartico_sync.observe.view_status import ViewStatus

__all__ = ["Change", "Journal", "Look", "Standing", "changes", "iso"]

LOOK_S = 5.0  # what stands for less is told by whoever meets it, or is no news
SUM_MS = 60_000  # how often rows that did not go are summed up
# Those that happen have a line of their own, at once; `trouble` has one for its end, too.
TOLD: frozenset[Code] = frozenset(
    {
        "trouble",
        "advice",
        "source",
        "left_out",
        "unknown_duplicates",
        "repeated_profiles",
        "api_halted",
        "start",
        "alerts",
    }
)

log = structlog.get_logger()
Key = tuple[str, str, str]
Look = tuple["Health", "Sequence[ViewStatus]"]


class Standing(Struct, frozen=True):
    """A finding that stands, as it was last seen, and since when."""

    finding: Finding
    since: Instant


class Change(Struct, frozen=True):
    """A finding that `began`, became `worse`, or is `over` after `after_ms`."""

    what: Literal["began", "worse", "over"]
    finding: Finding
    after_ms: int = 0


def key_of(finding: Finding) -> Key:
    """What makes two findings of two moments the same one: numbers in it change, and more subjects may share its cause."""
    if finding.code in SEVERAL:
        return finding.code, finding.subject, gist(finding.message)
    if finding.code in SHARED:
        return finding.code, "", gist(finding.message.replace(f"view {finding.subject}: ", ""))
    return finding.code, finding.subject, ""


def changes(
    before: Mapping[Key, Standing], health: Health, now: Instant
) -> tuple[dict[Key, Standing], tuple[Change, ...]]:
    """What stands now, and what changed. While the daemon starts nothing is over: nobody has looked yet."""
    standing: dict[Key, Standing] = {}
    grouped: dict[Key, list[Finding]] = {}
    for finding in health.each:
        grouped.setdefault(key_of(finding), []).append(finding)
    found: list[Change] = []
    for key, some in grouped.items():
        known = before.get(key)
        since = known.since if known else now
        one = begun(by_cause(some)[0], since)
        standing[key] = Standing(one, since)
        if known is None:
            found.append(Change("began", one))
        elif one.severity == "critical" != known.finding.severity:
            found.append(Change("worse", one))
    for key, known in before.items():
        if key in standing:
            continue
        if health.ready == "starting":
            standing[key] = known
        else:
            found.append(Change("over", known.finding, now.ms_since(known.since)))
    return standing, tuple(found)


def begun(finding: Finding, since: Instant) -> Finding:
    """The same with since when it stands: as it says itself, else since it was first seen."""
    return finding if finding.since_ms else replace(finding, since_ms=since.wall_ms)


class Journal:
    """A context manager that looks now and then, from a thread of its own, until its end.

    `watch` says where to look; None: nowhere for now. `tell` is given all that changed, and the health of that moment.
    """

    def __init__(self, tell: Callable[[Sequence[Change], Health], None] = lambda *_: None) -> None:
        self._tell = tell
        self._look: Callable[[], Look] | None = None
        self._standing: dict[Key, Standing] = {}
        self._before: frozenset[Key] = frozenset()  # what stood when nobody looked any more
        self._ready = "starting"
        self._summed: dict[str, tuple[Counter[str], int]] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def watch(self, look: Callable[[], Look] | None) -> None:
        """Look there from now on. What was seen before is looked at a last time."""
        if self._look is not None and look is None:
            self.look(at_end=True)
        with self._lock:
            self._look = look
            if look is None:
                self._before = frozenset(self._standing)

    def dated(self, health: Health) -> Health:
        """The same, each finding with since when it stands; one that was not seen yet is as it is."""
        known = self._standing  # replaced as a whole, and never changed
        each = tuple(
            begun(finding, seen.since) if (seen := known.get(key_of(finding))) else finding for finding in health.each
        )
        return replace(health, each=each, findings=tuple(by_cause(each)))

    def _work(self) -> None:
        while not self._ended.wait(LOOK_S):
            self.look()

    def look(self, *, at_end: bool = False) -> None:
        """Look once, and write down what changed; at the end, before a reload for instance, only what was summed up."""
        with self._lock:
            if self._look is None:
                return
            try:
                health, views = self._look()
                self._sum(views, Instant.now(), 0 if at_end else SUM_MS)
                if at_end:
                    self._keep(health)
                else:
                    self._compare(health)
            except Exception as error:  # noqa: BLE001 - the log goes on, whatever the reason
                mistake = Unexpected(error)
                log.error("journal", reason=mistake.message, hint=mistake.hint)  # noqa: TRY400 - no traceback in the log

    def _keep(self, health: Health) -> None:
        """Trouble of views that end now has been told by them, and its end will have to be."""
        standing, _ = changes(self._standing, health, Instant.now())
        self._standing = self._standing | {
            key: each for key, each in standing.items() if each.finding.code == "trouble"
        }

    def _compare(self, health: Health) -> None:
        self._standing, found = changes(self._standing, health, Instant.now())
        for change in found:
            write(change, "before" if key_of(change.finding) in self._before else "now")
        self._before &= frozenset(self._standing)
        if health.ready != self._ready:
            log.info("health", ready=health.ready, before=self._ready, findings=len(health.findings))
            self._ready = health.ready
        if found:
            self._tell(found, health)

    def _sum(self, views: Sequence[ViewStatus], now: Instant, every_ms: int) -> None:
        """What became of rows that did not go, since the last such line: at once, then once a minute of each view."""
        for view in views:
            counted = undelivered(view)
            before, told_ms = self._summed.get(view.name, (Counter(), -SUM_MS))
            new = counted - before
            if not new or now.steady_ms - told_ms < every_ms:
                continue
            self._summed[view.name] = counted, now.steady_ms
            kinds: dict[str, dict[str, int]] = {}
            for name, count in new.items():
                kind, _, which = name.partition(" ")
                kinds.setdefault(kind, {})[which] = count
            waiting = {str(code): count for code, count in view.parked.items()}
            log.warning("view.undelivered", view=view.name, **kinds, waiting=waiting)


def undelivered(view: ViewStatus) -> Counter[str]:
    """What did not go since the start: rows that were given up or parked, by code, and values, by property."""
    counted: Counter[str] = Counter()
    counted.update({f"given_up {code}": count for code, count in view.given_up.items()})
    counted.update({f"parked {code}": count for code, count in view.put_off.items()})
    counted.update({f"invalid {name}": count for name, count in view.invalid.items()})
    counted.update({f"left_out {name}": count for name, count in view.left_out.items()})
    return counted


def write(change: Change, begun_in: Literal["before", "now"] = "now") -> None:
    """One line for what changed; none where whoever met it has written one. A view's loop of `before` a reload writes no end."""
    finding = change.finding
    told = {"code": finding.code, "subject": finding.subject, "reason": finding.message}
    if change.what == "over":
        if finding.code != "trouble" or begun_in == "before":
            log.info("finding.over", **told, after_s=round(change.after_ms / 1000))
    elif change.what == "worse" or finding.code not in TOLD:
        say = log.error if finding.severity == "critical" else log.warning
        since = {"since": iso(finding.since_ms)} if finding.since_ms else {}
        say("finding", severity=finding.severity, **told, hint=finding.hint, **since)


def iso(ms: int) -> str:
    """A moment as the log has it."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
