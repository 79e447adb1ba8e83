"""What the state keeps of a view's definition."""

from __future__ import annotations

import pytest

from smartico_sync.core.definition import Definition

BETS = Definition(
    "casino_bets", "postgresql://replica:5432/casino", "crm.bets", "", "é", ("casino_bet",), "id", ("id",), ("id", "x")
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
