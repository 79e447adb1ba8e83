"""One client of ClickHouse that never waits longer than it was told to, and only asks."""

from __future__ import annotations

import io
import json
import logging
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import clickhouse_connect
from clickhouse_connect.driver import exceptions
from urllib3 import disable_warnings
from urllib3.exceptions import InsecureRequestWarning

from smartico_sync.errors import SourceError
from smartico_sync.sources.clickhouse.failures import FAILURES, connecting, failure
from smartico_sync.sources.clickhouse.settings import most_to_send, settings_to_send
from smartico_sync.sources.kit.network_failures import first_that_answers
from smartico_sync.sources.sql.warehouse import WarehouseSession

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from clickhouse_connect.driver.models import SettingDef

    from smartico_sync.sources.clickhouse.clock import ReplicaClock
    from smartico_sync.sources.clickhouse.login import Login
    from smartico_sync.sources.kit.abandonable import UnattendedCalls
    from smartico_sync.sources.kit.intake import Intake

__all__ = ["Hosts", "Session"]

# The driver logs addresses and the server's own words; what is wrong is told by the failure.
logging.getLogger("clickhouse_connect").propagate = False
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
TOO_LARGE = 396  # the server's number for an answer above max_result_bytes
NOW = "SELECT toUnixTimestamp64Milli(now64(3))"


class Hosts:
    """The servers of a source; the one that served last is asked first."""

    def __init__(self, login: Login) -> None:
        self._hosts = list(login.hosts())
        self._lock = Lock()

    def __iter__(self) -> Any:
        with self._lock:
            return iter(tuple(self._hosts))

    def served(self, host: tuple[str, int]) -> None:
        """Ask this one first from now on."""
        with self._lock:
            self._hosts.sort(key=lambda other: other != host)


class Session(WarehouseSession):
    """A client of one server."""

    failures = FAILURES
    failure = staticmethod(failure)
    cast = "with toString()"

    def __init__(
        self, login: Login, hosts: Hosts, replication: ReplicaClock, unattended: UnattendedCalls, place: str
    ) -> None:
        # The client's own limit is on silence; a server that sends a little now and then is noticed by this one.
        super().__init__(replication.server, unattended, place, 2 * login.silence_s)
        self.replication = replication
        self._client = first_that_answers(hosts, partial(self._connect, login, hosts), place)
        self.settings: Mapping[str, SettingDef] = self._client.server_settings
        try:
            for name, value in settings_to_send(login, self.settings, place).items():
                self._client.set_client_setting(name, value)
        except SourceError:
            self.close()
            raise

    def _connect(self, login: Login, hosts: Hosts, host: tuple[str, int]) -> Any:
        if login.encryption == "unverified":  # as the source says in words; each request would put a line into the log
            disable_warnings(InsecureRequestWarning)
        client = partial(_client, login.arguments(*host))
        try:
            connected = self._unattended.run_once(self._place, client, self._patience_s, "connecting", _close)
        except FAILURES as error:
            raise connecting(error, self._place) from None
        hosts.served(host)
        return connected

    @property
    def encrypted(self) -> Literal["yes", "no"]:
        """Whether others can read along."""
        return "yes" if self._client.url.startswith("https:") else "no"

    def table(
        self, statement: str, values: Mapping[str, str | int], what: str, intake: Intake | None = None
    ) -> pa.Table:
        """A query's answer as an Arrow table. `what` names the view for messages.

        RowsTooWide where it is more than the `intake` takes: the server refuses to send it, as far as the user may choose that
        limit, or it is given up when it has come.
        """
        if intake is None:
            return self._call(lambda: self._client.query_arrow(statement, dict(values) or None), what)
        bound = most_to_send(self.settings, intake.most_bytes)

        def ask() -> pa.Table:
            try:
                return self._client.query_arrow(statement, dict(values) or None, bound)
            except exceptions.DatabaseError as error:
                if bound and error.code == TOO_LARGE:
                    raise intake.unsent() from None
                raise

        table = self._call(ask, what)
        intake.begin()
        intake.take(table.num_rows, table.nbytes)
        return table

    def described(self, statement: str, what: str) -> list[tuple[str, str]]:
        """Name and type of each column that a query gives."""
        return [(column["name"], column["type"]) for column in self._json(statement, {}, what)["meta"]]

    def rows(self, statement: str, what: str, values: Mapping[str, str | int] | None = None) -> list[list[Any]]:
        """The rows of what is asked about the server itself; numbers of 64 bits may come as text."""
        rows: list[list[Any]] = self._json(statement, values or {}, what)["data"]
        return rows

    def _json(self, statement: str, values: Mapping[str, str | int], what: str) -> Any:
        def ask() -> bytes:
            answer: bytes = self._client.raw_query(statement, dict(values) or None, fmt="JSONCompact")
            return answer

        return json.load(io.BytesIO(self._call(ask, what)))

    def _ask_now(self, what: str) -> int:
        return int(self.rows(NOW, what)[0][0])

    def abort(self) -> None:
        """From another thread: let the waiting one go. The query ends by its own limit of time."""
        super().abort()
        self.close()

    def close(self) -> None:
        """Close the connections; never raises, never waits."""
        super().close()
        _close(self._client)


def _client(arguments: dict[str, Any]) -> Any:
    client = clickhouse_connect.get_client(**arguments)
    client.http_retries = 0  # type: ignore[attr-defined]  # of the HTTP client, which it is
    return client


def _close(client: Any) -> None:
    with suppress(*FAILURES):
        client.close()
