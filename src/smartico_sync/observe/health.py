"""Health: what is known becomes findings, and findings become two answers: alive, and delivering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from smartico_sync.observe.finding import Finding, Severity, by_cause, named
from smartico_sync.observe.machine import of_clock
from smartico_sync.observe.view_findings import (
    ORDINARY_INTERVALS,
    REFUSED_PROPERTIES,
    UNKNOWN_DUPLICATES,
    of_view,
    standstill,
    stuck_after_ms,
)

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
    "Severity",
    "as_it_is",
    "assess",
    "named",
    "standstill",
]


class Health(Struct, frozen=True):
    """`alive`: the daemon turns. `ready`: it delivers, or stands by and sees the state that another member works with.

    `each` are the findings one by one, before those of one cause were put together.
    """

    alive: Literal["alive", "stuck"]
    ready: Literal["delivering", "standing by", "starting", "not delivering"]
    findings: tuple[Finding, ...]
    each: tuple[Finding, ...] = ()


def as_it_is(health: Health) -> Health:
    """Where nobody keeps a journal."""
    return health


def assess(
    views: Sequence[ViewStatus], destinations: Sequence[DestinationStatus], notes: Sequence[Finding] = ()
) -> Health:
    """Judge the daemon by what is known of it at one moment. `notes`: what is known besides of the process itself.

    Findings are told once for each cause, whatever number of views it concerns; critical ones first, advice last.
    """
    told = any(destination.halts or destination.state == "backing_off" for destination in destinations)
    findings = [*notes, *of_clock(views, destinations)]
    for view in views:
        findings += of_view(view, api_is_told=told)
    for destination in destinations:
        findings += of_destination(destination)
    stuck = bool(views) and all(view.silent_ms > stuck_after_ms(view) for view in views)
    bad = any(finding.severity == "critical" for finding in findings)
    bad = bad or any(view.state == "degraded" for view in views) or any(d.state == "backing_off" for d in destinations)
    ready: Literal["delivering", "starting", "not delivering"] = "delivering"
    if any(view.state == "starting" for view in views):
        ready = "starting"
    if bad or stuck:
        ready = "not delivering"
    return Health("stuck" if stuck else "alive", ready, tuple(by_cause(findings)), tuple(findings))


def of_destination(destination: DestinationStatus) -> list[Finding]:
    """What is to be said of one destination."""
    name = destination.name
    findings = [
        Finding("critical", halted.brand or name, message, hint, code="api_halted")
        for halted, (message, hint) in zip(destination.halted, destination.halts, strict=True)
    ]
    findings += [Finding("warning", name, message, hint, code="token") for message, hint in destination.warnings]
    if destination.state == "backing_off":
        hint = destination.hint or "nothing: it is tried again by itself"
        unavailable = f"the API is unavailable: {destination.last_error}"
        good_ms = destination.last_success_ms or 0
        findings.append(Finding("warning", name, unavailable, hint, 0, good_ms, "api_unavailable"))
    return findings
