"""fakesnow, with what it lacks of Snowflake where this project's source looks at it.

Times of nine digits; numbers of 38, each column in the narrowest integer that holds it, as they travel; a password (`wrong` is refused, and so is a key that belongs to nobody); CURRENT_ROLE() and
CURRENT_WAREHOUSE(); SYSTEM$WAIT() and STATEMENT_TIMEOUT_IN_SECONDS; EXPLAIN USING JSON; SHOW GRANTS. `GET /told` answers with what
the last login said, and the last statements.
"""

from __future__ import annotations

import collections
import gzip
import json
import re
import socket
import sys
import threading
import time

import fakesnow.server  # noqa: F401  - the package's own attribute of that name is a function
import pyarrow as pa
import pyarrow.compute as pc
import uvicorn
from fakesnow import arrow, cursor, transforms, variables
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp
from starlette.responses import JSONResponse
from starlette.routing import Route, request_response

server = sys.modules["fakesnow.server"]
told: dict = {}
statements: collections.deque = collections.deque(maxlen=100)
GRANTS = {"LOADER": [("INSERT", "TABLE"), ("OWNERSHIP", "TABLE"), ("SELECT", "VIEW")]}
READER = [("USAGE", "DATABASE"), ("SELECT", "VIEW")]


# --- login -----------------------------------------------------------------------------------------------------------

admit = server.login_request


async def login_request(request):
    """Remember what was said, refuse a wrong password, and answer with what connector 5 needs."""
    body = await request.body()
    data = json.loads(gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body)["data"]
    told.clear()
    told.update(data, **dict(request.query_params))
    refused = {"wrong": "390100"}.get(data.get("PASSWORD")) or {"NOBODY": "390144"}.get(data["LOGIN_NAME"].upper())
    if refused:
        return JSONResponse({"data": {}, "code": refused, "message": "refused", "success": False})
    answer = json.loads((await admit(request)).body)
    session = server.sessions[answer["data"]["token"]]
    session.role = request.query_params.get("roleName") or "PUBLIC"
    session.warehouse = request.query_params.get("warehouse") or ""
    session.limit_s = float(data["SESSION_PARAMETERS"].get("STATEMENT_TIMEOUT_IN_SECONDS") or 172800)
    answer["data"] |= {"masterToken": "m", "sessionId": 1}
    return JSONResponse(answer)


# --- statements ------------------------------------------------------------------------------------------------------

execute = cursor.FakeSnowflakeCursor.execute


def executed(self, command, *arguments, **named):
    """Answer what fakesnow does not know, and hand on the rest."""
    statements.append(command)
    session = self._conn
    command = re.sub(r"CURRENT_ROLE\(\)", f"'{getattr(session, 'role', '')}'", command)
    command = re.sub(r"CURRENT_WAREHOUSE\(\)", f"'{getattr(session, 'warehouse', '')}'", command)
    command = re.sub(r"CURRENT_USER\(\)", "'READER'", command)
    if wait := re.search(r"SYSTEM\$WAIT\((\d+)\)", command):
        seconds, limit_s = float(wait[1]), getattr(session, "limit_s", 172800.0)
        time.sleep(min(seconds, limit_s))
        if seconds > limit_s:
            raise ProgrammingError(
                msg="Statement reached its statement or warehouse timeout", errno=630, sqlstate="57014"
            )
        command = command.replace(wait[0], "1")
    if command.upper().startswith("EXPLAIN USING JSON"):
        execute(self, command[len("EXPLAIN USING JSON") :], *arguments, **named)
        command = f"SELECT '{json.dumps(plan(self._rowcount))}' AS \"content\""
    elif grants := re.match(r'SHOW GRANTS TO ROLE "(.+)"', command):
        rows = [f"('{right}', '{kind}', 'D.S.BETS')" for right, kind in GRANTS.get(grants[1], READER)]
        command = f'SELECT * FROM (VALUES {", ".join(rows)}) AS t("privilege", "granted_on", "name")'
    return execute(self, command, *arguments, **named)


def plan(rows):
    """What Snowflake's manual shows, for a table of one partition."""
    scan = {"id": 2, "operation": "TableScan", "objects": ["D.S.BETS"], "partitionsAssigned": 1, "partitionsTotal": 1}
    return {
        "GlobalStats": {"partitionsTotal": 1, "partitionsAssigned": 1, "bytesAssigned": 1024 * (rows or 0)},
        "Operations": [[{"id": 0, "operation": "Result"}, scan]],
    }


# --- nine digits -----------------------------------------------------------------------------------------------------

type_of_six, cast_of_six, struct_of_six = (
    transforms.timestamp_ntz, transforms.to_timestamp, arrow.timestamp_to_sf_struct,
)  # fmt: skip


def nine(kind) -> bool:
    """Whether a type is TIMESTAMP_NTZ(9), written so."""
    return kind.this == exp.DataType.Type.TIMESTAMPNTZ and [str(digits) for digits in kind.expressions] == ["9"]


def timestamp_ntz(expression):
    """The type."""
    if isinstance(expression, exp.DataType) and nine(expression):
        return exp.DataType(this=exp.DataType.Type.TIMESTAMP_NS)
    return type_of_six(expression)


def to_timestamp(expression):
    """A cast to it stays one."""
    return expression if isinstance(expression, exp.Cast) and nine(expression.to) else cast_of_six(expression)


def timestamp_to_sf_struct(times):
    """Seconds and nanoseconds, as they travel."""
    array = times.combine_chunks() if isinstance(times, pa.ChunkedArray) else times
    if array.type != pa.timestamp("ns"):
        return struct_of_six(times)
    counts = array.cast(pa.int64())
    seconds = pc.floor_temporal(array, unit="second").cast(pa.int64())
    fraction = pc.subtract(counts, seconds).cast(pa.int32())
    fields = [pa.field("epoch", pa.int64(), nullable=False), pa.field("fraction", pa.int32(), nullable=False)]
    return pa.StructArray.from_arrays(
        [pc.divide(seconds, 1_000_000_000), fraction], fields=fields, mask=pc.is_null(array)
    )


# --- numbers ---------------------------------------------------------------------------------------------------------

small_numbers, wide_table = transforms.integer_precision, arrow.to_sf
WIDTHS = ((pa.int8(), 7), (pa.int16(), 15), (pa.int32(), 31), (pa.int64(), 63))


def integer_precision(expression):
    """NUMBER(38,0) holds 38 digits."""
    if isinstance(expression, exp.DataType) and [str(digits) for digits in expression.expressions] == ["38", "0"]:
        return expression
    return small_numbers(expression)


def narrowed(column):
    """A decimal without its point, in the narrowest integer."""
    array = column.combine_chunks()
    whole = pa.Array.from_buffers(pa.decimal128(38, 0), len(array), array.buffers(), offset=array.offset)
    limits = pc.min_max(whole).as_py()
    most = max(abs(int(limit or 0)) for limit in limits.values())
    width = next((width for width, bits in WIDTHS if most < 2**bits), None)
    return whole.cast(width) if width is not None else column


def to_sf(table, rowtype):
    """A table as it travels."""
    columns = [narrowed(column) if pa.types.is_decimal128(column.type) else column for column in table.columns]
    return wide_table(pa.Table.from_arrays(columns, names=table.column_names), rowtype)


def main() -> None:
    """Serve until the standard input is closed."""
    cursor.FakeSnowflakeCursor.execute = executed
    # Session variables, of which nobody here has any, would be looked for in texts too.
    variables.Variables.inline_variables = lambda self, sql: sql
    transforms.timestamp_ntz, transforms.to_timestamp = timestamp_ntz, to_timestamp
    transforms.integer_precision = integer_precision
    arrow.timestamp_to_sf_struct, server.to_sf = timestamp_to_sf_struct, to_sf
    for route in server.routes:
        if route.path == "/session/v1/login-request":
            route.app = request_response(login_request)
    server.routes.append(Route("/told", lambda _: JSONResponse({"login": told, "statements": list(statements)})))
    server.app.router.routes.append(server.routes[-1])
    listener = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(server.app, log_level="warning"))
    threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True).start()
    while not running.started:
        time.sleep(0.01)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    sys.stdin.read()


main()
