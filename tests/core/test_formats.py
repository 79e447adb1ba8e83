"""The formats of event ids, ledger keys and fingerprints, frozen: an update that changed one would send everything twice.

`SYNC_GOLDEN=write pytest tests/core/test_formats.py` writes the values of a new version of the formats.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from msgspec.structs import replace

from smartico_sync.catalogue.kinds import kind
from smartico_sync.core.diff import diff, nothing_known
from smartico_sync.core.events import EID, PLAYER
from smartico_sync.core.identity import FORMATS
from smartico_sync.core.ledger_keys import ledger_keys
from smartico_sync.core.mapping import events
from smartico_sync.core.planning import plan
from smartico_sync.core.relation import Column, Relation
from smartico_sync.core.view_mapping import Options

GOLDEN = Path(__file__).parent.parent / "golden" / "formats" / f"{FORMATS}.json"
SECRET = bytes(range(32))
MOMENT = datetime(2026, 3, 29, 0, 59, 59, 999999, tzinfo=UTC)
COLUMNS = (
    Column("ext_brand_id", "text", "text"), Column("user_ext_id", "bigint", "integer"), Column("id", "bigint", "integer"),
    Column("dt", "timestamptz", "instant"), Column("bet_id", "text", "text"), Column("note", "text", "text"),
    Column("email", "text", "text"), Column("amount", "numeric", "decimal"), Column("vip", "boolean", "boolean"),
)  # fmt: skip
ROWS = (
    ("casino", 7, 1, MOMENT, "b1", "plain", "a@example.com", "1.50", True),
    ("casino", 7, 2, MOMENT, "b1", "", None, "2", None),
    ("", 8, 3, MOMENT, "odd\x1fkey", "\x1e 😀 é \x00", "b@example.com", None, False),
    ("casino", 9, 4, MOMENT, "b2", None, None, None, None),
)


def made(name, cursor, key, *, payload="full", **options):
    """Ids, keys and fingerprints of the rows as a view of that kind."""
    page = pl.DataFrame(
        ROWS,
        schema={
            column.name: {"integer": pl.Int64, "instant": pl.Datetime("us", "UTC"), "boolean": pl.Boolean}.get(
                column.family, pl.String
            )
            for column in COLUMNS
        },
        orient="row",
    )
    texts = {"dt": pl.lit("2026-03-29 00:59:59.999999+00")}
    page = page.with_columns(
        texts.get(cursor, pl.col(cursor).cast(pl.String)).alias("@cursor"),
        *(pl.col(part).cast(pl.String).alias(f"@key.{place}") for place, part in enumerate(key)),
    )
    relation = Relation("view", cursor, key, relation="view", columns=COLUMNS)
    chosen = replace(
        Options(event_type="" if name == "users" else "client_action", event_date="dt", secret=SECRET), **options
    )
    mapping = plan("view", kind(name), relation, chosen)
    assert mapping.problems == ()
    mapped = events(mapping, page).events
    found = {"players": mapped.frame.get_column(PLAYER).to_list(), "ledger": ledger_keys(mapping, page).to_list()}
    if name != "users":
        return {"eids": mapped.frame.get_column(EID).to_list(), **found}
    done = diff(mapped, nothing_known(), SECRET, payload)
    hashes = done.upserts.select(pl.col("whole", "parts").bin.encode("hex"))
    return {"eids": done.events.frame.get_column(EID).to_list(), **found, **hashes.to_dict(as_series=False)}


def test_formats_never_change_without_a_new_version():
    """Golden values: if this fails, raise FORMATS, and keep making the old ones for states that hold them."""
    now = {
        "by id": made("custom", "id", ("bet_id",)),
        "by time": made("custom", "dt", ("id",)),
        "by time, two columns": made("custom", "dt", ("bet_id", "id")),
        "without a key": made("custom", "dt", (), blind=frozenset({"email"})),
        "under another identity": made("custom", "dt", ("id",), identity="old-name"),
        "of the second generation": made("custom", "dt", ("id",), generation=1),
        "by columns that the state names": made("custom", "dt", ("id",), id_columns=("bet_id", "id")),
        "profiles": made("users", "dt", ("ext_brand_id", "user_ext_id")),
        "profiles, property by property": made("users", "dt", ("ext_brand_id", "user_ext_id"), payload="changed"),
    }
    if os.environ.get("SYNC_GOLDEN") == "write":
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(now, indent=1) + "\n")
    assert now == json.loads(GOLDEN.read_text())
