"""What all models of `views.yaml` share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

__all__ = ["Model", "Text", "Values", "Word", "filled", "listed", "together"]


def listed(value: object) -> object:
    """One item may be written without brackets."""
    return [value] if isinstance(value, str) else value


def together(value: object) -> object:
    """Several names may be written as a list; they are one text, with commas between them."""
    return ",".join(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else value


def filled(value: object) -> object:
    """Take a heading with nothing below it for an empty mapping."""
    return {} if value is None else value


# Text that looks like a number, a date or a boolean to YAML (`bet: 1`, `start_from: 2026-01-01`, `listen: off`).
SCALAR = {"type": ["string", "number", "boolean"]}
Text = Annotated[str, Field(min_length=1), WithJsonSchema(SCALAR)]
Word = Annotated[str, Field(min_length=1)]
Values = Annotated[
    tuple[Text, ...],
    BeforeValidator(listed),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [SCALAR, {"type": "array", "items": SCALAR}]}),
]


class Model(BaseModel):
    """Unknown keys are errors; parsed values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def nothing_is_empty(cls, value: Any) -> Any:
        """Treat a heading with nothing below it as an empty mapping."""
        return filled(value)
