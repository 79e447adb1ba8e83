"""What a profile costs in a state that already holds many: `python -m bench.state_size`, or with numbers of profiles
(or BENCH_STATE).

CPU of the whole process and bytes handed to the disk for each profile that is new, and the longest commit of a page but
for waiting for a core; all of it until the last profile is in the tree. Beside it the same pages written straight into the
tree, as without its log.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from bench.figures import keep
from smartico_sync.cli.loading import SETTINGS
from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit
from smartico_sync.state import profile_log, profile_tree
from smartico_sync.state.store import Store

SIZES = os.environ.get("BENCH_STATE", "1000000 10000000").split()
PAGE = 20_000
LOGS = 3  # so many times what the log holds is written: whole moves, and what lies between them
STRAIGHT_PAGES = 20
PACE_S = 0.4  # between two pages, as a first load has them: so what is moved beside the work keeps up with it, as in the daemon
LOOKS = 10
CURSOR = 1_767_225_600_000_000  # epoch µs, as they are where a view is polled by a time
MOST_AT_ONCE = 1_000_000
ENTRY_BYTES = 24  # of the log in memory, where profiles are sent in full


@dataclass(frozen=True)
class Cost:
    """Of one profile; `longest_ms` of one commit."""

    cpu_us: float
    written_kb: float
    longest_ms: float


def ids(chance: random.Random, n: int) -> pl.Series:
    """Ids as they are in a state: hashes."""
    some = min(n, MOST_AT_ONCE)
    drawn = (pl.Series("id", [chance.randbytes(8 * some)]) for _ in range(n // some))
    return pl.concat(each.bin.reinterpret(dtype=pl.Array(pl.UInt64, some)).explode() for each in drawn)


def page(chance: random.Random, number: int) -> Commit:
    """A commit of profiles that are new."""
    whole = pl.Series([chance.randbytes(8) for _ in range(PAGE)], dtype=pl.Binary)
    profiles = ids(chance, PAGE).to_frame().with_columns(
        whole=whole, parts=pl.lit(None, pl.Binary), cursor_at=pl.lit(CURSOR + number, pl.Int64)
    )  # fmt: skip
    return Commit("users", number, head=Position(str(number)), profiles=profiles, counts={"delivered": PAGE})


def fill(store: Store, n: int) -> None:
    """Put so many profiles into the tree, fast: in its order."""
    chance = random.Random(n)
    for rows in ids(chance, n).reinterpret(signed=True).sort().to_frame().iter_slices(200_000):
        held = rows.with_columns(
            whole=pl.lit(b"12345678"), parts=pl.lit(None, pl.Binary), cursor_at=pl.lit(CURSOR, pl.Int64)
        )
        with store.writing() as connection:
            profile_tree.upsert(connection, 1, held)


def written() -> int:
    """Bytes that this process handed to the disk."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("write_bytes")))


class Longest:
    """The longest of some pieces of work, in milliseconds, without what other processes took from it."""

    def __init__(self) -> None:
        self.ms = 0.0

    @contextmanager
    def of(self) -> Iterator[None]:
        """Measure one."""
        began, waited = time.monotonic(), waited_s()
        yield
        self.ms = max(self.ms, (time.monotonic() - began - (waited_s() - waited)) * 1e3)


def waited_s() -> float:
    """How long this thread has waited for a core."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


def logged(store: Store, chance: random.Random) -> Cost:
    """Commit pages until the log was moved some times, and then what is left in it."""
    with store.reading() as connection:
        pages = LOGS * profile_log.capacity(connection) // ENTRY_BYTES // PAGE
    cpu, disk, longest, mine = time.process_time(), written(), Longest(), 0.0
    for number in range(pages):
        due, began = time.monotonic() + PACE_S, time.thread_time()
        commit = page(chance, number)
        mine += time.thread_time() - began
        with longest.of():
            store.commit(commit)
        time.sleep(max(0.0, due - time.monotonic()))
    move_the_rest(store)
    n = pages * PAGE
    return Cost((time.process_time() - cpu - mine) / n * 1e6, (written() - disk) / n / 1e3, longest.ms)


def move_the_rest(store: Store) -> None:
    """Move what is left in the log as the daemon moves what it holds too much of: a slice a transaction."""
    most, profile_log.MOST_BYTES, moved = profile_log.MOST_BYTES, 1, "more"
    while moved == "more":
        with store.writing() as connection:
            moved = connection.profile_log.move(connection)
    profile_log.MOST_BYTES = most


def straight(store: Store, chance: random.Random) -> Cost:
    """Write pages into the tree as they come."""
    commits = [page(chance, number) for number in range(STRAIGHT_PAGES)]
    cpu, disk, longest = time.process_time(), written(), Longest()
    for commit in commits:
        with longest.of(), store.writing() as connection:
            rows = commit.profiles.with_columns(pl.col("id").reinterpret(signed=True))
            profile_tree.upsert(connection, 1, profile_log.newest([rows]))
    n = STRAIGHT_PAGES * PAGE
    return Cost((time.process_time() - cpu) / n * 1e6, (written() - disk) / n / 1e3, longest.ms)


def looked_up(store: Store, chance: random.Random) -> float:
    """CPU µs to find out that a profile is new."""
    pages = [ids(chance, PAGE) for _ in range(LOOKS)]
    cpu = time.process_time()
    for each in pages:
        store.profiles("users", each)
    return (time.process_time() - cpu) / LOOKS / PAGE * 1e6


def main() -> None:
    """Measure at each size."""
    if SETTINGS.keys() - os.environ.keys():  # polars reads them when it is imported, and the daemon sets them before
        os.execve(sys.executable, [sys.executable, "-m", "bench.state_size", *sys.argv[1:]], {**SETTINGS, **os.environ})
    print(f"{'profiles':>12} {'':<14}{'CPU':>10}{'written':>12}{'longest commit':>17}{'look-up':>10}")
    figures: list[dict[str, Any]] = []
    for n in map(int, sys.argv[1:] or SIZES):
        with tempfile.TemporaryDirectory(prefix="smartico-sync-bench-") as home:
            with Store.open(Path(home) / "sync.db") as store:
                store.begin("users", "", "first", 1)
                fill(store, n)
            chance = random.Random(7)
            for name, measure in (("straight", straight), ("with the log", logged)):
                os.sync()  # what was written before is not flushed by these commits
                with Store.open(Path(home) / "sync.db") as store:
                    store.look_through()
                    cost, look = measure(store, chance), looked_up(store, chance)
                figures.append({"profiles": n, "way": name, **asdict(cost), "look_up_us": look})
                print(
                    f"{n:>12,} {name:<14}{cost.cpu_us:>7.1f} µs{cost.written_kb:>9.2f} KB{cost.longest_ms:>14.0f} ms{look:>7.1f} µs",
                    flush=True,
                )
    keep("state_size", figures)


if __name__ == "__main__":
    main()
