"""Durations (`200ms`, `5s`, `10m`, `1h`) and sizes (`10MB`) as people write them."""

from __future__ import annotations

from typing import Annotated

__all__ = ["Duration", "Size"]

Duration = Annotated[int, "milliseconds"]
Size = Annotated[int, "bytes"]
