"""The page at `/`: is everything delivered, which view is not, why, and what to type next."""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING

from smartico_sync.observe.cluster_status import lane_lines
from smartico_sync.observe.health import ORDINARY_INTERVALS, named
from smartico_sync.observe.page_frame import (
    document,
    facts_list,
    finding_list,
    number,
    section,
    sparkline,
    table,
)
from smartico_sync.observe.page_words import ago, foldable, seconds, time_of_day, whole_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.delivery.destination import DestinationStatus
    from smartico_sync.delivery.rate_limit import BudgetStatus
    from smartico_sync.observe.cluster_status import ClusterStatus
    from smartico_sync.observe.health import Health
    from smartico_sync.observe.view_status import ViewStatus

__all__ = ["STATE_TONES", "history", "page", "polled", "sentence", "state", "waiting"]

STATE_TONES = {
    "live": "good",
    "behind": "note",
    "starting": "note",
    "degraded": "warn",
    "halted": "bad",
    "regressed": "bad",
}
DESTINATION_TONES = {"idle": "good", "delivering": "good", "backing_off": "warn", "halted": "bad"}
CIRCUITS = {
    "closed": "closed: requests start",
    "open": "open: none starts before the next try",
    "half-open": "half-open: one request finds out",
}
API_CODES = ("api_halted", "api_unavailable")
FRESH_MS = 10_000  # "everything is delivered" is said of what was there this long ago, not longer
VIEWS = (
    ("View", ""), ("State", ""), ("Delivered up to", "head"), ("Lag", "n"), ("Rows/s", "n"), ("Delivered", "n"), ("Waiting", "n"),
    ("Given up", "n"), ("Invalid", "n"), ("Late", "n"), ("Replica lag", "n"),
)  # fmt: skip


def page(
    views: Sequence[ViewStatus],
    health: Health,
    destinations: Sequence[DestinationStatus],
    version: str,
    now_ms: int,
    sources: Mapping[str, str] | None = None,
    state: Mapping[str, int] | None = None,
    cluster: ClusterStatus | None = None,
) -> str:
    """The whole page; everything that comes from outside is escaped."""
    tone, told = sentence(views, health)
    content = (
        section("To do", finding_list(health.findings, now_ms))
        + section("Views", view_table(views, now_ms))
        + section("Cluster", cluster_table(cluster))
        + section("Ingest API", "".join(destination(each, now_ms) for each in destinations))
        + section("Sources", connections(sources or {}))
    )
    return document(told, tone, content, root="", version=version, now_ms=now_ms, state=state)


def connections(sources: Mapping[str, str]) -> str:
    """How the connections of each source are protected."""
    return table(
        "Sources",
        (("Source", ""), ("Connection", "")),
        (
            (name, (escape(name), f'<span class="{"warn" if words == "in the clear" else ""}">{escape(words)}</span>'))
            for name, words in sources.items()
            if words
        ),
    )


def cluster_table(cluster: ClusterStatus | None) -> str:
    """Which member works with which group of views."""
    if cluster is None:
        return ""
    groups = table(
        "Groups of views",
        (("Group", ""), ("Worked with by", ""), ("Since", ""), ("Views", "")),
        (
            (
                each.name,
                (
                    escape(each.name),
                    escape(each.member if each.held == "yes" else "nobody")
                    + (" (this member)" if each.role == "works" else ""),
                    escape(each.since if each.held == "yes" else ""),
                    escape(", ".join(each.views)),
                ),
            )
            for each in cluster.groups
        ),
    )
    lanes = [lane for each in cluster.groups for lane in each.lanes or ()]
    lines = lane_lines((lane.view, lane.lane, lane.member) for lane in lanes)
    members = (f"{each.name}: {', '.join(each.groups) if each.groups else 'stands by'}" for each in cluster.members)
    told = "".join(f'<p class="sub">{escape(line)}</p>' for line in lines)
    return groups + told + f'<p class="sub">{" · ".join(escape(each) for each in members)}</p>'


def sentence(views: Sequence[ViewStatus], health: Health) -> tuple[str, str]:
    """The headline and its tone."""
    if health.ready == "standing by":
        return "good", "Standing by"
    troubled = [view for view in views if view.state in ("degraded", "halted", "regressed")]
    broken = [view.name for view in troubled]
    still = [view.name for view in views if view.standstill != "no"]
    behind = [view.name for view in views if view.state == "behind"]
    tone, answer = ("bad", "Not delivering: ") if health.ready == "not delivering" else ("warn", "")
    api = next((each.message.partition(": ")[0] for each in health.findings if each.code in API_CODES), "")
    if api and all(view.polls.trouble is not None and view.polls.trouble.cause == "api" for view in troubled):
        return tone, f"{answer}{api}"
    if broken:
        return tone, f"{answer}{named(broken)} {'needs' if len(broken) == 1 else 'need'} attention"
    if still:
        return tone, f"{answer}{named(still)} {'stands' if len(still) == 1 else 'stand'} still"
    if health.ready == "not delivering":
        ill = list(dict.fromkeys(each.subject for each in health.each if each.severity == "critical"))
        return (
            "bad",
            f"{answer}{named(ill)} {'needs' if len(ill) == 1 else 'need'} attention" if ill else "Not delivering",
        )
    if behind:
        return "note", f"Catching up: {named(behind)}"
    if health.ready == "starting":
        return "note", "Starting"
    if old := max(
        (view.lag_ms for view in views if view.lag_ms > max(FRESH_MS, ORDINARY_INTERVALS * view.every_ms)), default=0
    ):
        return "note", f"Delivered up to {whole_seconds(old)} ago"
    if waits := sum(sum(view.parked.values()) for view in views):
        return "warn", f"Delivered, but {waits:,} {'row waits' if waits == 1 else 'rows wait'}"
    if dead := sum(sum(view.dead.values()) for view in views):
        return "warn", f"Delivered, but for {dead:,} {'row' if dead == 1 else 'rows'} given up"
    if missing := sum(view.missing for view in views):
        return "warn", f"Delivered, but for {missing:,} {'row' if missing == 1 else 'rows'} missing"
    if odd := list(dict.fromkeys(each.subject for each in health.each if each.code == "source")):
        return "warn", f"Delivered, but look at {named(odd)}"
    return "good", "Everything is delivered"


def view_table(views: Sequence[ViewStatus], now_ms: int) -> str:
    """Every view as a row; how far a replica is behind only where there is one."""
    heads = VIEWS if any(view.replica_lag_ms is not None for view in views) else VIEWS[:-1]
    return table("Views", heads, ((view.name, view_cells(view, now_ms)[: len(heads)]) for view in views), "views")


def view_cells(view: ViewStatus, now_ms: int) -> tuple[str, ...]:
    """One view as a table row."""
    name = escape(view.name)
    again = view.counts.get("duplicate", 0)
    return (
        f'<a href="views/{name}">{foldable(name)}</a><div class="sub">{escape(view.kind)}</div>',
        f'{state(view.state, STATE_TONES[view.state])}<div class="sub since">{polled(view, now_ms)}</div>{history(view)}',
        escape(view.head) or '<span class="zero">nothing yet</span>',
        seconds(view.lag_ms),
        f"{view.per_second:,.0f}{sparkline(view.polls.trend)}",
        number(view.counts.get("delivered", 0)) + (f'<div class="sub">{again:,} known before</div>' if again else ""),
        waiting(view),
        number(sum(view.dead.values()), "bad"),
        number(sum(view.invalid.values()), "warn"),
        number(view.late.late_rows),
        '<span class="zero">none</span>' if view.replica_lag_ms is None else seconds(view.replica_lag_ms),
    )


def state(word: str, tone: str) -> str:
    """A state with its colour, and in words."""
    return f'<span class="state {tone}">{escape(word.replace("_", " "))}</span>'


def polled(view: ViewStatus, now_ms: int) -> str:
    """What the view's polls do."""
    if view.poll_ms >= 1000:
        return f"polling for {whole_seconds(view.poll_ms)}"
    return f"polled {ago(now_ms - view.still_ms, now_ms)}" if view.last_poll_ms else "not polled yet"


def waiting(view: ViewStatus) -> str:
    """How many rows wait, and the first of them for how long."""
    parked = sum(view.parked.values())
    return number(parked, "warn") + (
        f'<div class="sub">first for {seconds(view.parked_oldest_ms)}</div>' if parked else ""
    )


def history(view: ViewStatus) -> str:
    """How far the view's history is, while it is being sent."""
    backfill = view.backfill
    if backfill is None:
        return ""
    done = f"{backfill.done:,} of {backfill.total:,} rows" if backfill.total else f"{backfill.done:,} rows"
    left = "" if backfill.left_s is None else f", {timedelta(seconds=backfill.left_s)} left"
    waits = f"; waits: {escape(backfill.reason)}" if backfill.reason else ""
    shown = (
        f'<progress max="{backfill.total}" value="{min(backfill.done, backfill.total)}" aria-label="backfill"></progress>'
        if backfill.total
        else ""
    )
    return f'<div class="sub backfill">{shown}backfill: {done}{left}{waits}</div>'


def destination(each: DestinationStatus, now_ms: int) -> str:
    """One destination: whether it takes events, and when it is tried again; brands that are refused one by one."""
    answers = sum(each.durations)
    return facts_list(
        (
            ("Destination", f"<strong>{escape(each.name)}</strong>"),
            ("State", state(each.state, DESTINATION_TONES[each.state])),
            ("Circuit", escape(CIRCUITS[each.circuit])),
            ("Next try", next_try(each.next_try_ms, now_ms)),
            ("Last success", ago(each.last_success_ms or 0, now_ms)),
            ("Requests in flight", number(each.in_flight)),
            ("Events queued", number(each.queued_events)),
            ("Requests last minute", number(each.requests_last_minute)),
            ("Shared budget", shared(each.budget)),
            ("Answers take", f"{each.seconds / answers * 1000:,.0f} ms on average" if answers else ""),
            ("Accepted", number(each.events.get("delivered", 0)) if each.events else ""),
            ("Last error", long(each.last_error)),
            *(
                (f"Refused: {halt.brand or 'everything'}", long(f"{halt.message} · next try {next_try(halt.next_try_ms, now_ms)}"))
                for halt in each.halted
            ),
        )
    )  # fmt: skip


def shared(budget: BudgetStatus | None) -> str:
    """What was drawn of the requests that members share; empty where they do not."""
    if budget is None:
        return ""
    told = f"{budget.drawn:,} requests drawn · waited {budget.waited_s:,.1f} s for them"
    return long(f"{told} · {budget.problem}") if budget.problem else told


def long(text: str) -> str:
    """A text that has a line of its own; empty where there is none."""
    return f'<span class="long">{escape(text)}</span>' if text else ""


def next_try(at_ms: int, now_ms: int) -> str:
    """When it is tried again."""
    if not at_ms:
        return ""
    if at_ms <= now_ms:
        return "with the next events"
    whole_s = -(-(at_ms - now_ms) // 1000)
    return f"in {seconds(whole_s * 1000).replace('.0', '')}, at {time_of_day(at_ms, now_ms)}"
