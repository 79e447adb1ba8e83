"""What is aimed at, row by row, each from the figures of the part that measures it."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import msgspec

from bench.checks import Check, Row

__all__ = ["TABLE", "Kept"]

DAEMON = "smartico-sync, fence"
MOST_MB = 400
TIMES = "\N{MULTIPLICATION SIGN}"
Kept = dict[str, Any]


def compared(figures: Kept, view: str, rival: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A rival's figures over the smaller and the larger size."""
    found = sorted(
        (each for each in figures["figures"] if (each["view"], each["rival"]) == (view, rival)), key=lambda each: int(each["rows"])
    )  # fmt: skip
    if not found:
        raise KeyError(f"{view}: {rival}")
    return found[0], found[-1]


def took(figures: Kept, view: str, rival: str, *, which: int, steady: bool) -> list[float]:
    """Seconds (0) or CPU seconds (1) of each turn over the larger size; `steady`: beyond the smaller one's median.

    ValueError where the machine's noise is larger than what the rows took.
    """
    small, large = compared(figures, view, rival)
    start = median(run[which] for run in small["runs"]) if steady else 0.0
    found = [float(run[which] - start) for run in large["runs"]]
    if min(found) <= 0:
        raise ValueError(f"{rival}: too few rows to tell from its start")
    return found


def against(
    figures: Kept, view: str, rival: str, bounds: tuple[float, ...], *, steady: bool = True
) -> tuple[Check, ...]:
    """How many times as fast as the rival the daemon is, and with a second bound what part of its CPU it takes, turn by turn."""
    ours, theirs = (
        [took(figures, view, who, which=which, steady=steady) for which in (0, 1)] for who in (DAEMON, rival)
    )
    faster = [other / mine for mine, other in zip(ours[0], theirs[0], strict=False)]
    dearer = [mine / other for mine, other in zip(ours[1], theirs[1], strict=False)]
    speed, cpu = (spread(each) for each in (faster, dearer))
    checks = (
        Check(speed[1], bounds[0], "at least", "{:.2f}", f"{{}} {TIMES}", speed[0], speed[2]),
        *(Check(cpu[1], bound, "at most", "{:.2f}", "{} CPU", cpu[0], cpu[2]) for bound in bounds[1:]),
    )
    return checks if len(faster) > 1 else tuple(alone(check) for check in checks)


def alone(check: Check) -> Check:
    """The same of one run, which has no spread."""
    return msgspec.structs.replace(check, lowest=None, highest=None)


def spread(values: list[float]) -> tuple[float, float, float]:
    """The least, the median and the most."""
    return min(values), median(values), max(values)


def transactions(level: str) -> Callable[[Kept], Row]:
    """Start-up apart, against a loop."""
    return lambda figures: Row("", against(figures, "casino", f"loop, {level}", (3.0, 0.40)))


def whole_run(level: str) -> Callable[[Kept], Row]:
    """Start-up included, against a loop."""

    def made(figures: Kept) -> Row:
        number = compared(figures, "casino", DAEMON)[1]["rows"]
        return Row(
            f"a run of {number:,} rows, start-up included, against {SAID[level]}",
            against(figures, "casino", f"loop, {level}", (2.1,), steady=False),
        )

    return made


def profiles(level: str, bound: float) -> Callable[[Kept], Row]:
    """The first load, start-up apart, against a loop."""
    return lambda figures: Row("", against(figures, "users", f"loop, {level}", (bound,)))


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
    return Row("", checks, beside=f"{part['run_s']:.2f} s with its end, {part['run_cpu_s']:.2f} s CPU")


def slow_player(figures: Kept) -> Row:
    """How much later others' events arrive."""
    part = figures["slow_player"]
    modes = ("held for 3 s", "retried for 32 s", "never answered")
    checks = tuple(Check(part[mode]["p99_ratio"], 1.2, "at most") for mode in modes)
    return Row("", checks, beside=f"undisturbed p99 {part['undisturbed']['p99_s']:.2f} s")


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


SAID = {
    "as it is": "a loop that posts names and values as they are",
    "same JSON": "one that makes the same JSON",
    "encrypted": "a loop that encrypts too",
    "remembered": "one that also keeps ids and hashes",
}
TABLE: tuple[tuple[str, Callable[[Kept], Row], str], ...] = (
    (
        f"transactions, start-up apart, against {SAID['as it is']}",
        transactions("as it is"),
        f"≥ 3 {TIMES} · ≤ 0.40 CPU",
    ),
    (f"the same, against {SAID['same JSON']}", transactions("same JSON"), f"≥ 3 {TIMES} · ≤ 0.40 CPU"),
    (f"a run of 400,000 rows, start-up included, against {SAID['as it is']}", whole_run("as it is"), f"≥ 2.1 {TIMES}"),
    (
        f"a run of 400,000 rows, start-up included, against {SAID['same JSON']}",
        whole_run("same JSON"),
        f"≥ 2.1 {TIMES}",
    ),
    (f"users, first load, start-up apart, against {SAID['encrypted']}", profiles("encrypted", 1.7), f"≥ 1.7 {TIMES}"),
    (f"the same, against {SAID['remembered']}", profiles("remembered", 2.4), f"≥ 2.4 {TIMES}"),
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
        "slow player: others' p99 while it is held 3 s · retried for 32 s · never answered",
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
