"""What the state keeps of a view's definition."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from smartico_sync.core.definition import Definition, changes

BETS = Definition(
    "casino_bets",
    "postgresql://replica:5432/casino",
    "crm.bets",
    "",
    "é",
    ("casino_bet",),
    "id",
    "integer",
    ("id",),
    ("id", "x"),
    (),
)


def test_a_definition_is_read_back_as_it_was_written():
    """Equal definitions, equal texts."""
    assert Definition.of(BETS.text()) == BETS
    assert Definition.of(BETS.text()).text() == BETS.text()


@pytest.mark.parametrize("text", ["", "deposits cursor=id", "[]", "{}", '{"kind": "users"}'])
def test_what_is_no_definition_is_refused(text):
    """A damaged text is a ValueError, whatever is wrong with it."""
    with pytest.raises(ValueError):
        Definition.of(text)


@pytest.mark.parametrize(
    ("changed", "weights"),
    [
        ({}, []),
        ({"identity": ("id",), "content": ("x",)}, []),
        ({"cursor": "at", "family": "instant"}, ["stops", "stops"]),
        ({"family": "instant"}, ["stops"]),
        ({"key": ("id", "x")}, ["stops"]),
        ({"kind": "casino_wins", "event_types": ("casino_win",)}, ["stops", "stops"]),
        ({"brand": ""}, ["stops"]),
        ({"place": "elsewhere"}, ["to verify"]),
        ({"relation": "", "query": "0011"}, ["to verify", "to verify"]),
    ],
)
def test_each_change_has_its_weight(changed, weights):
    """What ids and watermark hang on stops a view; where its rows come from is to be verified; the rest is no change."""
    found = changes(BETS, replace(BETS, **changed))
    assert [change.weight for change in found] == weights
    assert all(change.consequence and change.way_out and change.before != change.now for change in found)


def test_no_hash_is_shown():
    """Of a query only its presence is told, of a database that it is another one."""
    found = changes(BETS, replace(BETS, place="elsewhere", relation="", query="0011"))
    assert [(change.before, change.now) for change in found] == [
        ("another one", "this one"), ("crm.bets", "none"), ("none", "this one"),
    ]  # fmt: skip
