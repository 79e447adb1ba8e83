"""Debezium's messages: the row after the change, whatever the connector was told to leave away.

With schemas (`{"schema": …, "payload": {…}}`) the types that it writes as numbers and bytes are known, and are written as a
database would. Without schemas they are what they are; `fields: {column: {path: …, type: epoch_us}}` says what they mean.
Flattened messages (`ExtractNewRecordState`) are the row itself.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from smartico_sync.core.messages.exact import Number, Undecodable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Change", "change_of", "moment"]

UNAVAILABLE = "__debezium_unavailable_value"  # a large value that did not change and is not told
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PER_SECOND = {"epoch_s": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000, "epoch_ns": 1_000_000_000}
Change = Literal["row", "snapshot", "deleted", "nothing"]


def moment(value: int, unit: str) -> str:
    """A whole number since 1970 as a time in text, to the microsecond; of days the day. Undecodable for one beyond all calendars."""
    try:
        if unit == "days":
            return (date(1970, 1, 1) + timedelta(days=value)).isoformat()
        per_second = PER_SECOND[unit]
        whole, rest = divmod(value, per_second)
        at = EPOCH + timedelta(seconds=whole, microseconds=rest * 1_000_000 // per_second)
    except (OverflowError, ValueError):
        raise Undecodable("it holds a time beyond all calendars") from None
    return at.replace(tzinfo=None).isoformat()


def exact_decimal(value: str, scale: int) -> Number:
    """A decimal that was written as the bytes of its unscaled value."""
    try:
        unscaled = int.from_bytes(base64.b64decode(value, validate=True), "big", signed=True)
    except (binascii.Error, ValueError):
        raise Undecodable("it holds a decimal that is no base64") from None
    digits = str(abs(unscaled)).zfill(scale + 1)
    text = f"{digits[:-scale]}.{digits[-scale:]}" if scale > 0 else digits + "0" * -scale
    return Number(f"-{text}" if unscaled < 0 else text)


# By the last two parts of a type's name.
READERS: Mapping[str, Callable[[int], str]] = {
    "time.Date": lambda value: moment(value, "days"),
    "time.Timestamp": lambda value: moment(value, "epoch_ms"),
    "time.MicroTimestamp": lambda value: moment(value, "epoch_us"),
    "time.NanoTimestamp": lambda value: moment(value, "epoch_ns"),
    "data.Date": lambda value: moment(value, "days"),
    "data.Timestamp": lambda value: moment(value, "epoch_ms"),
}
DECIMAL = "data.Decimal"
VARIABLE = "data.VariableScaleDecimal"


def change_of(message: dict[str, Any]) -> tuple[Change, dict[str, Any]]:
    """What a message says and the row that it says it of; Undecodable where it is none of Debezium's."""
    schema = message.get("schema") if "payload" in message and "schema" in message else None
    payload = message["payload"] if "payload" in message and "schema" in message else message
    if payload is None:
        return "deleted", {}
    if not isinstance(payload, dict):
        raise Undecodable("its payload is no object")
    if "op" in payload and ("after" in payload or "before" in payload):
        return enveloped(payload, schema)
    if payload.get("__deleted") in ("true", True) or payload.get("__op") == "d":
        return "deleted", {}
    row = {name: value for name, value in payload.items() if not name.startswith("__")}
    return ("snapshot" if payload.get("__op") == "r" else "row"), readable(row, described(schema))


def enveloped(payload: dict[str, Any], schema: Any) -> tuple[Change, dict[str, Any]]:
    """A change with the row before and after it."""
    what = payload["op"]
    if what == "d":
        return "deleted", {}
    if what not in ("c", "u", "r"):
        return "nothing", {}  # a truncation, or a message that was only logged
    after = payload.get("after")
    if not isinstance(after, dict):
        raise Undecodable("it has no row after the change")
    fields = next((field for field in members(schema) if field.get("field") == "after"), None)
    return ("snapshot" if what == "r" else "row"), readable(after, described(fields))


def members(schema: Any) -> list[dict[str, Any]]:
    """The fields that a schema lists."""
    fields = schema.get("fields") if isinstance(schema, dict) else None
    return [field for field in fields if isinstance(field, dict)] if isinstance(fields, list) else []


def described(schema: Any) -> dict[str, dict[str, Any]]:
    """What a row's schema says of each column that is more than it looks."""
    return {str(field.get("field")): field for field in members(schema) if field.get("name")}


def readable(row: dict[str, Any], schema: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The row as a database would print it; what was not told is left out."""
    found = {}
    for name, value in row.items():
        if value == UNAVAILABLE:
            continue
        found[name] = value if value is None or name not in schema else typed(value, schema[name])
    return found


def typed(value: Any, field: dict[str, Any]) -> Any:
    """One value by the name of its type."""
    name = ".".join(str(field["name"]).split(".")[-2:])
    if name in READERS and isinstance(value, int):
        return READERS[name](value)
    if name == DECIMAL and isinstance(value, str) and not isinstance(value, Number):
        parameters = field.get("parameters")
        scale = str(parameters.get("scale", "0")) if isinstance(parameters, dict) else "0"
        return exact_decimal(value, int(scale) if scale.lstrip("-").isdecimal() else 0)
    if name == VARIABLE and isinstance(value, dict) and isinstance(value.get("value"), str):
        scale_found = value.get("scale", 0)
        return exact_decimal(value["value"], scale_found if isinstance(scale_found, int) else 0)
    return value
