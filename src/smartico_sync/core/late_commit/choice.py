"""Which mechanism protects a view against rows that commit late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from smartico_sync.core.late_commit.mechanism import TIMES

if TYPE_CHECKING:
    from smartico_sync.core.late_commit.mechanism import Name
    from smartico_sync.core.relation import Family

__all__ = ["Choice", "Policy", "choose"]

Policy = Literal["auto", "fence", "gaps", "lookback"]

WHOLE: frozenset[Family] = frozenset({"integer", "decimal"})


@dataclass(frozen=True, slots=True)
class Choice:
    """Which mechanism protects a view, and `why` in a sentence.

    `problem`: empty, or why the policy cannot work here, with `hint` as the change to make; `mechanism` is then the
    nearest that can, or None.
    """

    mechanism: Name | None
    why: str
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
        "fence": fence_reason or (f"a cursor of family {cursor} does not grow" if cursor not in WHOLE | TIMES else ""),
        "gaps": "" if cursor in WHOLE else f"it needs an integer cursor, and this one is {cursor}",
        "lookback": "" if cursor in TIMES else f"it needs a timestamp as cursor, and this one is {cursor}",
    }[policy]
    if problem:
        hint = f"set late_commit: {natural.mechanism}, or auto" if natural.mechanism else natural.hint
        return Choice(natural.mechanism, natural.why, f"late_commit: {policy} cannot work here: {problem}", hint)
    why = "the configuration says so"
    return Choice(policy, f"{why}, but {ids}" if policy == "gaps" and ids else why)


def natural_choice(cursor: Family, ids: str, fence_reason: str) -> Choice:
    """Return what `auto` means."""
    if cursor not in WHOLE | TIMES:
        return Choice(
            None,
            f"no mechanism fits a cursor of family {cursor}",
            f"a cursor of family {cursor} does not grow with time, so rows that commit late cannot be found",
            "choose an incrementing id or a timestamp as cursor",
        )
    if not fence_reason:
        return Choice("fence", "the snapshot fence is valid here: no row is missed, however late it commits")
    if cursor in TIMES:
        return Choice(
            "lookback", f"no fence ({fence_reason}); the cursor is a time, so the last while is scanned again"
        )
    why = f"no fence ({fence_reason}); the cursor is an integer, so missing ids are asked for again"
    return Choice("gaps", f"{why}, but {ids}" if ids else why)
