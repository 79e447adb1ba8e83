"""Redshift's types: which family each belongs to.

Casts name their length, see `dialect`: without one, Redshift cuts text to 256 bytes and rounds numbers to whole ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smartico_sync.core.relation import Column
from smartico_sync.sources.sql.statements import LateAdapter

if TYPE_CHECKING:
    from smartico_sync.core.relation import Family

__all__ = ["REDSHIFT", "column_of"]

NUMERIC, NUMERIC_DIGITS = 1700, 38
MODIFIER_HEADER = 4  # bytes that stand before the length in a type's modifier
# By pg_type's number: the word for casts, and the family.
TYPES: dict[int, tuple[str, Family]] = {
    16: ("boolean", "boolean"), 20: ("bigint", "integer"), 21: ("smallint", "integer"), 23: ("integer", "integer"),
    26: ("oid", "integer"), 700: ("real", "float"), 701: ("double precision", "float"),
    18: ("char(1)", "text"), 19: ("varchar(128)", "text"), 25: ("varchar(65535)", "text"), 1042: ("char(4096)", "text"),
    1043: ("varchar(65535)", "text"), 1082: ("date", "date"), 1083: ("time", "other"), 1266: ("timetz", "other"),
    1114: ("timestamp", "timestamp"), 1184: ("timestamptz", "instant"), 1186: ("interval", "other"),
    1188: ("interval year to month", "other"), 1190: ("interval day to second", "other"), 4000: ("super", "json"),
    6551: ("varbyte", "binary"), 3000: ("geometry", "other"), 3001: ("geography", "other"), 2935: ("hllsketch", "json"),
}  # fmt: skip


def column_of(field: dict[str, Any]) -> Column:
    """The column a field of the driver's row description describes; works through views, and for expressions."""
    name, number, modifier = field["label"].decode(errors="replace"), field["type_oid"], field["type_modifier"]
    if number == NUMERIC:
        scale = (modifier - MODIFIER_HEADER) & 0xFFFF if modifier >= MODIFIER_HEADER else NUMERIC_DIGITS // 2
        return Column(name, f"numeric({NUMERIC_DIGITS},{scale})", "decimal")
    return Column(name, *TYPES.get(number, (f"type {number}", "other")))


REDSHIFT = LateAdapter("smartico_sync.sources.redshift.dialect")
