"""What is aimed at, row by row, each from the figures of the part that measures it."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from bench.checks import Check, Row
from bench.ratios import (
    DAEMON,
    SAID,
    TIMES,
    Kept,
    alone,
    beside_dlt,
    compared,
    profiles,
    spread,
    took,
    transactions,
    whole_run,
)
from bench.slow_player import HELD, REFUSED, UNANSWERED

__all__ = ["TABLE", "Kept"]

MOST_MB = 400


def repolled(figures: Kept) -> Row:
    """CPU a profile that was touched, by its payload."""
    part = figures["repolls"]
    of = {(each["payload"], each["what"]): each for each in part["figures"]}
    changed = " and ".join(f"{of[payload, 'one changed']['cpu_us']:.1f}" for payload in ("full", "changed"))
    return Row(
        "",
        tuple(
            Check(of[payload, "touched"]["cpu_us"], 8.0, "at most", "{:.1f}", "{} µs")
            for payload in ("full", "changed")
        ),
        beside=f"{changed} µs where one value is another",
    )


def away(name: str, bound: float) -> Callable[[Kept], Row]:
    """Events a second with an API that answers late, start-up apart."""

    def made(figures: Kept) -> Row:
        small, large = compared(figures, "casino", f"smartico-sync, API {name} away")
        more = large["rows"] - small["rows"]
        seconds = took(figures, "casino", f"smartico-sync, API {name} away", which=0, steady=True)
        low, middle, high = spread([more / each for each in seconds])
        check = Check(middle, bound, "at least", "{:,.0f}", "{}/s", low, high)
        beside = f"start-up included {large['rows'] / median(run[0] for run in large['runs']):,.0f}/s"
        return Row("", (check if len(seconds) > 1 else alone(check),), beside=beside)

    return made


def live(figures: Kept) -> Row:
    """A thousand rows a second."""
    part = figures["live"]
    checks = (
        Check(part["p99_s"], 1.03, "at most", "{:.2f}", "p99 {} s"),
        Check(part["core_percent"], 2.5, "at most", "{:.1f}", "{} % of a core"),
    )
    return Row("", checks, beside=f"p50 {part['p50_s']:.2f} s")


def quiet(when: str, bound: float) -> Callable[[Kept], Row]:
    """What many views take of a core."""

    def made(figures: Kept) -> Row:
        part = figures["trickle"]
        checks = [Check(part[when]["core_percent"], bound, "at most", "{:.1f}", "{} % of a core")]
        if when == "trickle":
            checks.append(Check(part[when]["row_ms"], 5.0, "at most", "{:.1f}", "{} ms a row"))
        return Row("", tuple(checks))

    return made


def first_poll(figures: Kept) -> Row:
    """From the start of the process until its first poll is asked for, and what each further view adds."""
    part = figures["startup"]
    checks = (
        Check(part["first_poll_s"], 0.3, "at most", "{:.2f}", "{} s", *part["first_poll_spread_s"]),
        Check(part["view_ms"], 1.0, "at most", "{:.1f}", "{} ms a view", *part["view_spread_ms"]),
    )
    beside = f"the very first start {part['very_first_poll_s']:.2f} s until then"
    return Row("", checks, beside=f"{beside}; {part['run_s']:.2f} s with its end, {part['run_cpu_s']:.2f} s CPU")


def slow_player(figures: Kept) -> Row:
    """How much later others' events arrive."""
    part = figures["slow_player"]
    checks = tuple(Check(part[mode]["p99_ratio"], 1.2, "at most") for mode in (HELD, REFUSED, UNANSWERED))
    refused = (
        f"refused, it was tried {part[REFUSED]['tries']} times, {part[REFUSED]['longest_pause_s']:.0f} s apart at most"
    )
    return Row("", checks, beside=f"undisturbed p99 {part['undisturbed']['p99_s']:.2f} s; {refused}")


def filled(figures: Kept) -> Row:
    """What part of the events that a request may hold it holds."""
    large = compared(figures, "casino", DAEMON)[1]
    low, middle, high = spread([100 * each for each in large["filled"]])
    return Row("", (Check(middle, 95.0, "at least", "{:.1f}", "{} %", low, high),))


def memory(figures: Kept) -> Row:
    """The most that the daemon took in any part."""
    peaks = {name: each["peak_mb"] for name, each in figures["memory"].items()}
    peaks |= {f"a backlog in {name}": each["peak_mb"] for name, each in figures.get("waiting_streams", {}).items()}
    peaks |= {
        f"{each.get('view', 'a stream')}, {each['rival']}": max(run[2] for run in each["runs"])
        for part in ("figures", "kafka", "rabbitmq")
        for each in figures.get(part, ())
        if each["rival"].startswith("smartico-sync")
    }
    most = max(peaks, key=lambda name: peaks[name])
    return Row("", (Check(peaks[most], MOST_MB, "at most", "{:.0f}", "{} MB"),), beside=f"with {most}")


def inserts(size: int) -> Callable[[Kept], Row]:
    """What a new profile costs among so many, against a million."""

    def made(figures: Kept) -> Row:
        of = {each["profiles"]: each for each in figures["state_size"] if each["way"] == "with the log"}
        one, many = of[1_000_000], of[size]
        checks = (
            Check(many["cpu_us"] / one["cpu_us"], 1.5, "at most", "{:.2f}", f"{{}} {TIMES}"),
            Check(many["longest_ms"], 200.0, "at most", "{:.0f}", "longest commit {} ms"),
        )
        return Row("", checks, beside=f"{many['cpu_us']:.1f} µs and {many['written_kb']:.2f} KB a profile")

    return made


TABLE: tuple[tuple[str, Callable[[Kept], Row], str], ...] = (
    (
        f"transactions, start-up apart, against {SAID['as it is']}",
        transactions("as it is"),
        f"≤ 0.40 CPU · ≥ 3 {TIMES}",
    ),
    (f"the same, against {SAID['same JSON']}", transactions("same JSON"), f"≤ 0.40 CPU · ≥ 3 {TIMES}"),
    (f"a run of 400,000 rows, start-up included, against {SAID['as it is']}", whole_run("as it is"), f"≥ 2.1 {TIMES}"),
    (
        f"a run of 400,000 rows, start-up included, against {SAID['same JSON']}",
        whole_run("same JSON"),
        f"≥ 2.1 {TIMES}",
    ),
    (f"users, first load, start-up apart, against {SAID['encrypted']}", profiles("encrypted", 1.7), f"≥ 1.7 {TIMES}"),
    (f"the same, against {SAID['remembered']}", profiles("remembered", 2.4), f"≥ 2.4 {TIMES}"),
    ("transactions · users, start-up apart, against dlt, which makes the same JSON", beside_dlt, "for comparison"),
    ("re-poll of touched, unchanged users, CPU a row, `payload: full` · `changed`", repolled, "≤ 8 µs · ≤ 8 µs"),
    ("API 100 ms away, start-up apart", away("100 ms", 75_000), "≥ 75,000/s"),
    ("API 500 ms away, start-up apart", away("500 ms", 16_000), "≥ 16,000/s"),
    ("live, 1,000 rows/s, polled each second", live, "p99 ≤ 1.03 s · ≤ 2.5 % of a core"),
    ("50 idle views", quiet("idle", 1.5), "≤ 1.5 % of a core"),
    ("50 views with a row a second each", quiet("trickle", 25.0), "≤ 25 % of a core · ≤ 5 ms a row"),
    (
        "a start until its first poll is asked for (`run --once`, one empty view) · CPU of each further view",
        first_poll,
        "≤ 0.3 s · ≤ 1 ms",
    ),
    (
        f"slow player: others' p99 while it is {HELD} · {REFUSED} · {UNANSWERED}",
        slow_player,
        f"≤ 1.20 {TIMES} each",
    ),
    ("requests filled", filled, "≥ 95 %"),
    ("peak memory, any rows", memory, f"≤ {MOST_MB} MB"),
    (
        "a new profile among 10 million, against 1 million",
        inserts(10_000_000),
        f"≤ 1.5 {TIMES} · no commit above 200 ms",
    ),
    (
        "a new profile among 100 million, against 1 million",
        inserts(100_000_000),
        f"≤ 1.5 {TIMES} · no commit above 200 ms",
    ),
)
