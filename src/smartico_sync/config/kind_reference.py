"""What the manual says of kinds, from the catalogue: a section a kind, with its columns, and the properties of a profile."""

from __future__ import annotations

import re
from textwrap import fill
from typing import TYPE_CHECKING

from smartico_sync.catalogue.columns import CURSOR
from smartico_sync.catalogue.events import EVENTS, NEVER_SENT
from smartico_sync.catalogue.kinds import KINDS
from smartico_sync.catalogue.properties import MANAGED, MANAGED_PATTERNS, PROPERTIES, TRANSACTION_PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smartico_sync.catalogue.kinds import Kind
    from smartico_sync.catalogue.properties import Property

__all__ = ["BEGIN", "END", "kind_table", "section", "with_kinds"]

WIDTH = 120  # columns of prose in the manual
NUMBERED = re.compile(r"core_custom_prop\d+")
BEGIN, END = "<!-- kinds -->", "<!-- /kinds -->"
TYPES = {"any": "as its column", "date": "date, epoch ms", "integer": "whole number", "array": "set of names"}
HEADING = "| column | becomes | type | needed | mark |\n|---|---|---|---|---|"


def kind_table() -> str:
    """Describe every kind in a line."""
    rows = [
        f"| [`{name}`](smartico.md#{name}) | {events_of(known)} | {mark(known.since)} |"
        for name, known in KINDS.items()
    ]
    return "\n".join(["| kind | event types | mark |", "|---|---|---|", *rows]) + "\n"


def with_kinds(page: str) -> str:
    """Give the page with its kinds written anew between the two marks. ValueError when a mark is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page of kinds has no {END if begin else BEGIN}")
    parts = [*(section(known) for known in KINDS.values()), never_sent()]
    return f"{before}{BEGIN}\n" + "\n".join(parts) + f"{END}{after}"


def section(known: Kind) -> str:
    """Describe one kind."""
    key = " or ".join(f"`{', '.join(columns)}`" for columns in known.key) or "none: name it with `key:`"
    lines = [f"### {known.name}", "", f"- Event: {events_of(known)}, {mark(known.since)}", f"- Key: {key}"]
    lines.append(f"- Dated by: {dates_of(known.event_date)}")
    for name in known.row_roles:
        role = known.row_role(name)
        own = f", dated by {dates_of(role.event_date)}" if role.event_date else ""
        flags = "".join(f", `{flag}` is true" for flag in role.flags)
        lines.append(f"- `type: {{{name}: …}}`: `{known.event_types[name]}`{own}{flags}")
    rest = "sent under their own names" if known.unmapped == "send" else "left out, unless `unmapped: send`"
    lines.append(f"- Other columns: {rest}")
    wrapped = [line if not line else wrap(line) for line in lines]
    return "\n".join([*wrapped, "", HEADING, *rows_of(known), ""])


def wrap(line: str) -> str:
    """Break a line of prose as the manual's are."""
    return fill(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def rows_of(known: Kind) -> Iterable[str]:
    """Describe the columns of a kind, a property a row."""
    yield "| `user_ext_id` | the player | string | yes | documented |"
    yield "| `ext_brand_id` | the brand | string | yes, or `brand:` | documented |"
    if known.role == "profile":
        for target in (
            *known.expected,
            *(name for name in PROPERTIES if sendable(name) and name not in known.expected),
        ):
            if NUMBERED.fullmatch(target) and target != "core_custom_prop1":
                continue
            needed = "from one of the views" if target in known.expected else ""
            shown = f"`{target}`" + (" … `core_custom_prop20`" if NUMBERED.fullmatch(target) else "")
            yield f"| {shown} | itself | {type_of(known, target)} | {needed} | {mark(PROPERTIES[target].since)} |"
        return
    sources: dict[str, list[str]] = {}
    for column, target in known.columns:
        sources.setdefault(target, []).append(column)
    roles: dict[str, dict[str, list[str]]] = {}
    for name in known.row_roles:
        for column, target in known.row_role(name).columns:
            roles.setdefault(target, {}).setdefault(column, []).append(name)
            sources.setdefault(target, [])
    for target, columns in sources.items():
        own = [column for column in columns if column != target]
        gated = [
            f"`{column}` ({', '.join(names)})" for column, names in roles.get(target, {}).items() if column not in own
        ]
        shown = ", ".join([*(f"`{column}`" for column in (own or columns)), *gated])
        property_ = PROPERTIES.get(target)
        since = property_.since if property_ else "inferred"
        yield f"| {shown} | `{target}` | {type_of(known, target)} | {needed_as(known, target)} | {mark(since)} |"
    for column in known.optional:
        if column not in dict(known.columns) and column != "ext_brand_id" and column not in known.hidden:
            yield f"| `{column}` | itself | {type_of(known, column)} | | inferred |"


def sendable(name: str) -> bool:
    """Whether a property belongs to profiles and to operators."""
    return name not in MANAGED and name not in TRANSACTION_PROPERTIES and name != "skip_cjm"


def needed_as(known: Kind, target: str) -> str:
    """Say whether a row must hold a property."""
    if target == known.moment or any(known.row_role(role).moment == target for role in known.row_roles):
        return "else the event's date"
    if target in known.needs:
        return "yes"
    roles = [role for role in known.row_roles if target in known.row_role(role).needs]
    return f"for {', '.join(roles)}" if roles else ""


def type_of(known: Kind, target: str) -> str:
    """Describe what a property is."""
    property_ = PROPERTIES.get(target)
    told = property_.type if property_ else known.types.get(target, "any")
    return TYPES.get(told, told) + (rule_of(property_) if property_ else "")


def rule_of(known: Property) -> str:
    """Describe a property's rule."""
    if known.values:
        return f": {', '.join(sorted(known.values))}"
    rules = [known.rule]
    rules += ["in the past"] if known.past == "must be past" else []
    rules += ["a calendar day"] if known.dates == "calendar" else []
    rules += ["never changes"] if known.change == "immutable" else []
    told = ", ".join(rule for rule in rules if rule)
    return f"; {told}" if told else ""


def events_of(known: Kind) -> str:
    """List a kind's event types."""
    return ", ".join(f"`{event}`" for event in dict.fromkeys(known.event_types.values())) or "your `event_type`"


def dates_of(names: tuple[str, ...]) -> str:
    """List the columns that may say when, in order."""
    ordered = [*names, *(() if CURSOR in names else (CURSOR,))]
    return ", ".join("the cursor, if it is a time" if name == CURSOR else f"`{name}`" for name in ordered)


def mark(since: str) -> str:
    """Say how sure we are."""
    return "template" if since == "template" else since


def never_sent() -> str:
    """List what Smartico makes itself."""
    names = ", ".join(f"`{name}`" for name in (*sorted(MANAGED), *MANAGED_PATTERNS))
    events = ", ".join(f"`{name}`" for name in NEVER_SENT)
    known = ", ".join(f"`{name}`" for name in EVENTS)
    return (
        f"### Never sent\n\n| what | names |\n|---|---|\n| properties that Smartico computes | {names} |\n"
        f"| events that Smartico makes | {events} |\n| events that it takes, beside those registered with it | {known} |\n"
    )
