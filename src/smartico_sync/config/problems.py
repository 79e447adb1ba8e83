"""What is wrong with a configuration, and where."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Loc", "Place", "Problem", "dotted", "one_of"]

Loc = tuple[str | int, ...]


class Place(Struct, frozen=True, order=True):
    """Line and column in the file, both from 1."""

    line: int
    column: int


class Problem(Struct, frozen=True):
    """One thing to mend. `loc` is the path in the document; `at` says whether its key or its value is wrong.

    `text` says what was found and what is expected; it never holds a secret. `place` is set where no path leads to it.
    `kind`: a mistake of the file, a variable that the environment lacks, or a file of a secret that is not there yet or holds none.
    """

    loc: Loc
    text: str
    at: Literal["key", "value"] = "value"
    place: Place | None = None
    kind: Literal["mistake", "no variable", "absent", "no secret"] = "mistake"


def dotted(loc: Loc) -> str:
    """Write a path as people do: `views[1].every`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def one_of(found: str, allowed: Iterable[str], others: Iterable[str] = ()) -> str:
    """Say what is allowed; first of all what was probably meant, which may also be one of its `others` names."""
    words = list(allowed)
    if len(words) == 1:
        return f"expected {words[0]}"
    known = {word.lower(): word for word in (*others, *words)}
    close = get_close_matches(found.lower(), known, n=1, cutoff=0.6)
    meant = f"did you mean {known[close[0]]!r}? " if close else ""
    return f"{meant}expected one of: {', '.join(words)}" if words else f"{meant}expected nothing here"
