"""Which mechanism protects a view against rows that commit late."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from smartico_sync.core.relation import IDS, TIMES

if TYPE_CHECKING:
    from smartico_sync.core.late_commit.mechanism import Name
    from smartico_sync.core.relation import Family

__all__ = ["Choice", "Policy", "choose", "protection"]

Policy = Literal["auto", "fence", "gaps", "lookback"]

CONDITIONS: dict[Name, str] = {
    "fence": "a row is found however late its transaction commits, if its writer took the value at most `settle` before its first write",
    "fence + lookback": (
        "a row is found however late its transaction commits, if its writer took the value at most `settle` before its first "
        "write, and within `lookback` if it comes late otherwise"
    ),
    "gaps": "a row is found if it appears within `gaps_wait` after a higher id",
    "lookback": "a row is found if it appears within `lookback` of its time",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which mechanism protects a view, and `why` in a sentence.

    `problem`: empty, or why the policy cannot work here, with `hint` as the change to make; `mechanism` is then the
    nearest that can, or None. `ids`: in blocks where missing ids are watched for a day.
    """

    mechanism: Name | None
    why: str
    ids: Literal["in order", "in blocks"] = field(default="in order", kw_only=True)
    problem: str = ""
    hint: str = ""


def choose(policy: Policy, cursor: Family, ids: str, fence_reason: str) -> Choice:
    """Choose by the policy, the cursor's family, and what the engine can do.

    `ids`: why its integer ids may not be in order (empty: they are). `fence_reason`: why the fence is not valid (empty: it is).
    """
    natural = natural_choice(cursor, ids, fence_reason)
    if policy == "auto":
        return natural
    problem = {
        "fence": fence_reason or (f"a cursor of family {cursor} does not grow" if cursor not in IDS | TIMES else ""),
        "gaps": "" if cursor in IDS else f"it needs an integer cursor, and this one is {cursor}",
        "lookback": "" if cursor in TIMES else f"it needs a timestamp as cursor, and this one is {cursor}",
    }[policy]
    if problem:
        able = "auto" if natural.mechanism == "fence + lookback" else f"{natural.mechanism}, or auto"
        hint = f"set `late_commit`: {able}" if natural.mechanism else natural.hint
        return Choice(natural.mechanism, natural.why, f"`late_commit: {policy}` cannot work here: {problem}", hint)
    why = f"the configuration says so; {CONDITIONS[policy]}"
    return Choice(policy, f"{why}, but {ids}" if policy == "gaps" and ids else why)


def natural_choice(cursor: Family, ids: str, fence_reason: str) -> Choice:
    """Return what `auto` means."""
    if cursor not in IDS | TIMES:
        return Choice(
            None,
            f"no mechanism fits a cursor of family {cursor}",
            f"a cursor of family {cursor} does not grow with time, so rows that commit late cannot be found",
            "choose an incrementing id or a timestamp as cursor",
        )
    if not fence_reason:
        return Choice("fence + lookback", f"the snapshot fence is valid here; {CONDITIONS['fence + lookback']}")
    if cursor in TIMES:
        return Choice("lookback", f"no fence ({fence_reason}); the cursor is a time: {CONDITIONS['lookback']}")
    why = f"no fence ({fence_reason}); the cursor is an integer: {CONDITIONS['gaps']}"
    return Choice("gaps", f"{why}, but {ids}" if ids else why)


def protection(mechanism: Name | None) -> str:
    """Return what finds a row that comes late for another reason than an open transaction."""
    found = {
        "fence": "the fence alone does not find them, `late_commit: auto` does within `lookback`",
        "fence + lookback": "they are found within `lookback`",
        "gaps": "they are found within `gaps_wait` where their id is missing",
        "lookback": "they are found within `lookback`",
    }
    return f"{found[mechanism]}, later ones by sync reconcile" if mechanism else "only sync reconcile finds them"
