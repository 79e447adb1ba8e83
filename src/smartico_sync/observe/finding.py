"""A finding: one thing that an operator should know. What is the same for several subjects is one finding."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, get_args

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NEXT", "SEVERAL", "SEVERITIES", "SHARED", "Code", "Finding", "Severity", "by_cause", "gist", "named"]

Severity = Literal["critical", "warning", "advice"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
NEXT = "; next: "  # what divides a sentence of advice from what to do about it
Code = Literal[
    "",
    "advice",
    "age",
    "ahead",
    "alerts",
    "api_halted",
    "api_unavailable",
    "backfill",
    "clock",
    "cluster",
    "configuration",
    "dead_letters",
    "differing",
    "disk",
    "invalid",
    "left_out",
    "missing",
    "mutated",
    "refused",
    "repeated_profiles",
    "replica",
    "source",
    "standstill",
    "start",
    "token",
    "trouble",
    "unknown_duplicates",
    "uncompared_duplicates",
    "waiting",
]

# Kinds by which events do not arrive now: they are read first.
STOPPING: frozenset[Code] = frozenset(
    {"age", "api_halted", "api_unavailable", "disk", "replica", "standstill", "start", "trouble"}
)
# Of one cause whatever the number of subjects; all others are a subject's own.
SHARED: frozenset[Code] = frozenset({"trouble", "replica", "clock", "start", "disk", "configuration"})
SEVERAL: frozenset[Code] = frozenset({"advice", "api_halted", "source", "token"})  # a subject may have more than one
NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
# Counts, shares and durations; no part of a name (`bets_2025`), of an address (`10.0.0.1:5432`) or of a moment.
CHANGING = re.compile(
    rf"(?<![^\s(])(?:{NUMBER} days|\d+ h \d\d min|\d+ min \d\d s|{NUMBER} s|{NUMBER})(?![\w:/@-]|[.,]\w)"
)


class Finding(Struct, frozen=True):
    """One thing an operator should know, and what to type next.

    `since_ms`: since when it has been so, `last_good_ms`: when it was well last; epoch ms, 0 where that is not known. `code` says
    what kind of thing it is, for programs.
    """

    severity: Severity
    subject: str
    message: str
    hint: str = ""
    since_ms: int = 0
    last_good_ms: int = 0
    code: Code = ""


def by_cause(findings: Sequence[Finding]) -> list[Finding]:
    """What is the same for several subjects, told once and of all of them, the longest standing; by severity, by whether events arrive, and by whether there is something to do."""
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
            some[0].code,
        )
        for (_, about, hint), some in same.items()
    ]
    return sorted(grouped, key=lambda each: (SEVERITIES.index(each.severity), each.code not in STOPPING, not each.hint))


def gist(message: str) -> str:
    """A sentence without what changes while its cause stays the same."""
    return CHANGING.sub("", message)


def named(subjects: Sequence[str]) -> str:
    """The first three of them, and how many more."""
    more = len(subjects) - 3
    return ", ".join(subjects[:3]) + (f" and {more} more" if more > 0 else "")
