"""Records that hold what must not be printed."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct

__all__ = ["Discreet"]


class Discreet(Struct, frozen=True):
    """A record that is printed without the fields that its class names in `unprinted`: secrets, and what players are known by."""

    unprinted: ClassVar[frozenset[str]]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in self.unprinted]
