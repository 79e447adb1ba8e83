"""The page at `/views/NAME`: all that is known of one view, and nothing of what its rows hold."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from smartico_sync.core.late_commit.lookback import BUCKETS_MS
from smartico_sync.observe.page_frame import (
    bar,
    document,
    facts_list,
    finding_list,
    number,
    section,
    sparkline,
    table,
)
from smartico_sync.observe.page_words import ago, commands_marked, seconds, time_of_day
from smartico_sync.observe.status_page import STATE_TONES, history, polled, sentence, state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.records import DeadLetter
    from smartico_sync.delivery.destination_status import DestinationStatus
    from smartico_sync.observe.health import Health
    from smartico_sync.observe.view_status import LateStatus, ViewStatus

__all__ = ["no_view_page", "view_page"]

WAY_BACK = '<nav aria-label="Pages"><a href="../">All views</a></nav>'
SHOWN = 12  # requests: as many as one destination keeps of a view
PROTECTIONS = {"": "", "encrypt": "encrypted", "drop": "personal: not sent", "plain": "personal: sent in the clear"}
DECISIONS = {
    "done": ("taken", "good"),
    "retry": ("tried again", "warn"),
    "unknown": ("unclear, tried again", "warn"),
    "halt": ("halted", "bad"),
    "brand": ("brand unknown", "bad"),
    "bisect": ("divided, to find the event at fault", "warn"),
}
OUTCOMES = (
    ("delivered", "Delivered"), ("duplicate", "Known to Smartico before"), ("unchanged", "Unchanged, not sent"), ("skipped", "Skipped by configuration"),
    ("dead_lettered", "Given up"), ("dropped", "Dropped by an operator"), ("read", "Read"),
)  # fmt: skip


def view_page(
    view: ViewStatus,
    health: Health,
    destinations: Sequence[DestinationStatus],
    dead_letters: Sequence[DeadLetter],
    version: str,
    now_ms: int,
) -> str:
    """The whole page; everything that comes from outside is escaped. `dead_letters`: the last ones, the newest first."""
    tone, told = sentence([view], health)
    title = told if view.name in told else f"{view.name}: {told}"
    content = (
        section("To do", finding_list(health.findings, now_ms))
        + section("State", facts_list(standing(view, now_ms)))
        + section("Partitions and queues", lanes(view))
        + section("Rows", facts_list(rows(view)), "rows")
        + section("What does not get through", undelivered(view))
        + section("Late arrivals", late_arrivals(view.late))
        + section("Properties", properties(view))
        + section("Last dead letters", last_dead_letters(view, dead_letters, now_ms))
        + section("Last requests", requests(view, destinations, now_ms))
    )
    return document(title, tone, content, root="../", version=version, now_ms=now_ms, way_back=WAY_BACK)


def no_view_page(version: str, now_ms: int) -> str:
    """What is shown where there is no view of that name, or not any more."""
    told = "No view of this name is configured"
    return document(told, "note", "", root="../", version=version, now_ms=now_ms, way_back=WAY_BACK)


def standing(view: ViewStatus, now_ms: int) -> tuple[tuple[str, str], ...]:
    """How it stands."""
    mechanism, _, why = view.late_commit.partition(": ")
    compared = ""
    if view.compared_ms:
        compared = f"{ago(view.compared_ms, now_ms)}: {view.missing:,} rows missing, {view.differing:,} of {view.looked:,} profiles differ"
    return (
        ("State", state(view.state, STATE_TONES[view.state]) + f'<div class="sub">{polled(view, now_ms)}</div>{history(view)}'),
        ("Kind", escape(view.kind)),
        ("Source", escape(view.source) + (f'<div class="sub">{escape(view.server_role)}</div>' if view.server_role else "")),
        ("Cursor", f"<code>{escape(view.cursor)}</code>" if view.cursor else ""),
        ("Polled every", seconds(view.every_ms)),
        ("Delivered up to", f'<span class="head">{escape(view.head)}</span>' if view.head else "nothing yet"),
        ("Watermark", f'<span class="head">{escape(view.watermark)}</span>' if view.watermark else ""),
        ("Lag", seconds(view.lag_ms)),
        ("Replica lag", "" if view.replica_lag_ms is None else seconds(view.replica_lag_ms)),
        ("Clock of the source", clock_skew(view)),
        ("Last poll that went well", ago(view.last_success_ms, now_ms)),
        ("Rows a second", f"{view.per_second:,.0f}{sparkline(view.polls.trend, 180, 30)}"),
        ("Compared with the source", compared or "not yet"),
        ("Late rows are found by", f'<span class="long">{commands_marked(escape(": ".join(filter(None, (mechanism, why)))))}</span>' if mechanism else ""),
    )  # fmt: skip


def clock_skew(view: ViewStatus) -> str:
    """How far the source's clock is from ours; on a replica it tells the lag and is left out."""
    if view.replica_lag_ms is not None or not view.last_poll_ms:
        return ""
    if abs(view.skew_ms) < 1_000:
        return "as ours"
    return f"{seconds(abs(view.skew_ms))} {'ahead of' if view.skew_ms > 0 else 'behind'} ours"


def lanes(view: ViewStatus) -> str:
    """What waits at the broker, of a view of messages."""
    return table(
        "Partitions and queues",
        (("Name", ""), ("Messages that wait", "n"), ("The first for", "n")),
        (
            (lane.name, (escape(lane.name), number(lane.lag), seconds(lane.lag_ms)))
            for lane in (view.stream.lanes if view.stream else ())
        ),
    )


def rows(view: ViewStatus) -> list[tuple[str, str]]:
    """What became of rows since the first start, and what is odd about them."""
    oddities = (
        ("Without a cursor", view.null_cursors),
        ("Dated ahead of the clock", view.ahead),
        ("Changed after delivery", view.mutated),
        ("Older than what was delivered", view.stale),
        ("Known to Smartico, not to this state", view.unknown_duplicates),
        ("Not compared with the source", view.uncompared_duplicates),
        ("Players with several rows in a page", view.repeated_profiles),
        ("Most with one cursor value", view.largest_tie if view.largest_tie > 1 else 0),
    )
    told = [
        (label, number(view.counts.get(name, 0)))
        for name, label in OUTCOMES
        if view.counts.get(name) or name in ("delivered", "read")
    ]
    return told + [(label, number(count)) for label, count in oddities if count]


def undelivered(view: ViewStatus) -> str:
    """Rows that wait, rows that were given up and values that were left out, by reason."""
    some = (
        *((f"Waiting, code {code}", n, f"first for {seconds(view.parked_oldest_ms)}") for code, n in view.parked.items() if n),
        *((f"Given up, code {code}", n, f"smartico-sync dead-letters list --view {view.name} --code {code}") for code, n in view.dead.items() if n),
        *((f"Invalid values of {name}", n, "since the start") for name, n in view.invalid.items() if n),
        *((f"Left out, refused by the API: {name}", n, "since the start") for name, n in view.left_out.items() if n),
    )  # fmt: skip
    return table(
        "What does not get through",
        (("What", ""), ("Count", "n"), ("More", "wide")),
        ((what, (escape(what), number(n, "warn"), commands_marked(escape(more)))) for what, n, more in some),
    )


def late_arrivals(late: LateStatus) -> str:
    """How many rows became visible late, and how late they were where that is measured."""
    facts = facts_list(
        (
            ("Rows found late", number(late.late_rows)),
            ("Latest of them", seconds(late.most_ms) if late.most_ms else ""),
            ("A safe lookback", seconds(late.advice_ms) if late.advice_ms else ""),
            ("Watermark kept back by a writer", seconds(late.pinned_ms) if late.pinned_ms else ""),
            ("Missing ids waited for", number(late.missing_ids) if late.missing_ids else ""),
            ("Missing ids that never came", number(late.given_up_ids) if late.given_up_ids else ""),
            ("Keys kept in memory", number(late.window_keys)),
        )
    )
    return facts + histogram(late.counts)


def histogram(counts: Sequence[int]) -> str:
    """Late rows by how late they were, from the first bucket with any to the last."""
    if not any(counts):
        return ""
    first = next(place for place, count in enumerate(counts) if count)
    last = max(place for place, count in enumerate(counts) if count)
    most = max(counts)
    labels = [*(f"up to {bucket_bound(bound)}" for bound in BUCKETS_MS), f"over {bucket_bound(BUCKETS_MS[-1])}"]
    return table(
        "Late rows by how late they were",
        (("How late", ""), ("Rows", "n"), ("Share", "bars")),
        (
            (label, (label, number(count), bar(count / most) if count else ""))
            for label, count in list(zip(labels, counts, strict=True))[first : last + 1]
        ),
        "histogram",
    )


def bucket_bound(ms: int) -> str:
    """A bound in its largest whole unit."""
    for unit, size in (("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if ms >= size:
            return f"{ms // size} {unit}"
    return f"{ms} ms"


def properties(view: ViewStatus) -> str:
    """What is sent of a row, from which columns."""
    return table(
        "Properties",
        (("Property", ""), ("Columns", ""), ("Becomes", ""), ("Personal data", "")),
        (
            (
                f"{each.name} {' '.join(each.columns)}",
                (
                    f"<code>{escape(each.name)}</code>" if each.name else '<span class="sub">not sent</span>',
                    " or ".join(f"<code>{escape(column)}</code>" for column in each.columns)
                    or '<span class="sub">the event itself</span>',
                    escape(each.type),
                    escape(PROTECTIONS[each.protection]),
                ),
            )
            for each in view.properties
        ),
    )


def last_dead_letters(view: ViewStatus, dead_letters: Sequence[DeadLetter], now_ms: int) -> str:
    """The last rows that were given up, by their number; whose they are is shown by the command."""
    shown = table(
        "Last dead letters",
        (("Number", ""), ("Given up", ""), ("Code", "n"), ("Why", "wide")),
        (
            (str(each.id), (str(each.id), time_of_day(each.at_ms, now_ms), str(each.code), escape(each.reason)))
            for each in dead_letters
        ),
    )
    if not shown:
        return ""
    hint = f"smartico-sync dead-letters show --view {view.name}"
    return f'{shown}<p class="next">next: {commands_marked(escape(hint))}</p>'


def requests(view: ViewStatus, destinations: Sequence[DestinationStatus], now_ms: int) -> str:
    """The last requests that held rows of the view, over all destinations, the newest first."""
    sent = sorted(
        ((each, destination.name) for destination in destinations for each in destination.recent.get(view.name, ())),
        key=lambda pair: -pair[0].at_ms,
    )[:SHOWN]
    several = len(destinations) > 1
    return table(
        "Last requests",
        (
            ("Answered", ""),
            ("Events", "n"),
            ("Size", "n"),
            ("Status", "n"),
            ("Outcome", ""),
            ("Took", "n"),
            ("For", ""),
        ),
        (
            (
                f"{each.at_ms} {name} {place}",
                (
                    time_of_day(each.at_ms, now_ms),
                    number(each.events),
                    f"{each.size / 1000:,.1f} kB",
                    str(each.status or "none"),
                    state(*DECISIONS[each.decision]),
                    f"{each.seconds * 1000:,.0f} ms",
                    escape(f"{each.priority}, {name}" if several else each.priority),
                ),
            )
            for place, (each, name) in enumerate(sent)
        ),
    )
