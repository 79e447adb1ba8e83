"""What a `query:` may be, for each form that an engine's declaration names. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from smartico_sync.catalogue.engines import QueryForm

__all__ = ["COMMAND", "WRITING_STAGES", "query_problem"]

QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)
COMMAND = '{"aggregate": "<collection>", "pipeline": […]}'
WRITING_STAGES = ("$out", "$merge")


def query_problem(form: QueryForm, query: str) -> str:
    """Say what is wrong with a query's form, or nothing. What it names is for the database to judge."""
    return FORMS[form](query)


def select_problem(query: str) -> str:
    """Judge SQL: it must be one SELECT (or WITH) that can be put in brackets."""
    bare = QUOTED.sub(lambda found: " " if found[0][:2] in ("--", "/*") else "''", query).strip()
    if bare.endswith(";") and ";" not in bare.rstrip("; \t\r\n"):
        return "found a semicolon at the end; leave it out, the query becomes part of a larger one"
    if ";" in bare:
        return "found several statements; expected one SELECT"
    if not re.match(r"\(*\s*(SELECT|WITH)\b", bare, re.IGNORECASE):
        return "expected a query that starts with SELECT or WITH"
    return ""


def aggregate_problem(query: str) -> str:
    """Judge an aggregate command in extended JSON: a collection, and a pipeline that only reads."""
    try:
        command = json.loads(query)
    except ValueError as error:
        where = f" at line {error.lineno} of it" if isinstance(error, json.JSONDecodeError) else ""
        return f"not JSON{where}; write {COMMAND}"
    if isinstance(command, list):
        return f"a pipeline alone names no collection; write {COMMAND}"
    if not isinstance(command, dict):
        return f"expected a command; write {COMMAND}"
    if unknown := [name for name in command if name not in ("aggregate", "pipeline")]:
        return f"found `{unknown[0]}`, expected `aggregate` and `pipeline` and nothing else; write {COMMAND}"
    if missing := [name for name in ("aggregate", "pipeline") if name not in command]:
        return f"`{missing[0]}` is missing; write {COMMAND}"
    if not isinstance(command["aggregate"], str) or not command["aggregate"]:
        return f"`aggregate` is a collection's name; write {COMMAND}"
    stages = command["pipeline"]
    if not isinstance(stages, list) or not all(isinstance(stage, dict) and len(stage) == 1 for stage in stages):
        return "`pipeline` is a list of stages, each with one operator"
    writes = next((name for stage in stages for name in stage if name in WRITING_STAGES), "")
    return f"{writes} writes; the daemon only reads" if writes else ""


FORMS: Mapping[QueryForm, Callable[[str], str]] = {"select": select_problem, "aggregate": aggregate_problem}
