"""What a view's definition says about rows that come late."""

from __future__ import annotations

import pytest

from smartico_sync.core.late_commit.view_definition import Part, ViewDefinition, gathered, traits


def names(sql, own=("id", "transaction_id"), kind="view"):
    return [trait.name for trait in traits(ViewDefinition((Part("crm.deposits", kind, sql),)), own)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT id, amount FROM deposits", []),
        ("SELECT d.id FROM deposits d JOIN players p ON p.id = d.player", ["inner join"]),
        ("SELECT d.id FROM (deposits d\n JOIN players p ON ((p.id = d.player)))", ["inner join"]),
        ("select d.id from deposits d, players p where p.id = d.player", ["inner join", "filter"]),
        ("SELECT d.id FROM deposits d LEFT OUTER JOIN games g ON g.id = d.game", ["outer join"]),
        ("SELECT id FROM deposits WHERE status = 'approved'", ["filter"]),
        ("SELECT id FROM deposits WHERE (status)::text = 'approved'::text", ["filter"]),
        ("SELECT id FROM deposits WHERE deposits.id > 100", []),
        ("SELECT id FROM deposits WHERE (deposits.amount > (0)::numeric)", ["filter"]),
        ("SELECT id FROM deposits WHERE lower(status) = ANY (ARRAY['paid'::text])", ["filter"]),
        ("SELECT id FROM deposits ORDER BY id DESC LIMIT 1000", ["limit"]),
        ("SELECT TOP 1000 id FROM deposits ORDER BY id DESC", ["limit"]),
        ("SELECT id, (SELECT name FROM games g WHERE g.id = deposits.id LIMIT 1) AS name FROM deposits", []),
        ("SELECT DISTINCT ON (transaction_id) id FROM deposits ORDER BY transaction_id, id DESC", ["group"]),
        ("SELECT DISTINCT id FROM deposits", []),
        ("SELECT id FROM bets UNION ALL SELECT id FROM wins", ["union"]),
        ("SELECT max(id) AS id, round FROM bets GROUP BY round", ["group"]),
        ("SELECT coalesce(a, b), extract(epoch FROM at), c FROM bets", []),
        ("SELECT 'a JOIN b' AS text, id -- FROM a, b\n FROM bets /* WHERE x */", []),
        ('SELECT id FROM "JOIN" WHERE `id` > 1', []),
        ("SELECT id FROM deposits WHERE status = N'final'", ["filter"]),
        ("SELECT d.id FROM deposits d CROSS APPLY dbo.games(d.game) g", ["inner join"]),
        ("SELECT d.id FROM deposits d OUTER APPLY dbo.games(d.game) g", ["outer join"]),
        ("CREATE VIEW dbo.v AS SELECT TOP (100) PERCENT id FROM dbo.deposits ORDER BY id", []),
        ("SELECT d.id FROM deposits d, games g WHERE d.id = g.id(+)", ["outer join"]),
        ("SELECT id FROM deposits WHERE id > 5 AND ROWNUM <= 1000", ["limit"]),
        ("SELECT id FROM deposits LEFT ARRAY JOIN tags AS tag", []),
        ("", []),
    ],
)
def test_what_makes_rows_come_late_is_recognised(sql, expected):
    """Joins, filters, unions and groups are told from what merely looks like them."""
    assert names(sql) == expected


def test_what_a_relation_is_matters_too():
    """Materialized views and foreign tables hold copies whose rows come in their own time."""
    assert names("SELECT 1", kind="materialized view") == ["materialized view"]
    assert names("", kind="foreign table") == ["foreign table"]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("foreign table", "v is a foreign table"),
        ("materialized view", "v is a materialized view"),
        ("table", ""),
        ("view", ""),
    ],
)
def test_no_snapshot_speaks_for_rows_of_elsewhere(kind, says):
    """Where rows come by no transaction of this server, the fence has nothing to wait for."""
    below = ViewDefinition((Part("above", "view", "SELECT 1"), Part("v", kind)))
    assert below.unfenced.startswith(says)
    assert bool(below.unfenced) == bool(says)


def test_a_filter_names_its_columns():
    """The operator reads which column hides rows, and which moment to track instead."""
    (trait,) = traits(
        ViewDefinition((Part("v", "view", "SELECT * FROM t WHERE t.state <> 4 AND paid IS NOT NULL"),)), ()
    )
    assert "by state, paid:" in trait.what
    assert "moment" in trait.hint


def test_views_beneath_a_view_count():
    """A view of a view is what both are; a view that names itself ends."""
    parts = gathered(
        "top", {"top": "SELECT * FROM middle", "Middle": "SELECT * FROM a JOIN b USING (id), top", "other": ""}
    )
    assert [(part.name, part.kind) for part in parts] == [("top", "view"), ("middle", "view")]
    assert [trait.name for trait in traits(ViewDefinition(parts), ())] == ["inner join"]
    assert gathered("t", {})[0].kind == "table"


def test_a_view_that_is_named_whole_between_one_pair_of_quotes_counts():
    """BigQuery names what a view is made of with project and dataset."""
    views = {"v": "SELECT * FROM `casino.crm.beneath`", "beneath": "SELECT a.id FROM a JOIN b USING (id)"}
    assert [part.name for part in gathered("v", views)] == ["v", "beneath"]
