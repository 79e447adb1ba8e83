"""What the SQL Server of the tests knows: databases, rights, transactions, and an answer for each statement."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb
from sqlglot import exp, tokenize
from sqlglot.tokens import TokenType

from stand_ins.mssql import wire
from stand_ins.mssql.rows import called, result
from stand_ins.mssql.tsql import CATALOGUE, Wrong, in_duckdb, origin, parsed, showplan

if TYPE_CHECKING:
    from collections.abc import Callable

PASSWORDS = {"sa": "sa-p@ss"}
SETTING = re.compile(r"SET\s+(?!SHOWPLAN_XML|TRANSACTION)\w+", re.IGNORECASE)
OPEN = ("sys", "stand_in")
INFORMATION = (
    "TYPE_NAME", "DATA_TYPE", "PRECISION", "LITERAL_PREFIX", "LITERAL_SUFFIX", "CREATE_PARAMS", "NULLABLE", "CASE_SENSITIVE",
    "SEARCHABLE", "UNSIGNED_ATTRIBUTE", "MONEY", "AUTO_INCREMENT", "LOCAL_TYPE_NAME", "MINIMUM_SCALE", "MAXIMUM_SCALE",
    "SQL_DATA_TYPE", "SQL_DATETIME_SUB", "NUM_PREC_RADIX", "INTERVAL_PRECISION", "USERTYPE",
)  # fmt: skip
# Drivers ask how many digits a time has, and drop what they are not told of.
KNOWN = {
    -9: ("nvarchar", 4000),
    12: ("varchar", 8000),
    -3: ("varbinary", 8000),
    93: ("datetime2", 27),
    91: ("date", 10),
}


@dataclass
class Database:
    """One database: a DuckDB of its own in memory."""

    name: str
    connection: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)
    views: dict[str, exp.Expression] = field(default_factory=dict)
    indexes: list[tuple[str, list[str]]] = field(default_factory=list)
    rights: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.connection.execute("SET TimeZone = 'UTC'; SET threads = 1")
        self.connection.execute(CATALOGUE)
        self.connection.execute("INSERT INTO sys.databases VALUES (5, ?, 0, false)", [self.name])

    def closed(self) -> bool:
        """Close it, unless a session is still at work; sessions that end at the same time sign off there."""
        with LOCK, suppress(duckdb.ResourceInUseException):
            self.connection.close()
            return True
        return False


DATABASES: dict[str, Database] = {}
LINES: dict[int, Callable[[], None]] = {}  # how to end a session, by its number
LOCK = threading.Lock()


class Desk:
    """Where one session's statements are answered."""

    def __init__(self, account: str, database: Database) -> None:
        self.account, self.database = account, database
        self.isolation, self.transactions, self.plans = "READ COMMITTED", 0, "no"
        self.cancelled = threading.Event()
        with LOCK:
            self.connection = database.connection.cursor()
        self.connection.execute("SET search_path = 'dbo,main'; SET TimeZone = 'UTC'")
        for name, value in (("account", account), ("place", database.name)):
            self.connection.execute(f"SET VARIABLE {name} = '{value}'")

    def note(self, statement: str, row: list[object]) -> None:
        """Write down what tests ask for, whatever the session's transaction becomes of."""
        with LOCK, suppress(duckdb.Error):
            self.database.connection.cursor().execute(statement, row)

    def batch(self, text: str, values: dict[str, object], token: int = 0xFD) -> bytes:
        """All statements of a batch; the first that fails ends it."""
        answers, statements = [], list(split(text))
        for number, statement in enumerate(statements, 1):
            more = wire.MORE if number < len(statements) or token == 0xFF else 0
            try:
                answers.append(self.statement(statement, values, more, token))
            except Wrong as wrong:
                answers.append(
                    wire.failed(wrong.number, wrong.message)
                    + wire.done(wire.ERROR | (wire.MORE if token == 0xFF else 0), token=token)
                )
                break
        return b"".join(answers) or wire.done(token=token)

    def statement(self, text: str, values: dict[str, object], more: int, token: int) -> bytes:
        if self.plans == "yes" and not re.match(r"SET\s", text, re.IGNORECASE):
            if text.upper().startswith("DECLARE "):
                return b""
            plan = showplan(text, self.database.name, self.database.views, self.database.indexes)
            return result(["Microsoft SQL Server 2005 XML Showplan"], ["VARCHAR"], [(plan,)]) + wire.done(
                more, token=token
            )
        if found := re.match(r"(?:exec )?(?:\[?sys\]?\.)?sp_datatype_info\w* (-?\d+)", text, re.IGNORECASE):
            return self.information(int(found[1]))
        if self.command(text):
            return wire.done(more, token=token)
        return self.query(text, values, more, token)

    def query(self, text: str, values: dict[str, object], more: int, token: int) -> bytes:
        tree = parsed(text)
        self.allowed(tree)
        if "dm_exec_describe_first_result_set" in text:
            self.describe(str(values[tree.find(exp.Parameter).name]))
            text = re.sub(r"sys\.dm_exec_describe_first_result_set\([^)]*\)", "described", text)
        ready = in_duckdb(text)
        used = {name: value for name, value in values.items() if f"${name}" in ready}
        try:
            answer = self.connection.execute(ready, used)
            rows = answer.fetchall() if answer.description else []
        except duckdb.Error as error:
            if self.transactions:  # DuckDB gives the transaction up, SQL Server only the statement
                self.connection.execute("ROLLBACK")
                self.connection.execute("BEGIN TRANSACTION")
            raise told(error) from error
        self.remember(tree)
        if isinstance(tree, exp.Query):
            names, kinds = [each[0] for each in answer.description], [str(each[1]) for each in answer.description]
            return result(names, kinds, rows) + wire.done(more | wire.COUNTED, len(rows), token)
        return wire.done(more, token=token)

    def command(self, text: str) -> bool:
        """Whether it was one of those that DuckDB has no word for."""
        words = " ".join(text.split()).rstrip(";")
        if found := re.fullmatch(r"SET TRANSACTION ISOLATION LEVEL ([A-Z ]+)", words, re.IGNORECASE):
            self.isolation = found[1].upper()
        elif found := re.fullmatch(r"SET SHOWPLAN_XML (ON|OFF)", words, re.IGNORECASE):
            if self.account != "sa" and "SHOWPLAN" not in self.database.rights and found[1].upper() == "ON":
                raise Wrong(262, f"SHOWPLAN permission denied in database '{self.database.name}'.")
            self.plans = "yes" if found[1].upper() == "ON" else "no"
        elif SETTING.match(words):
            pass
        elif re.fullmatch(r"BEGIN TRAN(SACTION)?", words, re.IGNORECASE):
            self.transactions += 1
            if self.transactions == 1:
                self.connection.execute("BEGIN TRANSACTION")
        elif re.fullmatch(r"(IF @@TRANCOUNT > 0 )?(ROLLBACK|COMMIT)( TRAN(SACTION)?)?", words, re.IGNORECASE):
            if self.transactions:
                self.transactions = 0
                self.connection.execute("COMMIT" if "COMMIT" in words.upper() else "ROLLBACK")
            elif not words.upper().startswith("IF"):
                raise Wrong(3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        else:
            return self.administration(words)
        return True

    def administration(self, words: str) -> bool:
        """What an owner does to a server."""
        if found := re.fullmatch(r"CREATE DATABASE \[?(\w+)\]?", words, re.IGNORECASE):
            DATABASES[found[1]] = Database(found[1])
        elif found := re.fullmatch(r"DROP DATABASE \[?(\w+)\]?", words, re.IGNORECASE):
            dropped = DATABASES.pop(found[1])
            while not dropped.closed():
                time.sleep(0.01)
        elif found := re.fullmatch(
            r"ALTER DATABASE \[?(\w+)\]? SET ALLOW_SNAPSHOT_ISOLATION (ON|OFF)", words, re.IGNORECASE
        ):
            state = int(found[2].upper() == "ON")
            with LOCK:
                DATABASES[found[1]].connection.cursor().execute(
                    f"UPDATE sys.databases SET snapshot_isolation_state = {state}"
                )
        elif found := re.fullmatch(
            r"CREATE LOGIN \[?(\w+)\]? WITH PASSWORD = N?'((?:[^']|'')*)'.*", words, re.IGNORECASE
        ):
            PASSWORDS[found[1]] = found[2].replace("''", "'")
        elif re.match(r"(CREATE USER|ALTER ROLE|DROP USER|DROP LOGIN) ", words, re.IGNORECASE):
            pass
        elif found := re.fullmatch(r"(GRANT|REVOKE) ([A-Z ]+) (?:ON .+ )?(?:TO|FROM) \S+", words, re.IGNORECASE):
            change = self.database.rights.add if found[1].upper() == "GRANT" else self.database.rights.discard
            change(found[2].upper())
        elif found := re.fullmatch(r"EXEC sp_rename N?'([^']+)', N?'([^']+)'", words, re.IGNORECASE):
            old = found[1].rpartition(".")[2].strip("[]")
            self.connection.execute(f'ALTER TABLE "{old}" RENAME TO "{found[2]}"')
        elif found := re.fullmatch(r"KILL (\d+)", words, re.IGNORECASE):
            LINES[int(found[1])]()
        elif found := re.fullmatch(r"WAITFOR DELAY '00:00:(\d+)'", words, re.IGNORECASE):
            if self.cancelled.wait(int(found[1])):
                raise Wrong(0, "Operation cancelled by user.")
        else:
            return False
        return True

    def allowed(self, tree: exp.Expression) -> None:
        """Whether the user may, and whether the isolation it asked for is to be had."""
        tables = [table for table in tree.find_all(exp.Table) if table.db.lower() not in OPEN]
        secret = any(table.name == "dm_hadr_database_replica_states" for table in tree.find_all(exp.Table))
        if secret and self.account != "sa" and "VIEW SERVER STATE" not in self.database.rights:
            raise Wrong(300, "VIEW SERVER STATE permission was denied on object 'server', database 'master'.")
        reads = isinstance(tree, exp.Query)
        if tables and self.account != "sa" and (not reads or not self.account.startswith("reader")):
            right = "SELECT" if reads else tree.key.upper()
            raise Wrong(
                229,
                f"The {right} permission was denied on the object '{tables[0].name}', database '{self.database.name}', schema 'dbo'.",
            )
        if tables and self.transactions and self.isolation == "SNAPSHOT":
            ((state,),) = self.connection.execute("SELECT snapshot_isolation_state FROM sys.databases").fetchall()
            if not state:
                raise Wrong(
                    3952,
                    f"Snapshot isolation transaction failed accessing database '{self.database.name}' because snapshot isolation "
                    "is not allowed in this database. Use ALTER DATABASE to allow snapshot isolation.",
                )
        if tables and self.transactions and self.isolation != "SNAPSHOT" and reads:
            # Each statement sees what is committed when it begins.
            self.connection.execute("COMMIT")
            self.connection.execute("BEGIN TRANSACTION")

    def describe(self, text: str) -> None:
        """What sys.dm_exec_describe_first_result_set tells."""
        try:
            rows = self.connection.execute(f"DESCRIBE {in_duckdb(text)}").fetchall()
        except duckdb.Error as error:
            raise told(error) from error
        self.connection.execute(
            "CREATE OR REPLACE TEMP TABLE described(column_ordinal INT, name TEXT, system_type_name TEXT, user_type_name TEXT, "
            "collation_name TEXT, source_schema TEXT, source_table TEXT, source_column TEXT)"
        )
        for number, (name, kind, *_) in enumerate(rows, 1):
            stored = origin(parsed(text), exp.column(name), self.database.views)
            place = [None, None, None] if stored is None else ["dbo", stored.table, stored.column]
            collation = "Latin1_General_100_BIN2" if kind == "VARCHAR" else None
            self.connection.execute(
                "INSERT INTO described VALUES (?, ?, ?, NULL, ?, ?, ?, ?)",
                [number, name, called(kind), collation, *place],
            )

    def remember(self, tree: exp.Expression) -> None:
        """Views and indexes, for plans."""
        if isinstance(tree, exp.Create) and tree.kind == "VIEW":
            self.database.views[tree.this.name] = tree.expression
        elif isinstance(tree, exp.Create) and tree.kind == "INDEX":
            columns = [term.this.name for term in tree.this.args["params"].args["columns"]]
            table = tree.this.args["table"].name
            self.database.indexes.append((table, columns))
            row = [table, tree.this.name, len(self.database.indexes), columns[0]]
            self.connection.execute("INSERT INTO stand_in.indexes VALUES (?, ?, ?, ?)", row)

    def information(self, wanted: int) -> bytes:
        rows = [
            (name, number, size, "'", "'", None, 1, 0, 3, None, 0, None, name, None, 7 if number == 93 else None, number, None,
             None, None, 0)
            for number, (name, size) in KNOWN.items()
            if wanted in (0, number)
        ]  # fmt: skip
        kinds = ["VARCHAR" if index in (0, 3, 4, 5, 12) else "INTEGER" for index in range(len(INFORMATION))]
        return (
            result(list(INFORMATION), kinds, rows)
            + wire.done(wire.COUNTED, len(rows), 0xFF)
            + wire.finished()
            + wire.done(token=0xFE)
        )

    def close(self) -> None:
        with suppress(duckdb.Error):
            self.connection.execute("ROLLBACK")
        with suppress(duckdb.Error):
            self.connection.close()


def split(text: str):
    """The statements of a batch."""
    begin = 0
    for token in tokenize(text, read="tsql"):
        if token.token_type is TokenType.SEMICOLON:
            if text[begin : token.start].strip():
                yield text[begin : token.start].strip()
            begin = token.end + 1
    if text[begin:].strip():
        yield text[begin:].strip()


def told(error: duckdb.Error) -> Wrong:
    """DuckDB's failures by SQL Server's numbers; conversions quote the value there too."""
    words = str(error)
    if found := re.search(r"Table with name (\S+) does not exist", words):
        return Wrong(208, f"Invalid object name '{found[1]}'.")
    if found := re.search(r'(?:Referenced column|does not have a column named) "([^"]+)"', words):
        return Wrong(207, f"Invalid column name '{found[1]}'.")
    if isinstance(error, duckdb.ConversionException):
        value = re.search(r"'([^']*)'", words)
        return Wrong(
            245, f"Conversion failed when converting the nvarchar value '{value[1] if value else ''}' to data type int."
        )
    if isinstance(error, duckdb.InterruptException):
        return Wrong(0, "Operation cancelled by user.")
    return Wrong(50000, f"DuckDB: {words}")
