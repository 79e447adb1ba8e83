"""Rules of one view. Pure; each check yields problems."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from smartico_sync.catalogue.engines import ENGINES
from smartico_sync.catalogue.events import NEVER_SENT, UPDATE_PROFILE, never_sent
from smartico_sync.catalogue.kinds import KINDS, kind
from smartico_sync.catalogue.properties import NAME_PATTERN, PROPERTIES, is_managed, property_type
from smartico_sync.config.models import SWEEP_MS
from smartico_sync.config.personal import holds_personal, unprotected_mappings
from smartico_sync.config.problems import Problem, one_of
from smartico_sync.config.query_checks import query_problem
from smartico_sync.config.source_checks import zone_exists
from smartico_sync.config.stream_checks import stream_problems, view_only_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.config.models import View
    from smartico_sync.config.surroundings import Where

__all__ = ["view_problems"]

TWO_TYPES = "casino_bets_and_wins"
BOTH = ("bet", "win")
ENVELOPE = ("user_ext_id", "ext_brand_id")
PROFILE_ONLY = {  # what other kinds can have
    "payload": ("full",),
    "on_null": (None, "omit"),
    "skip_cjm": ("never",),
    "sweep": (SWEEP_MS,),
}


def view_problems(view: View, where: Where) -> Iterator[Problem]:
    """All problems of one view."""
    if where.engine and where.engine.reads == "messages":
        yield from stream_problems(view, where)
    elif where.engine:
        yield from view_only_problems(view, where)
        yield from relation_problems(view, where)
    else:
        yield from relation_problems(view, where)
    yield from type_problems(view, where)
    yield from event_problems(view, where)
    yield from array_problems(view, where)
    if view.timezone is not None and not zone_exists(view.timezone):
        text = f"no time zone {view.timezone!r}; expected an IANA name such as Europe/Malta"
        yield Problem(where.at("timezone"), text)
    for name, only in PROFILE_ONLY.items():
        if kind(view.kind).role != "profile" and getattr(view, name) not in only:
            yield Problem(where.at(name), f"`{name}` is for profiles (`kind: users`) only; take it out", "key")
    views = where.engine is not None and where.engine.reads == "views"
    if view.late_commit == "fence" and views and where.engine and "fence" not in where.engine.abilities:
        able = " or ".join(engine.title for engine in ENGINES.values() if "fence" in engine.abilities)
        yield Problem(
            where.at("late_commit"),
            f"fence needs {able}, this source is {where.engine.scheme}; expected auto, gaps or lookback",
        )
    yield from column_problems(view, where)
    yield from place_problems(view, where)


def relation_problems(view: View, where: Where) -> Iterator[Problem]:
    """Exactly one of relation and query, and a query that only reads."""
    if view.relation is not None and view.query is not None:
        yield Problem(where.at("query"), "relation is there too; keep one of them", "key")
    elif view.relation is None and view.query is None:
        yield Problem(where.at("relation"), "missing: a relation (view, table, collection) or a query", "key")
    if view.query is not None and where.engine and (said := query_problem(where.engine.query, view.query)):
        yield Problem(where.at("query"), said)


def type_problems(view: View, where: Where) -> Iterator[Problem]:
    """Judge the column that says what a row is."""
    known = kind(view.kind)
    if view.type is None:
        if known.row_roles and "" not in known.event_types:
            roles = ", ".join(f"{role}: …" for role in known.row_roles[:2])
            text = f"missing: `type: {{column: …, {roles}}}`, because the kind is {view.kind}"
            yield Problem(where.at("type"), text, "key")
        return
    if not known.row_roles:
        several = ", ".join(each.name for each in KINDS.values() if each.row_roles)
        yield Problem(where.at("type"), f"type is for kinds that hold several things, {several}; take it out", "key")
        return
    seen: dict[str, str] = {}
    for role, values in view.type.roles.items():
        if role not in known.row_roles:
            yield Problem(
                where.at("type", role), f"{view.kind} has no role {role!r}; {one_of(role, known.row_roles)}", "key"
            )
        for value in values:
            first = seen.setdefault(value, role)
            if first != role:
                text = f"{first} and {role} are the same value {value!r}; expected each value in one role"
                yield Problem(where.at("type", role), text)
    needed = BOTH if view.kind == TWO_TYPES else ()
    for role in needed:
        if role not in view.type.roles:
            yield Problem(where.at("type", role), f"missing: the value of the rows that are a {role}", "key")
    if not view.type.roles:
        yield Problem(where.at("type"), f"no role has a value; {one_of('', known.row_roles)}")


def event_problems(view: View, where: Where) -> Iterator[Problem]:
    """Judge the event type."""
    known = kind(view.kind)
    if view.event_type is None:
        if view.kind == "custom":
            yield Problem(where.at("event_type"), "missing: the event type, because the kind is custom", "key")
    elif view.kind == "users" or (known.row_roles and "" not in known.event_types):
        yield Problem(where.at("event_type"), f"the kind {view.kind} fixes its event types; take it out", "key")
    elif view.type is not None:
        yield Problem(where.at("event_type"), "type says which event a row is; keep one of them", "key")
    elif never_sent(view.event_type):
        yield Problem(
            where.at("event_type"),
            f"Smartico produces {view.event_type} itself; never sent are {', '.join(NEVER_SENT)}",
        )
    elif view.event_type == UPDATE_PROFILE:
        yield Problem(where.at("event_type"), f"{UPDATE_PROFILE} needs `kind: users`, which compares profiles")
    elif not re.fullmatch(NAME_PATTERN, view.event_type):
        yield Problem(where.at("event_type"), "expected letters, digits, '_' and '.', beginning with a letter")


def array_problems(view: View, where: Where) -> Iterator[Problem]:
    """Sets of names, and nothing else, can be added to."""
    if view.arrays and kind(view.kind).role != "profile":
        yield Problem(where.at("arrays"), "`arrays` is for profiles (`kind: users`) only; take it out", "key")
        return
    sets = [name for name, known in PROPERTIES.items() if known.type == "array" and not is_managed(name)]
    for name in view.arrays:
        expected = property_type(name)
        if is_managed(name):
            yield Problem(where.at("arrays", name), f"Smartico computes {name} itself; take it out", "key")
        elif expected not in (None, "array"):
            yield Problem(where.at("arrays", name), f"{name} is a {expected}; {one_of(name, sets)}", "key")
        elif view.arrays[name] != "replace" and where.pii and name in where.pii.properties:
            text = f"{name} is in `pii.properties`, and what is protected can only be told as a whole; expected replace"
            yield Problem(where.at("arrays", name), text)


def column_problems(view: View, where: Where) -> Iterator[Problem]:
    """Names on the wire, and what must not leave in the clear."""
    first: dict[str, str] = {}
    for column, target in view.targets.items():
        if target is None:
            continue
        if target in ENVELOPE and first.setdefault(target, column) != column:
            yield Problem(where.at("columns", column), f"{first[target]} is {target} already; keep one of them")
        yield from rule_problems(view, where, column)
        if is_managed(target):
            yield Problem(where.at("columns", column), f"Smartico computes {target} itself; write null to leave it out")
        elif not re.fullmatch(NAME_PATTERN, target):
            yield Problem(
                where.at("columns", column),
                "expected a property name: letters, digits, '_' and '.', beginning with a letter; or null",
            )
    for column, target in unprotected_mappings(where.pii, view) if where.pii else ():
        yield Problem(
            where.at("columns", column),
            f"{column} as {target} would leave in the clear; add {target} to `pii.properties`, map the column to user_email"
            f" or user_phone, or write null to leave it out (`pii.in_the_clear` says that it may)",
        )


def rule_problems(view: View, where: Where, column: str) -> Iterator[Problem]:
    """Hold how a column is read against what its property is."""
    rule, target = view.columns[column], view.targets[column]
    if rule is None or target is None:
        return
    filled = {property_ for source, property_ in kind(view.kind).columns if source == target} or {target}
    types = {expected for name in filled if (expected := property_type(name) or kind(view.kind).types.get(name))}
    if rule.type and types:
        yield Problem(
            where.at("columns", column, "type"), f"{target} is a {min(types)} to Smartico; take it out", "key"
        )
    if rule.type not in (None, "array") and target in view.arrays:
        said = f"`arrays` says that {target} is a set of names; expected array, or take one of them out"
        yield Problem(where.at("columns", column, "type"), said)
    told = types or ({rule.type} if rule.type else {"array"} if target in view.arrays else set())
    if rule.scale and told and not told & {"number", "integer"}:
        yield Problem(
            where.at("columns", column, "scale"), f"scale is for numbers, and {target} is a {min(told)}", "key"
        )
    if rule.split and "array" not in told:
        said = f"{target} is a {min(told)}" if told else f"{target} is custom: write `type: array` too"
        yield Problem(where.at("columns", column, "split"), f"split is for arrays, and {said}", "key")


def place_problems(view: View, where: Where) -> Iterator[Problem]:
    """Cursor and key rest in the state, in dead letters and on the page: they must not be personal."""
    for setting, names in (("cursor", (view.cursor,)), ("version", (view.version or "",)), ("key", view.key or ())):
        for name in names:
            if holds_personal(where.pii, view, name):
                yield Problem(
                    where.at(setting),
                    f"{name} holds personal data, and {setting} values rest in the state; use the id of the row or the player",
                )
