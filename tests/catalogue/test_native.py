"""Every kind, from tables as operators have them, on four databases: one wire. `SYNC_GOLDEN=write` writes the golden files anew."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

import engines
from catalogue.native import ENGINES, TABLES, TYPES, literal
from smartico_sync.catalogue.kinds import KINDS
from smartico_sync.config.models import Configuration
from smartico_sync.core.batches import encode
from smartico_sync.core.diff import nothing_known
from smartico_sync.core.pipeline import PipelineOptions, prepare
from smartico_sync.sandbox.contract import Contract
from smartico_sync.tracking import prepared_view

GOLDEN = Path(__file__).parent.parent / "golden" / "native"
NOW_MS = 1_780_000_000_000


# A MariaDB that calls itself MySQL is one more of the same; the real MySQL is what `make test` runs.
PARAMETERS = [pytest.param(name, marks=pytest.mark.slow if name == "mysql" else ()) for name in ENGINES]


@pytest.fixture(params=PARAMETERS)
def database(request):
    for served in engines.serve(request.param, request):
        served.called = request.param
        yield served


def made(database, name):
    """The table of that kind."""
    table, types = TABLES[name], TYPES[database.called]
    declared = ", ".join(f"{database.quoted(column)} {types[word]}" for column, word in table.columns.items())
    database.execute(f"CREATE TABLE {database.quoted(f'seen_{name}')} ({declared})")
    for row in table.rows:
        values = ", ".join(
            literal(database.name, word, value) for word, value in zip(table.columns.values(), row, strict=True)
        )
        database.execute(f"INSERT INTO {database.quoted(f'seen_{name}')} VALUES ({values})")
    return table


def words(value):
    """A configuration's values as YAML hands them over: text."""
    if isinstance(value, dict):
        return {key: words(each) for key, each in value.items()}
    return [words(each) for each in value] if isinstance(value, list) else value if value is None else str(value)


def wire(database, source, name):
    """What the daemon would send of that table, and what became of the other rows."""
    table = made(database, name)
    view = {"name": name, "source": "db", "relation": f"seen_{name}", "kind": name, **words(table.view)}
    configuration = Configuration.model_validate(
        {
            "version": 1,
            "smartico": {"url": "http://x/y", "token": "t"},
            "pii": {"mode": "plain"},
            "sources": {"db": {"url": database.url}},
            "views": [view],
        }
    )
    prepared = prepared_view.prepare(configuration, configuration.views[0], source)
    with source.reading(prepared.relation) as reading:
        page = reading.page(None, 100)
    done = prepare(
        page, PipelineOptions(mapping=prepared.mapping, secret=bytes(32), park_ms=0), lambda _: nothing_known(), NOW_MS
    )
    events = json.loads(encode(done.send), parse_float=Decimal, parse_int=Decimal)
    sound = Contract().findings(json.loads(encode(done.send)))
    for event in events:
        del event["eid"]  # of a profile it depends on how the database prints the cursor
    return {
        "events": events, "rejects": done.rejects.get_column("reason").to_list(), "invalid": dict(done.invalid), "skipped": done.skipped,
        "sandbox": {place: finding.reason or finding.violation for place, finding in sound.items()},
    }  # fmt: skip


def test_every_kind_has_a_table():
    """None is left out, and no golden file is left behind."""
    assert set(TABLES) == set(KINDS)
    assert {file.stem for file in GOLDEN.glob("*.json")} == set(KINDS)


def test_the_wire_is_the_same_from_every_database(database):
    """Flags, amounts, ids, moments and sets of names, in whatever type: what reaches Smartico is one and the same, and the
    sandbox, which knows the same catalogue, takes it."""
    source = database.source()
    if database.name == "postgresql":
        database.execute("CREATE TYPE account_status AS ENUM ('Active', 'Blocked')")
    for name in TABLES:
        found = wire(database, source, name)
        assert found["sandbox"] == {}, name
        golden = GOLDEN / f"{name}.json"
        if os.environ.get("SYNC_GOLDEN") == "write" and database.name == "postgresql":
            golden.write_text(json.dumps(found, indent=1, default=plain, ensure_ascii=False) + "\n", "utf-8")
        wanted = json.loads(golden.read_text("utf-8"), parse_float=Decimal, parse_int=Decimal)
        assert found == wanted, name


def plain(number):
    return int(number) if number == int(number) else float(number)
