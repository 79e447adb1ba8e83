"""`python -m bench.profile` gives the CPU of a thread to the verb of what it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.sampling import PLACES, VERBS, verb_of

PACKAGE = Path(__file__).parents[2] / "src" / "smartico_sync"


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_in_the_package(place):
    """A module that was renamed would be counted as something else without anybody noticing."""
    assert list(PACKAGE.glob(f"{place}*")), place
    assert PLACES[place] in VERBS


@pytest.mark.parametrize(
    ("files", "verb"),
    [
        (["/x/polars/lazyframe/frame.py", "/x/smartico_sync/core/mapping.py", "/x/smartico_sync/tracking/loop.py"], "map"),
        (["/x/urllib3/connection.py", "/x/smartico_sync/delivery/dispatch.py"], "HTTP"),
        (["/x/smartico_sync/delivery/dispatch.py", "/x/threading.py"], "deliver"),
        (["/x/smartico_sync/delivery/transport.py", "/x/smartico_sync/delivery/dispatch.py"], "HTTP"),
        (["<frozen importlib._bootstrap>", "/x/smartico_sync/state/store.py"], "start"),
        (["/x/smartico_sync/core/arrays.py", "/x/smartico_sync/core/diff.py"], "diff"),
        (["/x/threading.py"], "other"),
        ([], "other"),
    ],
)  # fmt: skip
def test_the_innermost_frame_that_has_a_verb_decides(files, verb):
    """What a library does is done for whoever called it."""
    assert verb_of(files) == verb
