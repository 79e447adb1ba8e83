"""The page at `/`: is everything delivered, which view is not, why, and what to type next."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING

from smartico_sync.observe.health import ORDINARY_INTERVALS, named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.delivery.destination import DestinationStatus
    from smartico_sync.observe.health import Finding, Health
    from smartico_sync.observe.view_status import ViewStatus

__all__ = ["STYLE", "page"]

STYLE = """
:root{color-scheme:light dark;--ink:#1b2430;--soft:#667283;--line:#e3e8ee;--ground:#f6f8fa;--card:#fff;--good:#0f8a5f;--warn:#b06a00;--bad:#c2303a;--note:#2f6fde}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf2;--soft:#93a0b2;--line:#2a3342;--ground:#10151d;--card:#171e29;--good:#3ecf97;--warn:#f0b354;--bad:#ff7b83;--note:#7aa8ff}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1400px;margin:0 auto;padding:28px 20px 60px}header{display:flex;gap:12px;align-items:baseline;flex-wrap:wrap;margin-bottom:18px}
h1{font-size:15px;font-weight:600;margin:0;color:var(--soft)}h2{font-size:13px;text-transform:uppercase;letter-spacing:.06em;color:var(--soft);margin:28px 0 8px}
.headline{font-size:28px;font-weight:650;margin:0;flex-basis:100%;letter-spacing:-.01em}.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}.note{color:var(--note)}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{padding:9px 8px;text-align:left;border-top:1px solid var(--line);vertical-align:top;white-space:nowrap}thead th{border-top:0;font-size:12px;font-weight:600;color:var(--soft)}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.head{max-width:260px;overflow:hidden;text-overflow:ellipsis;font-family:ui-monospace,monospace;font-size:13px}
.state{font-weight:600}.state:before{content:"";display:inline-block;width:8px;height:8px;border-radius:50%;background:currentColor;margin-right:8px}
.finding{padding:12px 14px;border-top:1px solid var(--line)}.finding:first-child{border-top:0}code{font:13px ui-monospace,monospace;background:var(--ground);border:1px solid var(--line);border-radius:5px;padding:1px 6px}
.sub{color:var(--soft);font-size:13px;font-weight:400}svg{display:block;margin-left:auto}footer{margin-top:26px;color:var(--soft);font-size:13px}a{color:var(--note)}
"""
TONE = {"live": "good", "behind": "note", "starting": "note", "degraded": "warn", "halted": "bad", "regressed": "bad"}
FRESH_MS = 10_000  # "everything is delivered" is said of what was there this long ago, not longer
COUNTED = ("delivered", "unchanged", "duplicate", "skipped", "dead_lettered")


def page(
    views: Sequence[ViewStatus],
    health: Health,
    destinations: Sequence[DestinationStatus],
    version: str,
    now_ms: int,
    sources: Mapping[str, str] | None = None,
    state: Mapping[str, int] | None = None,
) -> str:
    """The whole page; everything that comes from outside is escaped. It asks for itself again every two seconds."""
    tone, headline = sentence(views, health)
    rows = "".join(view_row(view) for view in views)
    findings = "".join(finding_of(finding) for finding in health.findings)
    sent = "".join(
        f'<tr><td><strong>{escape(each.name)}</strong></td><td><span class="state { {"halted": "bad", "backing_off": "warn"}.get(each.state, "good") }">{escape(each.state.replace("_", " "))}</span></td>'
        f'<td class="n">{each.in_flight}</td><td class="n">{each.queued_events:,}</td><td class="n">{each.requests_last_minute:,}</td>'
        f"<td>{escape(each.last_error)}</td></tr>"
        for each in destinations
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="refresh" content="2"><title>smartico-sync: {escape(headline)}</title><style>{STYLE}</style></head><body><main>'
        f'<header><h1>smartico-sync</h1><p class="headline {tone}">{escape(headline)}</p></header>'
        + (f'<h2>To do</h2><div class="card">{findings}</div>' if findings else "")
        + '<h2>Views</h2><div class="card"><table><thead><tr><th>View</th><th>State</th><th>Delivered up to</th><th class="n">Lag</th>'
        '<th class="n">Rows/s</th>'
        + "".join(f'<th class="n">{name.replace("_", " ").capitalize()}</th>' for name in COUNTED)
        + f'</tr></thead><tbody>{rows}</tbody></table></div><h2>Ingest API</h2><div class="card"><table><thead><tr><th>Destination</th><th>State</th>'
        f'<th class="n">In flight</th><th class="n">Queued</th><th class="n">Requests/min</th><th>Last error</th></tr></thead><tbody>{sent}</tbody></table></div>'
        f"{connections(sources or {})}"
        f'<footer>{size_of(state)}Version {escape(version)} · {clock(now_ms)} UTC · <a href="/status.json">status.json</a> · <a href="/metrics">metrics</a></footer></main></body></html>'
    )


def connections(sources: Mapping[str, str]) -> str:
    """How the connections of each source are protected."""
    rows = "".join(
        f'<tr><td><strong>{escape(name)}</strong></td><td><span class="{"warn" if words == "in the clear" else ""}">{escape(words)}</span></td></tr>'
        for name, words in sources.items()
        if words
    )
    head = "<thead><tr><th>Source</th><th>Connection</th></tr></thead>"
    return f'<h2>Sources</h2><div class="card"><table>{head}<tbody>{rows}</tbody></table></div>' if rows else ""


def size_of(state: Mapping[str, int] | None) -> str:
    """How large the state is, for the foot of the page."""
    return f"State {megabytes(state['bytes'])}, {megabytes(state['free_bytes'])} of it free · " if state else ""


def megabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e6:,.1f} MB"


def sentence(views: Sequence[ViewStatus], health: Health) -> tuple[str, str]:
    """The headline and its tone."""
    if health.ready == "standing by":
        return "good", "Standing by"
    broken = [view.name for view in views if view.state in ("degraded", "halted", "regressed")]
    still = [view.name for view in views if view.standstill != "no"]
    behind = [view.name for view in views if view.state == "behind"]
    if broken:
        return (
            "bad" if health.ready == "not delivering" else "warn"
        ), f"{named(broken)} {'needs' if len(broken) == 1 else 'need'} attention"
    if still:
        tone = "bad" if health.ready == "not delivering" else "warn"
        return tone, f"{named(still)} {'stands' if len(still) == 1 else 'stand'} still"
    if health.ready == "not delivering":
        return "bad", "Not delivering"
    if behind:
        return "note", f"Catching up: {named(behind)}"
    if health.ready == "starting":
        return "note", "Starting"
    if old := max(
        (view.lag_ms for view in views if view.lag_ms > max(FRESH_MS, ORDINARY_INTERVALS * view.every_ms)), default=0
    ):
        return "note", f"Delivered up to {old // 1000:,} s ago"
    if waiting := sum(sum(view.parked.values()) for view in views):
        return "warn", f"Delivered, but {waiting:,} {'row waits' if waiting == 1 else 'rows wait'}"
    if dead := sum(sum(view.dead.values()) for view in views):
        return "warn", f"Delivered, but for {dead:,} {'row' if dead == 1 else 'rows'} given up"
    return "good", "Everything is delivered"


def view_row(view: ViewStatus) -> str:
    """One view as a table row."""
    lag = f"{view.lag_ms / 1000:,.1f} s" if view.lag_ms < 10_000 else f"{view.lag_ms // 1000:,} s"
    numbers = "".join(f'<td class="n">{view.counts.get(name, 0):,}</td>' for name in COUNTED)
    since = f"polled {view.still_ms // 1000:,} s ago" if view.last_poll_ms else "not polled yet"
    if view.poll_ms >= 1000:
        since = f"polling for {view.poll_ms // 1000:,} s"
    return (
        f'<tr><td><strong>{escape(view.name)}</strong><div class="sub">{escape(view.kind)} · {escape(view.late_commit.split(":")[0])}</div></td>'
        f'<td><span class="state {TONE[view.state]}">{view.state}</span><div class="sub">{since}</div>{history(view)}</td>'
        f'<td class="head">{escape(view.head) or "nothing yet"}</td><td class="n">{lag}</td><td class="n">{view.per_second:,.0f}{sparkline(view.polls.trend)}</td>{numbers}</tr>'
    )


def history(view: ViewStatus) -> str:
    """How far the view's history is, while it is being sent."""
    backfill = view.backfill
    if backfill is None:
        return ""
    done = f"{backfill.done:,} of {backfill.total:,} rows" if backfill.total else f"{backfill.done:,} rows"
    left = "" if backfill.left_s is None else f", {timedelta(seconds=backfill.left_s)} left"
    waits = f"; waits: {escape(backfill.reason)}" if backfill.reason else ""
    return f'<div class="sub">backfill: {done}{left}{waits}</div>'


def sparkline(trend: Sequence[float]) -> str:
    """The last rates as a small line."""
    if len(trend) < 2:
        return ""
    top = max(trend) or 1.0
    points = " ".join(
        f"{place * 90 / (len(trend) - 1):.1f},{20 - 18 * max(0.0, value) / top:.1f}"
        for place, value in enumerate(trend)
    )
    return f'<svg width="90" height="22" role="img" aria-label="rate over time"><polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5" opacity=".6"/></svg>'


def finding_of(finding: Finding) -> str:
    """One finding with its next command."""
    tone = "bad" if finding.severity == "critical" else "warn"
    hint = f'<div class="sub">next: {command_marked(escape(finding.hint))}</div>' if finding.hint else ""
    since = f' <span class="sub">since {clock(finding.since_ms)}</span>' if finding.since_ms else ""
    return f'<div class="finding"><strong class="{tone}">{escape(finding.subject)}</strong> {escape(finding.message)}{since}{hint}</div>'


def command_marked(hint: str) -> str:
    """A hint with the command in it, which stands at its beginning or behind a colon, marked as one."""
    return re.sub(r"(^|: )(smartico-sync [^;,]+)", r"\1<code>\2</code>", hint)


def clock(ms: int) -> str:
    """A moment for people."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
