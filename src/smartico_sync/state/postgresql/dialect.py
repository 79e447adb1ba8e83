"""The statements of the state, written once for SQLite, as PostgreSQL reads them."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["translated"]

SAME = (
    (re.compile(r" INDEXED BY \w+"), ""),  # it chooses by itself
    (re.compile(r"json_extract\((\w+), '\$\[0\]'\)"), r"(nullif(\1, '')::json ->> 0)"),
    (re.compile(r"json_each\(([^)]+)\)"), r"json_array_elements_text(\1::json) AS each(value)"),
    (re.compile(r"%"), "%%"),
    (re.compile(r"(?<!:):(\w+)"), r"%(\1)s"),
    (re.compile(r"\?"), "%s"),
)


@lru_cache(maxsize=1_000)
def translated(sql: str) -> str:
    """A statement with psycopg's placeholders, and PostgreSQL's words where they differ."""
    for pattern, words in SAME:
        sql = pattern.sub(words, sql)
    return sql
