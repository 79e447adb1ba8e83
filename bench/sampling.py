"""Which verb the CPU of the daemon goes to, sampled from inside it: nothing has to be installed, and nothing of it is changed.

Hundreds of times a second what each thread's own clock says since the last sample goes to the verb of what it does: the innermost
frame that has one; where it waits by now, to what it did before. What is of no thread of Python's is of polars' own: it goes to
whoever waits for a query, and where several do, in equal parts.

Usage: python -m bench.sampling FILE run …     be the daemon, and keep in FILE the CPU seconds so far, by verb and by module
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import FrameType

__all__ = ["OVER", "VERBS", "WRITE_EVERY_S", "verb_of"]

# What is looked at for long is looked at less often: a look at many threads takes some 0.2 ms.
EVERY_S = float(os.environ.get("BENCH_SAMPLE_S", "0.001"))
SWITCH_S = 0.0003  # until a thread that runs gives way to the sampler: a poll of one row takes some milliseconds
ALONE_S = 1.0  # the sampler itself gives way to nobody: a frame whose thread runs meanwhile may be none any more
WAITS = (
    "/threading.py", "/queue.py", "/selectors.py", "/socketserver.py", "tracking/mailbox.py", "tracking/clocks.py", "state/together.py",
)  # fmt: skip
WRITE_EVERY_S = 0.5
OVER = ".over"
DEEPEST = 500  # frames; a stack that changes meanwhile may lead back to itself
OURS = "/smartico_sync/"
# Where a frame's file, as seen from the package, begins with this it does this. The longest that fits decides.
PLACES = {
    "sources/": "read", "tracking/late": "read", "tracking/page": "read", "tracking/next_page": "read", "tracking/quiet": "read",
    "tracking/read_result": "read", "tracking/null_counts": "read", "tracking/newest_rows": "read", "tracking/source_checks": "read",
    "tracking/anchor": "read", "tracking/mutation_scan": "read", "core/late_commit": "read", "core/position": "read",
    "core/mapping": "map", "core/view_mapping": "map", "core/conversion": "map", "core/validation": "map", "core/events": "map",
    "core/few_rows": "map", "core/few_texts": "map", "core/identity": "map", "core/planning": "map", "core/verdicts": "map",
    "core/pipeline": "map", "core/moments": "map", "core/row_values": "map", "core/uniqueness": "map", "tracking/key_watch": "map",
    "core/diff": "diff", "core/few_diff": "diff", "core/few_profiles": "diff", "core/part_prints": "diff", "tracking/fingerprints": "diff",
    "pii/": "protect", "core/encryption": "protect",
    "core/batches": "deliver", "delivery/": "deliver", "core/outbox": "deliver", "tracking/sender": "deliver",
    "tracking/event_sender": "deliver", "tracking/pages_in_flight": "deliver",
    "delivery/transport": "HTTP", "delivery/request.py": "HTTP", "delivery/exchange": "HTTP",
    "state/": "commit", "core/ledger_keys": "commit", "core/outcome": "commit", "core/records": "commit",
    "observe/": "watch",
    "config/": "start", "cli/": "start", "daemon/start": "start", "daemon/wiring": "start", "catalogue/": "start",
}  # fmt: skip
HTTP = ("/urllib3/", "/http/client.py", "/httpx/", "/httpcore/", "/ssl.py", "/socket.py")
IMPORTS = "<frozen importlib"
VERBS = ("start", "read", "map", "diff", "protect", "deliver", "HTTP", "commit", "watch", "other")


def verb_of(files: list[str]) -> str:
    """What a thread does whose frames are in these files, the innermost first."""
    if any(file.startswith(IMPORTS) for file in files):
        return "start"
    for file in files:
        if any(part in file for part in HTTP):
            return "HTTP"
        _, ours, place = file.rpartition(OURS)
        if ours and (fits := [begin for begin in PLACES if place.startswith(begin)]):
            return PLACES[max(fits, key=len)]
    return "other"


def module_of(files: list[str]) -> str:
    """The innermost of our own modules."""
    return next((file.rpartition(OURS)[2] for file in files if OURS in file), files[0] if files else "")


def clocks() -> dict[int, float]:
    """CPU seconds of each thread of Python's that runs.

    `threading.enumerate` is not asked: it takes a lock that each beginning and ending thread wants, and the sampler may be held up in it.
    """
    read: dict[int, float] = {}
    for each in sys._current_frames():  # noqa: SLF001 - a thread without a frame has no clock any more
        with suppress(OSError):  # it has ended in this moment
            read[each] = time.clock_gettime(time.pthread_getcpuclockid(each))
    return read


def waits(files: list[str]) -> bool:
    """Whether a thread with these frames waits for others or for the time."""
    return bool(files) and any(part in files[0] for part in WAITS)


def files_of(frame: FrameType | None) -> list[str]:
    """The files of a stack, the innermost first; the outer ones are missing where it moved on meanwhile."""
    found: list[str] = []
    with suppress(AttributeError):  # what Python 3.11 then has in a frame's place is none
        while frame is not None and len(found) < DEEPEST:
            found.append(frame.f_code.co_filename)
            frame = frame.f_back
    return found


class Sampler:
    """Counts CPU seconds by verb from when it begins."""

    def __init__(self, file: Path) -> None:
        self.file, self.verbs, self.modules = file, Counter[str](), Counter[str]()
        self.before = time.process_time()
        self.verbs["start"] = self.before  # the interpreter
        self.left, self.missed = 0.0, 0
        self.seen: dict[int, tuple[float, list[str]]] = {}
        self.thread = threading.Thread(target=self.work, name="sampler", daemon=True)

    def work(self) -> None:
        """Until the process ends, or a file of its own says that it is over."""
        written, over = time.monotonic(), self.file.with_suffix(OVER)
        while True:
            time.sleep(EVERY_S)
            sys.setswitchinterval(ALONE_S)
            try:
                self.sample()
            # Threads end, and Python 3.11 may hand out what is no frame; the next sample has what this one lacks.
            except Exception:
                self.missed += 1
            finally:
                sys.setswitchinterval(SWITCH_S)
            if time.monotonic() - written >= WRITE_EVERY_S:
                written = time.monotonic()
                self.write()
                if over.exists():
                    return

    def sample(self) -> None:
        """Give what each thread took since the last time to what it does."""
        now = time.process_time()
        left, self.before = self.left + now - self.before, now
        took = {}
        for ident, clock in clocks().items():
            then, was = self.seen.get(ident, (0.0, []))
            if clock != then:
                took[ident] = clock - then if clock > then else clock  # another thread's number may be a new one's
                self.seen[ident] = (clock, was)
        frames = sys._current_frames()  # noqa: SLF001 - the only way to a thread's frames
        stacks = {ident: files_of(frames.get(ident)) for ident in took}
        for ident, seconds in took.items():
            left -= seconds
            clock, was = self.seen[ident]
            self.seen[ident] = (clock, files := stacks[ident])
            if ident != self.thread.ident:
                self.count(was if waits(files) and was and not waits(was) else files, seconds)
        waiting = [files for _, files in self.seen.values() if files and "/polars/" in files[0]]
        self.left = min(0.0, left)  # clocks are not read at one moment
        for files in waiting or [[]]:
            self.count(files, max(0.0, left) / max(1, len(waiting)))

    def count(self, files: list[str], seconds: float) -> None:
        """Add what was spent there."""
        self.verbs[verb_of(files)] += seconds
        self.modules[module_of(files)] += seconds

    def write(self) -> None:
        """Keep what there is, whole."""
        beside = self.file.with_suffix(".new")
        beside.write_text(
            json.dumps(
                {"verbs": self.verbs, "modules": self.modules, "process_s": time.process_time(), "missed": self.missed}
            )
        )
        beside.rename(self.file)


def main() -> None:
    """Begin before anything of ours is imported."""
    sampler = Sampler(Path(sys.argv.pop(1)))
    sys.setswitchinterval(SWITCH_S)
    sampler.thread.start()
    atexit.register(sampler.write)
    from smartico_sync.cli import main as command  # noqa: PLC0415 - its import is sampled, too

    command()


if __name__ == "__main__":
    main()
