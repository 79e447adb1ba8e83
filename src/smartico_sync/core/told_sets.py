"""Sets of names that are told by difference: `+name` for what is added and `-name` for what is taken away.

What Smartico holds of a set is known as the sets it may be: one in the ordinary case, several while events are on their way
that may yet be refused. What is not in all of them is added, what is in any of them and not wanted is taken away; so the
outcome is the same whichever it was, and names that others have given stay.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

__all__ = ["ANY", "EMPTY", "MARK", "differences", "items", "marked", "told_otherwise", "written"]

MARK = "±"  # begins the name of such a set between mapping and diff; no property's name can
EMPTY = "[]"
ANY = "?"  # in place of a set that was accepted: nobody knows which of the names are there


def marked(names: Iterable[str]) -> list[str]:
    """Those of the columns that are such sets."""
    return [name for name in names if name.startswith(MARK)]


def items(text: str) -> dict[str, str]:
    """The items of a set in JSON: each as JSON, with what it is ordered by."""
    return {json.dumps(item, ensure_ascii=False): str(item) for item in json.loads(text)}


def written(members: dict[str, str]) -> str:
    """Such items as a JSON array, in order."""
    return f"[{', '.join(sorted(members, key=lambda item: (members[item], item)))}]"


def differences(
    name: str,
    ids: pl.Series,
    wanted: pl.Series,
    possible: pl.Series,
    unknown: pl.Series,
    null: Literal["silent", "empty"],
) -> tuple[pl.DataFrame, pl.Series]:
    """What to send of one set: columns `+name` and `-name` (JSON arrays, null for nothing), and the sets to be remembered.

    By row: whose it is, the set as it is to be (JSON), those that Smartico may hold (List of JSON, null or empty: none was
    sent) and whether it is unknown beside them what arrived: then it may also hold none. A row of a player counts as one that may
    have arrived for all behind it. A set that is NULL says nothing (silent), or is `empty`.
    """
    made: dict[tuple[frozenset[str], str], tuple[str | None, str | None]] = {}
    before: dict[int, list[str]] = {}
    told: list[tuple[str | None, str | None]] = []
    kept: list[str | None] = []
    for player, now, sets, doubt in zip(ids, wanted, possible.to_list(), unknown, strict=True):
        there = {*(sets or ()), *before.get(player, ())}
        target = EMPTY if now is None and null == "empty" and there else now
        kept.append(target)
        if target is None:
            told.append((None, None))
            continue
        if doubt or not sets:
            there.add(EMPTY)
        case = frozenset(there), target
        if case not in made:
            made[case] = difference(case[0], target)
        told.append(made[case])
        before.setdefault(player, []).append(target)
    bare = name.removeprefix(MARK)
    added, taken = (pl.Series(each[place] for each in told) for place in (0, 1))
    columns = [added.cast(pl.String).alias(f"+{bare}"), taken.cast(pl.String).alias(f"-{bare}")]
    return pl.DataFrame(columns), pl.Series(name, kept, dtype=pl.String)


def told_otherwise(
    ids: pl.Series, told: pl.Series, possible: pl.Series, way: Literal["replaced", "added"]
) -> list[str | None]:
    """The sets to be remembered where they are not told by difference now, so that they can be again.

    `told`: what leaves (JSON, null for nothing), by row; `possible` as in `differences`. What is added to several possible sets
    makes ANY.
    """
    if way == "replaced":
        return told.to_list()
    before: dict[int, set[str]] = {}
    kept: list[str | None] = []
    for player, now, sets in zip(ids, told, possible.to_list(), strict=True):
        there = before.setdefault(player, set(sets or ()))
        made = now
        if now is not None and there:
            made = written(items(now) | items(next(iter(there)))) if len(there) == 1 else ANY
            there.add(made)
        elif now is not None:
            there.update((EMPTY, now))  # the first one may not arrive
        kept.append(made)
    return kept


def difference(possible: Iterable[str], wanted: str) -> tuple[str | None, str | None]:
    """What makes any of the possible sets the wanted one: added, and taken away; None for nothing."""
    sets, target = [items(text) for text in possible], items(wanted)
    added = {item: key for item, key in target.items() if not all(item in each for each in sets)}
    taken = {item: key for each in sets for item, key in each.items() if item not in target}
    return (written(added) if added else None), (written(taken) if taken else None)
