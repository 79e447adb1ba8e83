"""A source whose password lives in a file: each new connection takes the password that is there then."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeVar

import structlog
from msgspec import Struct

from smartico_sync.config.secret_files import read_secret, with_password, without_password
from smartico_sync.errors import SourceUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pydantic import SecretStr

    from smartico_sync.core.late_commit.view_definition import ViewDefinition
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.core.replication import Replication
    from smartico_sync.core.tables import IndexPlan, Table, ViewPlan
    from smartico_sync.sources.protocol import Asked, FirstPage, News, Plan, Reading, ServerFacts, Source

__all__ = ["FreshPassword"]

log = structlog.get_logger()
T = TypeVar("T")


class Opened(Struct):
    """A source with one password, and how many use it."""

    source: Source
    users: int = 0


class FreshPassword:
    """See `protocol.Source`. `connect` makes the source with a password; once the file changes, whoever comes uses a new one.

    The one before is closed when its last reading has ended. A file that cannot be used leaves the password as it was, and that is told.
    """

    def __init__(self, name: str, file: Path, url: SecretStr, connect: Callable[[SecretStr], Source]) -> None:
        self._name, self._file, self._url, self._connect = name, file, url, connect
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._problem = ""
        self._closed = False
        self._now = Opened(connect(url))

    @property
    def engine(self) -> str:
        """See the protocol."""
        return self._now.source.engine

    @property
    def encryption(self) -> str:
        """See the protocol."""
        return self._now.source.encryption

    @property
    def cursor_names(self) -> Literal["free", "kept"]:
        """See the protocol."""
        return self._now.source.cursor_names

    @property
    def longest_name(self) -> int:
        """Of the engine."""
        return self._now.source.longest_name

    @contextmanager
    def _used(self) -> Iterator[Source]:
        """The source with the password of now, which stays open meanwhile."""
        with self._lock:
            if self._closed:
                raise SourceUnreachable(f"source {self._name!r} has been closed")
            before = self._now
            url = self._url_now()
            if url != self._url:
                self._url, self._now = url, Opened(self._connect(url))
            used = self._now
            used.users += 1
            unused = used is not before and not before.users
        if unused:
            before.source.close()
        try:
            yield used.source
        finally:
            with self._lock:
                used.users -= 1
                unused = used is not self._now and not used.users
            if unused:
                used.source.close()

    def _url_now(self) -> SecretStr:
        """The URL with the password that the file holds now."""
        seen = version(self._file)
        if seen == self._seen:
            return self._url
        self._seen = seen
        found = read_secret(self._file, "line")
        if found.problem and found.problem != self._problem:
            log.warning("password.unusable", source=self._name, reason=found.problem, hint=f"mend {self._file}")
        self._problem = found.problem
        return self._url if found.value is None else with_password(without_password(self._url), found.value)

    @contextmanager
    def reading(self, relation: Relation, first: FirstPage | None = None) -> Iterator[Reading]:
        """See the protocol."""
        with self._used() as source, source.reading(relation, first) as reading:
            yield reading

    def _ask(self, question: Callable[[Source], T]) -> T:
        with self._used() as source:
            return question(source)

    def describe(self, relation: Relation) -> Relation:
        """See the protocol."""
        return self._ask(lambda source: source.describe(relation))

    def news(self, asked: Sequence[Asked], replication: Literal["not asked", "asked"] = "not asked") -> News | None:
        """See the protocol."""
        return self._ask(lambda source: source.news(asked, replication))

    def verify(self, relation: Relation) -> None:
        """See the protocol."""
        self._ask(lambda source: source.verify(relation))

    def hidden(self, relation: Relation) -> str:
        """See the protocol."""
        return self._ask(lambda source: source.hidden(relation))

    def facts(self) -> ServerFacts:
        """See the protocol."""
        return self._ask(lambda source: source.facts())

    def recent_facts(self) -> ServerFacts:
        """See the protocol."""
        return self._ask(lambda source: source.recent_facts())

    def recent_replication(self, relation: Relation) -> Replication:
        """See the protocol."""
        return self._ask(lambda source: source.recent_replication(relation))

    def definition(self, relation: Relation) -> ViewDefinition:
        """See the protocol."""
        return self._ask(lambda source: source.definition(relation))

    def plan(self, relation: Relation, after: Position | None, limit: int) -> Plan:
        """See the protocol."""
        return self._ask(lambda source: source.plan(relation, after, limit))

    def relations(self) -> tuple[str, ...]:
        """See the protocol."""
        return self._ask(lambda source: source.relations())

    def tables(self) -> tuple[Table, ...]:
        """See the protocol."""
        return self._ask(lambda source: source.tables())

    def ddl(self, views: Sequence[ViewPlan], indexes: Sequence[IndexPlan]) -> tuple[str, ...]:
        """See the protocol."""
        return self._now.source.ddl(views, indexes)

    def close(self) -> None:
        """See the protocol."""
        with self._lock:
            self._closed = True
        self._now.source.close()


def version(path: Path) -> tuple[int, ...]:
    """What changes when a file is written or replaced; empty when there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino
