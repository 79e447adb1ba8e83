"""Event ids, the log, and what is known again after a restart."""

from __future__ import annotations

import uuid

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.errors import ConfigError
from smartico_sync.sandbox.accepted_events import AcceptedEvents, packed, split

texts = st.text(max_size=40) | st.uuids().map(str) | st.uuids().map(lambda u: str(u).upper())
texts |= st.text("0123456789abcdef- ", min_size=36, max_size=36)


@given(st.lists(texts, max_size=8))
def test_packed_tells_eids_apart(eids):
    """Different eids have different 16 bytes, whatever they look like; only a UUID's case makes no difference."""
    keys = packed(eids)
    assert {len(key) for key in keys} <= {16}
    assert keys == [packed([eid])[0] for eid in eids]

    def same(eid):
        try:
            return str(uuid.UUID(eid)) if str(uuid.UUID(eid)) == eid.lower() else eid
        except ValueError:
            return eid

    assert len(set(keys)) == len(set(map(same, eids)))


def test_packed_refuses_other_types():
    """An eid that is no string is a TypeError, before anything is written down."""
    with pytest.raises(TypeError):
        packed(["a", 5])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@pytest.mark.slow
@given(st.lists(st.dictionaries(st.text(), json_values), max_size=4), st.sampled_from([0, orjson.OPT_INDENT_2]))
def test_split_keeps_every_element(elements, option):
    """A body is cut into its elements, each on one line, with the same content."""
    lines = split(orjson.dumps(elements, option=option))
    assert [orjson.loads(line) for line in lines] == elements
    assert not any(b"\n" in line for line in lines)


def test_split_keeps_every_digit():
    """Numbers are never read and written again."""
    body = b'[{"a":12.500000000000000000001,"b":1E5},\n {"a" : 0.10}]'
    assert split(body) == [b'{"a":12.500000000000000000001,"b":1E5}', b'{"a" : 0.10}']


def test_an_unusable_log_is_a_configuration_error(tmp_path):
    """A log that is something else, or cannot be written, is told in one line with what to do."""
    other = tmp_path / "other"
    other.write_text("hello\n")
    for path in (other, tmp_path):
        with pytest.raises(ConfigError) as error:
            AcceptedEvents(path)
        assert error.value.hint
