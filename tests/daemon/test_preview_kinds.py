"""`smartico-sync preview` of every kind, those with a `type:` column and the custom ones among them, against what the API took."""

from __future__ import annotations

import json

import pytest

import engines
from catalogue.native import TABLES
from catalogue.test_native import made, words

ENVELOPE = ("eid", "event_date", "ext_brand_id", "user_ext_id", "event_type", "payload")


@pytest.fixture
def database(request):
    for served in engines.serve("sqlite", request):
        served.called = "sqlite"
        yield served


@pytest.mark.slow
def test_every_kind_is_shown_as_it_is_sent(database, operator):
    """Each event of a preview is, to the byte of its numbers, an event that `run` sends, and no other is."""
    views = []
    for name in TABLES:
        table = made(database, name)
        view = {"name": name, "source": "db", "relation": f"seen_{name}", "kind": name, **words(table.view)}
        views.append(f"  - {json.dumps(view)}\n")
    operator.configure(database.url, "".join(views))
    text = operator.config.read_text("utf-8")
    operator.config.write_text(text.replace(f"key: {operator.key}", "mode: plain"), "utf-8")
    shown = {}
    for name in TABLES:
        done = operator.sync("preview", name, "--limit", "1000")
        assert done.returncode in {0, 6}, (name, done.stderr)
        shown[name] = [flat(event) for event in json.loads(done.stdout or "[]", parse_float=str, parse_int=str)]
    operator.sync("run", "--once")
    sent = [
        flat(json.loads(line, parse_float=str, parse_int=str)) for line in operator.log.read_text("utf-8").splitlines()
    ]
    transactions = [event for name, events in shown.items() if name != "users" for event in events]
    assert all(shown.values())
    assert sorted(transactions) == sorted(event for event in sent if '"update_profile"' not in event)


def flat(event):
    return json.dumps({name: event[name] for name in ENVELOPE}, sort_keys=True)
