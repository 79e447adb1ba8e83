"""T-SQL as this daemon and its tests write it, in DuckDB's words; and the plan that SQL Server would make of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from xml.sax.saxutils import quoteattr

import sqlglot
from sqlglot import exp

from stand_ins.mssql.wire import LONE

HALF_A_CHARACTER = range(0xD800, 0xE000)
TYPES = {
    "DATETIME": "TIMESTAMP", "SMALLDATETIME": "TIMESTAMP_MS", "DATETIME2": "TIMESTAMP_NS", "TIMESTAMPTZ": "TIMESTAMPTZ",
    "ROWVERSION": "UBIGINT", "TIMESTAMP": "UBIGINT", "BINARY": "BLOB", "VARBINARY": "BLOB", "MONEY": "DECIMAL(19, 4)",
    "SMALLMONEY": "DECIMAL(10, 4)", "BIT": "BOOLEAN", "BOOLEAN": "BOOLEAN", "UTINYINT": "UTINYINT", "TINYINT": "UTINYINT",
    "NVARCHAR": "TEXT", "VARCHAR": "TEXT", "NCHAR": "TEXT", "CHAR": "TEXT", "TEXT": "TEXT", "NTEXT": "TEXT",
    "FLOAT": "DOUBLE", "DOUBLE": "DOUBLE", "REAL": "FLOAT", "UUID": "UUID", "TIME": "TIME",
}  # fmt: skip
# What SQL Server has and DuckDB calls otherwise. `getvariable` tells who asks; the tests write what `stand_in` holds.
CATALOGUE = """
CREATE SCHEMA dbo; CREATE SCHEMA sys; CREATE SCHEMA stand_in;
CREATE SEQUENCE stand_in.versions START 2001;
CREATE TABLE stand_in.properties(name TEXT, value TEXT);
INSERT INTO stand_in.properties VALUES ('Updateability', 'READ_WRITE'), ('IsInStandBy', '0'), ('EngineEdition', '3'),
 ('ProductVersion', '16.0.4135.4'), ('Edition', 'Developer Edition (64-bit)');
CREATE TABLE sys.databases(database_id INT, name TEXT, snapshot_isolation_state UTINYINT, is_read_committed_snapshot_on BOOLEAN);
CREATE TABLE sys.dm_hadr_database_replica_states(database_id INT, is_local BOOLEAN, is_primary_replica BOOLEAN, last_commit_time TIMESTAMP);
CREATE TABLE sys.dm_exec_sessions(session_id INT, login_name TEXT, program_name TEXT, intent TEXT, encrypted BOOLEAN);
CREATE TABLE stand_in.calls(statement TEXT, declared TEXT, arrived TEXT);
CREATE VIEW sys.schemas AS SELECT CAST(oid AS INT) AS schema_id, schema_name AS name FROM duckdb_schemas() WHERE database_name = current_database();
CREATE VIEW sys.objects AS SELECT CAST(table_oid AS INT) AS object_id, table_name AS name, CAST(schema_oid AS INT) AS schema_id, 'U' AS type,
 schema_name IN ('sys', 'stand_in') AS is_ms_shipped FROM duckdb_tables() WHERE NOT temporary
 UNION ALL SELECT CAST(view_oid AS INT), view_name, CAST(schema_oid AS INT), 'V', internal OR schema_name IN ('sys', 'stand_in')
 FROM duckdb_views() WHERE NOT temporary;
CREATE TABLE stand_in.indexes(table_name TEXT, name TEXT, index_id INT, first_column TEXT);
CREATE VIEW sys.columns AS SELECT CAST(table_oid AS INT) AS object_id, column_index AS column_id, column_name AS name FROM duckdb_columns();
CREATE VIEW sys.indexes AS SELECT object_id, NULL AS name, 0 AS index_id, false AS is_disabled, false AS has_filter, false AS is_unique, false AS is_primary_key FROM sys.objects WHERE type = 'U'
 UNION ALL SELECT o.object_id, i.name, i.index_id, false, false, false, false FROM stand_in.indexes i JOIN sys.objects o ON o.name = i.table_name;
CREATE VIEW sys.index_columns AS SELECT o.object_id, i.index_id, c.column_id, 1 AS key_ordinal
 FROM stand_in.indexes i JOIN sys.objects o ON o.name = i.table_name JOIN sys.columns c ON c.object_id = o.object_id AND c.name = i.first_column;
CREATE TABLE sys.foreign_keys(object_id INT, name TEXT, parent_object_id INT, referenced_object_id INT);
CREATE TABLE sys.foreign_key_columns(constraint_object_id INT, constraint_column_id INT, parent_object_id INT, parent_column_id INT,
 referenced_object_id INT, referenced_column_id INT);
CREATE MACRO object_id(wanted) AS (SELECT o.object_id FROM sys.objects o JOIN sys.schemas s ON s.schema_id = o.schema_id
 WHERE s.name || '.' || o.name = replace(replace(wanted, '[', ''), ']', '') LIMIT 1);
CREATE MACRO object_definition(id) AS (SELECT sql FROM duckdb_views() WHERE CAST(view_oid AS INT) = id);
CREATE MACRO schema_name() AS 'dbo';
CREATE MACRO db_id() AS 5; CREATE MACRO db_name() AS getvariable('place'); CREATE MACRO suser_sname() AS getvariable('account');
CREATE MACRO is_srvrolemember(role) AS CAST(getvariable('account') = 'sa' AS INT);
CREATE MACRO has_perms_by_name(thing, class, right_) AS CAST(getvariable('account') = 'sa'
 OR (upper(right_) = 'SELECT' AND getvariable('account') LIKE 'reader%') AS INT);
CREATE MACRO serverproperty(wanted) AS (SELECT value FROM stand_in.properties WHERE name = wanted);
CREATE MACRO databasepropertyex(place, wanted) AS (SELECT value FROM stand_in.properties WHERE name = wanted);
CREATE MACRO quotename(name) AS '[' || replace(name, ']', ']]') || ']';
CREATE MACRO sysutcdatetime() AS CAST(timezone('UTC', get_current_timestamp()) AS TIMESTAMP_NS);
CREATE MACRO sysdatetime() AS CAST(timezone('UTC', get_current_timestamp()) AS TIMESTAMP_NS);
CREATE MACRO replicate(what, times) AS repeat(what, times);
CREATE MACRO switchoffset(moment, zone) AS CAST(timezone('UTC', moment) AS TIMESTAMP_NS);
CREATE MACRO to_legacy(x) AS make_timestamp(CAST(round(epoch_us(CAST(x AS TIMESTAMP)) * 3 / 10000.0) AS BIGINT) * 10000 // 3);
CREATE MACRO to_minute(x) AS CAST(date_trunc('minute', CAST(x AS TIMESTAMP) + INTERVAL 30 SECOND) AS TIMESTAMP_MS);
CREATE MACRO to_instant(x) AS CAST(replace(replace(CAST(x AS TEXT), ' +', '+'), ' -', '-') AS TIMESTAMPTZ);
CREATE MACRO padded(x) AS rpad(x || CASE WHEN contains(x, '.') THEN '' ELSE '.' END, 27, '0');
CREATE MACRO as_text(x) AS CASE typeof(x)
 WHEN 'TIMESTAMP' THEN strftime(TRY_CAST(x AS TIMESTAMP) + INTERVAL 500 MICROSECOND, '%Y-%m-%d %H:%M:%S.%g')
 WHEN 'TIMESTAMP_MS' THEN strftime(TRY_CAST(x AS TIMESTAMP), '%Y-%m-%d %H:%M:%S.%g')
 WHEN 'TIMESTAMP_NS' THEN padded(CAST(x AS TEXT))
 WHEN 'TIMESTAMP WITH TIME ZONE' THEN padded(CAST(timezone('UTC', TRY_CAST(x AS TIMESTAMPTZ)) AS TEXT)) || ' +00:00'
 WHEN 'UUID' THEN upper(CAST(x AS TEXT)) ELSE CAST(x AS TEXT) END;
"""


class Wrong(Exception):
    """What the server says no to, by its number."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number, self.message = number, message


@lru_cache(maxsize=512)
def parsed(text: str) -> exp.Expression:
    """One statement; not to be changed."""
    try:
        (tree,) = sqlglot.parse(text, read="tsql")
    except (sqlglot.errors.SqlglotError, ValueError) as wrong:
        raise Wrong(102, f"Incorrect syntax near '{text[:20]}'.") from wrong
    for subquery in tree.find_all(exp.Subquery):
        if isinstance(subquery.parent, exp.From | exp.Join):
            named_once(subquery)
    return tree


def named_once(subquery: exp.Subquery) -> None:
    names = [each.alias_or_name for each in subquery.this.selects if not isinstance(each, exp.Star)]
    for number, name in enumerate(names, 1):
        if not name:
            raise Wrong(8155, f"No column name was specified for column {number} of '{subquery.alias}'.")
        if names.count(name) > 1:
            raise Wrong(8156, f"The column '{name}' was specified multiple times for '{subquery.alias}'.")


@lru_cache(maxsize=512)
def in_duckdb(text: str) -> str:
    """The statement in DuckDB's words; `@name` becomes `$name`."""
    return parsed(text).copy().transform(translated).sql(dialect="duckdb").replace("__MARK__", "$")


def translated(node: exp.Expression) -> exp.Expression:
    match node:
        case exp.Convert() | exp.Cast():
            return converted(node)
        case exp.DataType():
            return typed(node)
        case exp.Parameter():
            return exp.var(f"__MARK__{node.name}")
        case exp.National():
            return exp.Literal.string(node.this)
        case exp.CurrentUser():
            return exp.func("suser_sname")
        case exp.Collate():
            return node.this
        case exp.CollateColumnConstraint():
            return None
        case exp.Add() if any(isinstance(side, exp.National) for side in node.find_all(exp.National)):
            return exp.DPipe(this=node.this, expression=node.expression)
        case exp.Anonymous() if node.name.upper() == "NCHAR" and int(node.expressions[0].name) in HALF_A_CHARACTER:
            return exp.Literal.string(LONE)
        case exp.Select() if node.args.get("options"):
            node.set("options", None)
        case exp.ColumnDef() if node.kind is not None and typed(node.kind).name == "UBIGINT":
            node.append("constraints", exp.ColumnConstraint(kind=exp.DefaultColumnConstraint(
                this=exp.func("nextval", exp.Literal.string("stand_in.versions")))))  # fmt: skip
    return node


def typed(node: exp.DataType) -> exp.Expression:
    word = node.this.value if isinstance(node.this, exp.DType) else str(node.this)
    known = TYPES.get(word)
    if word == "DATETIME2" and node.expressions and node.expressions[0].name == "0":
        known = "TIMESTAMP_S"
    return exp.var(known) if known else node


def converted(node: exp.Convert | exp.Cast) -> exp.Expression:
    """CAST and CONVERT as SQL Server means them: rounding, digits and styles."""
    kind, value, style = (
        (node.this, node.expression, node.args.get("style"))
        if isinstance(node, exp.Convert)
        else (node.to, node.this, None)
    )
    word = kind.this.value if isinstance(kind.this, exp.DType) else str(kind.this)
    number = style.name if style is not None else ""
    match word:
        case "DATETIME":
            return exp.func("to_legacy", value)
        case "SMALLDATETIME":
            return exp.func("to_minute", value)
        case "TIMESTAMPTZ":
            return exp.func("to_instant", value)
        case "VARBINARY" | "BINARY" if number == "2":
            return exp.func("unhex", value)
        case "BINARY" if isinstance(value, exp.Cast | exp.Convert):
            return exp.cast(value, "UBIGINT", dialect="duckdb")
        case "VARCHAR" | "NVARCHAR" | "CHAR" | "NCHAR" if not isinstance(value, exp.Literal | exp.National):
            return exp.func("as_text", value)
    return exp.Cast(this=value, to=typed(kind))


@dataclass(frozen=True)
class Place:
    """A column of a table."""

    table: str
    column: str


def origin(tree: exp.Select, column: exp.Column, views: dict[str, exp.Expression]) -> Place | None:
    """The stored column behind a column of a select; None for one that is computed."""
    sources = [tree.args["from_"].this, *(join.this for join in tree.args.get("joins") or ())]
    chosen = next((each for each in sources if column.table and each.alias_or_name == column.table), sources[0])
    inner = chosen.this if isinstance(chosen, exp.Subquery) else views.get(chosen.name)
    if inner is None:
        return Place(chosen.name, column.name)
    for selected in inner.selects:
        if isinstance(selected, exp.Star):
            return origin(inner, exp.column(column.name), views)
        if selected.alias_or_name == column.name:
            found = selected.unalias()
            return origin(inner, found, views) if isinstance(found, exp.Column) else None
    return None


def showplan(text: str, place: str, views: dict[str, exp.Expression], indexes: list[tuple[str, list[str]]]) -> str:
    """SHOWPLAN_XML, as far as the order goes: a seek or a scan of an index that gives it, else a scan and a sort."""
    tree = parsed(text)
    order = [
        origin(tree, term.this, views) for term in (tree.args["order"].expressions if tree.args.get("order") else ())
    ]
    table = order[0].table if order and order[0] else tree.find(exp.Table).name
    wanted = [each.column for each in order if each is not None and each.table == table]
    serving = next(
        (columns for on, columns in indexes if on == table and wanted and columns[: len(wanted)] == wanted), None
    )

    def reference(where: Place | None, number: int) -> str:
        if where is None:
            return f"<ColumnReference Column='Expr100{number}'/>"
        return (
            f"<ColumnReference Database={quoteattr(f'[{place}]')} Schema='[dbo]' Table={quoteattr(f'[{where.table}]')} "
            f"Column={quoteattr(where.column)}/>"
        )

    named = f"Database={quoteattr(f'[{place}]')} Schema='[dbo]' Table={quoteattr(f'[{table}]')}"
    if serving is not None and len(wanted) == len(order):
        condition = tree.args.get("where")
        sought = condition is not None and condition.find(exp.GTE, exp.GT) is not None
        keys = f"<RangeColumns>{reference(order[0], 0)}</RangeColumns>"
        seek = f"<SeekPredicates><SeekPredicateNew><SeekKeys><StartRange ScanType='GE'>{keys}</StartRange></SeekKeys></SeekPredicateNew></SeekPredicates>"
        word = "Seek" if sought else "Scan"
        leaf = (
            f"<RelOp NodeId='2' PhysicalOp='Index {word}' LogicalOp='Index {word}'><IndexScan Ordered='1' ScanDirection='FORWARD'>"
            f"<Object {named} Index='[ix]' IndexKind='NonClustered'/>{seek if sought else ''}</IndexScan></RelOp>"
        )
    else:
        terms = "".join(
            f"<OrderByColumn Ascending='1'>{reference(each, number)}</OrderByColumn>"
            for number, each in enumerate(order)
        )
        leaf = (
            "<RelOp NodeId='1' PhysicalOp='Sort' LogicalOp='TopN Sort'><TopSort Distinct='0' Rows='100'><OrderBy>"
            f"{terms}</OrderBy><RelOp NodeId='2' PhysicalOp='Table Scan' LogicalOp='Table Scan'><TableScan Ordered='0'>"
            f"<Object {named} IndexKind='Heap'/></TableScan></RelOp></TopSort></RelOp>"
        )
    return (
        "<ShowPlanXML xmlns='http://schemas.microsoft.com/sqlserver/2004/07/showplan' Version='1.564' Build='16.0.4135.4'>"
        f"<BatchSequence><Batch><Statements><StmtSimple StatementText={quoteattr(text)} StatementType='SELECT'><QueryPlan>"
        f"<RelOp NodeId='0' PhysicalOp='Top' LogicalOp='Top'><Top RowCount='0'>{leaf}</Top></RelOp>"
        "</QueryPlan></StmtSimple></Statements></Batch></BatchSequence></ShowPlanXML>"
    )
