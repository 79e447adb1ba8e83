"""One reading over one collection or view: questions of one snapshot, where the servers give one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bson
import polars as pl

from smartico_sync.errors import SourceError, ViewBroken
from smartico_sync.sources.kit import keyless_pages
from smartico_sync.sources.kit.frames import CURSOR, empty, key_column
from smartico_sync.sources.kit.values import moment_text
from smartico_sync.sources.mongodb import pipelines
from smartico_sync.sources.mongodb.columns import columns, placed
from smartico_sync.sources.mongodb.documents import Documents
from smartico_sync.sources.mongodb.moment import moment_of
from smartico_sync.sources.mongodb.session import NoSnapshot
from smartico_sync.sources.mongodb.types import bracket_of
from smartico_sync.sources.sql import statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.mongodb.moment import ClusterTime
    from smartico_sync.sources.mongodb.pipelines import Stage
    from smartico_sync.sources.mongodb.session import Session
    from smartico_sync.sources.protocol import End

__all__ = ["MongoReading"]

MOST_ASKED = 1_000_000  # rows that may share the thousand cursors of one question


class MongoReading:
    """Reads through one session, see `protocol.Reading`.

    The moment is taken before the first question, and every question is asked as of that moment. Where there is no snapshot, a
    later question may see more than an earlier one, never less: what appears in between is above the page, or found as a
    straggler.
    """

    def __init__(self, session: Session, relation: Relation) -> None:
        self.relation = relation
        self.what = f"view {relation.name}"
        self.session = session
        self._place = pipelines.place_of(relation)
        self._moment: ClusterTime | None = None
        self._exists = False

    @property
    def moment_now(self) -> ClusterTime:
        """The moment of this reading."""
        if self._moment is None:
            self._moment = moment_of(self.session, self.what, self.collection)
        return self._moment

    @property
    def clock_ms(self) -> int:
        """Up to when the answers are complete."""
        return self.moment_now.clock_ms

    @property
    def snapshot(self) -> None:
        """MongoDB tells nothing of transactions under way."""
        return

    def ask(self, query: str) -> list[dict[str, Any]]:
        """A `query:` of any kind that this session lets through."""
        place = pipelines.parsed(query, self.what)
        return self._decoded(self._batches(place.collection, list(place.before), MOST_ASKED))

    def page(self, after: Position | None, limit: int, through: str | None = None) -> pl.DataFrame:
        """Rows after the position, in order."""
        return self._ordered("rows", after, limit, None, through, "through")

    def keys(
        self, low: str | None, high: str, limit: int, after: Position | None = None, end: End = "through"
    ) -> pl.DataFrame:
        """Cursor and key of a range."""
        return self._ordered("positions", after, limit, low, high, end)

    def rows(self, positions: Iterable[Position]) -> pl.DataFrame:
        """The rows at these positions."""
        wanted = list(positions)
        if not wanted:
            return empty(self.relation, "rows")
        condition = self._among(
            [(each.cursor, *each.key) for each in wanted], (self.relation.cursor, *self.relation.key)
        )
        return statements.exactly(self.relation, self._found(condition), wanted)

    def by_cursor(self, values: Iterable[str]) -> pl.DataFrame:
        """The rows with one of these cursors."""
        wanted = [(value,) for value in values]
        if not wanted:
            return empty(self.relation, "rows")
        return self._found(self._among(wanted, (self.relation.cursor,)))

    def by_key(self, keys: Iterable[tuple[str, ...]]) -> pl.DataFrame:
        """The rows with one of these keys, whatever their cursor."""
        wanted = list(keys)
        if not wanted:
            return empty(self.relation, "rows")
        return statements.with_keys(self.relation, self._found(self._among(wanted, self.relation.key)), wanted)

    def without_cursor(self, limit: int, after: tuple[str, ...] = ()) -> pl.DataFrame:
        """Rows whose cursor has no place in the order, by their key."""
        relation = self.relation
        names = [name for name in relation.key if name != relation.cursor]
        absent = pipelines.unplaced(relation, (relation.cursor,))["$or"]
        condition: dict[str, Any] = {"$and": [pipelines.present(relation, names), *absent]}
        if after:
            texts = dict(zip(relation.key, after, strict=True))
            values = [pipelines.value_of(relation, name, texts[name]) for name in names]
            condition["$or"] = [
                {**dict(zip(names[:last], values[:last], strict=True)), names[last]: {"$gt": values[last]}}
                for last in range(len(names))
            ]
        stages: list[Stage] = [{"$match": condition}, {"$sort": dict.fromkeys(names, 1)}, {"$limit": limit}]
        frame = self._frame(stages, "rows", limit, ordered="by key")
        return frame.with_columns(pl.lit(None, pl.String).alias(CURSOR))

    def head(self, through: str | None = None) -> str | None:
        """The highest cursor, up to a bound."""
        relation = self.relation
        condition = pipelines.within(relation, None, through, "through", keyed="any")
        stages: list[Stage] = [{"$match": condition}, {"$sort": {relation.cursor: -1}}, {"$limit": 1}]
        documents = self._documents([*stages, pipelines.shown([relation.cursor], "positions")], 1)
        if not len(documents):
            return None
        text: str | None = self._texts(documents, relation.cursor)[0]
        if text is None:
            raise self._array(relation.cursor)
        return text

    def moment(self, at_ms: int) -> str:
        """An epoch ms as a cursor's text."""
        return moment_text(self.relation, at_ms, offset="Z")

    def null_cursors(self) -> int:
        """How many rows have no place in the order."""
        condition = pipelines.unplaced(self.relation, (self.relation.cursor, *self.relation.key))
        return self._counted([{"$match": condition}, {"$limit": pipelines.NULLS_COUNTED}])

    def count(self, low: str | None, high: str, end: End = "through") -> int:
        """How many rows are in the range."""
        return self._counted([{"$match": pipelines.within(self.relation, low, high, end)}])

    def explained(self, after: Position | None, limit: int) -> list[Stage]:
        """The exact stages of a page."""
        return [*self._place.before, *self._page_stages("rows", after, limit, None, None, "through")]

    @property
    def collection(self) -> str:
        """The collection or view that is read."""
        return self._place.collection

    def _page_stages(
        self, which: str, after: Position | None, limit: int, low: str | None, high: str | None, end: End
    ) -> list[Stage]:
        condition, order = pipelines.page(self.relation, after, low, high, end)
        shown = pipelines.shown(pipelines.paths_of(self.relation, which), which)
        return [{"$match": condition}, {"$sort": order}, {"$limit": limit}, shown]

    def _ordered(
        self, which: str, after: Position | None, limit: int, low: str | None, high: str | None, end: End
    ) -> pl.DataFrame:
        def fetch(rows: int) -> pl.DataFrame:
            return self._frame(self._page_stages(which, after, rows, low, high, end), which, rows)

        return fetch(limit) if self.relation.key else keyless_pages.complete(fetch, limit)

    def _among(self, wanted: Sequence[Sequence[str]], names: Sequence[str]) -> dict[str, Any]:
        """Each field is one of those wanted of it: a superset of these tuples."""
        condition = pipelines.present(self.relation, self.relation.key)
        for name, texts in zip(names, zip(*wanted, strict=True), strict=True):
            values = [pipelines.value_of(self.relation, name, text) for text in dict.fromkeys(texts)]
            condition[name] = {"$in": values}
        return condition

    def _found(self, condition: dict[str, Any]) -> pl.DataFrame:
        shown = pipelines.shown(pipelines.paths_of(self.relation, "rows"), "rows")
        frame = self._frame([{"$match": condition}, shown], "rows", MOST_ASKED, ordered="no")
        return frame.filter(pl.all_horizontal(pl.col(f"^{CURSOR}$").is_not_null()))

    def _frame(self, stages: list[Stage], which: str, most: int, *, ordered: str = "by cursor") -> pl.DataFrame:
        """Documents as a typed frame. ViewBroken for an array where the order needs one value."""
        documents = self._documents(stages, most)
        relation = self.relation
        if not len(documents):
            return empty(relation, "rows" if which == "rows" else "positions")
        names = pipelines.paths_of(relation, which)
        found = documents.fields([tuple(name.split(".")) for name in names])
        own = len(names) - 1 - len(relation.key)
        positions = []
        labels = [CURSOR, *(key_column(index) for index in range(len(relation.key)))]
        for label, name, values in zip(labels, names[own:], found[own:], strict=True):
            texts = placed(documents, self._bracket(name), values)
            if ordered != "no" and texts.null_count() and not (label == CURSOR and ordered == "by key"):
                raise self._array(name)
            positions.append(texts.alias(label))
        if which != "rows":
            return pl.DataFrame(positions)
        return columns(documents, relation.columns, found[:own]).hstack(positions)

    def _bracket(self, name: str) -> Any:
        return bracket_of(pipelines.column_at(self.relation, name))

    def _texts(self, documents: Documents, name: str) -> pl.Series:
        return placed(documents, self._bracket(name), documents.fields([tuple(name.split("."))])[0])

    def _array(self, name: str) -> ViewBroken:
        return ViewBroken(
            f"{self.session.servers.place}: {self.what}: in some document {name} holds an array, or no readable text",
            hint="rows are ordered by one value each: $unwind the array in a view",
        )

    def _documents(self, stages: list[Stage], most: int) -> Documents:
        batches = self._batches(self._place.collection, [*self._place.before, *stages], most)
        try:
            documents = Documents(batches)
        except ValueError:
            raise SourceError(f"{self.session.servers.place}: {self.what}: the answer is no BSON") from None
        if not len(documents):
            self._there()
        return documents

    def _counted(self, stages: list[Stage]) -> int:
        found = self._decoded(self._batches(self._place.collection, [*self._place.before, *stages, {"$count": "n"}], 1))
        if not found:
            self._there()
        return int(found[0]["n"]) if found else 0

    def _batches(self, collection: str, pipeline: list[Stage], most: int) -> list[bytes]:
        session, view = self.session, self.relation.name
        try:
            return session.batches(collection, pipeline, self.moment_now.concern, most, view)
        except NoSnapshot:
            session.servers.unsnapped.add(self.collection)
            self._moment = moment_of(session, self.what, self.collection)
            return session.batches(collection, pipeline, self._moment.concern, most, view)

    def _decoded(self, batches: list[bytes]) -> list[dict[str, Any]]:
        return [document for batch in batches for document in bson.decode_all(batch)]

    def _there(self) -> None:
        """MongoDB answers for a collection that does not exist as for an empty one: nothing. Tell them apart."""
        if not self._exists and not self.session.collections(self.what, name=self._place.collection):
            raise ViewBroken(f"{self.session.servers.place}: {self.what} reads a collection that does not exist")
        self._exists = True
