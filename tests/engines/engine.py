"""A database as the contract suite sees it: written by its owner, read through the source as an operator would."""

from __future__ import annotations

import json
import os
import re
import tempfile
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smartico_sync.config.load import load
from smartico_sync.errors import SourceError
from smartico_sync.sources.registry import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["Engine"]

VIEWS = """\
version: 1
smartico: {url: "http://127.0.0.1:9/api", token: t}
pii: {mode: drop}
sources:
  replica: %s
views:
  - {name: bets, source: replica, relation: bets, kind: casino_bets, cursor: id}
"""


def _configured(url: str, **fields: object) -> Any:
    """A source as an operator opens it: named `replica` in a views.yaml that nobody else may read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "views.yaml"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(VIEWS % json.dumps({"url": url, **fields}, ensure_ascii=False))
        return open_source("replica", load(path, {}).sources["replica"])


class Engine:
    """An empty database of one test's own.

    Families in tables are those of `core.relation`; `types` says what the engine calls them. `awkward` is a column's name that
    needs care, `odd` a table's, each of the characters that the engine allows in one. `lacks` names what the engine
    cannot do at all, in the words of the tests (`query`, `schemas`, `indexes`, `snapshots` …): the tests that need it skip and
    say so, and the engine's module says why. `silent`: words of the failure when nobody answers any more;
    `closed`: what a read ends with whose source is closed. `left_out` is what a view's configuration adds to leave out a column that every
    row has.
    """

    name = ""
    types: Mapping[str, str] = {}
    awkward = 'a "b" :c %(n)s'
    odd = "My.Bets %"
    lacks: frozenset[str] = frozenset()
    silent: str | None = "no answer"
    closed: type[SourceError] = SourceError
    left_out = ""

    def __init__(self, url: str) -> None:
        self.url = url
        self._open: list[Any] = []

    def source(self, url: str = "", **config: object) -> Any:
        """A source of its own, or of another URL of it, closed when the test ends."""
        source = _configured(url or self.url, **config)
        self._open.append(source)
        return source

    @property
    def port(self) -> int:
        """Where its server listens on this machine; 0 where it does not."""
        found = re.search(r"127\.0\.0\.1:(\d+)/|\?host=127\.0\.0\.1&port=(\d+)", self.url)
        return int(found[1] or found[2]) if found else 0

    def through(self, port: int) -> str:
        """The URL of its database by way of another port of this machine."""
        return re.sub(rf"(?<=127\.0\.0\.1:){self.port}\b|(?<=&port=){self.port}\b", str(port), self.url)

    def recovered(self, read: Callable[[], object]) -> None:
        """Wait until the driver believes in a network that works again; most do so with the next question."""

    def sleeping(self, seconds: int) -> str:
        """A query with a column `id` that takes so long to answer."""
        raise NotImplementedError

    def asleep(self, seconds: int) -> bool:
        """Whether somebody waits for that query."""
        raise NotImplementedError

    def close(self) -> None:
        for source in self._open:
            source.close()

    def execute(self, *statements: str) -> list[tuple]:
        """Run statements as the owner; the rows of the last."""
        raise NotImplementedError

    def quoted(self, name: str) -> str:
        """An identifier exactly as written."""
        return '"' + name.replace('"', '""') + '"'

    def literal(self, value: object) -> str:
        """A value as the engine writes it in a statement."""
        match value:
            case None:
                return "NULL"
            case str():
                return "'" + value.replace("'", "''") + "'"
            case datetime():
                return f"'{value.replace(tzinfo=None)}{'+00' if value.tzinfo else ''}'"
            case date():
                return f"'{value}'"
        return str(value)

    def kept(self, text: str | None) -> str | None:
        """What the engine makes of a text that is stored: itself, unless the engine knows no empty text."""
        return text

    def compared(self, text: str) -> str:
        """What tells a text key from others: all of it, unless the engine's collation leaves something out."""
        return text

    def printed(self, number: str) -> str:
        """A decimal as the engine prints it: with the digits of its column's scale, unless the engine keeps none."""
        return number

    def table(self, name: str, columns: Mapping[str, str], rows: Iterable[Sequence[object]] = ()) -> None:
        """Make a table of `{column: family}` and fill it. `name` may be `schema.name`; names are taken as written."""
        declared = ", ".join(f"{self.quoted(column)} {self.types[family]}" for column, family in columns.items())
        self.execute(f"CREATE TABLE {self.place(name)} ({declared})")
        self.insert(name, rows)

    def insert(self, name: str, rows: Iterable[Sequence[object]]) -> None:
        """Add rows of Python values."""
        values = [f"({', '.join(self.literal(value) for value in row)})" for row in rows]
        if values:
            self.execute(f"INSERT INTO {self.place(name)} VALUES {', '.join(values)}")

    def double(self, name: str, columns: Iterable[str], column: str, by: int) -> None:
        """Add every row of a table once more, with that much more in a column."""
        shown = ", ".join(f"{self.quoted(each)} + {by}" if each == column else self.quoted(each) for each in columns)
        self.execute(f"INSERT INTO {self.place(name)} SELECT {shown} FROM {self.place(name)}")

    def everything(self, name: str) -> str:
        """The query that a bare driver reads a table with."""
        return f"SELECT * FROM {self.place(name)}"

    def view(self, name: str, relation: str, columns: Mapping[str, str]) -> None:
        """A view of `{its column: the relation's column}`."""
        shown = ", ".join(f"{self.quoted(of)} AS {self.quoted(column)}" for column, of in columns.items())
        self.execute(f"CREATE VIEW {self.place(name)} AS SELECT {shown} FROM {self.place(relation)}")

    def index(self, relation: str, *columns: str) -> None:
        """An index on these columns."""
        listed = ", ".join(self.quoted(column) for column in columns)
        self.execute(f"CREATE INDEX {relation}_{columns[0]} ON {self.place(relation)} ({listed})")

    def drop(self, name: str) -> None:
        """Drop a table if it is there."""
        self.execute(f"DROP TABLE IF EXISTS {self.place(name)}")

    def rename(self, name: str, to: str) -> None:
        """Call a table something else."""
        self.execute(f"ALTER TABLE {self.place(name)} RENAME TO {self.place(to)}")

    def schema(self, name: str) -> str:
        """Make a schema (or what the engine has for it) and say what it is called."""
        self.execute(f"CREATE SCHEMA {self.quoted(name)}")
        return name

    def count(self, name: str) -> int:
        """How many rows a table has."""
        return self.execute(f"SELECT count(*) FROM {self.place(name)}")[0][0]

    def place(self, name: str) -> str:
        """A relation's name, each part quoted; one that is already quoted stays."""
        return name if name.startswith('"') else ".".join(self.quoted(part) for part in name.split("."))
