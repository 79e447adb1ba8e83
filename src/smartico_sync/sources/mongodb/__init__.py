"""MongoDB."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import bson
from msgspec.structs import replace

from smartico_sync.core.relation import Relation
from smartico_sync.core.tables import Structure, Table
from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, ViewBroken
from smartico_sync.sources.kit.failures import COMPARE
from smartico_sync.sources.kit.source import BaseSource
from smartico_sync.sources.kit.suggestions import check_columns, like
from smartico_sync.sources.mongodb.cluster_time import cluster_time_of
from smartico_sync.sources.mongodb.documents import CODEC
from smartico_sync.sources.mongodb.facts import ask_facts
from smartico_sync.sources.mongodb.login import Login
from smartico_sync.sources.mongodb.pipelines import namespace_of
from smartico_sync.sources.mongodb.plan import explain
from smartico_sync.sources.mongodb.reading import MongoReading
from smartico_sync.sources.mongodb.session import Servers, Session
from smartico_sync.sources.mongodb.shape import Shape
from smartico_sync.sources.mongodb.tables import index, view
from smartico_sync.sources.mongodb.types import bracket_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.tables import IndexPlan, ViewPlan
    from smartico_sync.sources.mongodb.pipelines import Namespace, Stage

__all__ = ["MongoSource", "connect"]

LENIENT = CODEC.with_options(unicode_decode_error_handler="replace")  # a damaged text is a text, where types are learnt


class MongoSource(BaseSource[Session, MongoReading]):
    """One database of a replica set, a sharded cluster or a single server, through one client with a pool."""

    reading_type = MongoReading
    ask_facts = staticmethod(ask_facts)
    explain = staticmethod(explain)
    describes = "in doubt"
    engine = "mongodb"
    longest_name = 60
    cursor_names: Literal["free", "kept"] = "kept"  # a sort is not moved before a stage that renames

    def __init__(self, name: str, config: SourceConfig) -> None:
        login = Login(config)
        super().__init__(name, login)
        self._servers = Servers(login, self._place)

    def _session(self) -> AbstractContextManager[Session]:
        return self._servers.session()

    def describe(self, relation: Relation) -> Relation:
        """The relation with the columns that its documents have, and its validator promises."""
        what, place = f"view {relation.name}", namespace_of(relation)
        with self._session() as session:
            options = self._options(session, place, what)
            shape = Shape()
            for documents in _samples(session, relation, place, self._servers.login.sample):
                shape.learn(documents)
            shape.promised(options.get("validator", {}))
        columns = shape.columns()
        if not columns:
            raise ViewBroken(
                f"{self._place}: {what} holds no document yet, so nobody knows its fields",
                hint="it is looked at again; a validator with $jsonSchema would tell them at once",
            )
        check_columns(self._place, what, relation, [column.name for column in columns])
        described = replace(relation, columns=columns, columns_are="sampled")
        for name in (relation.cursor, *relation.key):
            column = described.column(name)
            if column is not None and bracket_of(column) is None:
                raise ViewBroken(
                    f"{self._place}: {what}: {name} is {column.type}, by which nothing can be ordered",
                    hint="the cursor and the key are dates, numbers, texts or identifiers, one value each",
                )
        return described

    def _listed(self, session: Session) -> tuple[str, ...]:
        found = [str(each["name"]) for each in session.collections("the server")]
        return tuple(sorted(name for name in found if not name.startswith("system.")))

    def tables(self) -> tuple[Table, ...]:
        """Collections and views with the fields that their documents have; empty ones are left out."""
        with self._servers.session() as session:
            found = session.collections("the server", told="all")
        tables = []
        for name in sorted(str(each["name"]) for each in found):
            with suppress(SourceError):
                if not name.startswith("system."):
                    columns = self.describe(Relation(name, "_id", (), relation=name)).columns
                    tables.append(Table(name, columns))
        views = {str(each["name"]) for each in found if each.get("type") == "view"}
        return tuple(replace(each, structure=Structure(view="view")) if each.name in views else each for each in tables)

    def ddl(self, views: Sequence[ViewPlan], indexes: Sequence[IndexPlan]) -> tuple[str, ...]:
        """`createView` and `createIndex`, as a shell runs them."""
        return (*map(view, views), *map(index, indexes))

    def close(self) -> None:
        """Close everything; what is under way ends with SourceUnreachable."""
        self._servers.close()

    def _options(self, session: Session, place: Namespace, what: str) -> dict[str, Any]:
        """What the collection was made with. ViewBroken when there is none of that name."""
        try:
            found = session.collections(what, name=place.collection, told="all")
        except SourceRefused:  # the right to find in one collection alone
            found = session.collections(what, name=place.collection)
        if not found:
            raise ViewBroken(
                f"{self._place}: {what}: the database {self._servers.login.database} has no such collection",
                hint=self._like(place.collection) + COMPARE,
            )
        options: dict[str, Any] = found[0].get("options", {})
        return options

    def _like(self, collection: str) -> str:
        with suppress(SourceError):
            return like(collection, {name: name for name in self.relations()})
        return ""


def _samples(session: Session, relation: Relation, place: Namespace, size: int) -> Iterator[list[dict[str, Any]]]:
    """The newest documents by the cursor, which hold what is written today, and the first that are at hand."""
    concern = {"level": "majority"}
    if cluster_time_of(session, f"view {relation.name}").concern.get("level") == "local":
        concern = {"level": "local"}
    newest: list[Stage] = [{"$sort": {relation.cursor: -1}}, {"$limit": size // 2 or 1}]
    first: list[Stage] = [{"$limit": size - size // 2 or 1}]
    for stages in (newest, first):
        with suppress(SourceCancelled):  # without an index on the cursor the newest may take too long to find
            batches = session.batches(place.collection, [*place.before, *stages], concern, size, relation.name)
            yield [document for batch in batches for document in bson.decode_all(batch, LENIENT)]


connect = MongoSource
