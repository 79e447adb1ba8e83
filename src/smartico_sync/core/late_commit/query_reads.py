"""Which relations a query reads, by its text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.late_commit.view_definition import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["read_by"]


def read_by(sql: str, fold: Callable[[str], str]) -> tuple[str, ...]:
    """What stands behind FROM and JOIN, each part of a name in quotes; `fold`: what the engine makes of one without them.

    May name what is no relation: the name of a WITH, a column of EXTRACT.
    """
    tokens = [token for token in TOKEN.findall(sql) if not token.startswith(("--", "/*")) and not token.endswith("'")]
    found: dict[str, None] = {}
    for at, token in enumerate(tokens):
        if token.upper() not in ("FROM", "JOIN"):
            continue
        rest = tokens[at + 1 :]
        while name := _name(rest, fold):
            found[".".join(name)] = None
            rest = rest[2 * len(name) - 1 :]
            alias = 0 if not rest or rest[0] == "," else 2 if rest[0].upper() == "AS" else 1
            if rest[alias : alias + 1] != [","]:
                break
            rest = rest[alias + 1 :]
    return tuple(found)


def _name(tokens: list[str], fold: Callable[[str], str]) -> list[str]:
    """The parts of the name that tokens begin with."""
    parts: list[str] = []
    for at, word in enumerate(tokens):
        if at % 2:
            if word != ".":
                break
        elif word[0] == '"':
            parts.append(word)
        elif word[0] == "_" or word[0].isalpha():
            parts.append(f'"{fold(word)}"')
        else:
            break
    return parts
