"""What is to be said of one view: each check looks at what is known of it at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.reason_codes import UNKNOWN_BRAND, UNKNOWN_USER, WAITS_BEHIND
from smartico_sync.observe.finding import NEXT, Finding
from smartico_sync.observe.page_words import whole_seconds
from smartico_sync.observe.view_status import patience_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.observe.finding import Severity
    from smartico_sync.observe.view_status import ViewStatus

__all__ = [
    "ORDINARY_INTERVALS",
    "REFUSED_PROPERTIES",
    "REPEATED_PROFILES",
    "UNKNOWN_DUPLICATES",
    "of_view",
    "standstill",
    "stuck_after_ms",
]

STUCK_MS = 60_000  # no sign of life from any view for this long, beyond ten intervals: twice what a database or the API may take
SOURCE_STUCK_MS = (
    900_000  # a quarter of an hour beyond statement_timeout: a restart would ask the same slow question again
)
STANDSTILL_MS = (
    300_000  # five minutes: longer than the pauses after errors and a restart of a database; then a person must look
)
REPLICA_LAG_MS = 300_000  # likewise: a replica catches up with a nightly load by itself in less
ORDINARY_INTERVALS = (
    2  # a lag of one interval and the poll is what lies between two good polls, whatever `max_age` says
)
UNKNOWN_DUPLICATES = (
    "nothing, after the state was begun anew or restored; else another daemon sends them too, or two rows have one event id: "
    "smartico-sync check looks for keys that repeat"
)
REPEATED_PROFILES = "let the view have one row for each player, or name with `key:` what makes a row unique"
UNCOMPARED_DUPLICATES = (
    "count the keys that repeat in the database itself (GROUP BY the key HAVING count(*) > 1); an index on the key lets the view compare all: "
    "smartico-sync check"
)
MUTATED = "`on_mutated: resend` sends such rows again as new events, `ignore` says nothing; better show a row when it is final"
REFUSED_PROPERTIES = (
    "register the properties with Smartico, or leave their columns out with `columns: {name: null}`; what was left out goes again "
    "with: smartico-sync watermark rewind VIEW --to … --resend-profiles"
)
LEAST_TOLD = 0.005  # a smaller share would be told as none
DATED_AHEAD = (
    "correct them in the database; where its times are without a zone, is the source's `timezone` right? Correct it, then: "
    "smartico-sync reload"
)
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
    UNKNOWN_BRAND: "have the brand registered at Smartico, or name the one they know it by: `smartico.brands.NAME.alias`, then: smartico-sync reload",
    WAITS_BEHIND: "nothing: they follow by themselves when the first of their player is accepted or given up",
}
WAITS_FOR = {"": "", "source": "; it waits for the database", "api": "; it waits for the API"}


def of_view(view: ViewStatus, *, api_is_told: bool = False) -> list[Finding]:
    """All that is to be said of a view. `api_is_told`: that the API takes nothing is said already, once for all views."""
    findings: list[Finding] = []
    trouble = view.polls.trouble
    if view.error and not (api_is_told and trouble is not None and trouble.cause == "api"):
        severity: Severity = "critical" if view.state in ("halted", "regressed") else "warning"
        found = Finding(severity, view.name, view.error, view.hint, view.error_ms, view.last_success_ms, "trouble")
        findings.append(found)
    for warning in view.warnings:
        told, _, hint = warning.partition(NEXT)
        better = warning in view.advice
        findings.append(
            Finding("advice", view.name, told, hint, code="advice")
            if better
            else Finding("warning", view.name, told, hint, code="source")
        )
    findings += [*of_replica(view), *of_waiting(view), *of_refusals(view), *of_history(view)]
    if dead := sum(view.dead.values()):
        hint = f"smartico-sync dead-letters list --view {view.name}"
        told = f"{dead:,} {'row was' if dead == 1 else 'rows were'} given up (dead letters)"
        findings.append(Finding("warning", view.name, told, hint, code="dead_letters"))
    if view.invalid:
        told = f"{sum(view.invalid.values())} values broke a rule or could not be read since the start: {listed(view.invalid)}"
        hint = "mend them in the view; `on_invalid` says what becomes of them"
        findings.append(Finding("warning", view.name, told, hint, code="invalid"))
    if view.left_out:
        told = f"{sum(view.left_out.values())} values were left out since the start, because the API refused their property: {listed(view.left_out)}"
        findings.append(Finding("warning", view.name, told, REFUSED_PROPERTIES, code="left_out"))
    if view.unknown_duplicates:
        told = f"{view.unknown_duplicates:,} rows were duplicates to the API, though this state never sent them"
        findings.append(Finding("warning", view.name, told, UNKNOWN_DUPLICATES, code="unknown_duplicates"))
    if view.repeated_profiles:
        told = f"the key is not unique: {view.repeated_profiles:,} rows shared their player with another one of the same page since the start"
        findings.append(Finding("warning", view.name, told, REPEATED_PROFILES, code="repeated_profiles"))
    if view.uncompared_duplicates:
        told = f"{view.uncompared_duplicates:,} duplicates were not compared with the source, so another row with such a key may not have been sent"
        findings.append(Finding("warning", view.name, told, UNCOMPARED_DUPLICATES, code="uncompared_duplicates"))
    if view.mutated and view.on_mutated == "warn":
        which = "1 row has" if view.mutated == 1 else f"{view.mutated:,} rows have"
        told = f"{which} changed after delivery, and Smartico has what was sent first"
        findings.append(Finding("warning", view.name, told, MUTATED, code="mutated"))
    findings += of_age(view)
    if view.ahead:
        which = "1 row is" if view.ahead == 1 else f"{view.ahead:,} rows are"
        told = f"{which} dated more than `future_tolerance` ahead of the database's clock, and sent before its time"
        findings.append(Finding("warning", view.name, told, DATED_AHEAD, code="ahead"))
    if view.differing:
        told = (
            f"{view.differing} of {view.looked} profiles that were read again hold something else than was sent: a change "
            f"did not move `{view.cursor}`"
        )
        hint = f"have every change move {view.cursor}; then: smartico-sync backfill {view.name} --from TIME sends what differs"
        findings.append(Finding("warning", view.name, told, hint, code="differing"))
    if view.missing:
        hint = f"smartico-sync reconcile --view {view.name} --send"
        told = f"{view.missing} rows were never acknowledged"
        findings.append(Finding("warning", view.name, told, hint, code="missing"))
    return findings


def listed(counts: Mapping[str, int]) -> str:
    """Names with their counts, the most frequent first."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda each: -each[1]))


def of_replica(view: ViewStatus) -> list[Finding]:
    """That the source does not follow its primary: what is written there cannot be read here.

    A warning at once where it has stopped, critical beyond `max_age`, or five minutes where none is set.
    """
    replica = view.replica
    if replica is None or replica.state not in ("replica", "stopped"):
        return []
    limit_ms = REPLICA_LAG_MS if view.max_age_ms is None else view.max_age_ms
    late = (view.replica_lag_ms or 0) > limit_ms
    severity: Severity = "critical" if late else "warning"
    since_ms = replica.asked.wall_ms - replica.lag_ms
    if replica.state == "stopped":
        told = f"source {view.source}: its replica has stopped: what is written to the primary does not arrive"
        return [Finding(severity, view.name, told, replica.hint, since_ms, since_ms, "replica")]
    if not late:
        return []
    told = f"source {view.source}: its replica is more than {whole_seconds(limit_ms)} behind the primary"
    hint = "look why it does not keep up: a long query on it, its disk, its network; smartico-sync status says how far it is"
    return [Finding(severity, view.name, told, hint, since_ms, since_ms, "replica")]


def of_refusals(view: ViewStatus) -> list[Finding]:
    """That a good part of the last rows was given up."""
    if view.recent_refused < FEW_REFUSED or view.recent_refused < REFUSED_WARNING * view.recent_rows:
        return []
    share = view.recent_refused / view.recent_rows
    told = f"{view.recent_refused:,} of the last {view.recent_rows:,} rows were given up ({share:.0%})"
    hint = f"smartico-sync dead-letters list --view {view.name} says why; smartico-sync preview {view.name} shows what is sent"
    return [Finding("critical" if share >= REFUSED_CRITICAL else "warning", view.name, told, hint, code="refused")]


def of_waiting(view: ViewStatus) -> list[Finding]:
    """That rows wait to be tried again: how many, which share of all that is not settled well, for how long, and for what."""
    waiting = sum(view.parked.values())
    if not waiting:
        return []
    # What the first of each player waits for is why the others do.
    reasons = {code: rows for code, rows in view.parked.items() if code != WAITS_BEHIND} or view.parked
    often = max(reasons, key=reasons.__getitem__)
    first = whole_seconds(view.parked_oldest_ms)
    settled = sum(view.counts.get(name, 0) for name in DELIVERED)
    part = waiting / (waiting + settled)
    told_part = f"{part:.0%}" if part >= LEAST_TOLD else "less than 1%"
    share = f" ({told_part} of all that was read)" if settled else ", and none was delivered"
    told = f"{waiting:,} row{'s wait' if waiting > 1 else ' waits'}{share}, the first for {first}: {WAITS_FOR_WHAT.get(often, OTHERWISE)}"
    critical = waiting >= MANY_WAITING and waiting > settled
    hint = WAITING_HINTS.get(
        often, f"smartico-sync dead-letters list --view {view.name} shows those that were given up"
    )
    severity: Severity = "critical" if critical else "warning"
    return [Finding(severity, view.name, told, hint, view.parked_since_ms, code="waiting")]


def of_history(view: ViewStatus) -> list[Finding]:
    """That a part of its history was asked for and given up."""
    failed = view.failed_backfill
    if failed is None:
        return []
    told = f"backfill {failed.id} was given up, and not all of it was sent: {failed.reason}"
    hint = (
        f"mend that, and ask for it again: smartico-sync backfill {view.name} --from …; "
        f"or let it go: smartico-sync backfill --cancel {failed.id}"
    )
    return [Finding("warning", view.name, told, hint, failed.at_ms, code="backfill")]


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
        severity: Severity = "critical" if view.still_ms > limit else "warning"
        findings.append(Finding(severity, view.name, told, hint, code="standstill"))
    if view.max_age_ms is not None and view.lag_ms > max(view.max_age_ms, ORDINARY_INTERVALS * view.every_ms):
        age, most = whole_seconds(view.lag_ms), whole_seconds(view.max_age_ms)
        old = f"nothing newer than {age} ago is known to be delivered; `max_age` is {most}"
        replica = view.replica.hint if view.replica is not None else ""
        hint = view.hint or replica or "smartico-sync status"
        findings.append(Finding("critical", view.name, old, hint, code="age"))
    return findings


def standstill(view: ViewStatus) -> str:
    """That a view stands still, for how long and what it waits for; empty while it does not."""
    still = whole_seconds(view.still_ms)
    if view.standstill == "no":
        return ""
    if view.standstill == "waiting":
        return f"no poll has begun for {still}"
    got_on = view.poll_ms - view.still_ms >= 1000
    told = f"the poll has been running for {whole_seconds(view.poll_ms)}" + (
        f", the last {still} without progress" if got_on else ""
    )
    return told + WAITS_FOR[view.waits_for]
