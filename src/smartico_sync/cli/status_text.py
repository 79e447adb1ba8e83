"""How every view does, as lines for a terminal of any width: nothing is cut, what is too long is folded."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

from smartico_sync.core.printable import printable
from smartico_sync.observe.cluster_status import lane_lines
from smartico_sync.observe.page_words import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Part", "folded", "status_lines"]

STATE_COLOURS = {
    "delivering": "green",
    "standing by": "green",
    "live": "green",
    "elsewhere": "green",
    "behind": "blue",
    "starting": "blue",
    "degraded": "yellow",
    "halted": "red",
    "regressed": "red",
    "not delivering": "red",
    "not answering": "red",
}
# A row of the table is 80 columns wide with a name of up to 20; a longer one has a line of its own.
NAME, STATE = 20, 15
NUMBERS = (("lag", 10), ("delivered", 13), ("waiting", 9), ("given up", 9))


class Part(NamedTuple):
    """A piece of a line, and its colour where it has one."""

    text: str
    colour: str | None = None


Line = list[Part]


def status_lines(status: dict[str, Any], width: int | None) -> Iterator[Line]:
    """What `status.json` says, for a person: whether it delivers, what is to be done, each view, the state. `width` None: nothing is folded."""
    yield [Part(status["ready"], STATE_COLOURS.get(status["ready"], "yellow"))]
    for finding in status["findings"]:
        told = f"! {finding['subject']}: {finding['message']}{since(finding.get('since_ms', 0))}"
        yield from folded(told, width, "  ", "red" if finding["severity"] == "critical" else "yellow")
        if finding["hint"]:
            yield from folded(f"  next: {finding['hint']}", width, "    ")
    if status["views"]:
        numbers = "".join(f"{title:>{size}}" for title, size in NUMBERS)
        yield [Part(f"  {'view':<{NAME}} {'state':<{STATE}}{numbers}")]
    for view in status["views"]:
        yield from view_lines(view, width)
    for line in cluster_lines(status.get("cluster")):
        yield from folded(line, width, "  ")
    if size := status.get("state"):
        yield [Part(f"state {size['bytes'] / 1e6:,.1f} MB, {size['free_bytes'] / 1e6:,.1f} MB of it free")]
    if status["ready"] == "not running":
        yield from folded(unanswered(status.get("cluster")), width)


def unanswered(cluster: dict[str, Any] | None) -> str:
    """What is to be done where no daemon answers on this machine."""
    others = sorted({each["member"] for each in (cluster or {}).get("groups", ()) if each["held"] == "yes"})
    works = f", and {' and '.join(others)} works with the state" if others else ""
    return f"no daemon answers here{works}; next: smartico-sync run, or look at its service"


def cluster_lines(cluster: dict[str, Any] | None) -> list[str]:
    """Which member works with which group of views, and who stands by; nothing where one machine has the state."""
    if not cluster:
        return []
    groups = [
        f"group {each['name']} ({', '.join(each['views'])}): "
        + ("this member" if each["role"] == "works" else each["member"] if each["held"] == "yes" else "nobody")
        for each in cluster["groups"]
    ]
    lanes = [lane for each in cluster["groups"] for lane in each.get("lanes") or ()]
    groups += lane_lines((lane["view"], lane["lane"], lane["member"]) for lane in lanes)
    idle = [each["name"] for each in cluster["members"] if not each["groups"]]
    return [*groups, *([f"stands by: {', '.join(idle)}"] if idle else [])]


def view_lines(view: dict[str, Any], width: int | None) -> Iterator[Line]:
    """One view: its numbers, how far it is, and what it has still to do."""
    name, counts = printable(view["name"]), view["counts"]
    if len(name) > NAME:
        yield from folded(f"  {name}", width, "  ")
        name = ""
    values = (
        seconds(view["lag_ms"]) if "lag_ms" in view else "",
        f"{counts.get('delivered', 0):,}",
        f"{sum(view.get('parked', {}).values()):,}",
        f"{sum(view.get('dead', {}).values()):,}",
    )
    numbers = "".join(f"{value:>{size}}" for value, (_, size) in zip(values, NUMBERS, strict=True))
    yield [
        Part(f"  {name:<{NAME}} "),
        Part(f"{view['state']:<{STATE}}", STATE_COLOURS.get(view["state"], "yellow")),
        Part(numbers),
    ]
    again = counts.get("duplicate", 0)
    known = f"; {again:,} known to Smartico before" if again else ""
    yield from folded(f"    up to {view['head'] or 'nothing yet'}{known}", width, "    ")
    for lane in (view.get("stream") or {}).get("lanes", ()):
        told = f"    {lane['name']}: {waiting(lane)}"
        yield from folded(told, width, "    ")
    if history := view.get("backfill"):
        told = f"    backfill: {history['done']:,} of {history['total']:,} rows; smartico-sync backfill --list"
        yield from folded(told, width, "    ")


def waiting(lane: dict[str, Any]) -> str:
    """How much of a partition or queue waits, and for how long where that is known."""
    count, age = lane["lag"], lane["lag_ms"]
    told = "1 message waits" if count == 1 else f"{count:,} messages wait"
    return told if age is None or not count else f"{told}, the first for {seconds(age)}"


def folded(text: str, width: int | None, indent: str = "", colour: str | None = None) -> Iterable[Line]:
    """A text in lines that fit; what follows the first is indented. A word is broken only where it is longer than a line."""
    text = printable(text)
    if width is None or len(text) <= width:
        return [[Part(text, colour)]]
    begin = re.match(" *", text)
    lead = begin.group() if begin else ""
    lines = wrap(text.strip(), width, initial_indent=lead, subsequent_indent=indent, break_on_hyphens=False)
    return [[Part(line, colour)] for line in lines]


def since(ms: int) -> str:
    """From when on, for a person."""
    return f", since {datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}" if ms else ""
