"""The proposal as two files that people read: a commented `views.yaml`, and the statements for what is missing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.catalogue.kinds import KINDS
from smartico_sync.proposal.names import last_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from smartico_sync.proposal.propose import Proposal, Proposed

__all__ = ["BRAND", "Heading", "comment", "configuration", "needed", "needed_in", "scalar", "script", "top"]

WIDTH = 110
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
WORDS = frozenset(
    {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
)  # YAML 1.1 takes them for something else
WHOSE = (
    "What the views.yaml beside this file needs and the database has not yet. Read it, change what is wrong, and let the "
    "database's owner run it, on the primary where this is a replica. An index on a large table takes its time."
)
EVERY = {"profile": "5s", "transaction": "2s"}
BRAND = "${EXT_BRAND_ID}"


class Heading(Struct, frozen=True):
    """What is the same for all views. `url` holds no secret any more; `brand`: that of rows of which no column says it."""

    api: str
    url: str
    source: str
    brand: str = ""
    script: str = ""
    engine: str = ""


def configuration(heading: Heading, proposal: Proposal) -> str:
    """The whole `views.yaml`."""
    parts = ["\n".join(top(heading, [name for each in proposal.views for name in each.personal])), "views:"]
    parts += ["\n".join(_view(heading, each)) for each in proposal.views]
    if told := list(_missing(proposal.missing)):
        parts.append("\n".join(told))
    return "\n\n".join(parts).replace("views:\n\n", "views:\n", 1) + "\n"


def script(proposal: Proposal, ddl: Callable[[Proposed], Sequence[str]], grantee: str = "") -> str:
    """The statements, each view's together; empty where nothing is missing."""
    parts, made = [], set[str]()
    for each in proposal.views:
        statements = [statement for statement in ddl(each) if statement not in made]
        made.update(statements)
        if not statements:
            continue
        if each.recipe.use == "propose":
            parts.append("\n".join((*comment(each.recipe.about, "-- "), *statements)))
        else:
            told = f"{each.recipe.about}, left out: {each.recipe.why}"
            parts.append("\n".join((*comment(told, "-- "), *_comment_out(statements))))
    if not parts:
        return ""
    top = [WHOSE]
    if grantee:
        names = ", ".join(each.relation for each in proposal.views if each.plan and each.recipe.use == "propose")
        top.append(f"The daemon's user needs SELECT on each view, and nothing else: {grantee} on {names}.")
    return "\n\n".join(["\n--\n".join("\n".join(comment(each, "-- ")) for each in top), *parts]) + "\n"


def needed(proposal: Proposal, heading: Heading) -> tuple[str, ...]:
    """Variables of the environment that the configuration asks for."""
    return needed_in(configuration(heading, proposal))


def needed_in(text: str) -> tuple[str, ...]:
    """The same of a configuration's text."""
    live = "\n".join(line.partition(" # ")[0] for line in text.splitlines() if not line.lstrip().startswith("#"))
    return tuple(dict.fromkeys(re.findall(r"\$\{([A-Z_0-9]+)\}", live)))


def top(heading: Heading, names: Iterable[str]) -> Iterator[str]:
    """What stands before the views. `names`: properties that say who somebody is."""
    personal = tuple(dict.fromkeys(names))
    yield from comment(
        "A first configuration, made by `smartico-sync init` from names, types and a few values. Read each view before you trust "
        "it. `smartico-sync check` tries everything and sends nothing; `smartico-sync preview NAME` shows what would be sent.",
        "# ",
    )
    yield "version: 1"
    yield "smartico:"
    yield f"  url: {heading.api} # yours, from Back Office"
    yield "  token: ${SMARTICO_TOKEN}"
    yield "state: ./state/sync.db"
    yield "pii:"
    yield "  mode: encrypt"
    yield "  key: ${SYNC_PII_KEY} # `smartico-sync keys new` prints one"
    yield "  properties: [user_email, user_phone]"
    if personal:
        yield from comment(
            "These say who somebody is and leave in the clear. Decide: list them here, or in `properties` (texts only), or "
            "leave them out with `columns: {name: null}`.",
            "  # ",
        )
        yield f"  # in_the_clear: [{', '.join(personal)}]"
    yield "sources:"
    yield f"  {heading.source}:"
    yield f"    url: {json.dumps(heading.url, ensure_ascii=False)}"
    yield "    # timezone: UTC # of timestamps that carry none"


def _view(heading: Heading, view: Proposed) -> Iterator[str]:
    recipe, kind = view.recipe, KINDS[view.recipe.kind]
    mark = "  " if recipe.use == "propose" else "  # "
    yield from comment(f"{recipe.about}. {_made_of(heading, view)}", "  # ")
    if recipe.use == "comment":
        yield from comment(f"Left out: {recipe.why}.", "  # ")
    yield f"{mark}- name: {recipe.name}"
    yield f"{mark}  source: {heading.source}"
    yield f"{mark}  relation: {scalar(view.relation)}"
    yield f"{mark}  kind: {recipe.kind}"
    if recipe.event_type:
        yield f"{mark}  event_type: {recipe.event_type}"
    yield f"{mark}  cursor: {scalar(view.cursor)}"
    if view.key:
        yield f"{mark}  key: [{', '.join(map(scalar, view.key))}]"
    if view.type_column:
        roles = (f"{role}: [{', '.join(scalar(value) for value in values)}]" for role, values in view.roles.items())
        yield f"{mark}  type: {{column: {scalar(view.type_column)}, {', '.join(roles)}}}"
    if view.test:
        yield f"{mark}  where: {{{scalar(view.test)}: false}} # test players are left out"
    if not view.brand:
        yield f"{mark}  brand: {heading.brand or BRAND}" + ("" if heading.brand else " # no column says it")
    if named := _columns(view, view.cents):
        yield f"{mark}  columns: {{{named}}}" + (" # cents, as their names say" if view.cents else "")
    if view.whole:
        named = _columns(view, (*view.cents, *view.whole))
        yield f"{mark}  # columns: {{{named}}} # {'instead, ' if view.columns or view.cents else ''}if these whole numbers are cents"
    yield f"{mark}  every: {EVERY[kind.role]}"


def _columns(view: Proposed, cents: Sequence[str]) -> str:
    """What `columns:` says: other names, what is left out, and which numbers are cents."""
    named = {column: target or "null" for column, target in view.columns.items()}
    for column in cents:
        target = view.columns.get(column)
        named[column] = f"{{property: {target}, scale: 2}}" if target else "{scale: 2}"
    return ", ".join(f"{scalar(column)}: {said}" for column, said in named.items())


def _made_of(heading: Heading, view: Proposed) -> str:
    if view.plan is None:
        told = f"{view.relation} as it is" + (
            ", with every column." if KINDS[view.recipe.kind].unmapped == "send" else "."
        )
    else:
        tables = ", ".join(last_part(join.table) for join in view.plan.joins)
        told = f"A view of {view.table}" + (f" with {tables}" if tables else "") + f", made by {heading.script}."
    if view.seen:
        told += f" Seen in the newest rows: {'; '.join(view.seen)}."
    if view.left_out:
        told += f" Not in the view: {', '.join(view.left_out)}."
    return told


def _missing(missing: Mapping[str, str]) -> Iterator[str]:
    if missing:
        yield "  # Looked for, and not found:"
        for name, why in missing.items():
            yield from comment(f"{name}: {why}", "  #   ")


def comment(text: str, mark: str) -> Iterator[str]:
    """A sentence in lines of a comment."""
    line = mark
    for word in text.replace("\n", " ").split():
        if len(line) + len(word) > WIDTH and line != mark:
            yield line.rstrip()
            line = mark
        line += f"{word} "
    yield line.rstrip()


def _comment_out(statements: Sequence[str]) -> Iterator[str]:
    return (f"-- {line}" for each in statements for line in each.splitlines())


def scalar(value: str | int) -> str:
    """A name or value as YAML takes it for the text that it is."""
    text = str(value)
    plain = PLAIN.fullmatch(text) and text.lower() not in WORDS
    return text if plain else json.dumps(text.replace("$", "$$"), ensure_ascii=False)
