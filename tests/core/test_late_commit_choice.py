"""Choosing a mechanism, and what a key scan covers."""

from __future__ import annotations

import polars as pl
import pytest

from smartico_sync.catalogue.engines import ENGINES
from smartico_sync.core.late_commit.choice import choose
from smartico_sync.core.late_commit.mechanism import KeyScan
from smartico_sync.core.position import Position

NO_FENCE = "MariaDB shows nothing of its open transactions"


@pytest.mark.parametrize(
    ("policy", "cursor", "reason", "expected"),
    [
        ("auto", "integer", "", "fence + lookback"),
        ("auto", "instant", "", "fence + lookback"),
        ("auto", "integer", NO_FENCE, "gaps"),
        ("auto", "decimal", NO_FENCE, "gaps"),
        ("auto", "timestamp", NO_FENCE, "lookback"),
        ("auto", "date", NO_FENCE, "lookback"),
        ("gaps", "integer", "", "gaps"),
        ("lookback", "instant", "", "lookback"),
        ("lookback", "integer", NO_FENCE, "lookback"),
        ("fence", "instant", "", "fence"),
    ],
)
def test_a_policy_that_can_work_is_followed(policy, cursor, reason, expected):
    """The policy's own mechanism, or for auto the strongest that fits, with a sentence why."""
    choice = choose(policy, cursor, "", reason)
    assert (choice.mechanism, choice.problem) == (expected, "")
    assert choice.why


@pytest.mark.parametrize(
    ("policy", "cursor", "reason", "nearest", "says"),
    [
        ("fence", "integer", NO_FENCE, "gaps", NO_FENCE),
        ("fence", "uuid", "", None, "does not grow"),
        ("gaps", "timestamp", NO_FENCE, "lookback", "integer cursor"),
        ("lookback", "uuid", NO_FENCE, None, "timestamp"),
        ("auto", "text", NO_FENCE, None, "cannot be found"),
    ],
)
def test_a_policy_that_cannot_work_says_so(policy, cursor, reason, nearest, says):
    """An impossible policy is a problem with a reason and the change that mends it, never a silent fallback."""
    choice = choose(policy, cursor, "", reason)
    assert choice.mechanism == nearest
    assert says in choice.problem
    assert choice.hint


def test_rows_that_share_an_id_are_not_found_by_missing_ones():
    """Then keys are scanned again; who asks for gaps all the same is told what speaks against it."""
    shared = "several rows have one id"
    assert choose("auto", "integer", "", NO_FENCE, shared).mechanism == "lookback"
    assert choose("auto", "integer", "", "", shared).mechanism == "fence + lookback"
    asked = choose("gaps", "integer", "", NO_FENCE, shared)
    assert (asked.mechanism, asked.promise) == ("gaps", "in doubt")
    assert shared in asked.why
    assert choose("gaps", "integer", "", NO_FENCE).promise == "kept"


def test_unordered_ids_are_warned_of():
    """Where ids are not ordered, the choice of gaps says so."""
    for scheme, words in {"oracle": "RAC", "mongodb": "made by clients"}.items():
        assert words in choose("auto", "integer", ENGINES[scheme].ids, "no fence").why
        assert words in choose("gaps", "integer", ENGINES[scheme].ids, "no fence").why
        assert words not in choose("auto", "timestamp", ENGINES[scheme].ids, "no fence").why


def test_what_lies_beyond_the_head_is_cut_off():
    """Rows that share the head's cursor and come after it are left to the next page."""
    keys = pl.DataFrame({"@cursor": ["1", "2", "2", "2"], "@key.0": ["x", "a", "b", "c"]})
    scan = KeyScan(Position("1", ("w",)), "2", "full", 1, ("b",))
    assert scan.low == "1"
    assert scan.covered(keys)["@key.0"].to_list() == ["x", "a", "b"]
    assert scan.covered(keys.filter(pl.col("@key.0") != "b")).height == 3
    assert KeyScan(None, "2", "full", 1).covered(keys).height == 4
    assert scan.covered(keys.head(0)).height == 0
