"""Health: what is known becomes findings, and findings become two answers: alive, and delivering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from smartico_sync.observe.view_status import patience_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.delivery.destination import DestinationStatus
    from smartico_sync.observe.view_status import ViewStatus

__all__ = [
    "ORDINARY_INTERVALS",
    "REFUSED_PROPERTIES",
    "UNKNOWN_DUPLICATES",
    "Finding",
    "Health",
    "assess",
    "standstill",
]

STUCK_MS = 60_000  # no sign of life from any view for this long, beyond ten intervals: twice what a database or the API may take
SOURCE_STUCK_MS = (
    900_000  # a quarter of an hour beyond statement_timeout: a restart would ask the same slow question again
)
STANDSTILL_MS = (
    300_000  # five minutes: longer than the pauses after errors and a restart of a database; then a person must look
)
ORDINARY_INTERVALS = (
    2  # a lag of one interval and the poll is what lies between two good polls, whatever `max_age` says
)
UNKNOWN_DUPLICATES = (
    "nothing, after the state was begun anew or restored; else another daemon sends them too, or two rows have one event id: "
    "smartico-sync check looks for keys that repeat"
)
REFUSED_PROPERTIES = (
    "register the properties with Smartico, or leave their columns out with `columns: {name: null}`; what was left out goes again "
    "with: smartico-sync watermark rewind VIEW --to … --resend-profiles"
)
WAITS_FOR = {"": "", "source": "; it waits for the database", "api": "; it waits for the API"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing an operator should know, and what to type next."""

    severity: Literal["warning", "critical"]
    subject: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """`alive`: the daemon turns. `ready`: it delivers."""

    alive: Literal["alive", "stuck"]
    ready: Literal["delivering", "starting", "not delivering"]
    findings: tuple[Finding, ...]


def assess(views: Sequence[ViewStatus], destinations: Sequence[DestinationStatus]) -> Health:
    """Judge the daemon by what is known of it at one moment."""
    findings = []
    for view in views:
        if view.error:
            severity: Literal["warning", "critical"] = (
                "critical" if view.state in ("halted", "regressed") else "warning"
            )
            findings.append(Finding(severity, view.name, view.error, view.hint))
        findings += [Finding("warning", view.name, warning) for warning in view.warnings]
        if dead := sum(view.dead.values()):
            hint = f"smartico-sync dead-letters list --view {view.name}"
            findings.append(Finding("warning", view.name, f"{dead:,} rows were given up (dead letters)", hint))
        if view.invalid:
            most = ", ".join(
                f"{name} {count}" for name, count in sorted(view.invalid.items(), key=lambda each: -each[1])
            )
            told = f"{sum(view.invalid.values())} values broke a rule or could not be read since the start: {most}"
            findings.append(
                Finding("warning", view.name, told, "mend them in the view; `on_invalid` says what becomes of them")
            )
        if view.left_out:
            most = ", ".join(f"{name} {n}" for name, n in sorted(view.left_out.items(), key=lambda each: -each[1]))
            told = f"{sum(view.left_out.values())} values were left out since the start, because the API refused their property: {most}"
            findings.append(Finding("warning", view.name, told, REFUSED_PROPERTIES))
        if view.unknown_duplicates:
            told = f"{view.unknown_duplicates:,} rows were duplicates to the API, though this state never sent them"
            findings.append(Finding("warning", view.name, told, UNKNOWN_DUPLICATES))
        findings += of_age(view)
        if view.differing:
            told = (
                f"{view.differing} of {view.looked} profiles that were read again hold something else than was sent: a change "
                f"did not move `{view.cursor}`"
            )
            hint = f"have every change move {view.cursor}; then: smartico-sync backfill {view.name} --from TIME sends what differs"
            findings.append(Finding("warning", view.name, told, hint))
        if view.missing:
            hint = f"smartico-sync reconcile --view {view.name} --send"
            findings.append(Finding("warning", view.name, f"{view.missing} rows were never acknowledged", hint))
    for destination in destinations:
        findings += [Finding("critical", destination.name, message, hint) for message, hint in destination.halts]
        findings += [Finding("warning", destination.name, message, hint) for message, hint in destination.warnings]
        if destination.state == "backing_off":
            hint = destination.hint or "nothing: it is tried again by itself"
            unavailable = f"the API is unavailable: {destination.last_error}"
            findings.append(Finding("warning", destination.name, unavailable, hint))
    stuck = bool(views) and all(view.silent_ms > stuck_after_ms(view) for view in views)
    bad = any(finding.severity == "critical" for finding in findings)
    bad = bad or any(view.state == "degraded" for view in views) or any(d.state == "backing_off" for d in destinations)
    ready: Literal["delivering", "starting", "not delivering"] = "delivering"
    if any(view.state == "starting" for view in views):
        ready = "starting"
    if bad or stuck:
        ready = "not delivering"
    return Health("stuck" if stuck else "alive", ready, tuple(findings))


def stuck_after_ms(view: ViewStatus) -> int:
    """For how long no sign of life of a view is none of a daemon that is stuck. A long page of its source is not."""
    if view.waits_for == "source":
        return view.statement_timeout_ms + SOURCE_STUCK_MS
    return max(STUCK_MS, patience_ms(view.every_ms))


def of_age(view: ViewStatus) -> list[Finding]:
    """What is to be said of a view because time has passed: it stands still, or its lag is beyond `max_age`.

    Standing still is a warning until `max_age`, or five minutes where none is set, then critical.
    """
    findings = []
    if told := standstill(view):
        limit = STANDSTILL_MS if view.max_age_ms is None else view.max_age_ms
        hint = (
            "smartico-sync check"
            if view.standstill == "hanging"
            else "smartico-sync backfill --list"
            if view.backfill
            else "smartico-sync status"
        )
        findings.append(Finding("critical" if view.still_ms > limit else "warning", view.name, told, hint))
    if view.max_age_ms is not None and view.lag_ms > max(view.max_age_ms, ORDINARY_INTERVALS * view.every_ms):
        age, limit = view.lag_ms // 1000, view.max_age_ms
        old = f"nothing newer than {age:,} s ago is known to be delivered; `max_age` is {limit / 1000:g} s"
        findings.append(Finding("critical", view.name, old, view.hint or "smartico-sync status"))
    return findings


def standstill(view: ViewStatus) -> str:
    """That a view stands still, for how long and what it waits for; empty while it does not."""
    still = f"{view.still_ms // 1000:,} s"
    if view.standstill == "no":
        return ""
    if view.standstill == "waiting":
        return f"no poll has begun for {still}"
    got_on = view.poll_ms - view.still_ms >= 1000
    told = f"the poll has been running for {view.poll_ms // 1000:,} s" + (
        f", the last {still} without progress" if got_on else ""
    )
    return told + WAITS_FOR[view.waits_for]
