"""Health: what is known becomes findings, and findings become two answers: alive, and delivering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from smartico_sync.core.reason_codes import UNKNOWN_BRAND, UNKNOWN_USER, WAITS_BEHIND
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
    "named",
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
Severity = Literal["warning", "critical"]
FEW_REFUSED = 10  # rows: of fewer a share says nothing
REFUSED_WARNING, REFUSED_CRITICAL = (
    0.05,
    0.5,
)  # of the last rows: some mistake, and a view that does not hold what it should
DELIVERED = ("delivered", "duplicate", "unchanged")  # counts of rows that Smartico has
MANY_WAITING = (
    100  # rows: fewer may be a casino's first players of a morning, and half of all is no longer some players
)
WAITS_FOR_WHAT = {
    UNKNOWN_USER: "Smartico does not know their players (10001)",
    UNKNOWN_BRAND: "nobody registered their brand (125)",
    WAITS_BEHIND: "they wait behind an earlier event of their player",
}
OTHERWISE = "they are tried again"
WAITING_HINTS = {
    UNKNOWN_USER: "smartico-sync status: whether the view of kind `users` delivers; it must hold these players, under the same ext_brand_id and user_ext_id",
    UNKNOWN_BRAND: "have the brand registered at Smartico, or name the one they know it by: `smartico.brands.NAME.alias`",
    WAITS_BEHIND: "nothing: they follow by themselves when the first of their player is accepted or given up",
}
WAITS_FOR = {"": "", "source": "; it waits for the database", "api": "; it waits for the API"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing an operator should know, and what to type next.

    `since_ms`: since when it has been so, `last_good_ms`: when it was well last; epoch ms, 0 where that is not known.
    """

    severity: Severity
    subject: str
    message: str
    hint: str = ""
    since_ms: int = 0
    last_good_ms: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """`alive`: the daemon turns. `ready`: it delivers, or stands by and sees the state that another member works with."""

    alive: Literal["alive", "stuck"]
    ready: Literal["delivering", "standing by", "starting", "not delivering"]
    findings: tuple[Finding, ...]


def assess(
    views: Sequence[ViewStatus], destinations: Sequence[DestinationStatus], notes: Sequence[Finding] = ()
) -> Health:
    """Judge the daemon by what is known of it at one moment. `notes`: what is known besides of the process itself.

    Findings are told once for each cause, whatever number of views it concerns; critical ones first, advice last.
    """
    findings = [*notes]
    told_of_api = any(destination.halts or destination.state == "backing_off" for destination in destinations)
    for view in views:
        trouble = view.polls.trouble
        if view.error and not (told_of_api and trouble is not None and trouble.cause == "api"):
            severity: Severity = "critical" if view.state in ("halted", "regressed") else "warning"
            findings.append(Finding(severity, view.name, view.error, view.hint, view.error_ms, view.last_success_ms))
        findings += [Finding("warning", view.name, warning) for warning in view.warnings]
        findings += of_waiting(view)
        findings += of_refusals(view)
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
    return Health("stuck" if stuck else "alive", ready, tuple(by_cause(findings)))


def by_cause(findings: Sequence[Finding]) -> list[Finding]:
    """What is the same for several subjects, told once and of all of them, the longest standing; by severity, and by whether there is something to do."""
    same: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        about = finding.message.replace(f"view {finding.subject}: ", "")
        same.setdefault((finding.severity, about, finding.hint), []).append(finding)
    grouped = [
        some[0]
        if len(some) == 1
        else Finding(
            some[0].severity,
            named([each.subject for each in some]),
            about,
            hint,
            min((each.since_ms for each in some if each.since_ms), default=0),
            max(each.last_good_ms for each in some),
        )
        for (_, about, hint), some in same.items()
    ]
    return sorted(grouped, key=lambda each: (each.severity != "critical", not each.hint))


def named(subjects: Sequence[str]) -> str:
    """The first three of them, and how many more."""
    more = len(subjects) - 3
    return ", ".join(subjects[:3]) + (f" and {more} more" if more > 0 else "")


def of_refusals(view: ViewStatus) -> list[Finding]:
    """That a good part of the last rows was given up."""
    if view.recent_refused < FEW_REFUSED or view.recent_refused < REFUSED_WARNING * view.recent_rows:
        return []
    share = view.recent_refused / view.recent_rows
    told = f"{view.recent_refused:,} of the last {view.recent_rows:,} rows were given up ({share:.0%})"
    hint = f"smartico-sync dead-letters list --view {view.name} says why; smartico-sync preview {view.name} shows what is sent"
    return [Finding("critical" if share >= REFUSED_CRITICAL else "warning", view.name, told, hint)]


def of_waiting(view: ViewStatus) -> list[Finding]:
    """That rows wait to be tried again: how many, which share of all that is not settled well, for how long, and for what."""
    waiting = sum(view.parked.values())
    if not waiting:
        return []
    often = max(view.parked, key=view.parked.__getitem__)
    first = view.parked_oldest_ms // 1000
    settled = sum(view.counts.get(name, 0) for name in DELIVERED)
    share = f" ({waiting / (waiting + settled):.0%} of all that was read)" if settled else ", and none was delivered"
    told = f"{waiting:,} row{'s wait' if waiting > 1 else ' waits'}{share}, the first for {first:,} s: {WAITS_FOR_WHAT.get(often, OTHERWISE)}"
    critical = waiting >= MANY_WAITING and waiting > settled
    hint = WAITING_HINTS.get(
        often, f"smartico-sync dead-letters list --view {view.name} shows those that were given up"
    )
    return [Finding("critical" if critical else "warning", view.name, told, hint)]


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
