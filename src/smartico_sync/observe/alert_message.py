"""What a webhook is told, as data or as a text for people."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import orjson

from smartico_sync import __version__
from smartico_sync.observe.journal import iso
from smartico_sync.observe.logs import redacted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.observe.journal import Change

__all__ = ["MOST_TOLD", "message"]

MOST_TOLD = 20  # changes in one message; a person reads no more, and Slack cuts what is longer than 40,000 letters
SIGNS = {"critical": ":red_circle:", "warning": ":large_yellow_circle:", "over": ":large_green_circle:"}
WORSE = {"began": "", "worse": " is worse now", "over": ""}


def message(
    form: Literal["slack", "json"], changes: Sequence[Change], *, host: str, ready: str, at_ms: int, missing: int = 0
) -> bytes:
    """The body of one POST. `missing`: changes that found no room before."""
    told, more = changes[:MOST_TOLD], max(0, len(changes) - MOST_TOLD) + missing
    if form == "json":
        return orjson.dumps(
            {
                "service": "smartico-sync",
                "version": __version__,
                "host": host,
                "at": iso(at_ms),
                "ready": ready,
                "changes": [as_data(change) for change in told],
                "more": more,
            }
        )
    lines = [f"*smartico-sync* on {plain(host)}: {plain(ready)}"]
    for change in told:
        lines += in_words(change)
    if more:
        lines.append(f"and {more:,} more: `smartico-sync status`")
    return orjson.dumps({"text": "\n".join(lines)})


def as_data(change: Change) -> dict[str, Any]:
    """One change for programs."""
    finding = change.finding
    return {
        "change": change.what,
        "code": finding.code,
        "severity": finding.severity,
        "subject": finding.subject,
        "message": redacted(finding.message),
        "next": "" if change.what == "over" else redacted(finding.hint),
        "since": iso(finding.since_ms) if finding.since_ms else "",
        "after_s": change.after_ms // 1000,
    }


def in_words(change: Change) -> list[str]:
    """One change for people, with what to type."""
    finding = change.finding
    subject, told = plain(finding.subject), plain(redacted(finding.message))
    if change.what == "over":
        lasted = timedelta(seconds=change.after_ms // 1000)
        return [f"{SIGNS['over']} *{subject}* is well again after {lasted}: {told}"]
    since = f" (since {iso(finding.since_ms)})" if finding.since_ms else ""
    first = f"{SIGNS[finding.severity]} *{subject}*{WORSE[change.what]}: {told}{since}"
    return [first, *([f"> next: {plain(redacted(finding.hint))}"] if finding.hint else [])]


def plain(text: str) -> str:
    """A text that Slack takes for no link and no mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
