"""Result sets read from the socket into flat lists of bytes.

PyMySQL makes a Python object of every value by calls of its own; reading the packets here gives its three- to fivefold rows
a second, and leaves the parsing to polars, a column at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pymysql.connections import MAX_PACKET_LEN, Connection, MySQLResult
from pymysql.err import InternalError
from pymysql.protocol import MysqlPacket

from smartico_sync.errors import SourceRefused
from smartico_sync.sources.kit.intake import PORTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.sources.kit.intake import Intake

__all__ = ["Result", "Secrecy", "Wire"]

Value = bytes | None
Secrecy = Literal[
    "password",  # the password itself: the server is who it should be
    "encrypted",  # the password, but not by a plug-in that asks for nothing else
    "proof",  # only a proof that we know it
]
SECRECY = ("password", "encrypted", "proof")
PORTION_BYTES = 1_000_000  # of rows after which they are counted, however few they are
ASK_FOR_PASSWORD = (b"mysql_clear_password", b"dialog")
ASK_FOR_KEY = (b"\1", b"\2")
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
        intake, rows, came = connection.intake, 0, 0
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
            rows += 1
            came += len(data)
            if intake is not None and (rows == PORTION or came > PORTION_BYTES):
                intake.take(rows, came)
                rows = came = 0
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
    """A connection whose answers are `Result`s. A server that asks for more than `secrecy` allows is refused its login."""

    def __init__(self, *, secrecy: Secrecy, place: str, **arguments: Any) -> None:
        self._secrecy, self._called = secrecy, place
        self._encrypted = False
        self.intake: Intake | None = None
        super().__init__(**arguments)

    @property
    def _secure(self) -> bool:
        """Whether the driver may send the password over TLS as it is; else it hides it with the server's own key."""
        return self._encrypted and self._secrecy != "proof"

    @_secure.setter
    def _secure(self, value: bool) -> None:
        self._encrypted = value

    def _request_authentication(self) -> None:
        if self._auth_plugin_name == "sha256_password":  # whose password would go with the greeting
            self._allow("encrypted")
        super()._request_authentication()

    def _process_auth(self, plugin_name: bytes, auth_packet: Any, *handler: Any) -> Any:
        if plugin_name in ASK_FOR_PASSWORD:
            self._allow("password")
        return super()._process_auth(plugin_name, auth_packet, *handler)

    def write_packet(self, payload: bytes) -> None:
        """Write a packet of the login; here goes the password in the end, or the question for a key to hide it with."""
        if self.password and payload in (self.password + b"\0", *ASK_FOR_KEY):
            self._allow("encrypted")
        super().write_packet(payload)

    def _allow(self, least: Secrecy) -> None:
        """Raise SourceRefused when what a server asks for is more than it may have."""
        if SECRECY.index(self._secrecy) > SECRECY.index(least):
            raise SourceRefused(
                f"{self._called}: the server asks for the password, and the connection is not encrypted and verified: "
                "whoever answers there would have it",
                hint="use verified TLS (`ssl_ca` names its authority); or give the server's own key with `server_public_key`, "
                "or the user a plug-in that only asks for a proof",
            )

    def ask(self, statement: str, intake: Intake | None = None) -> Result:
        """Run one statement and read its whole answer. RowsTooWide leaves the rest of it unread."""
        self.intake = intake
        if intake is not None:
            intake.begin()
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
