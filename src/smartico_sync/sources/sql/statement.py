"""One statement as text, and what it selects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from smartico_sync.core.relation import Column

__all__ = ["Scan", "Statement"]

Scan = Literal["all", "from the start", "after", "after, ties by key"]


class Statement(Struct, frozen=True):
    """SQL text in the dialect's own parameter style, and what it selects: `columns`, then texts of positions.

    `width` counts both; `positions` maps `@cursor` and `@key.*` to the index of the selected column that holds their text.
    `constants` are parameters that the dialect added, with their values.
    """

    text: str
    columns: tuple[Column, ...] = ()
    width: int = 1
    positions: tuple[tuple[str, int], ...] = ()
    constants: tuple[tuple[str, Any], ...] = ()

    def filled(self, literal: Callable[[str | int], str], values: Mapping[str, str | int]) -> str:
        """The text with its parameters (of the style pyformat) as constants."""
        return self.text % {name: literal(value) for name, value in values.items()}
