"""Statements that a run before wrote, in a file beside the state: who asks for the same again needs nothing that writes SQL.

What is asked for is named by a hash of all that a statement follows from: the relation with its columns and their types, and the text
of every module that takes part in the writing, SQLAlchemy's release included. So a statement that is found is the one that would
be written now. The file is sealed with a keyed hash; one that is damaged, foreign or not there is as good as an empty one.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from smartico_sync.core.relation import Column

__all__ = ["ENDING", "KnownStatements", "known"]

ENDING = ".statements"  # of the file, behind the state's own name
MOST = 20_000  # statements in the file, of some hundred bytes each; beyond that only those of the last run stay
NAME_BYTES, SEAL_BYTES = 16, 32
# What takes part in the writing, beside the module of the dialect.
WRITERS = (
    "smartico_sync.sources.sql.compiler",
    "smartico_sync.sources.sql.names",
    "smartico_sync.sources.sql.statement",
    "smartico_sync.sources.sql.statements",
    "smartico_sync.sources.kit.positions",
)
LIBRARY = "sqlalchemy"

Fields = tuple[str, tuple["Column", ...], int, tuple[tuple[str, int], ...], tuple[tuple[str, Any], ...]]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A statement without its columns, which are all of the relation's, or none."""

    text: str
    selects: Literal["columns", "positions"]
    width: int
    positions: tuple[tuple[str, int], ...]
    constants: tuple[tuple[str, int | str], ...]


class KnownStatements:
    """Of one state at a time; of none nothing is known. `find` and `note` may be called from any thread."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._secret = b""
        self._before: dict[bytes, Entry] = {}
        self._used: dict[bytes, Entry] = {}
        self._written: Literal["nothing", "something"] = "nothing"

    def open(self, state: Path, secret: bytes) -> None:
        """Read what is known beside a state. `secret`: what seals the file."""
        self._file, self._secret = state.with_name(state.name + ENDING), secret
        self._before, self._used, self._written = self._read(self._file), {}, "nothing"

    def find(self, asked: tuple[Any, ...], columns: tuple[Column, ...]) -> Fields | None:
        """The fields of a statement by what was asked for: the dialect's module, the kind, the relation and how. `columns` are the relation's."""
        if not self._before:
            return None
        name = _name(asked)
        entry = self._before.get(name)
        if entry is None:
            return None
        self._used[name] = entry
        return entry.text, columns if entry.selects == "columns" else (), entry.width, entry.positions, entry.constants

    def note(self, asked: tuple[Any, ...], columns: tuple[Column, ...], fields: Fields) -> None:
        """Remember a statement that was written."""
        text, selected, width, positions, constants = fields
        plain = all(type(value) in (int, str) for _, value in constants)
        if self._file is None or not plain or selected not in ((), columns) or not (name := _name(asked)):
            return
        self._used[name] = Entry(text, "columns" if selected else "positions", width, positions, constants)
        self._written = "something"

    def save(self) -> None:
        """Write down what was written since `open`, if anything was; whether that succeeds is of no consequence."""
        if self._file is None or self._written == "nothing":
            return
        kept = {**self._before, **self._used}
        data = msgspec.msgpack.encode(kept if len(kept) <= MOST else self._used)
        draft = self._file.with_name(self._file.name + ".new")
        with suppress(OSError):
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(self._seal(data) + data)
            draft.replace(self._file)
            self._written = "nothing"

    def close(self) -> None:
        """Write down what was written; nothing is known from then on."""
        self.save()
        self._file, self._before, self._used = None, {}, {}

    def _read(self, file: Path) -> dict[bytes, Entry]:
        with suppress(OSError, msgspec.MsgspecError):
            sealed = file.read_bytes()
            seal, data = sealed[:SEAL_BYTES], sealed[SEAL_BYTES:]
            if hmac.compare_digest(seal, self._seal(data)):
                return msgspec.msgpack.decode(data, type=dict[bytes, Entry])
        return {}

    def _seal(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, digest_size=SEAL_BYTES, key=self._secret, person=b"statements").digest()


known = KnownStatements()


def _name(asked: tuple[Any, ...]) -> bytes:
    """The hash of all that a statement follows from; empty where that cannot be told."""
    told = writers(asked[0])
    if not told:
        return b""
    return hashlib.blake2b(
        told + msgspec.msgpack.encode(asked, enc_hook=_name_in_quotes), digest_size=NAME_BYTES
    ).digest()


def _name_in_quotes(name: object) -> tuple[str, str]:
    """What a name of SQLAlchemy's own kind says: it is written in quotes. TypeError of anything else."""
    if isinstance(name, str):
        return "in quotes", str.__str__(name)
    raise TypeError(f"{type(name).__name__} names no statement")


@lru_cache(maxsize=64)
def writers(module: str) -> bytes:
    """A hash of the text of all that writes in the dialect of a module; empty where there is no text to be read."""
    told = hashlib.blake2b()
    try:
        for name in (*WRITERS, module, LIBRARY):
            spec = find_spec(name)
            path = Path(spec.origin or "") if spec else Path()
            told.update(name.encode() + b"\0" + path.read_bytes())
            if name == LIBRARY:  # its first file names the release; when it was installed tells a changed one
                told.update(str(path.stat().st_mtime_ns).encode())
    except (OSError, ImportError):
        return b""
    return told.digest()
