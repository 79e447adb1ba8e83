"""Health: what is known becomes findings, and findings become two answers: alive, and delivering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.delivery.destination import DestinationStatus
    from smartico_sync.observe.view_status import ViewStatus

__all__ = ["Finding", "Health", "assess"]

PATIENCE_MS = 60_000  # a view that has not been polled for this long, beyond ten of its intervals, is stuck


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


def assess(
    views: Sequence[ViewStatus], destinations: Sequence[DestinationStatus], now_ms: int, started_ms: int
) -> Health:
    """Judge the daemon by what is known of it."""
    findings = []
    for view in views:
        if view.error:
            severity: Literal["warning", "critical"] = (
                "critical" if view.state in ("halted", "regressed") else "warning"
            )
            findings.append(Finding(severity, view.name, view.error, view.hint))
        findings += [Finding("warning", view.name, warning) for warning in view.warnings]
        if dead := sum(view.dead.values()):
            hint = f"sync dead-letters list --view {view.name}"
            findings.append(Finding("warning", view.name, f"{dead:,} rows were given up (dead letters)", hint))
        if view.invalid:
            most = ", ".join(
                f"{name} {count}" for name, count in sorted(view.invalid.items(), key=lambda each: -each[1])
            )
            told = f"{sum(view.invalid.values())} values broke a rule since the start: {most}"
            findings.append(
                Finding("warning", view.name, told, "mend them in the view; on_invalid: says what becomes of them")
            )
        if view.max_age_ms is not None and view.lag_ms > view.max_age_ms:
            old = f"nothing newer than {view.lag_ms // 1000} s ago is known to be delivered; max_age is {view.max_age_ms // 1000} s"
            findings.append(Finding("critical", view.name, old, view.hint or "sync status"))
        if view.missing:
            hint = f"sync reconcile --view {view.name} --send"
            findings.append(Finding("warning", view.name, f"{view.missing} rows were never acknowledged", hint))
    for destination in destinations:
        findings += [Finding("critical", destination.name, message, hint) for message, hint in destination.halts]
        findings += [Finding("warning", destination.name, message, hint) for message, hint in destination.warnings]
        if destination.state == "backing_off":
            hint = destination.hint or "nothing: it is tried again by itself"
            unavailable = f"the API is unavailable: {destination.last_error}"
            findings.append(Finding("warning", destination.name, unavailable, hint))
    late = [view for view in views if now_ms - (view.last_poll_ms or started_ms) > max(PATIENCE_MS, 10 * view.every_ms)]
    stuck = bool(views) and len(late) == len(views)
    bad = any(finding.severity == "critical" for finding in findings)
    bad = bad or any(view.state == "degraded" for view in views) or any(d.state == "backing_off" for d in destinations)
    ready: Literal["delivering", "starting", "not delivering"] = "delivering"
    if any(view.state == "starting" for view in views):
        ready = "starting"
    if bad or stuck:
        ready = "not delivering"
    return Health("stuck" if stuck else "alive", ready, tuple(findings))
