"""Which mechanism protects a view against rows that commit late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

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
LOOKBACK_OF_IDS = "a row is found if it appears within `lookback` after its id was read or passed"


class Choice(Struct, frozen=True):
    """Which mechanism protects a view, and `why` in a sentence.

    `problem`: empty, or why the policy cannot work here, with `hint` as the change to make; `mechanism` is then the
    nearest that can, or None. `ids`: in blocks where missing ids are watched for a day. `promise`: in doubt where `why`
    ends with something that speaks against it.
    """

    mechanism: Name | None
    why: str
    problem: str = ""
    hint: str = ""
    ids: Literal["in order", "in blocks"] = "in order"
    promise: Literal["kept", "in doubt"] = "kept"


def choose(policy: Policy, cursor: Family, ids: str, fence_reason: str, shared: str = "") -> Choice:
    """Choose by the policy, the cursor's family, and what the engine can do.

    `ids`: why its integer ids may not be in order (empty: they are). `fence_reason`: why the fence is not valid (empty: it is).
    `shared`: why several rows of this relation may have one id (empty: each has its own).
    """
    natural = natural_choice(cursor, ids, fence_reason, shared)
    if policy == "auto":
        return natural
    problem = {
        "fence": fence_reason or (f"a cursor of family {cursor} does not grow" if cursor not in IDS | TIMES else ""),
        "gaps": "" if cursor in IDS else f"it needs an integer cursor, and this one is {cursor}",
        "lookback": ""
        if cursor in IDS | TIMES
        else f"it needs a timestamp or an integer as cursor, and this one is {cursor}",
    }[policy]
    if problem:
        able = "auto" if natural.mechanism == "fence + lookback" else f"{natural.mechanism}, or auto"
        hint = f"set `late_commit`: {able}" if natural.mechanism else natural.hint
        return Choice(natural.mechanism, natural.why, f"`late_commit: {policy}` cannot work here: {problem}", hint)
    condition = LOOKBACK_OF_IDS if policy == "lookback" and cursor in IDS else CONDITIONS[policy]
    return doubted(policy, f"the configuration says so; {condition}", (ids, shared) if policy == "gaps" else ())


def natural_choice(cursor: Family, ids: str, fence_reason: str, shared: str) -> Choice:
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
    if shared:
        return doubted("lookback", f"no fence ({fence_reason}), and {shared}: {LOOKBACK_OF_IDS}", (ids,))
    return doubted("gaps", f"no fence ({fence_reason}); the cursor is an integer: {CONDITIONS['gaps']}", (ids,))


def doubted(mechanism: Name, why: str, against: tuple[str, ...]) -> Choice:
    """A choice, with what speaks against it."""
    doubts = " and ".join(filter(None, against))
    return Choice(mechanism, f"{why}, but {doubts}", promise="in doubt") if doubts else Choice(mechanism, why)


def protection(mechanism: Name | None) -> str:
    """Return what finds a row that comes late for another reason than an open transaction."""
    found = {
        "fence": "the fence alone does not find them, `late_commit: auto` does within `lookback`",
        "fence + lookback": "they are found within `lookback`",
        "gaps": "they are found within `gaps_wait` where their id is missing",
        "lookback": "they are found within `lookback`",
    }
    return (
        f"{found[mechanism]}, later ones by smartico-sync reconcile"
        if mechanism
        else "only smartico-sync reconcile finds them"
    )
