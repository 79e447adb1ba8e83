"""What a view of messages cannot say: each word is refused with why, and what to do."""

from __future__ import annotations

import pytest

from smartico_sync.config.load import load
from smartico_sync.errors import ConfigError
from smartico_sync.pii.keys import new_key


def told(directory, more):
    """What is said of a view of a topic with some more words."""
    config = directory / "views.yaml"
    config.write_text(
        f"version: 1\nsmartico: {{url: 'http://127.0.0.1:9/', token: t}}\nstate: ./sync.db\npii: {{key: {new_key()}}}\n"
        f"sources: {{bus: {{url: 'kafka://127.0.0.1:9'}}}}\nviews:\n  - {{name: bets, source: bus, relation: bets, kind: casino_bets, {more}}}\n"
    )
    config.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        load(config)
    return caught.value.message


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("cursor: id", "a message has its place, and no cursor"),
        ("every: 1s", "messages come by themselves"),
        ("late_commit: auto", "never behind one that was read"),
        ("lookback: 1m", "never behind one that was read"),
        ("gaps_wait: 1m", "nothing is waited for"),
        ("settle: 1s", "no fence that a writer could hold"),
        ("pin_cap: 1m", "no fence that a writer could hold"),
        ("root: a..b", "expected names with dots between them"),
        ("where: {headers..type: x}", "or names with dots between them"),
        ("fields: {bet_id: a..b}", "and names with dots between them"),
        ("start_from: yesterday", "expected first, now, or a time"),
        ("version: level", "is for profiles"),
    ],
)
def test_what_messages_cannot_have_is_refused_with_a_reason(tmp_path, more, said):
    """By its line."""
    assert said in told(tmp_path, more)
