"""Rules of a view whose source is a broker, and of the options that only such a view has. Pure; each check yields problems."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from smartico_sync.catalogue.kinds import kind
from smartico_sync.config.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.config.models import View
    from smartico_sync.config.surroundings import Where

__all__ = ["STREAM_ONLY", "stream_problems", "view_only_problems"]

# Why a view of a broker has none of these.
REFUSED = {
    "query": "a broker answers no queries: `fields` is the list of columns, and `where` chooses messages",
    "cursor": "a message has its place, and no cursor; `version` names a column that grows with each change of a player",
    "cursor_is": "a message has its place, and no cursor",
    "every": "messages come by themselves, and are not asked for",
    "late_commit": "a message becomes visible in its place, never behind one that was read",
    "lookback": "a message becomes visible in its place, never behind one that was read",
    "gaps_wait": "offsets that are missing are the broker's own, and nothing is waited for",
    "settle": "there is no fence that a writer could hold",
    "on_pinned": "there is no fence that a writer could hold",
    "pin_cap": "there is no fence that a writer could hold",
    "on_null_cursor": "a message always has its place",
    "on_mutated": "a message never changes",
    "on_regressed": "a topic that was recreated always stops the view",
    "sweep": "there is no table of profiles to sweep",
}
STREAM_ONLY = ("format", "root", "fields", "version", "on_tombstone", "on_gap", "dead_letters")
ROOTS = ("value", "key", "headers", "properties", "message")
STARTS = ("first", "now")


def stream_problems(view: View, where: Where) -> Iterator[Problem]:
    """All problems of one view of a broker that no view of a database can have."""
    for name, why in REFUSED.items():
        if name in view.model_fields_set:
            yield Problem(where.at(name), f"`{name}` is not for messages: {why}; take it out", "key")
    if view.relation is None:
        yield Problem(where.at("relation"), "missing: a topic or queue, or a list of topics", "key")
    else:
        yield from name_problems(view.relation, where)
    if view.version is not None and kind(view.kind).role != "profile":
        yield Problem(where.at("version"), "`version` is for profiles (`kind: users`) only; take it out", "key")
    if view.start_from not in STARTS and not is_time(view.start_from):
        yield Problem(
            where.at("start_from"),
            f"found {view.start_from!r}, expected first, now, or a time such as 2026-01-31T12:00:00",
        )
    yield from path_problems(view, where)
    for column in view.columns:
        if view.fields and column not in view.fields:
            yield Problem(
                where.at("columns", column), f"`fields` has no column {column}; add it there, or take it out", "key"
            )


def path_problems(view: View, where: Where) -> Iterator[Problem]:
    """Paths are names with dots between them."""
    for column, field in view.fields.items():
        if column.startswith("@") or not all(field.path.split(".")):
            yield Problem(where.at("fields", column), "expected a column's name, and names with dots between them")
    if view.root and not all(view.root.split(".")):
        yield Problem(where.at("root"), f"found {view.root!r}, expected names with dots between them")
    for name in view.where:
        if not all(name.split(".")):
            yield Problem(where.at("where", name), "expected a column, or names with dots between them", "key")


def name_problems(relation: str, where: Where) -> Iterator[Problem]:
    """A pattern must be one."""
    if relation.startswith("/"):
        try:
            re.compile(relation.removeprefix("/").removesuffix("/"))
        except re.error as error:
            yield Problem(where.at("relation"), f"no pattern: {error}")
    elif not all(name.strip() for name in relation.split(",")):
        yield Problem(where.at("relation"), "a name is empty; expected topics with commas between them")


def view_only_problems(view: View, where: Where) -> Iterator[Problem]:
    """What a view of a database cannot have, and must have."""
    for name in STREAM_ONLY:
        if name in view.model_fields_set:
            yield Problem(where.at(name), f"`{name}` is for messages of a broker only; take it out", "key")
    if not view.cursor:
        about = "The column that grows: a timestamp or an incrementing id, indexed and not null"
        yield Problem(where.at("cursor"), f"missing: {about}", "key")


def is_time(text: str) -> bool:
    """Whether a text is a moment."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
