"""What a view's columns become, as findings: what keeps it from being of its kind, and names that may be meant otherwise."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from smartico_sync.catalogue.columns import CURSOR, PLACED, REQUESTED
from smartico_sync.catalogue.kinds import kind
from smartico_sync.catalogue.properties import PROPERTIES, is_managed
from smartico_sync.cli.findings import Finding
from smartico_sync.config.personal import undecided_pii
from smartico_sync.core.column_uses import standing_of, unfilled
from smartico_sync.core.survey import near_event_type
from smartico_sync.errors import ExitCode, ViewBroken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.config.models import Configuration, View
    from smartico_sync.core.view_mapping import ViewMapping

__all__ = ["mapping_findings", "misfit_findings", "personal_findings"]

ALIKE = 0.9  # of 1: a letter or two in a property's name


def mapping_findings(configuration: Configuration, subject: str, view: View, mapping: ViewMapping) -> Iterator[Finding]:
    """Event types, names and moments that may be meant otherwise, and personal data that nobody decided about."""
    yield from kind_findings(subject, view)
    yield from need_findings(subject, view, mapping)
    yield from name_findings(subject, mapping)
    yield from date_findings(subject, view)
    yield from personal_findings(configuration, subject, mapping)


def misfit_findings(subject: str, view: View, mapping: ViewMapping) -> Iterator[Finding]:
    """Everything that keeps the view from being of its kind."""
    for misfit in mapping.misfits:
        message = f"{view.relation or 'the query'}: {misfit.what}"
        yield Finding("wrong", subject, message, misfit.hint, ViewBroken.exit_code)


def kind_findings(subject: str, view: View) -> Iterator[Finding]:
    """Event types that Smartico is not known to take."""
    for name in dict.fromkeys(view.event_types().values()):
        near = near_event_type(name)
        if near is None:
            continue
        meant = f"; did you mean {near}?" if near else ""
        how = "correct `event_type:`, or have" if view.event_type else "have"
        yield Finding(
            "advice", subject, f"the event type {name} is none that Smartico is known to have{meant}",
            f"{how} {name} registered with Smartico as a custom event",
        )  # fmt: skip


def need_findings(subject: str, view: View, mapping: ViewMapping) -> Iterator[Finding]:
    """Properties that events cannot do without, and that the configuration takes out of them."""
    for name in unfilled(mapping):
        yield Finding(
            "wrong", subject, f"events have no {name}, which {view.kind} needs: `columns:` leaves its column out",
            f"take that column out of `columns:`, or let another become it: `columns: {{YOUR_COLUMN: {name}}}`", ExitCode.CONFIGURATION,
        )  # fmt: skip


def personal_findings(configuration: Configuration, subject: str, mapping: ViewMapping) -> Iterator[Finding]:
    """Ask for a decision about what says who somebody is."""
    sent = {known.name: [column.name for column in known.columns] for known in mapping.properties}
    if undecided := undecided_pii(configuration, sent):
        yield Finding(
            "advice",
            subject,
            f"{', '.join(undecided)} {'is' if len(undecided) == 1 else 'are'} personal and would leave in the clear",
            "decide: `pii.in_the_clear` lists what may, `pii.properties` what is to be protected (texts only: Smartico checks the "
            "type of a date), `columns: {name: null}` leaves it out",
        )


def name_findings(subject: str, mapping: ViewMapping) -> Iterator[Finding]:
    """Properties that the catalogue has not, and that are written nearly like one that it has and the view has not."""
    there = {known.name for known in mapping.properties}
    spare = [name for name in {**PROPERTIES, **mapping.kind.types} if name not in there and not is_managed(name)]
    for known in mapping.properties:
        near = get_close_matches(known.name, spare, 1, ALIKE) if standing_of(mapping, known) == "custom" else []
        if near and near[0].rstrip("0123456789") != known.name.rstrip("0123456789"):
            yield Finding(
                "advice", subject, f"{known.name} is no property that Smartico is known to have; did you mean {near[0]}?",
                f"`columns: {{{known.said}: {near[0]}}}`; nothing has to be done if it is one of your own",
            )  # fmt: skip


def date_findings(subject: str, view: View) -> Iterator[Finding]:
    """A moment that is named and that lies before the event: that of the bet for a settlement, of the request for a payment."""
    named, known = view.event_date, kind(view.kind)
    roles = [role for role in known.row_roles if view.type and role in view.type.roles] or [""]
    own = {role: known.row_role(role).event_date or known.event_date for role in roles}
    late = [role for role, names in own.items() if CURSOR in names and named not in names]
    if named in (*PLACED, *REQUESTED) and late:
        what = f"rows that are {' or '.join(late)}" if late[0] else view.kind
        yield Finding(
            "advice", subject, f"`event_date: {named}` is when it was placed or asked for, and {what} are dated by when they became final",
            "take `event_date:` out, so that the kind's own column or the cursor says it; or name the column that does",
        )  # fmt: skip
