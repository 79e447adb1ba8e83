"""Rules of one view. Pure; each check yields problems."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smartico_sync.catalogue.engines import ENGINES
from smartico_sync.catalogue.events import NEVER_SENT, UPDATE_PROFILE, never_sent
from smartico_sync.catalogue.kinds import kind
from smartico_sync.catalogue.properties import MANAGED, NAME_PATTERN
from smartico_sync.config.models import SWEEP_MS
from smartico_sync.config.personal import holds_personal, unprotected_mappings
from smartico_sync.config.problems import Problem
from smartico_sync.config.query_checks import query_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.catalogue.engines import Engine
    from smartico_sync.config.models import Pii, View
    from smartico_sync.config.problems import Loc

__all__ = ["Where", "view_problems"]

TWO_TYPES = "casino_bets_and_wins"
PROFILE_ONLY = {
    "payload": "full",
    "on_null": "omit",
    "skip_cjm": "never",
    "sweep": SWEEP_MS,
}  # key: the only value other kinds can have


@dataclass(frozen=True, slots=True)
class Where:
    """What a view stands among. `engine`: None when its source is not valid."""

    index: int
    engine: Engine | None
    pii: Pii | None

    def at(self, *path: str) -> Loc:
        """Make a path in this view."""
        return ("views", self.index, *path)


def view_problems(view: View, where: Where) -> Iterator[Problem]:
    """All problems of one view."""
    yield from relation_problems(view, where)
    yield from type_problems(view, where)
    yield from event_problems(view, where)
    for name, only in PROFILE_ONLY.items():
        if kind(view.kind).role != "profile" and getattr(view, name) != only:
            yield Problem(where.at(name), f"{name} is for profiles (kind: users) only; take it out", "key")
    if view.late_commit == "fence" and where.engine and "fence" not in where.engine.abilities:
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
    """Judge the column that tells a bet from a win."""
    if view.kind == TWO_TYPES:
        if view.type is None:
            yield Problem(
                where.at("type"),
                f"missing: type: {{column: …, bet: …, win: …}}, because the kind is {TWO_TYPES}",
                "key",
            )
        elif view.type.bet == view.type.win:
            yield Problem(where.at("type", "win"), "bet and win are the same value; expected two different ones")
    elif view.type is not None:
        yield Problem(where.at("type"), f"type is for the kind {TWO_TYPES} only; take it out", "key")


def event_problems(view: View, where: Where) -> Iterator[Problem]:
    """Judge the event type."""
    if view.event_type is None:
        if view.kind == "custom":
            yield Problem(where.at("event_type"), "missing: the event type, because the kind is custom", "key")
    elif view.kind in ("users", TWO_TYPES):
        yield Problem(where.at("event_type"), f"the kind {view.kind} fixes its event types; take it out", "key")
    elif never_sent(view.event_type):
        yield Problem(
            where.at("event_type"),
            f"Smartico produces {view.event_type} itself; never sent are {', '.join(NEVER_SENT)}",
        )
    elif view.event_type == UPDATE_PROFILE:
        yield Problem(where.at("event_type"), f"{UPDATE_PROFILE} needs kind: users, which compares profiles")
    elif not re.fullmatch(NAME_PATTERN, view.event_type):
        yield Problem(where.at("event_type"), "expected letters, digits, '_' and '.', beginning with a letter")


def column_problems(view: View, where: Where) -> Iterator[Problem]:
    """Names on the wire, and what must not leave in the clear."""
    for column, target in view.columns.items():
        if target is None:
            continue
        if target in MANAGED:
            yield Problem(where.at("columns", column), f"Smartico computes {target} itself; write null to leave it out")
        elif not re.fullmatch(NAME_PATTERN, target):
            yield Problem(
                where.at("columns", column),
                "expected a property name: letters, digits, '_' and '.', beginning with a letter; or null",
            )
    for column, target in unprotected_mappings(where.pii, view) if where.pii else ():
        yield Problem(
            where.at("columns", column),
            f"{column} as {target} would leave in the clear; add {target} to pii.properties, map the column to user_email"
            f" or user_phone, or write null to leave it out (pii.in_the_clear says that it may)",
        )


def place_problems(view: View, where: Where) -> Iterator[Problem]:
    """Cursor and key rest in the state, in dead letters and on the page: they must not be personal."""
    for setting, names in (("cursor", (view.cursor,)), ("key", view.key or ())):
        for name in names:
            if holds_personal(where.pii, view, name):
                yield Problem(
                    where.at(setting),
                    f"{name} holds personal data, and {setting} values rest in the state; use the id of the row or the player",
                )
