"""`make failover`: two members under load; whatever can fail between them fails in turn, and the API counts.

Nothing may be lost, count twice or be older than what came before it, and `reconcile` must agree; with a lease of 10 s another member
must work within 15 s, 95 times of 100. Prints for each failure how long no event arrived. Ends with 1 when it is not so.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from bench.disturbances import HOUR_S
from bench.pair import Member, Pair

LEASE_S = 10
TAKEOVER_S = 15.0  # at that lease
QUIET_S = 2.0  # under load before the next failure: both members are there again
LOADED_S = 3.0


class Failures:
    """What fails: each method makes it happen and returns when a member works again. Those of `TAKEOVERS` cost the working member its lease."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    def killed(self, works: Member) -> None:
        works.end(signal.SIGKILL)
        self.taken_from(works)
        works.start()

    def stopped(self, works: Member) -> None:
        works.send(signal.SIGSTOP)
        self.taken_from(works)
        time.sleep(self.pair.dice.random())
        works.send(signal.SIGCONT)

    def cut_from_state(self, works: Member) -> None:
        for proxy in works.state:
            proxy.black_hole()
        self.taken_from(works)
        for proxy in works.state:
            proxy.drop()
        works.mend()

    def ended(self, works: Member) -> None:
        works.end()
        works.start()

    def released(self, works: Member) -> None:
        done = works.sync("cluster", "release")
        if done.returncode:
            print("   ", done.stderr)

    def cut_from_api(self, works: Member) -> None:
        works.api.black_hole()
        time.sleep(3 + self.pair.dice.random())
        works.sync("cluster", "release")
        self.taken_from(works)
        works.api.drop()
        works.mend()

    def cut_from_source(self, works: Member) -> None:
        works.source.black_hole()
        time.sleep(1 + self.pair.dice.random())
        works.sync("cluster", "release")
        self.taken_from(works)
        works.source.drop()
        works.mend()

    def state_restarted(self, _: Member) -> None:
        self.pair.servers[self.pair.primary].restart()

    def state_promoted(self, _: Member) -> None:
        self.pair.promote()

    def commits_lost(self, _: Member) -> None:
        self.pair.detach()
        time.sleep(1 + self.pair.dice.random())
        self.pair.promote()

    def clock_ahead(self, works: Member) -> None:
        works.set_clock(HOUR_S)
        time.sleep(LOADED_S)
        works.mend()

    def clock_behind(self, works: Member) -> None:
        works.set_clock(-HOUR_S)
        time.sleep(LOADED_S)
        works.mend()

    def state_clock_ahead(self, _: Member) -> None:
        self.pair.set_state_clock(HOUR_S)
        time.sleep(LOADED_S)
        self.pair.set_state_clock(0)

    def state_clock_behind(self, _: Member) -> None:
        self.pair.set_state_clock(-HOUR_S)
        time.sleep(LOADED_S)
        self.pair.set_state_clock(0)

    def taken_from(self, member: Member) -> None:
        """Wait until the other one works."""
        while self.pair.holder() in ("", member.name):
            time.sleep(0.05)


TAKEOVERS = ("killed", "stopped", "cut_from_state")
EVERY = (
    *TAKEOVERS, "ended", "released", "cut_from_api", "cut_from_source", "state_restarted", "state_promoted", "commits_lost",
    "clock_ahead", "clock_behind", "state_clock_ahead", "state_clock_behind",
)  # fmt: skip


def silence(pair: Pair, since: float) -> float:
    """The longest time since then in which nothing arrived."""
    times = [since, *(at for at in tuple(pair.arrivals) if at > since)]
    return max((after - before for before, after in pairwise(times)), default=0.0)


def tried(pair: Pair, name: str) -> float:
    """Let it fail, and wait until events arrive again; how long none did."""
    works, _ = pair.working()
    failing: Callable[[Member], None] = getattr(Failures(pair), name)
    began = time.monotonic()
    failing(works)
    over = time.monotonic()
    pair.working()
    while not any(at > over for at in pair.arrivals[-3:]):
        time.sleep(0.05)
    time.sleep(QUIET_S + pair.dice.random())
    return silence(pair, began)


def settled(pair: Pair) -> list[str]:
    """Let one member come to the end of it, and compare."""
    pair.quiet()
    for member in pair.members:
        member.mend()
        member.send(signal.SIGCONT)
        member.end()
    once = pair.members[0].sync("run", "--once")
    left = [f"the last run ends with {once.returncode}: {once.stderr[-500:]}"] if once.returncode else []
    return left + pair.problems()


def main() -> int:
    """Fail, count, tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lease", type=int, default=LEASE_S, help="seconds")
    parser.add_argument("--rounds", type=int, default=3, help="of every failure")
    parser.add_argument("--only", nargs="*", choices=EVERY, default=EVERY)
    parser.add_argument("--keep", type=Path, help="a folder for logs and states")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="smartico-sync-failover-") as made:
        with Pair(given.lease, given.keep or Path(made)) as pair:
            took: dict[str, list[float]] = {name: [] for name in given.only}
            while len(pair.arrivals) < 3:
                time.sleep(0.1)
            for number in range(given.rounds):
                for name in given.only:
                    took[name].append(tried(pair, name))
                    print(f"  {number + 1:>3} {name:<16} no event for {took[name][-1]:5.1f} s", flush=True)
            problems = settled(pair)
            accepted = sum(pair.sandbox.ingest.accepted_events.types.values())
            violations = pair.sandbox.stats()["violations"]
        takeovers = sorted(each for name in TAKEOVERS for each in took.get(name, ()))
        if takeovers:
            p95 = takeovers[min(len(takeovers) - 1, int(len(takeovers) * 0.95))]
            print(
                f"  {len(takeovers)} takeovers at a lease of {given.lease} s: p95 {p95:.1f} s, the longest {takeovers[-1]:.1f} s"
            )
            if given.lease == LEASE_S and p95 >= TAKEOVER_S:
                problems.append(f"takeovers last {p95:.1f} s")
        print(f"  {accepted:,} events; limits and order: {violations or 'kept'}")
        print(
            "  nothing is lost, nothing counts twice, nothing old came late"
            if not problems
            else "  NOT WELL: " + "; ".join(problems)
        )
        return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
