"""What many views ask a source for when they are opened together is asked once."""

from __future__ import annotations

import pytest

from smartico_sync.errors import SourceUnreachable
from smartico_sync.sources.kit import recent
from smartico_sync.sources.kit.recent import KEPT_S, Recent


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(recent.time, "monotonic", lambda: now[0])
    return now


def test_an_answer_is_good_for_a_second_from_when_it_was_asked_for(clock):
    answers, kept = iter("abc"), Recent()

    def ask():
        clock[0] += 0.25
        return next(answers)

    assert kept.get(ask) == ("a", 0.0)
    assert kept.get(ask) == ("a", 0.25)
    clock[0] += KEPT_S - 0.25
    assert kept.get(ask) == ("b", 0.0)


def test_nothing_is_kept_of_a_server_that_had_trouble(clock):
    answers, kept = iter("ab"), Recent()
    kept.get(lambda: next(answers))
    kept.forget()
    assert kept.get(lambda: next(answers)) == ("b", 0.0)


def test_trouble_is_no_answer(clock):
    kept = Recent()

    def ask():
        raise SourceUnreachable("gone")

    for _ in range(2):
        with pytest.raises(SourceUnreachable):
            kept.get(ask)
    assert kept.get(lambda: "back") == ("back", 0.0)
