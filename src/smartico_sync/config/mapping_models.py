"""The models of what a view's columns and rows mean: `columns`, `type` and `where`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from smartico_sync.config.base import SCALAR, Model, Text, Values, Word

__all__ = ["ColumnRule", "ColumnRules", "FieldPath", "FieldPaths", "TypeColumn", "Where"]

MAX_SCALE = 18  # digits; the smallest parts of a coin


class ColumnRule(Model):
    """How one column is read, and what it becomes."""

    property: Word | None = None
    """A property, a column's name of the kind, `user_ext_id` or `ext_brand_id`; the column's own name when absent."""
    split: Word | None = None
    """For arrays in text: what stands between the items, such as `","`."""
    scale: Annotated[int, Field(ge=0, le=MAX_SCALE)] = 0
    """For numbers: how many of the last digits stand behind the decimal point; 2 for amounts in cents."""
    fold: Literal["on", "off"] = "on"
    """Write closed lists and ISO codes in the catalogue's way (`Active` is ACTIVE, `en-GB` is EN), or as they are."""
    type: Literal["string", "number", "integer", "boolean", "date", "array"] | None = None
    """For a custom property: what it becomes; what its column is when absent."""


def ruled(value: Any) -> Any:
    """Take a name for a rule that only renames."""
    if isinstance(value, str):
        if not value:
            raise ValueError("a property's name, or null to leave the column out")
        return {"property": value}
    if value is None or isinstance(value, dict | ColumnRule):
        return value
    raise ValueError("text: a property's name; or a mapping such as {property: deposit_amount, scale: 2}; or null")


ColumnRules = dict[str, Annotated[ColumnRule | None, BeforeValidator(ruled)]]


class FieldPath(Model):
    """Where in a message a column's value is, and how it is written there."""

    path: Word
    """Names with dots between them, from `root` on; or beginning with `value`, `key`, `headers`, `properties` or `message`."""
    type: Literal["epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "days"] | None = None
    """For a time that is a number: the unit since 1970."""


def located(value: Any) -> Any:
    """Take a path for a mapping that holds nothing else."""
    if isinstance(value, str) and value:
        return {"path": value}
    if isinstance(value, dict | FieldPath):
        return value
    raise ValueError("a path such as `payload.user_id`; or a mapping such as `{path: payload.at, type: epoch_us}`")


FieldPaths = dict[str, Annotated[FieldPath, BeforeValidator(located)]]


def alternatives(value: Any) -> Any:
    """Take one value, or none, for a list of it."""
    return [value] if value is None or isinstance(value, str) else value


Where = dict[
    str,
    Annotated[
        tuple[Text | None, ...],
        BeforeValidator(alternatives),
        Field(min_length=1),
        WithJsonSchema(
            {"anyOf": [SCALAR, {"type": "null"}, {"type": "array", "items": {"anyOf": [SCALAR, {"type": "null"}]}}]}
        ),
    ],
]


class TypeColumn(Model):
    """The column that says what a row is. Each role takes the value, or the list of values, that its rows have there."""

    column: Word
    """The column."""
    other: Literal["dead_letter", "ignore"] = "dead_letter"
    """What becomes of rows whose value has no role."""
    bet: Values | None = None
    """For `casino_bets_and_wins`: a bet."""
    win: Values | None = None
    """For `casino_bets_and_wins`: a win, also a jackpot or one of free spins."""
    bet_rollback: Values | None = None
    """For `casino_bets_and_wins`: a bet that is taken back."""
    win_rollback: Values | None = None
    """For `casino_bets_and_wins`: a win that is taken back."""
    deposit: Values | None = None
    """For `payments`: a deposit that is final."""
    deposit_failed: Values | None = None
    """For `payments`: a deposit that failed."""
    deposit_cancelled: Values | None = None
    """For `payments`: a deposit that was cancelled."""
    withdrawal: Values | None = None
    """For `payments`: a withdrawal that is paid."""
    withdrawal_requested: Values | None = None
    """For `payments`: a withdrawal that is asked for."""
    withdrawal_cancelled: Values | None = None
    """For `payments`: a withdrawal that was cancelled."""
    open: Values | None = None
    """For `sport_bets` and `sport_selections`: placed."""
    settled: Values | None = None
    """For `sport_bets` and `sport_selections`: settled."""
    cashout: Values | None = None
    """For `sport_bets`: cashed out, which settles it."""
    rollback: Values | None = None
    """For `sport_bets`: a settlement that is taken back."""
    issued: Values | None = None
    """For `bonuses`: given."""
    completed: Values | None = None
    """For `bonuses`: played through."""
    cancelled: Values | None = None
    """For `bonuses`: cancelled, or expired."""

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """The values of each role that is named."""
        named = (name for name in type(self).model_fields if name not in ("column", "other"))
        return {name: values for name in named if (values := getattr(self, name))}
