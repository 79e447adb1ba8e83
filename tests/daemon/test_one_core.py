"""While little is to do the daemon's threads share one core, and they have all of them as soon as there is more."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from smartico_sync.daemon.one_core import CALM, CALM_LOOKS, FULL, Look, OneCore, wanted
from waiting import until

CORES = 4
several = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="one core only"
)
share = st.floats(0, 1)
taken: list[Look] = []


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nobody else wants a core: other tests do."""
    taken.clear()

    def take() -> Look:
        taken.append(Look(time.monotonic(), time.process_time(), {}))
        return taken[-1]

    monkeypatch.setattr(Look, "taken", take)


def looks(own: list[float], busy: list[list[float]]) -> list[Look]:
    """A look a second, after which our process and each core were used that much."""
    found = [Look(0.0, 0.0, dict.fromkeys(range(CORES), 0.0))]
    for at, (mine, cores) in enumerate(zip(own, busy, strict=True), 1):
        before = found[-1].busy_s
        found.append(Look(float(at), found[-1].own_s + mine, {c: before[c] + cores[c] for c in before}))
    return found


def quiet(own: list[float], *busy: float) -> list[Look]:
    """The same, where each core is used in the same way each second."""
    return looks(own, [[*busy]] * len(own))


def test_a_process_with_little_to_do_is_held_on_the_core_that_is_used_least():
    assert wanted(quiet([0.2] * CALM_LOOKS, 0.5, 0.3, 0.1, 0.4), None, range(CORES)) == 2


def test_only_among_the_cores_that_it_may_use():
    assert wanted(quiet([0.2] * CALM_LOOKS, 0.5, 0.3, 0.1, 0.4), None, {0, 3}) == 3


def test_it_is_not_held_before_it_has_been_calm_for_a_while():
    assert wanted(quiet([0.2] * (CALM_LOOKS - 1), 0.1, 0.1, 0.1, 0.1), None, range(CORES)) is None


def test_it_is_not_held_while_it_has_much_to_do():
    assert wanted(quiet([CALM + 0.1] * CALM_LOOKS, 0.1, 0.1, 0.1, 0.1), None, range(CORES)) is None


def test_it_is_not_held_where_no_core_has_room_for_it():
    assert wanted(quiet([0.3] * CALM_LOOKS, 0.6, 0.7, 0.6, 0.9), None, range(CORES)) is None


def test_it_is_let_go_when_it_wants_more():
    assert wanted(quiet([0.2, 0.9], 0.9, 0.0, 0.0, 0.0), 0, range(CORES)) is None


def test_it_is_let_go_when_others_want_its_core():
    assert wanted(looks([0.2, 0.1], [[0.2, 0, 0, 0], [1.0, 0, 0, 0]]), 0, range(CORES)) is None


def test_it_is_let_go_where_the_kernel_tells_of_no_core():
    assert wanted([Look(0.0, 0.0, {}), Look(1.0, 0.9, {})], 0, range(CORES)) is None


def test_it_stays_where_it_is_held_while_there_is_room():
    assert wanted(quiet([0.6, 0.6], 0.7, 0.0, 0.0, 0.0), 0, range(CORES)) == 0


@given(
    st.lists(st.tuples(share, st.lists(share, min_size=CORES, max_size=CORES)), min_size=1, max_size=CALM_LOOKS),
    st.sets(st.integers(0, CORES - 1), min_size=1),
    st.data(),
)
def test_nobody_is_held_where_he_may_not_be_nor_on_a_full_core(told, allowed, data):
    seen = looks([mine for mine, _ in told], [busy for _, busy in told])
    held = data.draw(st.one_of(st.none(), st.sampled_from(sorted(allowed))))
    core = wanted(seen, held, allowed)
    if core is None:
        return
    assert core in allowed
    if held is None:
        assert seen[-1].own_s - seen[0].own_s < CALM * CALM_LOOKS
    else:
        assert core == held
        assert seen[-1].busy_s[core] - seen[-2].busy_s[core] <= FULL + 1e-6
        assert all(after.own_s - before.own_s <= FULL + 1e-6 for before, after in [*pairwise(seen)][-1:])


def cores_of_threads() -> list[frozenset[int]]:
    """Where each thread of this process may run."""
    return [frozenset(os.sched_getaffinity(int(task.name))) for task in Path("/proc/self/task").iterdir()]


@several
@pytest.mark.slow
@pytest.mark.usefixtures("machine")
def test_all_threads_are_moved_and_those_that_others_have_moved_are_left():
    everywhere, done, apart = frozenset(os.sched_getaffinity(0)), threading.Event(), threading.Event()
    last = max(everywhere)

    def elsewhere() -> None:
        os.sched_setaffinity(0, {last})
        apart.set()
        done.wait()

    threads = [threading.Thread(target=work) for work in (done.wait, elsewhere)]
    for thread in threads:
        thread.start()
    try:
        assert apart.wait(10)
        with OneCore(look_s=0.05):
            until(lambda: set(map(len, cores_of_threads())) == {1}, 0.01)
            busy = [threading.Thread(target=hash_until, args=(done,)) for _ in range(2)]
            for thread in busy:
                thread.start()
            threads += busy
            until(lambda: cores_of_threads().count(everywhere) == len(cores_of_threads()) - 1, 0.01)
            assert frozenset({last}) in cores_of_threads()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert set(cores_of_threads()) == {everywhere}


@several
@pytest.mark.slow
@pytest.mark.usefixtures("machine")
def test_where_a_look_fails_everybody_is_let_go_and_the_log_says_so(monkeypatch):
    everywhere = frozenset(os.sched_getaffinity(0))

    def fail(*_: object) -> None:
        raise ValueError("no such thing")

    with capture_logs() as logs, OneCore(look_s=0.05):
        until(lambda: set(map(len, cores_of_threads())) == {1}, 0.01)
        monkeypatch.setattr(Look, "taken", fail)
        until(lambda: set(cores_of_threads()) == {everywhere}, 0.01)
    (told,) = (line for line in logs if line["log_level"] == "error")
    assert "ValueError" in told["reason"]


@several
@pytest.mark.slow
@pytest.mark.usefixtures("machine")
def test_at_its_end_everybody_is_let_go():
    everywhere = frozenset(os.sched_getaffinity(0))
    with OneCore(look_s=0.05):
        until(lambda: set(map(len, cores_of_threads())) == {1}, 0.01)
    assert set(cores_of_threads()) == {everywhere}


@several
@pytest.mark.slow
@pytest.mark.usefixtures("machine")
def test_what_somebody_says_of_its_cores_is_obeyed():
    everywhere = frozenset(os.sched_getaffinity(0))
    one = min(everywhere)
    try:
        for task in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(task.name), {one})
        with OneCore(look_s=0.01):
            until(lambda: len(taken) > CALM_LOOKS + 1, 0.01)
            assert set(cores_of_threads()) == {frozenset({one})}
        assert set(cores_of_threads()) == {frozenset({one})}
    finally:
        for task in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(task.name), everywhere)


def hash_until(done: threading.Event) -> None:
    """Work for which the global lock is given away."""
    while not done.is_set():
        hashlib.sha256(bytes(1_000_000)).digest()
