"""What a view was when it was first tracked: what decides its event ids, and what its watermark means."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

__all__ = ["Definition"]


@dataclass(frozen=True, slots=True)
class Definition:
    """A view's definition as the state keeps it.

    `place`: a hash of engine, host and database of its source. `relation` is empty for a query, `query` (a hash of it) for a
    relation. `brand`: the constant one, empty when a column says it. `event_types` are sorted.
    `identity`: the columns that make the row that row, see `core.mapping.identity_columns`.
    """

    kind: str
    place: str
    relation: str
    query: str
    brand: str
    event_types: tuple[str, ...]
    cursor: str
    key: tuple[str, ...]
    identity: tuple[str, ...]

    def text(self) -> str:
        """Write it as JSON; equal definitions, equal texts."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def of(cls, text: str) -> Self:
        """Read it back. ValueError for what is no definition."""
        try:
            fields: dict[str, Any] = json.loads(text)
            listed: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
            }
            return cls(**listed)
        except (TypeError, AttributeError) as error:
            raise ValueError(str(error)) from None
