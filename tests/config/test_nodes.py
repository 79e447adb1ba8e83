"""libyaml and PyYAML make the same nodes of what is YAML, and nobody but PyYAML says what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from smartico_sync.config.nodes import by_pyyaml, composed, quickly

PARTS = (
    "a", "b: ", "- ", "? ", ": ", ":", "[", "]", "{", "}", ", ", "\n", "\n  ", " ", '"', "'", "|\n", ">-\n", " #", "&x ", "*x",
    "!t ", "!!str ", "~", "null", "<<: ", "\t", "é", "😀", "\ufeff", "\x85", "\u2028", "\r\n", "\r", "%", "@", "---\n", "...\n",
    "\\n", "\\", "${V}", "1", "2026-01-01", "''",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(PARTS), max_size=14).map("".join)


def told(node: yaml.Node | None) -> Any:
    """A node with all that is in it: its place, its tag and what it says."""
    if node is None:
        return None
    own = (type(node), node.tag, node.start_mark.line, node.start_mark.column)
    if isinstance(node, yaml.MappingNode):
        return (*own, [(told(key), told(value)) for key, value in node.value])
    return (*own, [told(each) for each in node.value] if isinstance(node, yaml.SequenceNode) else node.value)


@given(
    text=TEXTS.filter(lambda text: "*x" not in text) | TEXTS.map(lambda text: f"a: &x 1\n{text}"),
    end=st.sampled_from(["", "\n"]),
)
def test_what_pyyaml_takes_is_the_same_nodes(text, end):
    try:
        expected = told(by_pyyaml(text + end))
    except yaml.YAMLError:
        assume(False)
    except RecursionError:  # an alias in itself
        with pytest.raises(RecursionError):
            told(composed(text + end))
        return
    assert told(composed(text + end)) == expected


def test_libyaml_is_there():
    assert quickly is not by_pyyaml


@pytest.mark.parametrize(
    "text", ["a: [\n", "a: 1\n b: 2\n", "\ta: 1\n", "a: \x07\n", "a: \ud800\n", "a: *x\n", "a\n---\nb\n"]
)
def test_what_is_no_yaml_is_told_by_pyyaml(text):
    with pytest.raises(yaml.YAMLError) as expected:
        by_pyyaml(text)
    with pytest.raises(yaml.YAMLError) as told:
        composed(text)
    assert (type(told.value), str(told.value)) == (type(expected.value), str(expected.value))


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{a: " * 5_000, "[" * 1_000 + "]" * 1_000])
def test_what_is_too_deep_ends_nothing(text):
    with pytest.raises(RecursionError):
        composed(f"{text}\n")
