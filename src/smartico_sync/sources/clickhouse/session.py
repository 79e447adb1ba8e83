"""One client of ClickHouse that never waits longer than it was told to, and only asks."""

from __future__ import annotations

import io
import json
import logging
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import clickhouse_connect
import pyarrow as pa

from smartico_sync.errors import SourceError, SourceUnreachable
from smartico_sync.sources.clickhouse.failures import FAILURES, connecting, failure
from smartico_sync.sources.clickhouse.settings import chosen
from smartico_sync.sources.kit.abandonable import AbandonableCalls, Abandoned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clickhouse_connect.driver.models import SettingDef

    from smartico_sync.sources.clickhouse.login import Login

__all__ = ["Hosts", "Session"]

# The driver logs addresses and the server's own words; what is wrong is told by the failure.
logging.getLogger("clickhouse_connect").propagate = False
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
T = TypeVar("T")


class Hosts:
    """The servers of a source; the one that served last is asked first."""

    def __init__(self, login: Login) -> None:
        self._hosts = list(login.hosts)
        self._lock = Lock()

    def __iter__(self) -> Any:
        with self._lock:
            return iter(tuple(self._hosts))

    def served(self, host: tuple[str, int]) -> None:
        """Ask this one first from now on."""
        with self._lock:
            self._hosts.sort(key=lambda other: other != host)


class Session:
    """A client with connections of its own. Not thread-safe but for `abort`."""

    def __init__(self, login: Login, hosts: Hosts, place: str) -> None:
        self._place = place
        # The client's own limit is on silence; a server that sends a little now and then is noticed by this one.
        self._patience_s = 2 * login.silence_s
        self._errands = AbandonableCalls()
        self._broken = False
        self._client = self._first(login, hosts)
        self.settings: Mapping[str, SettingDef] = self._client.server_settings
        try:
            for name, value in chosen(login, self.settings, place).items():
                self._client.set_client_setting(name, value)
        except SourceError:
            self.close()
            raise

    def _first(self, login: Login, hosts: Hosts) -> Any:
        """A client of the first server that answers; the last one's failure where none does."""
        told: Exception = SourceUnreachable(f"{self._place}: no host")
        for host in hosts:
            arguments = login.arguments(*host)
            try:
                client = self._errands.run(partial(_client, arguments), self._patience_s)
            except FAILURES as error:
                told = connecting(error, self._place)
            except Abandoned:
                raise self._left("connecting") from None
            else:
                hosts.served(host)
                return client
            if not isinstance(told, SourceUnreachable):
                break
        raise told from None

    def table(self, statement: str, values: Mapping[str, str | int], what: str) -> pa.Table:
        """A query's answer as an Arrow table. `what` names the view for messages."""
        return self._ask(lambda: self._client.query_arrow(statement, dict(values) or None), what)

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

        return json.load(io.BytesIO(self._ask(ask, what)))

    def _ask(self, ask: Callable[[], T], what: str) -> T:
        try:
            return self._errands.run(ask, self._patience_s)
        except FAILURES as error:
            told = failure(error, self._place, what)
        except Abandoned:
            told = self._left(what)
        except (pa.ArrowException, ValueError, OverflowError):  # with a value in it
            told = SourceError(
                f"{self._place}: {what}: a value cannot be read", hint="cast the column with toString() in the view"
            )
        self._broken = self._broken or isinstance(told, SourceUnreachable)
        raise told from None

    def _left(self, what: str) -> SourceError:
        return SourceUnreachable(
            f"{self._place}: {what}: no answer, or nobody waits for it any more",
            hint="check the network; statement_timeout sets how long to wait",
        )

    def usable(self) -> bool:
        """Whether the session is worth another question: where a server was not reached, another one may be."""
        return not (self._broken or self._errands.abandoned)

    def abort(self) -> None:
        """From another thread: let the waiting one go. The query ends by its own limit of time."""
        self._errands.abandon()
        self.close()

    def close(self) -> None:
        """Close the connections; never raises, never waits."""
        with suppress(*FAILURES):
            self._client.close()


def _client(arguments: dict[str, Any]) -> Any:
    client = clickhouse_connect.get_client(**arguments)
    client.http_retries = 0  # type: ignore[attr-defined]  # of the HTTP client, which it is
    return client
