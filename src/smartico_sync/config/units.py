"""Durations (`200ms`, `5s`, `10m`, `1h`, `7d`) and sizes (`10MB`) as people write them.

Parsed, a duration is whole milliseconds and a size whole bytes. An `int` is taken as parsed already; text without a
unit is refused, because nobody can tell what `5` means.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Struct
from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

__all__ = ["WAIT_MS", "Bytes", "Duration", "DurationOrOff", "Milliseconds", "Quantity", "Size"]

DIGITS = 15  # thirty thousand years, a petabyte: beyond it is a typing error
WAIT_MS = 100_000 * 86_400_000  # 273 years: no clock, and nothing that waits, counts much further


class Quantity(Struct, frozen=True):
    """A number with a unit, as pydantic metadata: `Annotated[int, Milliseconds(at_least=50)]`.

    `at_least` and `at_most` are in the smallest unit; `never` off: the word `off` is allowed too and becomes None.
    """

    at_least: int = 0
    at_most: int = 10**DIGITS
    never: Literal["", "off"] = ""

    @property
    def units(self) -> dict[str, int]:
        """Factor by unit, smallest first."""
        raise NotImplementedError

    @property
    def expected(self) -> str:
        """What to write, in words."""
        raise NotImplementedError

    @property
    def pattern(self) -> str:
        """A regular expression of the whole text; any case, as `parse` takes it."""
        anycase = ("".join(f"[{c.upper()}{c.lower()}]" for c in unit) for unit in self.units)
        return rf"^\s*[0-9]{{1,{DIGITS}}}\s*({'|'.join(anycase)})\s*$"

    def parse(self, text: str) -> int | None:
        """Read the quantity in the smallest unit, None for `off`. ValueError says what is expected."""
        if self.never and text.strip().lower() == self.never:
            return None
        match = re.fullmatch(rf"\s*([0-9]{{1,{DIGITS}}})\s*([A-Za-z]+)\s*", text, re.ASCII)
        factors = {unit.lower(): factor for unit, factor in self.units.items()}
        factor = factors.get(match[2].lower()) if match else None
        if match is None or factor is None:
            raise ValueError(self.expected)
        return self.bounded(int(match[1]) * factor)

    def text(self, value: int | None) -> str:
        """Write the shortest text that parses to the value."""
        if value is None:
            return self.never
        unit, factor = next((u, f) for u, f in reversed(self.units.items()) if value % f == 0 and (value or f == 1))
        return f"{value // factor}{unit}"

    def bounded(self, value: int) -> int:
        """Return the value, or raise ValueError when it is too small or too large."""
        if value < self.at_least:
            raise ValueError(f"at least {self.text(self.at_least)}")
        if value > self.at_most:
            raise ValueError(f"at most {self.text(self.at_most)}")
        return value

    def validated(self, value: object) -> int | None:
        """Validate for pydantic: text is parsed, an int is in the smallest unit already."""
        if isinstance(value, str):
            return self.parse(value)
        if value is None and self.never:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return self.bounded(value)
        raise ValueError(self.expected)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.validated, serialization=core_schema.plain_serializer_function_ser_schema(self.text)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        text: JsonSchemaValue = {"type": "string", "pattern": self.pattern}
        return {"anyOf": [text, {"enum": [self.never, False, None]}]} if self.never else text


class Milliseconds(Quantity, frozen=True):
    """A duration."""

    at_most: int = 10_000_000 * 86_400_000

    @property
    def units(self) -> dict[str, int]:
        """Milliseconds by unit."""
        return {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

    @property
    def expected(self) -> str:
        """What to write, in words."""
        return "a duration: a whole number and its unit, such as 200ms, 5s, 10m, 1h, 7d" + (self.never and ", or off")


class Bytes(Quantity, frozen=True):
    """A size."""

    @property
    def units(self) -> dict[str, int]:
        """Bytes by unit; KB is 1000, KiB is 1024."""
        return {
            "B": 1, "KB": 1_000, "KiB": 1_024, "MB": 1_000_000, "MiB": 1_048_576, "GB": 10**9, "GiB": 2**30,
        }  # fmt: skip

    @property
    def expected(self) -> str:
        """What to write, in words."""
        return "a size: a whole number and its unit, such as 512KB, 10MB, 8MiB"


Duration = Annotated[int, Milliseconds()]
DurationOrOff = Annotated[int | None, Milliseconds(never="off")]
Size = Annotated[int, Bytes()]
