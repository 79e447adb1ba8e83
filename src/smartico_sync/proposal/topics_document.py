"""The proposal for a broker as a file that people read: a commented `views.yaml` of topics or queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.catalogue.kinds import KINDS
from smartico_sync.proposal.document import BRAND, comment, scalar, top

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from smartico_sync.proposal.document import Heading
    from smartico_sync.proposal.topics import ProposedTopic

__all__ = ["topics_configuration"]


def topics_configuration(heading: Heading, views: Sequence[ProposedTopic], others: Mapping[str, str]) -> str:
    """The whole `views.yaml`; `others`: topics of which no view is proposed, with the reason."""
    names: set[str] = set()
    parts = ["\n".join(top(heading, [name for each in views for name in each.personal]))]
    written = ["\n".join(view(heading, each, free(each.recipe.name, names))) for each in views]
    parts.append("views:\n" + "\n\n".join(written))
    if others:
        lines = ["  # Looked at, and not proposed:"]
        for name, why in others.items():
            lines += comment(f"{name}: {why}", "  #   ")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def free(name: str, taken: set[str]) -> str:
    """A name that no view has yet."""
    found = next(
        each for each in (name, *(f"{name}_{number}" for number in range(2, len(taken) + 3))) if each not in taken
    )
    taken.add(found)
    return found


def view(heading: Heading, each: ProposedTopic, name: str) -> Iterator[str]:
    """One view."""
    kind = KINDS[each.recipe.kind]
    told = f"{each.recipe.about}."
    if each.seen:
        told += f" Seen in the newest messages: {'; '.join(each.seen)}."
    if each.left_out:
        told += f" Not read: {', '.join(each.left_out)}."
    yield from comment(told, "  # ")
    yield f"  - name: {name}"
    yield f"    source: {heading.source}"
    yield f"    relation: {scalar(each.topic)}"
    if each.format != "json":
        yield f"    format: {each.format}"
    if each.root:
        yield f"    root: {scalar('.'.join(each.root))}"
    yield f"    kind: {each.recipe.kind}"
    if each.recipe.event_type:
        yield f"    event_type: {each.recipe.event_type}"
    if each.where:
        chosen = (f"{scalar(member)}: [{', '.join(map(scalar, values))}]" for member, values in each.where.items())
        yield f"    where: {{{', '.join(chosen)}}}"
    yield "    fields:"
    for column, member in each.fields.items():
        path = scalar(member)
        unit = each.units.get(column)
        yield f"      {scalar(column)}: {f'{{path: {path}, type: {unit}}}' if unit else path}"
    if each.type_column:
        roles = (f"{role}: [{', '.join(map(scalar, values))}]" for role, values in each.roles.items())
        yield f"    type: {{column: {scalar(each.type_column)}, {', '.join(roles)}}}"
    if each.key == "none":
        yield "    key: [] # no member is the event's own id: what is published twice counts twice"
    if each.version:
        yield f"    version: {scalar(each.version)}"
    elif kind.role == "profile":
        yield "    # version: dt_update # a member that grows with each change; needed where the topic is not keyed by player"
    if not each.brand:
        yield f"    brand: {heading.brand or BRAND}" + ("" if heading.brand else " # no member says it")
    yield "    start_from: now # or first: everything that is there"
