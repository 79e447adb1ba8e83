"""What no stand-in of SQL Server shows: the SQL of each type, plans of the real optimizer, failures by their numbers."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import (
    ConfigError,
    DriverMissing,
    SourceCancelled,
    SourceRefused,
    SourceUnreachable,
    ViewBroken,
)
from smartico_sync.sources.sql import statements as sql

pytest.importorskip("pyodbc", reason="unixODBC is not installed: apt-get install unixodbc", exc_type=ImportError)

from smartico_sync.config.models import SourceConfig
from smartico_sync.sources.kit.positions import position_parameters
from smartico_sync.sources.mssql.failures import connecting, diagnostic, failure
from smartico_sync.sources.mssql.login import Login
from smartico_sync.sources.mssql.plan import SPACE, advice, plan_text, serves
from smartico_sync.sources.mssql.session import declared
from smartico_sync.sources.mssql.types import MSSQL, column_of, truncated


def compiled(expression):
    return str(expression.compile(dialect=MSSQL.dialect))


GOLDEN = [
    # type, collation, family, what a page selects, what the column is compared with
    ("tinyint", "", "integer", "[x]", "CAST(@c AS BIGINT)"),
    ("int", "", "integer", "[x]", "CAST(@c AS BIGINT)"),
    ("bigint", "", "integer", "[x]", "CAST(@c AS BIGINT)"),
    ("timestamp", "", "integer", "CAST([x] AS BIGINT)", "CAST(CAST(@c AS BIGINT) AS binary(8))"),
    ("bit", "", "boolean", "[x]", "CAST(@c AS bit)"),
    ("decimal(38,10)", "", "decimal", "CAST([x] AS varchar(41))", "CAST(@c AS decimal(38,10))"),
    ("money", "", "decimal", "convert(varchar(41), [x], 2)", "CAST(@c AS money)"),
    ("smallmoney", "", "decimal", "convert(varchar(41), [x], 2)", "CAST(@c AS smallmoney)"),
    ("float", "", "float", "[x]", "CAST(@c AS float)"),
    ("real", "", "float", "[x]", "CAST(@c AS real)"),
    ("date", "", "date", "[x]", "CAST(@c AS date)"),
    ("time(7)", "", "other", "CAST([x] AS varchar(16))", "@c"),
    ("datetime", "", "timestamp", "convert(varchar(27), [x], 121)", "convert(datetime, @c, 121)"),
    ("smalldatetime", "", "timestamp", "convert(varchar(27), [x], 121)", "convert(smalldatetime, @c, 121)"),
    ("datetime2(7)", "", "timestamp", "convert(varchar(27), [x], 121)", "convert(datetime2(7), @c, 121)"),
    ("datetime2(0)", "", "timestamp", "convert(varchar(27), [x], 121)", "convert(datetime2(0), @c, 121)"),
    ("datetimeoffset(3)", "", "instant", "convert(varchar(27), CAST(switchoffset([x], '+00:00') AS datetime2(7)), 121)",
     "convert(datetimeoffset(3), @c, 121)"),
    ("varchar(50)", "Cyrillic_General_CI_AS", "text", "[x]", "CAST(@c COLLATE Cyrillic_General_CI_AS AS varchar(50))"),
    ("varchar(max)", "Latin1_General_CI_AS", "text", "[x]", "CAST(@c COLLATE Latin1_General_CI_AS AS varchar(max))"),
    ("char(3)", "Latin1_General_CI_AS", "text", "rtrim([x])", "CAST(@c COLLATE Latin1_General_CI_AS AS char(3))"),
    ("nchar(3)", "Latin1_General_CI_AS", "text", "rtrim([x])", "CAST(@c AS nchar(3))"),
    ("nvarchar(50)", "Latin1_General_CI_AS", "text", "[x]", "CAST(@c AS nvarchar(50))"),
    ("nvarchar(max)", "Latin1_General_CI_AS", "text", "[x]", "CAST(@c AS nvarchar(max))"),
    ("uniqueidentifier", "", "uuid", "[x]", "CAST(@c AS uniqueidentifier)"),
    ("binary(16)", "", "binary", "[x]", "convert(binary(16), @c, 2)"),
    ("varbinary(max)", "", "binary", "[x]", "convert(varbinary(max), @c, 2)"),
    ("xml", "", "other", "CAST([x] AS nvarchar(max))", "@c"),
    ("sql_variant", "", "other", "CAST([x] AS nvarchar(max))", "@c"),
    ("json", "", "json", "CAST([x] AS nvarchar(max))", "@c"),
    ("hierarchyid", "", "other", "CAST([x] AS nvarchar(max))", "@c"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "collation", "family", "selected", "bound"), GOLDEN, ids=[row[0] for row in GOLDEN])
def test_each_type_is_selected_whole_and_compared_as_itself(kind, collation, family, selected, bound):
    """The parameter becomes a value of the column's own type and code page; the column is never cast in a comparison."""
    import sqlalchemy as sa
    from sqlalchemy.sql import quoted_name

    column = column_of("x", kind, "", collation)
    assert column.family == family
    assert compiled(MSSQL.project(column, sa.column(quoted_name("x", quote=True)))) == selected
    assert compiled(MSSQL.bind(column, "c")) == bound
    assert MSSQL.position(column, sa.column("x")) is None


def test_types_of_the_operators_own_come_as_their_base():
    """An alias type is told by its base; a CLR type, which has none, by its name."""
    assert column_of("x", "decimal(19,4)", "stake", "").type == "decimal(19,4)"
    assert column_of("x", "", "geography", "").family == "other"


@pytest.mark.parametrize(
    ("kind", "text", "cut"),
    [
        ("datetime2(7)", "2024-03-01 10:00:59.999", "2024-03-01 10:00:59.999"),
        ("datetime2(1)", "2024-03-01 10:00:59.999", "2024-03-01 10:00:59.9"),
        ("datetime2(0)", "2024-03-01 10:00:59.999", "2024-03-01 10:00:59"),
        ("datetimeoffset(2)", "2024-03-01 10:00:59.999", "2024-03-01 10:00:59.99"),
        ("datetime", "2024-03-01 10:00:59.999", "2024-03-01 10:00:59.99"),
        ("smalldatetime", "2024-03-01 10:00:59", "2024-03-01 10:00"),
        ("date", "2024-03-01", "2024-03-01"),
    ],
)
def test_bounds_are_cut_not_rounded(kind, text, cut):
    """A bound holds no more digits than its column."""
    assert truncated(column_of("x", kind, "", ""), text) == cut


RELATION = Relation(
    "bets", "at", ("id",), relation="crm.Bets",
    columns=(column_of("at", "datetime", "", ""), column_of("id", "varchar(50)", "", "Latin1_General_CI_AS"),
             column_of("stake", "money", "", "")),
)  # fmt: skip


def test_the_poll_is_one_statement_for_all_positions():
    """TOP takes a variable, each variable stands for itself however often it is used, and the order is the column's own."""
    statement = sql.page(MSSQL, RELATION, "after, ties by key", "through")
    assert statement.text == (
        "/* smartico-sync view=bets */ SELECT TOP (@n) convert(varchar(27), crm.[Bets].[at], 121) AS [at], crm.[Bets].[id] AS [id], "
        "convert(varchar(41), crm.[Bets].[stake], 2) AS [stake] \n"
        "FROM crm.[Bets] \n"
        "WHERE crm.[Bets].[at] IS NOT NULL AND crm.[Bets].[id] IS NOT NULL AND crm.[Bets].[at] <= convert(datetime, @high, 121) "
        "AND crm.[Bets].[at] >= convert(datetime, @c, 121) AND (crm.[Bets].[at] > convert(datetime, @c, 121) "
        "OR crm.[Bets].[at] = convert(datetime, @c, 121) "
        "AND crm.[Bets].[id] > CAST(@k0 COLLATE Latin1_General_CI_AS AS varchar(50))) ORDER BY crm.[Bets].[at], crm.[Bets].[id]"
    )
    values = position_parameters(Position("2024-03-01 10:00:00.003", ("x" * 2001,)))
    assert declared({**values, "n": 5}) == "@c nvarchar(4000), @k0 nvarchar(max), @n int"


def test_counts_have_64_bits_and_heads_need_no_sort():
    """COUNT would end at two thousand million rows; the head is the first row of the index read backwards."""
    assert "COUNT_BIG(*)" in sql.count(MSSQL, RELATION, "low", "below").text
    assert "TOP (10000)" in sql.null_cursors(MSSQL, RELATION).text
    head = sql.head(MSSQL, RELATION, "open").text
    assert "TOP (1)" in head
    assert head.endswith("ORDER BY crm.[Bets].[at] DESC")


def operator(kind, *children, logical="", inside=""):
    return f"<RelOp PhysicalOp='{kind}' LogicalOp='{logical or kind}'><Op>{inside}{''.join(children)}</Op></RelOp>"


def plan(root):
    return ET.fromstring(f"<P xmlns='{SPACE[1:-1]}'>{root}</P>")[0]


TABLE = "Database='[casino]' Schema='[dbo]' Table='[bets]'"
SEEK = operator("Index Seek", inside=f"<Object {TABLE} Index='[bets_at]'/>")
LOOKUP = operator("Key Lookup")
RANGES = operator(
    "Merge Interval", operator("Sort", operator("Concatenation", operator("Constant Scan"), operator("Constant Scan")))
)
SORTED = "<OrderBy>" + "".join(
    f"<OrderByColumn><ColumnReference {TABLE} Column='{name}'/></OrderByColumn>" for name in ("at", "odd]name")
) + "</OrderBy>"  # fmt: skip


@pytest.mark.parametrize(
    ("root", "after", "expected"),
    [
        (operator("Top", SEEK), "position", True),
        (operator("Top", operator("Nested Loops", SEEK, LOOKUP)), "position", True),
        (operator("Top", operator("Compute Scalar", operator("Nested Loops", RANGES, SEEK))), "position", True),
        (operator("Top", operator("Parallelism", operator("Clustered Index Seek"))), "position", True),
        (operator("Top", operator("Index Scan")), "position", False),
        (operator("Top", operator("Index Scan")), "start", True),
        (operator("Sort", operator("Table Scan"), logical="TopN Sort", inside=SORTED), "position", False),
        (operator("Top", operator("Sort", SEEK)), "position", False),
        (operator("Top", operator("Hash Match", SEEK, operator("Table Scan"))), "position", False),
        (operator("Top", operator("Table Scan")), "start", False),
    ],
)
def test_plans_are_judged_by_where_their_order_comes_from(root, after, expected):
    """An index serves when it gives the order, without a sort above it, and the position is found inside it."""
    assert serves(plan(root), Position("1") if after == "position" else None) is expected


def test_advice_is_written_as_the_server_would():
    """The missing index, quoted, on the table of the plan; elsewhere with its database."""
    root = plan(operator("Sort", operator("Table Scan"), inside=SORTED))
    made = "CREATE INDEX [bets_at_odd]]name] ON [dbo].[bets] ([at], [odd]]name]);"
    assert advice(root, RELATION, "casino") == made
    assert advice(root, RELATION, "other") == made.replace("ON ", "ON [casino].")
    assert "must pass an indexed column" in advice(plan(operator("Hash Match", SEEK)), RELATION, "casino")


def test_a_plans_text_names_what_it_reads():
    """One line an operator, indented."""
    root = plan(operator("Top", operator("Nested Loops", SEEK, LOOKUP)))
    assert plan_text(root) == "Top\n  Nested Loops\n    Index Seek [dbo].[bets] [bets_at]\n    Key Lookup"


def microsoft(text, number, function="SQLExecDirectW"):
    return f"[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]{text} ({number}) ({function})"


def test_what_drivers_say_is_taken_apart():
    """SQLSTATE, the server's own number and message; a number of the driver's or the system's is no number."""
    assert diagnostic(("42S02", "[42S02] " + microsoft("Invalid object name 'x'.", 208))) == (
        "42S02",
        208,
        "Invalid object name 'x'.",
    )
    assert (
        diagnostic(
            (
                "08S01",
                "[08S01] [Microsoft][ODBC Driver 18 for SQL Server]TCP Provider: Error code 0x68 (104) (SQLExecDirectW)",
            )
        )[1]
        == 0
    )
    assert (
        diagnostic(("08S01", "[08S01] [FreeTDS][SQL Server]Unexpected EOF from the server (20017) (SQLExecDirectW)"))[1]
        == 0
    )
    assert diagnostic(("The SQL contains 1 parameter markers",))[1:] == (0, "")
    assert diagnostic(()) == ("", 0, "")


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (1205, SourceCancelled, "deadlock"),
        (1222, SourceCancelled, "lock"),
        (3961, SourceCancelled, "altered"),
        (8645, SourceCancelled, "memory"),
        (208, ViewBroken, "spoken by the server"),
        (207, ViewBroken, "spoken by the server"),
        (1033, ViewBroken, "spoken by the server"),
        (245, ViewBroken, "cannot be computed"),
        (8134, ViewBroken, "cannot be computed"),
        (241, ViewBroken, "cannot be computed"),
        (229, SourceRefused, "spoken by the server"),
        (916, SourceRefused, "spoken by the server"),
        (3906, SourceRefused, "read-only"),
        (3952, SourceRefused, "SNAPSHOT"),
        (18456, SourceRefused, "password"),
        (18487, SourceRefused, "expired"),
        (4060, SourceRefused, "database"),
        (978, SourceRefused, "intent"),
        (976, SourceUnreachable, "cannot serve"),
        (40613, SourceUnreachable, "cannot serve"),
    ],
)
def test_numbers_of_the_server_are_told_as_ours(number, kind, said):
    """Each number is one of our failures, with a hint; only messages that hold names are passed on."""
    told = failure("42000", number, "spoken by the server", "source s", "view v")
    assert type(told) is kind
    assert said in told.message
    assert ("spoken by the server" in told.message) is (said == "spoken by the server")
    assert told.hint


@pytest.mark.parametrize(
    ("state", "number", "message", "kind"),
    [
        ("28000", 18456, "Login failed for user 'sesame'.", SourceRefused),
        ("28000", 0, "Login failed for user 'sesame'.", SourceRefused),
        ("HYT00", 0, "Login timeout expired", SourceUnreachable),
        ("08001", 0, "SSL Provider: certificate verify failed", SourceUnreachable),
        ("08001", 0, "TCP Provider: Error code 0x2749", SourceUnreachable),
        ("01000", 0, "Can't open lib '/nowhere' : file not found", DriverMissing),
        ("IM002", 0, "Data source name not found", DriverMissing),
        ("HY024", 0, "Invalid attribute value", ConfigError),
        ("42000", 976, "The target database is participating in an availability group", SourceUnreachable),
    ],
)
def test_failures_to_connect_are_told_apart(state, number, message, kind):
    """Who is not there, who refuses, what is not installed: each with what to do, none with a name or a password."""
    told = connecting(state, number, message, "source s")
    assert type(told) is kind
    assert "sesame" not in told.message
    assert told.hint


def dialled(url, host="h", port=1433, encryption=None, **options):
    return Login(SourceConfig(url=url, options=options, encryption=encryption)).dial(host, port)


def test_connection_strings_say_what_the_url_says():
    """Our parameters in each driver's words, and every character of a password as it is."""
    microsoft = dialled(
        "mssql://u:p};x@h/d?driver=ODBC Driver 18 for SQL Server&encrypt=strict&hostname_in_certificate=sql.example"
    )
    assert microsoft == (
        "DRIVER={ODBC Driver 18 for SQL Server};SERVER={tcp:h,1433};DATABASE=d;UID=u;PWD={p}};x};APP=smartico-sync;"
        "ApplicationIntent=ReadOnly;Encrypt=strict;TrustServerCertificate=no;HostNameInCertificate=sql.example;ConnectRetryCount=0"
    )
    free = dialled("mssql://u:p}x@h/d?driver=FreeTDS", encryption="unverified", TDS_Version="7.3")
    assert free == (
        "DRIVER=FreeTDS;SERVER=h;PORT=1433;DATABASE=d;UID=u;PWD={p}x};APP=smartico-sync;ApplicationIntent=ReadOnly;"
        "Encryption=require;TDS_Version=7.3;ClientCharset=UTF-8"
    )
    kerberos = dialled("mssql://h/d?driver=FreeTDS&trusted_connection=yes", encryption="off")
    assert "UID" not in kerberos
    assert "Trusted_Connection=yes" in kerberos
    with pytest.raises(ConfigError, match="FreeTDS"):
        dialled("mssql://u:p};x@h/d?driver=FreeTDS", encryption="off")
