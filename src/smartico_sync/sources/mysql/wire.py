"""Result sets read from the socket into flat lists of bytes.

PyMySQL makes a Python object of every value by calls of its own; reading the packets here gives its three- to fivefold rows
a second, and leaves the parsing to polars, a column at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymysql.connections import MAX_PACKET_LEN, Connection, MySQLResult
from pymysql.err import InternalError
from pymysql.protocol import MysqlPacket

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Result", "Wire"]

Value = bytes | None
NULL, TWO_BYTES, THREE_BYTES, END, ERROR = 0xFB, 0xFC, 0xFD, 0xFE, 0xFF


class Result(MySQLResult):  # type: ignore[misc]
    """One answer: `fields` describe its columns, `values` holds the rows one behind the other."""

    connection: Any
    fields: Sequence[Any] = ()
    values: Sequence[Value] = ()
    warning_count: int

    def _read_rowdata_packet(self) -> None:
        connection = self.connection
        read, width = connection._read_bytes, self.field_count  # noqa: SLF001  - the driver's own reader, timeouts included
        values: list[Value] = []
        add, number = values.append, int.from_bytes
        while True:
            head = read(4)
            size = head[0] | head[1] << 8 | head[2] << 16
            data = read(size)
            whole = size < MAX_PACKET_LEN
            while size == MAX_PACKET_LEN:  # a row of more than 16 MB goes on in the next packet
                head = read(4)
                size = head[0] | head[1] << 8 | head[2] << 16
                data += read(size)
            first = data[0]
            if whole and first >= END:  # a row begins so only when its first value alone has 16 MB
                break
            at = 0
            for _ in range(width):
                length = data[at]
                at += 1
                if length >= NULL:
                    if length == NULL:
                        add(None)
                        continue
                    extra = 2 if length == TWO_BYTES else 3 if length == THREE_BYTES else 8
                    length = number(data[at : at + extra], "little")
                    at += extra
                end = at + length
                add(data[at:end])
                at = end
        connection._next_seq_id = (head[3] + 1) % 256  # noqa: SLF001
        packet = MysqlPacket(data, connection.encoding)
        if first == ERROR:
            packet.raise_for_error()
        if not self._check_packet_is_eof(packet):
            raise InternalError("the result set does not end as this protocol's version says")
        self.connection = None
        self.values = values


class Wire(Connection):  # type: ignore[misc]
    """A connection whose answers are `Result`s."""

    def ask(self, statement: str) -> Result:
        """Run one statement and read its whole answer."""
        self.query(statement)
        result: Result | None = self._result
        if result is None:
            raise InternalError("a statement without an answer")
        return result

    def _read_query_result(self, unbuffered: bool = False) -> int:  # noqa: ARG002, FBT001, FBT002  - the driver's signature
        self._result = None
        result = Result(self)
        result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return int(result.affected_rows or 0)
