"""What fields documents have, learnt from a sample of them and from the collection's own validator."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

from bson import Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

from smartico_sync.core.relation import Column
from smartico_sync.sources.mongodb.types import SCHEMA_TYPES, family_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Shape"]

DEEPEST = 5  # levels of documents whose fields become columns
MOST_FIELDS = 100  # a document of more fields is a map of its own making: one column of JSON
# Subclasses first: an Int64 is an int, a bool too.
WORDS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((bool,), "bool"), ((Int64,), "long"), ((int,), "int"), ((float,), "double"), ((str,), "string"),
    ((Decimal128,), "decimal"), ((ObjectId,), "objectId"), ((dt.datetime, DatetimeMS), "date"), ((uuid.UUID,), "uuid"),
    ((bytes,), "binData"), ((Timestamp,), "timestamp"), ((Regex,), "regex"),
)  # fmt: skip


class Shape:
    """Paths in the order in which they were met, each with its types and how often each was."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], Counter[str]] = {}

    def learn(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Look at documents."""
        for document in documents:
            self._document((), document)

    def promised(self, validator: Mapping[str, Any]) -> None:
        """Look at a collection's validator, which knows the types before there is a document."""
        schema = validator.get("$jsonSchema")
        if isinstance(schema, dict):
            self._schema((), schema)

    def columns(self) -> tuple[Column, ...]:
        """A column for each path that leads to a value. Its type names those that were found, the most frequent first.

        A document whose fields are columns is none itself: what is in it would be there twice, and once under no name by which
        personal data are known.
        """
        children = Counter(path[:-1] for path in self._found)
        maps = {path for path, many in children.items() if path and many > MOST_FIELDS}
        return tuple(
            Column(".".join(path), ",".join(word for word, _ in words.most_common()) or "null", family_of(words))
            for path, words in self._found.items()
            if (path in maps or not children[path]) and not any(path[:depth] in maps for depth in range(1, len(path)))
        )

    def _document(self, above: tuple[str, ...], document: Mapping[str, Any]) -> None:
        for name, value in document.items():
            if not name or name[0] in "$@" or "." in name:
                continue  # no path leads there; `@` is for the columns of positions
            path = (*above, name)
            words = self._found.setdefault(path, Counter())
            if value is None:
                continue
            words[_word(value)] += 1
            if isinstance(value, dict) and len(path) < DEEPEST:
                self._document(path, value)

    def _schema(self, above: tuple[str, ...], schema: Mapping[str, Any]) -> None:
        for name, told in (schema.get("properties") or {}).items():
            if not isinstance(told, dict) or not name or name[0] in "$@" or "." in name:
                continue
            path = (*above, name)
            words = self._found.setdefault(path, Counter())
            given: Any = told.get("bsonType", told.get("type", ()))
            for word in [given] if isinstance(given, str) else given:
                if word in SCHEMA_TYPES:
                    words[SCHEMA_TYPES[word]] += 1
            if "properties" in told and len(path) < DEEPEST:
                words["object"] += not words
                self._schema(path, told)


def _word(value: Any) -> str:
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    return next((word for kinds, word in WORDS if isinstance(value, kinds)), type(value).__name__)
