"""Numbers and moments as pages and findings write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

__all__ = ["ago", "clock", "commands_marked", "foldable", "megabytes", "seconds", "time_of_day", "whole_seconds"]

MINUTE, HOUR, DAY = 60, 3_600, 86_400
# A command stands at the beginning of a hint, behind a colon or a semicolon, or in backticks, and ends where the sentence goes on.
COMMAND = re.compile(
    r"(^|: |[;,] |\bor |\bthen )(smartico-sync [^;,`]+?)(?=$|[;,]|: | (?:says|shows|names|sends|looks|writes) )|`(smartico-sync [^`]+)`"
)
WORD = re.compile(r"`([^`]+)`")


def seconds(ms: float) -> str:
    """A duration: `0.4 s`, `28 s`, `6 min 40 s`; from an hour on in hours and minutes, then in days."""
    if ms < 10_000:
        return f"{ms / 1000:,.1f} s"
    whole = int(ms // 1000)
    if whole < 2 * MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02} s"
    if whole < 2 * DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE:02} min"
    return f"{whole // DAY:,} days"


def whole_seconds(ms: int) -> str:
    """A duration without tenths: `0 s`, `9 s`, then as `seconds`."""
    return seconds(max(0, ms) // 1000 * 1000).replace(".0", "")


def ago(at_ms: int, now_ms: int) -> str:
    """How long before now a moment was; a moment that never was is `never`."""
    return f"{whole_seconds(now_ms - at_ms)} ago" if at_ms else "never"


def clock(ms: int) -> str:
    """A moment in UTC, to the second."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def time_of_day(ms: int, now_ms: int) -> str:
    """The same without the date where that is today's."""
    told = clock(ms)
    return told[11:] if told[:10] == clock(now_ms)[:10] else told


def megabytes(size: int) -> str:
    """A size in MB."""
    return f"{size / 1e6:,.1f} MB"


def foldable(name: str) -> str:
    """An escaped name that a line may end in, behind an underscore; none of it is ever cut."""
    return name.replace("_", "_<wbr>")


def commands_marked(hint: str) -> str:
    """An escaped hint in which commands and what stands in backticks are marked; each command has a button that copies it."""
    button = '<button type="button" class="copy">Copy</button>'
    marked = COMMAND.sub(lambda found: f"{found[1] or ''}<code>{found[2] or found[3]}</code>{button}", hint)
    return WORD.sub(r"<code>\1</code>", marked)
