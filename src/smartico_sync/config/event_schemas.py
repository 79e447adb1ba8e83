"""What an operator's team publishes for each kind, as JSON Schema: the members of a message by the names of the kind's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smartico_sync.catalogue.columns import CURSOR
from smartico_sync.catalogue.kinds import KINDS
from smartico_sync.catalogue.properties import MANAGED, PROPERTIES, TRANSACTION_PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.catalogue.kinds import Kind

__all__ = ["event_schemas"]

MOMENT = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
    "description": "a time: ISO 8601 with its offset, or a number of seconds or milliseconds since 1970",
}
# Numbers may be written as texts, so that no program on the way turns their digits into a float.
TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": ["string", "number"]},
    "number": {"type": ["number", "string"]},
    "integer": {"type": ["integer", "string"]},
    "boolean": {"type": ["boolean", "string", "integer"]},
    "date": MOMENT,
    "array": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]},
    "any": {},
}
PLAYER = {"user_ext_id": {"type": ["string", "integer"], "description": "the player"}}
BRAND = {"ext_brand_id": {"type": "string", "description": "the brand; left out where the view has `brand:`"}}


def event_schemas() -> dict[str, Any]:
    """One document with a definition for each kind."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Messages for smartico-sync, by kind",
        "$defs": {name: schema(known) for name, known in KINDS.items()},
    }


def schema(known: Kind) -> dict[str, Any]:
    """The object at the root of a message of this kind. Members that it does not name are allowed."""
    members: dict[str, Any] = {**PLAYER, **BRAND}
    for column, target in columns(known):
        if column not in members:
            members[column] = described(known, target)
    for name in known.event_date:
        if name != CURSOR:
            members.setdefault(name, MOMENT)
    needed = [alternatives for alternatives in known.required if alternatives != ("user_ext_id",)]
    dated = {known.moment, *known.event_date}
    made: dict[str, Any] = {"type": "object", "properties": members, "required": ["user_ext_id"]}
    several = [
        {"anyOf": [{"required": [name]} for name in alternatives]}
        for alternatives in needed
        if len(alternatives) > 1 and not dated & {*alternatives}
    ]
    made["required"] += [names[0] for names in needed if len(names) == 1 and not dated & {*names}]
    return {**made, "allOf": several} if several else made


def columns(known: Kind) -> Iterator[tuple[str, str]]:
    """Every column and the property that it becomes."""
    yield from known.columns
    for role in known.row_roles:
        yield from known.row_role(role).columns
    yield from ((name, name) for name in known.optional if name not in known.hidden)
    if known.role == "profile":
        own = {*MANAGED, *TRANSACTION_PROPERTIES, "skip_cjm"}
        yield from ((name, name) for name in PROPERTIES if name not in own)


def described(known: Kind, target: str) -> dict[str, Any]:
    """One member by what it becomes."""
    catalogued = PROPERTIES.get(target)
    told = catalogued.type if catalogued else known.types.get(target, "any")
    made = dict(TYPES[told])
    if target in PROPERTIES and known.role != "profile":
        made["description"] = f"becomes {target}"
    if catalogued and catalogued.values and told == "string":
        made["examples"] = sorted(catalogued.values)
    return made
