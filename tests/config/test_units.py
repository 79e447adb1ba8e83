"""Durations and sizes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartico_sync.config.units import Bytes, Milliseconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200ms", 200),
        ("5s", 5_000),
        ("10m", 600_000),
        ("1h", 3_600_000),
        ("7d", 604_800_000),
        (" 10 S ", 10_000),
        ("0s", 0),
    ],
)
def test_durations(text, expected):
    """Durations are whole milliseconds."""
    assert Milliseconds().parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10MB", 10_000_000), ("512KB", 512_000), ("8MiB", 8_388_608), ("1kib", 1_024), ("2GB", 2 * 10**9), ("7B", 7)],
)
def test_sizes(text, expected):
    """Sizes are whole bytes; KB counts thousands, KiB 1024s."""
    assert Bytes().parse(text) == expected


@settings(max_examples=100)
@given(st.integers(0, 10**14), st.sampled_from([Milliseconds(), Bytes()]))
def test_a_written_quantity_reads_back(value, quantity):
    """What `text` writes, `parse` reads, and editors accept it."""
    text = quantity.text(value)
    assert quantity.parse(text) == value
    assert re.search(quantity.pattern, text)


@settings(max_examples=100)
@given(st.text(max_size=8), st.sampled_from([Milliseconds(), Bytes()]))
def test_editors_and_the_daemon_agree(text, quantity):
    """The published pattern accepts exactly what `parse` accepts."""
    try:
        quantity.parse(text)
    except ValueError:
        assert not re.fullmatch(quantity.pattern.strip("^$"), text, re.ASCII)
    else:
        assert re.fullmatch(quantity.pattern.strip("^$"), text)


@pytest.mark.parametrize(
    "text", ["5", "", "s", "5 minutes", "-5s", "1.5h", "5s5s", "\N{ARABIC-INDIC DIGIT ONE}s", "9" * 16 + "s", "off"]
)
def test_anything_else_is_refused_with_what_is_expected(text):
    """A number without a unit is not guessed at."""
    with pytest.raises(ValueError, match="200ms, 5s, 10m, 1h, 7d"):
        Milliseconds().parse(text)


def test_off_and_bounds():
    """`off` is allowed only where it makes sense, and bounds are told as people write them."""
    assert Milliseconds(never="off").parse("off") is None
    assert Milliseconds(never="off").text(None) == "off"
    with pytest.raises(ValueError, match="at least 50ms"):
        Milliseconds(at_least=50).parse("49ms")
    with pytest.raises(ValueError, match="at most 1d"):
        Milliseconds(at_most=86_400_000).parse("25h")


@pytest.mark.parametrize(("quantity", "text"), [(Milliseconds(), "999999999999999d"), (Bytes(), "1000001GB")])
def test_what_nobody_can_mean_is_refused(quantity, text):
    """A key that was held down: no clock and no disk goes that far, and what counts with it would fail later."""
    with pytest.raises(ValueError, match="at most"):
        quantity.parse(text)
