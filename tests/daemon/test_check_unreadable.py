"""`smartico-sync check` says of values that cannot be read what sends them; followed literally, none is left."""

from __future__ import annotations

import json

import pytest

import engines

PLAYERS = {
    "dt_update": "instant", "ext_brand_id": "text", "user_ext_id": "integer", "core_external_markers": "text",
    "core_is_ivr_disabled": "text", "points": "float", "level": "text",
}  # fmt: skip
VIEW = """
  - {name: users, source: db, relation: players, kind: users, cursor: dt_update, columns: {%s}}
"""


@pytest.fixture
def engine(request):
    yield from engines.serve("sqlite", request)


@pytest.mark.slow
def test_what_cannot_be_read_has_a_hint_that_mends_it(engine, operator):
    """A list in text is told `split:`, a text may be one or have another name, and what is no number at all is left out."""
    engine.table("players", PLAYERS, [("2026-01-01 10:00:00", "B", 1, "a,b", "perhaps", "many", "high")])
    operator.configure(engine.url, VIEW % "level: {type: number}")
    report = json.loads(operator.sync("check", "--json").stdout)
    hints = {
        each["message"].partition(":")[0]: each["hint"]
        for each in report["findings"]
        if "1 value is" in each["message"]
    }
    assert {column: hint.partition("columns: ")[2].strip("`") for column, hint in hints.items()} == {
        "core_external_markers": '{core_external_markers: {split: ","}}',
        "core_is_ivr_disabled": "{core_is_ivr_disabled: another_property}",
        "level": "{level: {type: string}}",
        "points": "{points: null}",
    }
    mended = 'core_external_markers: {split: ","}, core_is_ivr_disabled: another_property, level: {type: string}, points: null'
    operator.configure(engine.url, VIEW % mended)
    report = json.loads(operator.sync("check", "--json").stdout)
    assert report["views"][0]["unreadable"] == {}


@pytest.mark.slow
def test_codes_in_the_type_of_flags_are_told(mariadb, operator):
    """A TINYINT(1) with more than 0 and 1 would be a property of two types."""
    mariadb.execute(
        "CREATE TABLE players (dt_update TIMESTAMP(6) NULL, ext_brand_id VARCHAR(9), user_ext_id INT, tier TINYINT(1), vip TINYINT(1),"
        " INDEX (dt_update, ext_brand_id, user_ext_id))",
        "INSERT INTO players VALUES ('2026-01-01', 'B', 1, 3, 1), ('2026-01-01', 'B', 2, 1, 0)",
    )
    operator.configure(mariadb.url, VIEW % "")
    report = json.loads(operator.sync("check", "--json").stdout)
    (hint,) = [each["hint"] for each in report["findings"] if "more than 0 and 1" in each["message"]]
    assert hint.endswith("`columns: {tier: {type: number}}`")
    operator.configure(mariadb.url, VIEW % "tier: {type: number}")
    assert "more than 0 and 1" not in operator.sync("check", "--json").stdout
