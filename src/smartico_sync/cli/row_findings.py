"""What the newest rows of a view say about its mapping, as findings: a sentence and what to change."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from smartico_sync.catalogue.properties import PROPERTIES
from smartico_sync.cli.findings import Finding
from smartico_sync.core.validation import EVENT_DATE
from smartico_sync.errors import RowsRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.config.models import View
    from smartico_sync.core.moment_checks import Oddity, What
    from smartico_sync.core.survey import Roleless, Survey
    from smartico_sync.core.view_mapping import Property, ViewMapping

__all__ = ["moment_findings", "row_findings"]

REASONS = 5  # that are told one by one
POLICIES = {
    "report": "sent as they are, and Smartico may refuse them",
    "omit": "left out",
    "dead_letter": "not sent: their rows are given up",
}
ODD: dict[What, tuple[str, str]] = {
    "before 2000": (
        "lies before the year 2000",
        "numbers count seconds or milliseconds since 1970: convert others in the view; an empty date is NULL, not 1970",
    ),
    "in the future": (
        "lies in the future",
        "if they are local times, name their zone with `timezone:`; if the clocks differ, see `future_tolerance:`",
    ),
    "after its cursor": (
        "lies {by} after the moment at which the row was tracked, in the middle",
        "one of the two is in another zone: name it with `timezone:` of the view, or convert it in the view",
    ),
    "all the same": (
        "is one and the same moment",
        "name the column that says when it happened with `event_date:`; the moment of an export is not it",
    ),
    "midnight": (
        "is midnight: the column knows the day only",
        "name a column that knows the time with `event_date:`",
    ),
}


def row_findings(subject: str, view: View, mapping: ViewMapping, found: Survey) -> Iterator[Finding]:
    """Rows that would be refused, and values that would not arrive as they are."""
    yield from refused_findings(subject, view, found)
    yield from left_out_findings(subject, mapping, found)
    yield from role_findings(subject, view, mapping, found)
    for name, count in found.empty.items():
        yield Finding(
            "advice",
            subject,
            f"{name} is NULL in {of(count, found)}, and a player needs it",
            "fill it in the view, unless another view of kind users tells it of the same players",
        )
    yield from unreadable_findings(subject, mapping, found)
    yield from coded_findings(subject, found)
    for breach in found.breaches:
        yield Finding(
            "advice",
            subject,
            f"{breach.property} must be {breach.rule}, and {breach.rows:,} values are not: they are {POLICIES[view.on_invalid]}",
            f"{rule_hint(breach.property)}; or see `on_invalid`",
        )


def unreadable_findings(subject: str, mapping: ViewMapping, found: Survey) -> Iterator[Finding]:
    """Values that are left out because they cannot be what their property is."""
    for known in sorted(mapping.properties, key=lambda each: each.name):
        count = found.unreadable.get(known.name, 0)
        if not count:
            continue
        expected = "JSON" if known.expected == "any" else known.expected
        said = f"{count:,} values are" if count > 1 else "1 value is"
        yield Finding(
            "advice",
            subject,
            f"{known.said}: {said} no {expected} and left out of {known.name}",
            unreadable_hint(mapping, known),
        )


def coded_findings(subject: str, found: Survey) -> Iterator[Finding]:
    """Codes in a type that flags have too: a property has one type."""
    for column in found.coded:
        yield Finding(
            "advice",
            subject,
            f"{column} holds more than 0 and 1, which go out as false and true while the others are numbers: a property has one type",
            f"say which: `columns: {{{column}: {{type: number}}}}`",
        )


def unreadable_hint(mapping: ViewMapping, known: Property) -> str:
    """What sends values that a property cannot be."""
    column = known.columns[0].name
    if known.target == "array":
        return f'write JSON in the view; or say what stands between the items: `columns: {{{column}: {{split: ","}}}}`'
    if known.columns[0].family != "text" or len(known.columns) > 1:
        return f"correct or cast it in the view; or leave it out: `columns: {{{column}: null}}`"
    if column in mapping.options.types:
        return f"cast it in the view; or send it as the text that it is: `columns: {{{column}: {{type: string}}}}`"
    return f"cast it in the view; or send it under another name: `columns: {{{column}: another_property}}`"


def refused_findings(subject: str, view: View, found: Survey) -> Iterator[Finding]:
    """Rows that cannot be events, by the reason."""
    limit = view.max_refused
    many = found.given_up >= limit.count and found.given_up >= limit.share * found.rows
    for each in found.refused[:REASONS]:
        keys = f" (key {', '.join(each.keys)}{' …' if each.rows > len(each.keys) else ''})" if each.keys else ""
        yield Finding(
            "wrong" if many else "advice",
            subject,
            f"{of(each.rows, found)} would be refused: {each.reason}{keys}",
            "mend the rows or the view; what is refused becomes a dead letter, and `smartico-sync dead-letters retry` sends it then",
            RowsRefused.exit_code if many else RowsRefused.exit_code.FINE,
        )
    if more := found.refused[REASONS:]:
        rows = sum(each.rows for each in more)
        yield Finding(
            "advice", subject, f"{of(rows, found)} would be refused for {len(more)} other reasons", "mend these first"
        )


def role_findings(subject: str, view: View, mapping: ViewMapping, found: Survey) -> Iterator[Finding]:
    """Values of the type column that no role has, and roles that no row has."""
    column = mapping.options.type_column
    ignored = mapping.options.other == "ignore"
    fate = "left out (`other: ignore`)" if ignored else "dead letters"
    if found.roleless:
        told = ", ".join(f"{spelt(each)} in {each.rows:,}" for each in found.roleless)
        near = [each for each in found.roleless if each.near]
        roles = ", ".join(mapping.kind.row_roles)
        hint = f"give each a role with `type:` ({roles})" + (
            "" if ignored else ", or leave them out with `other: ignore`"
        )
        if near:
            pairs = ", ".join(f"{each.value!r} where `type:` has {each.near!r}" for each in near)
            hint = f"did you mean {pairs}? Else {hint}"
        yield Finding(
            "fine" if ignored and not near else "advice",
            subject,
            f"{column} has values of no role: {told} rows; they are {fate}",
            "" if ignored and not near else hint,
        )
    elif found.words > len(mapping.options.roles) and not ignored and view.type is not None and found.given_up:
        yield Finding(
            "advice", subject, f"{column} has {found.words:,} different values, most of them of no role: they are {fate}",
            "name the column that says what a row is with `type:`",
        )  # fmt: skip
    for role in found.idle:
        words = ", ".join(word for word, each in mapping.options.roles.items() if each == role)
        yield Finding(
            "advice", subject, f"none of the newest {found.rows:,} rows has the role {role}: {column} is never {words}",
            "nothing has to be done if that is rare; else write the values as the column has them",
        )  # fmt: skip


def left_out_findings(subject: str, mapping: ViewMapping, found: Survey) -> Iterator[Finding]:
    """Choices of rows that choose none."""
    for name in found.unmet:
        words = " or ".join("NULL" if word is None else word for word in mapping.options.where[name])
        yield Finding(
            "advice", subject, f"`where:` leaves out all of the newest {found.rows:,} rows: {name} is never {words}",
            "write the value as the column has it; or let the view hold what is meant",
        )  # fmt: skip


def moment_findings(subject: str, mapping: ViewMapping, found: Survey) -> Iterator[Finding]:
    """Moments that cannot be right."""
    for odd in found.moments:
        what, hint = ODD[odd.what]
        yield Finding(
            "advice",
            subject,
            f"{dated(mapping, odd)} {what.format(by=lasting(odd.by_ms))}: {of(odd.rows, found)}",
            hint,
        )


def dated(mapping: ViewMapping, odd: Oddity) -> str:
    """The property, or for the moment of the event the columns that it comes from."""
    if odd.property != EVENT_DATE:
        return odd.property
    columns = dict.fromkeys(columns[0].name for columns in mapping.dates.values() if columns)
    return f"{EVENT_DATE} ({', '.join(columns)})"


def spelt(each: Roleless) -> str:
    """A value as a person reads it."""
    return "NULL" if each.value is None else repr(each.value)


def of(count: int, found: Survey) -> str:
    """So many of the rows."""
    return f"{count:,} of {found.rows:,} rows"


def rule_hint(name: str) -> str:
    """What to do about values that break a property's rule."""
    known = PROPERTIES.get(name)
    if known is not None and known.values:
        return "translate them in the view: CASE … WHEN … THEN …"
    if known is not None and known.change == "immutable":
        return "a player keeps the first one"
    return "correct them in the view"


def lasting(span_ms: int) -> str:
    """A span in hours and minutes."""
    minutes = round(timedelta(milliseconds=span_ms) / timedelta(minutes=1))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
