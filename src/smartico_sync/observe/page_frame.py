"""What both pages consist of: the document around them, findings, tables, and small figures."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote
from zlib import crc32

from smartico_sync.observe.finding import gist
from smartico_sync.observe.page_words import clock, commands_marked, foldable, megabytes, seconds, time_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from smartico_sync.observe.health import Finding

__all__ = [
    "asset",
    "bar",
    "document",
    "facts_list",
    "finding_list",
    "number",
    "section",
    "sparkline",
    "table",
]

WITHOUT_SCRIPT_S = 5  # how often a browser without JavaScript loads the page again
TONES = {"good": "#0a7d55", "note": "#2563c9", "warn": "#a65f00", "bad": "#c42b3a"}  # of the icon in the browser's tab
ASSETS = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}


@cache
def asset(name: str) -> tuple[str, bytes] | None:
    """Content type and content of a file that the pages are made with; None where there is no such file."""
    kind = ASSETS.get(name)
    return (kind, (files("smartico_sync.observe") / "assets" / name).read_bytes()) if kind else None


def document(
    told: str,
    tone: str,
    content: str,
    *,
    root: str,
    version: str,
    now_ms: int,
    state: Mapping[str, int] | None = None,
    way_back: str = "",
) -> str:
    """A page as a whole: `told`, the answer to the first question, when it was true, and the content. `root`: the way from here to the overview.

    A screen reader hears the answer when it changes. The script keeps the page up to date; without one it loads itself again.
    """
    icon = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='4' fill='{TONES[tone]}'/></svg>"
    size = (
        f"<span>State {megabytes(state['bytes'])}, {megabytes(state['free_bytes'])} of it free</span>" if state else ""
    )
    return (
        f'<!doctype html><html lang="en" data-version="{escape(version)}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(told)} · smartico-sync</title>"
        f'<link rel="icon" href="data:image/svg+xml,{quote(icon)}"><link rel="stylesheet" href="{root}page.css">'
        f'<script src="{root}page.js" defer></script>'
        f'<noscript><meta http-equiv="refresh" content="{WITHOUT_SCRIPT_S}"></noscript></head>'
        f'<body><p id="reach" role="status" data-own hidden></p><main>{way_back}<header><h1 class="headline {tone}" aria-live="polite">{foldable(escape(told))}</h1>'
        f'<p class="sub">As of <time>{clock(now_ms)}</time> UTC</p></header>{content}'
        f"<footer><span>smartico-sync {escape(version)}</span>{size}"
        f'<span><a href="{root}status.json">status.json</a> · <a href="{root}metrics">metrics</a></span></footer>'
        "</main></body></html>"
    )


def section(title: str, content: str, key: str = "") -> str:
    """A part of the page with a heading; nothing where there is no content."""
    name = key or title.lower().replace(" ", "-")
    heading = f'<h2 id="h-{name}">{escape(title)}</h2>'
    return f'<section data-key="{name}" aria-labelledby="h-{name}">{heading}{content}</section>' if content else ""


def finding_list(findings: Sequence[Finding], now_ms: int) -> str:
    """Findings in their order, each with what to do next."""
    items = "".join(_finding(finding, now_ms) for finding in findings)
    return f'<ul class="card findings" role="list">{items}</ul>' if items else ""


def _finding(finding: Finding, now_ms: int) -> str:
    tone = {"critical": "bad", "warning": "warn"}.get(finding.severity, "note")
    # A finding stays the same one while only its numbers change.
    key = crc32(f"{finding.subject}|{gist(finding.message)}|{finding.hint}".encode())
    when = []
    if finding.since_ms:
        when.append(f"since {time_of_day(finding.since_ms, now_ms)}, for {seconds(max(0, now_ms - finding.since_ms))}")
    if finding.last_good_ms:
        when.append(f"well last at {time_of_day(finding.last_good_ms, now_ms)}")
    told = f'<p class="sub">{" · ".join(when)}</p>' if when else ""
    hint = f'<p class="next">next: {commands_marked(escape(finding.hint))}</p>' if finding.hint else ""
    return (
        f'<li class="finding {tone}" data-key="{key}"><p><span class="badge">{escape(finding.severity)}</span>'
        f"<strong>{escape(finding.subject)}</strong> {escape(finding.message)}</p>{told}{hint}</li>"
    )


def table(
    caption: str, heads: Sequence[tuple[str, str]], rows: Iterable[tuple[str, Sequence[str]]], name: str = ""
) -> str:
    """A table that folds into cards on a narrow screen. `heads`: label and class; `rows`: a key, and cells of HTML.

    The first cell names its row. Empty where there are no rows. Roles are written out, for a folded table has lost its own.
    """
    made = "".join(
        f'<tr role="row" data-key="{escape(key, quote=True)}">'
        + "".join(
            f'<{tag} role="{role}" class="{kind}"{scope} data-label="{escape(label, quote=True)}">{cell}</{tag}>'
            for (label, kind), cell, (tag, role, scope) in zip(heads, cells, _tags(len(cells)), strict=True)
        )
        + "</tr>"
        for key, cells in rows
    )
    if not made:
        return ""
    head = "".join(f'<th role="columnheader" scope="col" class="{kind}">{escape(label)}</th>' for label, kind in heads)
    return (
        f'<div class="card"><table role="table" class="{name}" aria-label="{escape(caption, quote=True)}">'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead><tbody role="rowgroup">{made}</tbody></table></div>'
    )


def _tags(cells: int) -> list[tuple[str, str, str]]:
    return [("th", "rowheader", ' scope="row"'), *[("td", "cell", "")] * (cells - 1)]


def facts_list(facts: Iterable[tuple[str, str]]) -> str:
    """Facts, each a label and HTML; those without a value are left out."""
    items = "".join(
        f'<div data-key="{escape(label, quote=True)}"><dt>{escape(label)}</dt><dd>{value}</dd></div>'
        for label, value in facts
        if value
    )
    return f'<dl class="card facts">{items}</dl>' if items else ""


def number(value: float, tone: str = "") -> str:
    """A count; one that is nothing steps back, one that should be nothing has a tone."""
    return f'<span class="{"zero" if not value else tone}">{value:,.0f}</span>'


def sparkline(trend: Sequence[float], width: int = 90, height: int = 22) -> str:
    """The last rates as a small line."""
    if len(trend) < 2:
        return ""
    top = max(trend) or 1.0
    points = " ".join(
        f"{place * width / (len(trend) - 1):.1f},{height - 2 - (height - 4) * max(0.0, value) / top:.1f}"
        for place, value in enumerate(trend)
    )
    return (
        f'<svg class="spark" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="rate over time">'
        f'<polygon points="0,{height} {points} {width},{height}"/><polyline points="{points}"/></svg>'
    )


def bar(share: float) -> str:
    """A share of the widest bar, which the cell's width is."""
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{max(0.5, 100 * share):.1f}" height="8"/></svg>'
    )
