"""The contract of the ingest API as far as it is known: what makes an event acceptable.

Events of one view look alike, so the names and types of an envelope or a payload (its shape) are judged once and
remembered; what remains per event is a look-up.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from types import NoneType
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from smartico_sync.catalogue.events import EARLIEST_MS, EVENTS, FUTURE_MS, never_sent
from smartico_sync.catalogue.kinds import KINDS
from smartico_sync.catalogue.properties import PROPERTIES, PropertyType, is_managed, property_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["NEEDS", "OPERATORS", "Contract", "Finding", "without"]

SHAPES = 20_000  # remembered at most; custom payloads could bring new ones forever
OPERATORS = "!+-^"
SECONDS_BELOW = 10**11  # 1973; a smaller event_date is seconds taken for milliseconds
MICROSECONDS_ABOVE = 10**14  # 5138; a larger one is microseconds taken for milliseconds

ENVELOPE: dict[str, tuple[type, str]] = {
    "eid": (str, "a string"),
    "event_date": (int, "epoch milliseconds as an integer"),
    "ext_brand_id": (str, "a string"),
    "user_ext_id": (str, "a string"),
    "event_type": (str, "a string"),
    "payload": (dict, "an object"),
}
TYPES: dict[PropertyType, tuple[frozenset[type], str]] = {
    "string": (frozenset({str}), "a string"),
    "number": (frozenset({int, float}), "a number"),
    "integer": (frozenset({int}), "an integer"),
    "boolean": (frozenset({bool}), "a boolean"),
    "date": (frozenset({int}), "epoch milliseconds as an integer"),
    "array": (frozenset({list}), "an array"),
    "any": (frozenset({str, int, float, bool, list, dict}), "a value"),
}
JSON_NAMES = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
    NoneType: "null",
}
RULED = frozenset(name for name, known in PROPERTIES.items() if known.values or known.pattern)
FEW_VALUES = 4096  # of closed lists and codes; there are fewer languages, countries and currencies
# What the kinds of views send beside the properties of the catalogue, by event type: a draw's lines are a whole number.
OWN_TYPES: dict[str, dict[str, PropertyType]] = {}
# What every event of a type has, whichever kind of view it comes from: without it a row is no event. An event of Smartico's
# for which there is only a template (`login`) holds what was agreed.
NEEDS: dict[str, tuple[str, ...]] = {}
for kind in KINDS.values():
    for role, event_type in kind.event_types.items():
        OWN_TYPES.setdefault(event_type, {}).update(kind.types)
        agreed = kind.since == "template" and event_type in EVENTS
        needs = () if agreed else kind.event_needs(role)
        NEEDS[event_type] = tuple(name for name in NEEDS.get(event_type, needs) if name in needs)
NEEDED_TEXTS = {
    event_type: tuple(name for name in needs if (property_type(name) or OWN_TYPES[event_type].get(name)) == "string")
    for event_type, needs in NEEDS.items()
}
SETS = {
    f"{operator}{name}": name
    for name, known in PROPERTIES.items()
    if known.type == "array"
    for operator in ("", *"+-^")
}
PAST = frozenset(name for name, known in PROPERTIES.items() if known.past == "must be past")


class Finding(Struct, frozen=True):
    """What is wrong with an event: `reason` refuses it (empty: accepted), `violation` is only counted."""

    reason: str = ""
    violation: str = ""


CLEAN = Finding()


def now_ms() -> int:
    """The machine's clock, epoch ms."""
    return time.time_ns() // 1_000_000


class Contract:
    """Judges events; not thread-safe in its memory, but every race only judges a shape twice.

    Moments are held against `clock_ms`, epoch ms, with the tolerance that the daemon has of itself.
    """

    def __init__(self, clock_ms: Callable[[], int] = now_ms) -> None:
        self.clock_ms = clock_ms
        self.envelopes: dict[tuple[Any, ...], Finding] = {}
        self.payloads: dict[tuple[Any, ...], Finding] = {}

    def findings(self, events: Sequence[Any]) -> dict[int, Finding]:
        """Tell what is wrong, by index; an event that is not mentioned is clean. Messages hold names and types, no values."""
        found: dict[int, Finding] = {}
        envelopes, payloads = self.envelopes, self.payloads
        latest_ms = self.clock_ms() + FUTURE_MS
        for index, event in enumerate(events):
            if type(event) is not dict:
                found[index] = Finding("an event must be an object")
                continue
            shape = (*event, *map(type, event.values()))
            finding = envelopes.get(shape) or self.learn(envelopes, shape, envelope(event))
            if finding.reason:
                found[index] = finding
                continue
            payload = event["payload"]
            shape = (event["event_type"], *payload, *map(type, payload.values()))
            known = payloads.get(shape) or self.learn(payloads, shape, content(event["event_type"], payload))
            if not event["eid"] or not event["user_ext_id"]:
                known = Finding("eid and user_ext_id must not be empty")
            elif not SECONDS_BELOW < event["event_date"] < MICROSECONDS_ABOVE:
                known = Finding("event_date is not in epoch milliseconds")
            elif known is CLEAN:
                known = outside(event, latest_ms)
            if known is not CLEAN:
                found[index] = known
        return found

    def learn(self, memory: dict[tuple[Any, ...], Finding], shape: tuple[Any, ...], finding: Finding) -> Finding:
        """Remember what a shape was found to be."""
        if len(memory) >= SHAPES:
            memory.clear()
        memory[shape] = finding
        return finding


def envelope(event: dict[str, Any]) -> Finding:
    """Judge the fields around the payload."""
    for name, (kind, words) in ENVELOPE.items():
        if name not in event:
            return Finding(f"Field {name} is missing")
        if type(event[name]) is not kind:
            return Finding(
                f"Field {name} failed to parse value of type {json_name(event[name])}, error: expected {words}"
            )
    unknown = event.keys() - ENVELOPE.keys()
    return Finding(violation=f"unknown field {min(unknown)}") if unknown else CLEAN


def content(event_type: str, payload: dict[str, Any]) -> Finding:
    """Judge the event type and the payload's names and types."""
    if not event_type:
        return Finding("event_type must not be empty")
    if never_sent(event_type):
        return Finding(f"Event {event_type} is produced by the platform and cannot be sent")
    known = EVENTS.get(event_type)
    for name in known.required if known else ():
        if name not in payload:
            return Finding(f"Property {name} is missing")
    for name, value in payload.items():
        expected = wrong(name, value)
        if expected:
            return Finding(
                f"Property {name} failed to parse value of type {json_name(value)}, error: expected {expected}"
            )
    managed = [name for name in payload if is_managed(name.lstrip(OPERATORS))]
    if managed:
        return Finding(violation=f"managed property {managed[0]}")
    lacking = [name for name in NEEDS.get(event_type, ()) if name not in payload]
    if lacking:
        return Finding(violation=without(event_type, lacking[0]))
    return unlike(event_type, payload)


def without(event_type: str, name: str) -> str:
    """Say that an event lacks what its kind needs."""
    return f"{event_type} without {name}"


def unlike(event_type: str, payload: dict[str, Any]) -> Finding:
    """Judge properties that the kinds of views know; their types are agreed with Smartico, so another is only counted."""
    own = OWN_TYPES.get(event_type, {})
    for name, value in payload.items():
        if name in own and name not in PROPERTIES and type(value) not in TYPES[own[name]][0]:
            return Finding(violation=f"{name} of {event_type} is not {words_of(own[name])}")
    return CLEAN


def outside(event: dict[str, Any], latest_ms: int) -> Finding:
    """Judge values that the daemon counts as invalid, or gives up; the API is not known to refuse them, so they are only counted.

    These are moments that cannot be, closed lists and codes, and texts that are needed and empty.
    """
    event_type, payload = event["event_type"], event["payload"]
    if not EARLIEST_MS <= event["event_date"] <= latest_ms:
        early = event["event_date"] < EARLIEST_MS
        return Finding(violation=f"event_date {'before the year 2000' if early else 'in the future'}")
    for name in NEEDED_TEXTS.get(event_type, ()):
        if not payload[name] or payload[name].isspace():
            return Finding(violation=without(event_type, name))
    for name in PAST & payload.keys():
        if payload[name] > latest_ms:
            return Finding(violation=f"{name} in the future")
    for name in SETS.keys() & payload.keys():
        if not {type(item) for item in payload[name]} <= {str}:
            return Finding(violation=f"{SETS[name]} holds something else than texts")
    for name in RULED & payload.keys():
        said = misfit(name, payload[name])
        if said:
            return Finding(violation=said)
    return CLEAN


@lru_cache(maxsize=FEW_VALUES)
def misfit(name: str, value: str) -> str:
    """What a value breaks; empty when it keeps its property's rule."""
    known = PROPERTIES[name]
    if known.values:
        return "" if value in known.values else f"{name} is none of its list"
    return "" if re.fullmatch(known.pattern, value) else f"{name} is not {known.form}"


def wrong(name: str, value: object) -> str:
    """Name what was expected of a property, empty when its value has the right type."""
    operator, bare = (name[0], name[1:]) if name[:1] in OPERATORS and name else ("", name)
    known = PROPERTIES.get(bare)
    if operator == "!":
        return "" if value is None else "null, which clears it"
    if operator and known and known.type not in ("array", "any"):
        return f"no operator {operator} on {words_of(known.type)}"
    if operator:
        return "" if type(value) is list else "an array"
    allowed, words = TYPES[known.type if known else "any"]
    return "" if type(value) in allowed else words


def words_of(kind: PropertyType) -> str:
    """What a property of that type holds."""
    return TYPES[kind][1]


def json_name(value: object) -> str:
    """Name a value's JSON type."""
    return JSON_NAMES.get(type(value), "unknown")
