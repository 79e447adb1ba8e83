"""What `smartico-sync check` shows of one view: each column, what it becomes, and what its newest rows hold of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins

from smartico_sync.cli.findings import width, wrapped
from smartico_sync.cli.output import echo, echo_lines, secho
from smartico_sync.core.column_uses import column_uses, computed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smartico_sync.config.models import Pii, View
    from smartico_sync.core.column_uses import ColumnUse, PropertyUse
    from smartico_sync.core.survey import Survey
    from smartico_sync.core.view_mapping import ViewMapping

__all__ = ["ViewReport", "show_report"]

HEADINGS = ("column", "becomes", "type", "is")
ITSELF = "itself"
STANDINGS = {"unmapped": "unmapped, sent nowhere", "never sent": "Smartico's own, never sent", "used": ""}
LEAST_NOTE = 20  # columns of the screen for what is said of a column; with less it stands below


class ViewReport(Struct, frozen=True):
    """One view. `survey` is None where its rows were not read; `up_to` is the highest cursor, None for an empty view."""

    view: View
    pii: Pii
    mapping: ViewMapping
    survey: Survey | None = None
    up_to: str | None = None

    def told(self) -> dict[str, Any]:
        """For a program: the shape that the manual documents."""
        mapping, survey = self.mapping, self.survey
        return {
            "name": self.view.name,
            "source": self.view.source,
            "kind": self.view.kind,
            "event_types": sorted(set(self.view.event_types().values())),
            "cursor": mapping.relation.cursor,
            "key": list(mapping.relation.key),
            "up_to": self.up_to,
            "columns": [self.column(use) for use in column_uses(mapping)],
            "computed": [to_builtins(each) for each in computed(mapping)],
            "missing": [to_builtins(misfit) for misfit in mapping.misfits],
            "rows": None if survey is None else {
                "read": survey.rows, "sent": survey.sent, "refused": survey.given_up, "skipped": survey.skipped,
                "same": survey.same,
            },
            "refused": [] if survey is None else [to_builtins(each) for each in survey.refused],
            "invalid": [] if survey is None else [to_builtins(each) for each in survey.breaches],
            "unreadable": {} if survey is None else dict(survey.unreadable),
            "empty": {} if survey is None else dict(survey.empty),
            "without_role": [] if survey is None else [to_builtins(each) for each in survey.roleless],
            "roles_without_rows": [] if survey is None else list(survey.idle),
            "where_without_rows": [] if survey is None else list(survey.unmet),
            "moments": [] if survey is None else [to_builtins(each) for each in survey.moments],
        }  # fmt: skip

    def column(self, use: ColumnUse) -> dict[str, Any]:
        """One column, for a program."""
        return {
            "column": use.column, "type": use.declared, "status": use.standing, "used_as": list(use.used_as),
            "null": None if self.survey is None else self.survey.nulls.get(use.column, 0),
            "properties": [
                {
                    "property": each.name, "type": each.type, "status": each.standing, "need": each.need,
                    "needed_in": list(each.needed_in), "roles": list(each.roles), "after": list(each.after), "protection": self.protection(each.name),
                }
                for each in use.properties
            ],
        }  # fmt: skip

    def protection(self, name: str) -> str:
        """What happens to a personal property before it leaves; empty for others."""
        if name in self.pii.in_the_clear:
            return "in the clear"
        if name not in self.pii.properties:
            return ""
        return {"encrypt": "encrypted", "drop": "dropped", "plain": "in the clear"}[self.pii.mode]


def show_report(report: ViewReport) -> None:
    """Print for a person."""
    view, survey = report.view, report.survey
    echo()
    secho(
        wrapped(f"view {view.name}: {', '.join(report.told()['event_types'])}, kind {view.kind}", "", "  "), bold=True
    )
    if survey is not None:
        told = f"the newest {survey.rows:,} rows, up to {view.cursor} {report.up_to}: {outcome(survey)}"
        echo_lines(wrapped(told if survey.rows else "no rows yet: values cannot be looked at", "  ", "  "))
    lines = [line for use in column_uses(report.mapping) for line in rows_of(report, use)]
    lines += [("", each.name, each.type, each.how) for each in computed(report.mapping)]
    for line in table([HEADINGS, *lines]):
        echo_lines(line)


def outcome(survey: Survey) -> str:
    """What would become of the rows."""
    told = {
        "events": survey.sent, "refused": survey.given_up, "left out by `type:` or `where:`": survey.skipped,
        "the same as the player's row before": survey.same,
    }  # fmt: skip
    return ", ".join(f"{count:,} {what}" for what, count in told.items() if count or what == "events")


def rows_of(report: ViewReport, use: ColumnUse) -> Iterator[tuple[str, ...]]:
    """A column's lines: one for each property, else one that says what else it is."""
    notes = [f"NULL in {count:,}"] if report.survey and (count := report.survey.nulls.get(use.column, 0)) else []
    if not use.properties:
        standing = STANDINGS.get(use.standing, use.standing)
        yield use.column, "", "", ", ".join(filter(None, [standing, *use.used_as, *notes]))
        return
    for number, each in enumerate(use.properties):
        becomes = ITSELF if each.name == use.column else each.name
        said = [*said_of(report, each), *([] if number else [*use.used_as, *notes])]
        yield "" if number else use.column, becomes, each.type, ", ".join(said)


def said_of(report: ViewReport, each: PropertyUse) -> Iterator[str]:
    """What is to be known of a property."""
    yield each.standing + (f" in rows of {', '.join(each.roles)}" if each.roles else "")
    if each.after:
        yield f"where {' and '.join(each.after)} {'is' if len(each.after) == 1 else 'are'} NULL"
    if each.need != "no":
        yield each.need + (f" in rows of {', '.join(each.needed_in)}" if each.needed_in else "")
    if protection := report.protection(each.name):
        yield protection
    if report.survey is None:
        return
    if count := report.survey.unreadable.get(each.name):
        yield f"{count:,} unreadable"
    yield from (f"{found.rows:,} break its rule" for found in report.survey.breaches if found.property == each.name)


def table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Lines of the screen's width. Names are never cut: what runs into the next column moves the rest to the next line."""
    most = width()
    starts = [2]
    for place in range(3):
        longest = max(len(row[place]) for row in rows)
        starts.append(starts[-1] + min(longest, most // 3) + 2)
    for *cells, note in rows:
        line = ""
        for text, start in zip(cells, starts, strict=False):
            if not text:
                continue
            if len(line) >= start:
                yield line
                line = ""
            line = line.ljust(min(start, max(2, most - len(text)))) + text
        start = starts[-1] if most - starts[-1] >= LEAST_NOTE else 6
        if len(line) >= start:
            yield line
            line = ""
        yield wrapped(note, line.ljust(start), " " * start).rstrip()
