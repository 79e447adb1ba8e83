"""Views that are still to be made, as SQL that their owner runs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from smartico_sync.sources.sql.names import constant, names_of, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import sqlalchemy as sa

    from smartico_sync.core.tables import Condition, IndexPlan, ViewPlan

__all__ = ["INDEX", "LONGEST", "index", "index_name", "relation", "shortened", "view"]

INDEX = "CREATE INDEX {name} ON {table} ({columns});"
LONGEST = 60  # PostgreSQL keeps 63 bytes of a name, MySQL 64 characters


def view(dialect: sa.Dialect, plan: ViewPlan) -> str:
    """`CREATE VIEW`, a column a line."""
    name = dialect.identifier_preparer.quote
    columns = ",\n".join(
        f"  {name(each.table)}.{name(each.column)}" + (f" AS {name(each.name)}" if each.name != each.column else "")
        for each in plan.columns
    )
    lines = [
        f"CREATE VIEW {relation(dialect, plan.name)} AS",
        "SELECT",
        columns,
        f"FROM {_aliased(dialect, plan.table, plan.alias)}",
    ]
    for join in plan.joins:
        on = " AND ".join(f"{name(join.alias)}.{name(own)} = {name(join.left)}.{name(left)}" for left, own in join.on)
        lines.append(f"LEFT JOIN {_aliased(dialect, join.table, join.alias)} ON {on}")
    if plan.conditions:
        lines.append("WHERE " + "\n  AND ".join(_condition(dialect, plan.alias, each) for each in plan.conditions))
    return "\n".join(lines) + ";"


def index(dialect: sa.Dialect, plan: IndexPlan, template: str, longest: int) -> str:
    """The statement that makes the index, by the engine's `template`. `longest`: characters of its name."""
    prepare = dialect.identifier_preparer
    called = index_name(
        f"smartico_{names_of(plan.table)[-1]}".lower(), [each.lower() for each in plan.columns], longest
    )
    columns = [prepare.quote(column) for column in plan.columns]
    return template.format(
        name=prepare.quote(called), table=relation(dialect, plan.table), columns=", ".join(columns), cursor=columns[0]
    )


def index_name(table: str, columns: Iterable[str], longest: int = LONGEST) -> str:
    """What an index of a table is called: indexes of other columns are called otherwise."""
    return shortened("_".join((table, *dict.fromkeys(columns))), longest)


def shortened(name: str, longest: int) -> str:
    """A name of so many characters at most; names that differ behind them still do."""
    return name if len(name) <= longest else f"{name[: longest - 7]}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def relation(dialect: sa.Dialect, written: str) -> str:
    """A relation's name as SQL has it: parts that are written in quotes stay in them."""
    prepare = dialect.identifier_preparer
    return ".".join(
        prepare.quote_identifier(name) if how == "quoted" else prepare.quote(name) for name, how in parts_of(written)
    )


def _aliased(dialect: sa.Dialect, written: str, alias: str) -> str:
    shown, called = relation(dialect, written), dialect.identifier_preparer.quote(alias)
    return shown if shown == called else f"{shown} {called}"


def _condition(dialect: sa.Dialect, alias: str, condition: Condition) -> str:
    name = dialect.identifier_preparer.quote
    column = f"{name(alias)}.{name(condition.column)}"
    if not condition.values:
        return f"{column} IS NOT NULL"
    return f"{column} IN ({', '.join(_literal(dialect, value) for value in condition.values)})"


def _literal(dialect: sa.Dialect, value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    backslashes = getattr(dialect, "_backslash_escapes", False)
    return constant(value.replace("\\", "\\\\") if backslashes else value)
