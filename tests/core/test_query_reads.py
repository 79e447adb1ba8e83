"""The relations that a query reads, by its text."""

from __future__ import annotations

import pytest

from smartico_sync.core.late_commit.query_reads import read_by


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("SELECT * FROM Bets", ['"bets"']),
        ("SELECT b.* FROM crm.bets AS b, \"Crm\".\"Games\" g -- FROM nowhere\n WHERE b.x = 'FROM no'", ['"crm"."bets"', '"Crm"."Games"']),
        ("SELECT * FROM a x JOIN b ON a.id = b.id LEFT JOIN (SELECT * FROM c) d ON true", ['"a"', '"b"', '"c"']),
        ("SELECT 1 FROM a UNION ALL SELECT 2 FROM b", ['"a"', '"b"']),
        ("WITH new AS (SELECT * FROM a) SELECT extract(epoch FROM at) FROM new", ['"a"', '"at"', '"new"']),
        ("SELECT 1", []),
    ],
)  # fmt: skip
def test_what_stands_behind_from_and_join_is_read(query, read):
    """In capitals or not, with its schema, inside brackets; a comment and a text name nothing."""
    assert sorted(read_by(query, str.lower)) == sorted(read)
