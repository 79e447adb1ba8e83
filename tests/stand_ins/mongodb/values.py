"""How MongoDB compares values and matches documents, as its manual says: type brackets, one order over all types."""

from __future__ import annotations

import operator
import re

from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import Binary
from bson.datetime_ms import DatetimeMS

MISSING = type("Missing", (), {"__repr__": lambda self: "MISSING"})()
# The order of types, and the brackets in which $gt and its like compare.
NULL, NUMBER, TEXT, OBJECT, ARRAY, BINARY, OID, BOOLEAN, DATE, TIMESTAMP, PATTERN = range(1, 12)
TYPES = {
    1: float, "double": float, 2: str, "string": str, 3: dict, "object": dict, 4: list, "array": list, 5: (Binary, bytes),
    "binData": (Binary, bytes), 7: ObjectId, "objectId": ObjectId, 8: bool, "bool": bool, 9: DatetimeMS, "date": DatetimeMS,
    10: type(None), "null": type(None), 16: int, "int": int, 17: Timestamp, "timestamp": Timestamp, 18: Int64,
    "long": Int64, 19: Decimal128, "decimal": Decimal128, "number": (int, float, Int64, Decimal128),
}  # fmt: skip


class Unknown(Exception):
    """The stand-in does not know this part of the language."""


def bracket(value) -> int:
    match value:
        case MinKey():
            return 0
        case MaxKey():
            return 99
        case None:
            return NULL
        case bool():
            return BOOLEAN
        case int() | float() | Decimal128():
            return NUMBER
        case str():
            return TEXT
        case dict():
            return OBJECT
        case list():
            return ARRAY
        case bytes():
            return BINARY
        case ObjectId():
            return OID
        case DatetimeMS():
            return DATE
        case Timestamp():
            return TIMESTAMP
        case Regex():
            return PATTERN
    return NULL


def ordered(value) -> tuple:
    """A value as something that Python orders as MongoDB orders it."""
    kind = bracket(value)
    match value:
        case Decimal128():
            number = value.to_decimal()
            return kind, *((0,) if number.is_nan() else (1, number))
        case float():
            return kind, *((0,) if value != value else (1, value))
        case bool() | int():
            return kind, 1, int(value)
        case str():
            return kind, value.encode()
        case dict():
            return kind, tuple((bracket(each), name.encode(), ordered(each)) for name, each in value.items())
        case list():
            return kind, tuple(ordered(each) for each in value)
        case bytes():
            return kind, len(value), getattr(value, "subtype", 0), bytes(value)
        case ObjectId():
            return kind, value.binary
        case DatetimeMS():
            return kind, int(value)
        case Timestamp():
            return kind, value.time, value.inc
        case Regex():
            return kind, str(value.pattern)
    return (kind,)


def reached(document, path: str) -> list:
    """The values a path leads to, through arrays of documents as well; MISSING where it leads nowhere."""
    name, _, rest = path.partition(".")
    if isinstance(document, list):
        found = [value for each in document if isinstance(each, dict) for value in reached(each, path)]
        return found or [MISSING]
    if not isinstance(document, dict) or name not in document:
        return [MISSING]
    return reached(document[name], rest) if rest else [document[name]]


def sort_key(document, pattern: dict) -> tuple:
    """The key by which $sort orders; an array counts by its least (or, downwards, its greatest) element."""
    keys = []
    for path, direction in pattern.items():
        values = [None if value is MISSING else value for value in reached(document, path)]
        flat = [each for value in values for each in (value if isinstance(value, list) and value else [value])]
        best = (min if direction > 0 else max)(map(ordered, flat))
        keys.append(best if direction > 0 else Downwards(best))
    return tuple(keys)


class Downwards:
    """Orders the other way round."""

    __slots__ = ("key",)

    def __init__(self, key) -> None:
        self.key = key

    def __lt__(self, other) -> bool:
        return other.key < self.key

    def __eq__(self, other) -> bool:
        return other.key == self.key

    __hash__ = None


def matches(document: dict, condition: dict) -> bool:
    """Whether a document fits a query's condition."""
    for name, wanted in condition.items():
        match name:
            case "$and":
                fits = all(matches(document, each) for each in wanted)
            case "$or":
                fits = any(matches(document, each) for each in wanted)
            case "$nor":
                fits = not any(matches(document, each) for each in wanted)
            case "$comment":
                fits = True
            case _ if name.startswith("$"):
                raise Unknown(f"unknown top level operator: {name}")
            case _:
                fits = all(holds(document, name, test) for test in tests(wanted))
        if not fits:
            return False
    return True


def tests(wanted) -> list[tuple]:
    if isinstance(wanted, dict) and wanted and all(name.startswith("$") for name in wanted):
        return [pair for pair in wanted.items() if pair[0] != "$options"]
    return [("$eq", wanted)]


def holds(document: dict, path: str, test: tuple) -> bool:
    name, wanted = test
    values = reached(document, path)
    # A test holds for an array when it holds for an element, or for the array as a whole.
    each = [*values, *(element for value in values if isinstance(value, list) for element in value)]
    match name:
        case "$eq":
            return any(equal(value, wanted) for value in each)
        case "$ne":
            return not holds(document, path, ("$eq", wanted))
        case "$in":
            keys = {ordered(value) for value in wanted}
            return any(ordered(None if value is MISSING else value) in keys for value in each)
        case "$nin":
            return not holds(document, path, ("$in", wanted))
        case "$gt" | "$gte" | "$lt" | "$lte":
            return any(
                compared(getattr(operator, {"$gte": "ge", "$lte": "le"}.get(name, name[1:])), value, wanted)
                for value in each
            )
        case "$exists":
            return bool(wanted) == any(value is not MISSING for value in values)
        case "$type":
            kinds = wanted if isinstance(wanted, list) else [wanted]
            return any(is_type(value, kind) for value in each for kind in kinds)
        case "$not":
            return not all(holds(document, path, inner) for inner in tests(wanted))
        case "$regex":
            pattern = wanted.try_compile() if isinstance(wanted, Regex) else re.compile(wanted)
            return any(isinstance(value, str) and pattern.search(value) for value in each)
    raise Unknown(f"unknown operator: {name}")


def equal(value, wanted) -> bool:
    return ordered(None if value is MISSING else value) == ordered(wanted)


def compared(how, value, wanted) -> bool:
    """Values of another bracket never compare; nor does NaN, but with itself."""
    if value is MISSING or bracket(value) != bracket(wanted):
        return False
    left, right = ordered(value), ordered(wanted)
    if bracket(wanted) == NUMBER and left[1] != right[1]:  # exactly one is no number
        return False
    return how(left, right)


def is_type(value, kind) -> bool:
    if value is MISSING:
        return False
    if kind not in TYPES:
        raise Unknown(f"Unknown type name alias: {kind}")
    if isinstance(value, bool) or kind in (8, "bool"):
        return isinstance(value, bool) and kind in (8, "bool")
    if kind in (16, "int"):
        return isinstance(value, int) and not isinstance(value, Int64)
    return isinstance(value, TYPES[kind])


def projected(document: dict, paths: dict) -> dict:
    """The fields of an inclusion, in the document's own order; `_id` unless it is excluded."""
    wanted = [path for path, keep in paths.items() if keep and path != "_id"]
    kept = {}
    for name, value in document.items():
        inside = {path.partition(".")[2]: 1 for path in wanted if path.startswith(f"{name}.")}
        if name in wanted or (name == "_id" and paths.get("_id", 1)):
            kept[name] = value
        elif inside:
            inner = [value] if isinstance(value, dict) else value if isinstance(value, list) else []
            found = [projected(each, inside | {"_id": 0}) for each in inner if isinstance(each, dict)]
            if isinstance(value, list):
                kept[name] = found
            elif found:
                kept[name] = found[0]
    return kept
