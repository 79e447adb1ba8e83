"""The wire, byte by byte: one golden file a kind. `SYNC_GOLDEN=write pytest tests/core/test_wire.py` writes them anew."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from smartico_sync.catalogue.kinds import KINDS, kind
from smartico_sync.catalogue.properties import property_type
from smartico_sync.core.batches import encode
from smartico_sync.core.diff import diff, nothing_known
from smartico_sync.core.mapping import events, keys_of
from smartico_sync.core.planning import plan
from smartico_sync.core.relation import Column, Relation
from smartico_sync.core.view_mapping import Options

GOLDEN = Path(__file__).parent.parent / "golden"
SECRET = bytes(32)
FAMILIES = {"number": "decimal", "integer": "integer", "date": "instant", "boolean": "boolean", "array": "array"}
DTYPES = {"integer": pl.Int64, "instant": pl.Datetime("us", "UTC"), "date": pl.Date, "boolean": pl.Boolean}
MOMENT = datetime(2026, 3, 29, 0, 59, 59, 999999, tzinfo=UTC)
VALUES = {
    "decimal": "1234567890123456.7890", "integer": 9_007_199_254_740_993, "instant": MOMENT, "date": date(1990, 2, 28),
    "boolean": False, "array": '["VIP", "Ünï"]', "json": '{"tier": 1.50}',
}  # fmt: skip
ENVELOPE = {"ext_brand_id": "spacex", "user_ext_id": 61323352}
CUSTOM = {"client_action": "text", "note": "text", "amount": "decimal", "count": "integer", "seen": "instant", "born": "date",
          "vip": "boolean", "tags": "array", "extra": "json"}  # fmt: skip


def columns_of(name):
    """The view columns the catalogue names for this kind, as a database would type them."""
    known = kind(name)
    targets = dict(known.columns)
    named = [alternatives[0] for alternatives in known.required] + list(known.optional) + list(known.expected)
    named += [column for role in known.roles.values() for column, _ in role.columns]
    targets |= dict(pair for role in known.roles.values() for pair in role.columns)
    types = {column: property_type(targets.get(column, column)) or known.types.get(column, "") for column in named}
    families = {column: FAMILIES.get(expected, "text") for column, expected in types.items()}
    families |= {column: "instant" for column in (*known.event_date, *named) if column.endswith(("_date", "_at"))}
    families |= CUSTOM if name == "custom" else {}
    return {"ext_brand_id": "text", **families, "user_ext_id": "integer", "dt": "instant"}


def required(known):
    """(column, property) of all that a row must hold."""
    needs = {*known.needs, *(target for role in known.roles.values() for target in role.needs)}
    columns = (*known.columns, *(pair for role in known.roles.values() for pair in role.columns))
    return [(column, target) for column, target in columns if target in needs]


def body(name):
    """Rows of that kind, three of each role: full, with an empty and a quoted text where it may be, and all NULL that may be."""
    families, known = columns_of(name), kind(name)
    options = Options(event_type="client_action" if name == "custom" else "")
    if known.row_roles:
        options = Options(type_column="tx_type", roles={role.upper(): role for role in known.row_roles})
        families["tx_type"] = "text"
    there = {targets for targets, _ in required(known)}
    columns = tuple(Column(column, family, family) for column, family in families.items())
    rows = []
    texts = ('say "hi" \\ \n 😀', "", None)
    for place, text in enumerate(texts * max(1, len(known.row_roles))):
        row = {
            column: (text or f"{column}-{place}") if family == "text" and column in there else text if family == "text"
            else None if text is None and column not in there else VALUES[family]
            for column, family in families.items()
        }  # fmt: skip
        key = {
            column: f"{column}-{place}" for column in ("transaction_id", "bet_id", "selection_id") if column in families
        }
        role = known.row_roles[place // len(texts)].upper() if known.row_roles else ""
        rows.append(row | ENVELOPE | key | {"dt": MOMENT, "tx_type": role})
    page = pl.DataFrame(
        [{column: row[column] for column in families} for row in rows],
        schema={column: DTYPES.get(family, pl.String) for column, family in families.items()},
    )
    key = keys_of(kind(name), None, columns, options.type_column)
    page = page.with_columns(
        pl.lit("2026-03-29 00:59:59.999999+00").alias("@cursor"),
        *(pl.col(column).cast(pl.String).alias(f"@key.{place}") for place, column in enumerate(key)),
    )
    mapping = plan(name, kind(name), Relation(name, "dt", key, relation=name, columns=columns), options)
    assert mapping.problems == ()
    done = events(mapping, page)
    assert done.rejects.is_empty(), done.rejects
    ready = (
        done.events if mapping.kind.role == "transaction" else diff(done.events, nothing_known(), SECRET, "full").events
    )
    return encode(ready)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_wire_is_what_it_was(name):
    """The same rows make the same bytes with every version: ids, order, numbers, escapes."""
    golden = GOLDEN / f"{name}.json"
    made = body(name).replace(b'},{"eid"', b'},\n{"eid"') + b"\n"
    if os.environ.get("SYNC_GOLDEN") == "write":
        golden.write_bytes(made)
    assert made == golden.read_bytes()
    for event in json.loads(made):
        assert list(event) == ["eid", "event_date", "ext_brand_id", "user_ext_id", "event_type", "payload"]
        assert None not in event["payload"].values()


def test_every_golden_file_belongs_to_a_kind():
    """No file is left behind when a kind is renamed."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(KINDS)
