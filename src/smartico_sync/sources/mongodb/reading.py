"""One reading over one collection or view: questions of one snapshot, where the servers give one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bson
import polars as pl

from smartico_sync.errors import SourceError, ViewBroken
from smartico_sync.sources.kit import keyless_pages, whole_ties
from smartico_sync.sources.kit.frames import CURSOR, empty
from smartico_sync.sources.kit.positions import NULLS_COUNTED, described, labels, tie_breakers
from smartico_sync.sources.kit.reading import BaseReading
from smartico_sync.sources.mongodb import pipelines
from smartico_sync.sources.mongodb.cluster_time import cluster_time_of
from smartico_sync.sources.mongodb.columns import columns, position_texts
from smartico_sync.sources.mongodb.documents import Documents
from smartico_sync.sources.mongodb.session import NoSnapshot
from smartico_sync.sources.mongodb.types import bracket_of, equal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.kit.positions import Label
    from smartico_sync.sources.kit.whole_ties import Place
    from smartico_sync.sources.mongodb.pipelines import Stage
    from smartico_sync.sources.mongodb.session import Session
    from smartico_sync.sources.protocol import End, Nulls

__all__ = ["MongoReading"]

MOST_ASKED = 1_000_000  # rows that may share the thousand cursors of one question


class MongoReading(BaseReading):
    """Reads through one session, see `protocol.Reading`.

    Every question is asked as of the moment in which the reading began. Where there is no snapshot, a later question may see
    more than an earlier one, never less: what appears in between is above the page, or found as a late row.
    """

    offset = "Z"

    def __init__(self, session: Session, relation: Relation) -> None:
        super().__init__(relation)
        self.session = session
        self._namespace = pipelines.namespace_of(relation)
        self.concern: Mapping[str, Any] = {}
        self._exists = False

    def begin(self) -> None:
        """Ask a member for the moment up to which it is complete."""
        time = cluster_time_of(self.session, self.what, self.collection)
        self.clock_ms, self.concern = time.clock_ms, time.concern

    def ask(self, query: str) -> list[dict[str, Any]]:
        """A `query:` of any kind that this session lets through."""
        place = pipelines.parse_query(query, self.what)
        return self._decoded(self._batches(place.collection, list(place.before), MOST_ASKED))

    def page(self, after: Position | None, limit: int, through: str | None = None) -> pl.DataFrame:
        """Rows after the position, in order."""
        with self.bounded(limit):
            return self.noted(self._ordered("rows", after, limit, None, through, "through"))

    def keys(
        self, low: str | None, high: str, limit: int, after: Position | None = None, end: End = "through"
    ) -> pl.DataFrame:
        """Cursor and key of a range."""
        return self._ordered("positions", after, limit, low, high, end)

    def without_cursor(self, limit: int, after: tuple[str, ...] = ()) -> pl.DataFrame:
        """Rows whose cursor has no place in the order, by their key."""
        relation = self.relation
        names = tie_breakers(relation)
        absent = pipelines.without_position(relation, (relation.cursor,))["$or"]
        condition: dict[str, Any] = {"$and": [pipelines.comparable(relation, names), *absent]}
        if after:
            condition["$or"] = pipelines.behind(relation, names, dict(zip(relation.key, after, strict=True)))
        stages: list[Stage] = [{"$match": condition}, {"$sort": dict.fromkeys(names, 1)}, {"$limit": limit}]
        with self.bounded(limit):
            frame = self._frame(stages, "rows", limit, ordered="by key")
        return self.noted(frame.with_columns(pl.lit(None, pl.String).alias(CURSOR)))

    def head(self, through: str | None = None) -> str | None:
        """The highest cursor, up to a bound."""
        relation = self.relation
        condition = pipelines.range_condition(relation, None, through, "through", keyed="any")
        stages: list[Stage] = [{"$match": condition}, {"$sort": {relation.cursor: -1}}, {"$limit": 1}]
        documents = self._documents([*stages, pipelines.projection([relation.cursor], "positions")], 1)
        if not len(documents):
            return None
        text: str | None = self._texts(documents, relation.cursor)[0]
        if text is None:
            raise self._array(relation.cursor)
        return text

    def newest(self, limit: int) -> pl.DataFrame:
        """The rows with the highest cursors, in order."""
        condition = pipelines.range_condition(self.relation, None, None, "through")
        stages: list[Stage] = [{"$match": condition}, {"$sort": {self.relation.cursor: -1}}, {"$limit": limit}]
        shown = pipelines.projection(pipelines.paths_of(self.relation, "rows"), "rows")
        with self.bounded(limit):
            return self.noted(self._frame([*stages, shown], "rows", limit).reverse())

    def null_cursors(self, of: Nulls = "cursor or key", patience_ms: int | None = None) -> int:  # noqa: ARG002  - `statement_timeout` ends it
        """How many rows have no place in the order; an end of its own a count has none."""
        cursor, ties = (self.relation.cursor,), tie_breakers(self.relation)
        if of == "key" and not ties:
            return 0
        condition = pipelines.without_position(self.relation, {"cursor": cursor, "key": ties}.get(of, (*cursor, *ties)))
        if of == "key":
            condition = {"$and": [pipelines.comparable(self.relation, cursor), condition]}
        return self._counted([{"$match": condition}, {"$limit": NULLS_COUNTED}])

    def count(self, low: str | None, high: str, end: End = "through") -> int:
        """How many rows are in the range."""
        return self._counted([{"$match": pipelines.range_condition(self.relation, low, high, end)}])

    def poll_pipeline(self, after: Position | None, limit: int) -> list[Stage]:
        """The exact stages of a page."""
        return [*self._namespace.before, *self._page_stages("rows", after, limit, None, None, "through")]

    @property
    def collection(self) -> str:
        """The collection or view that is read."""
        return self._namespace.collection

    def _page_stages(
        self, which: str, after: Position | None, limit: int, low: str | None, high: str | None, end: End
    ) -> list[Stage]:
        condition, order = pipelines.page(self.relation, after, low, high, end)
        shown = pipelines.projection(pipelines.paths_of(self.relation, which), which)
        return [{"$match": condition}, {"$sort": order}, {"$limit": limit}, shown]

    def _ordered(
        self, which: str, after: Position | None, limit: int, low: str | None, high: str | None, end: End
    ) -> pl.DataFrame:
        def fetch(rows: int) -> pl.DataFrame:
            return self._frame(self._page_stages(which, after, rows, low, high, end), which, rows)

        if not self.relation.key:
            return keyless_pages.complete(fetch, limit, self._equal_to)
        return whole_ties.complete(fetch(limit + 1), limit, self.relation, self.among, self._may_be_equal)

    def _equal_to(self, cursor: str) -> Iterable[str]:
        """The cursors that MongoDB takes for this one: numbers of other types, texts that its collation takes for equal."""
        bracket = self._bracket(self.relation.cursor)
        if bracket is None or bracket.name not in ("number", "string"):
            return (cursor,)
        return {cursor, *self.among(labels(self.relation)[:1], [(cursor,)])[CURSOR]}

    def _may_be_equal(self, last: Place, following: Place) -> bool:
        """By value, as numbers of different types compare; texts of a key may differ in what a collation ignores."""
        brackets = [self._bracket(name) for _, name in labels(self.relation)]
        texts = zip(brackets[1:], last[1:], following[1:], strict=True)
        return equal(brackets[0], last[0], following[0]) and all(
            equal(bracket, *pair) or (bracket is not None and bracket.name == "string") for bracket, *pair in texts
        )

    def among(self, listed: Sequence[Label], wanted: Sequence[Sequence[str]]) -> pl.DataFrame:
        """A superset of the rows with these tuples."""
        condition = pipelines.comparable(self.relation, self.relation.key)
        for (_, name), texts in zip(listed, zip(*wanted, strict=True), strict=True):
            values = [pipelines.value_of(self.relation, name, text) for text in dict.fromkeys(texts)]
            condition[name] = {"$in": values}
        shown = pipelines.projection(pipelines.paths_of(self.relation, "rows"), "rows")
        found = self._frame([{"$match": condition}, shown], "rows", MOST_ASKED, ordered="no")
        return self.noted(found.drop_nulls(CURSOR))

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
        for (label, name), values in zip(labels(relation), found[own:], strict=True):
            texts = position_texts(documents, self._bracket(name), values)
            if ordered != "no" and texts.null_count() and not (label == CURSOR and ordered == "by key"):
                raise self._array(name)
            positions.append(texts.alias(label))
        if which != "rows":
            return pl.DataFrame(positions)
        return columns(documents, relation.columns, found[:own]).hstack(positions)

    def _bracket(self, name: str) -> Any:
        return bracket_of(described(self.relation, name))

    def _texts(self, documents: Documents, name: str) -> pl.Series:
        return position_texts(documents, self._bracket(name), documents.fields([tuple(name.split("."))])[0])

    def _array(self, name: str) -> ViewBroken:
        return ViewBroken(
            f"{self.session.servers.place}: {self.what}: in some document {name} holds an array, or no readable text",
            hint="rows are ordered by one value each: $unwind the array in a view",
        )

    def _documents(self, stages: list[Stage], most: int) -> Documents:
        batches = self._batches(self._namespace.collection, [*self._namespace.before, *stages], most)
        try:
            documents = Documents(batches)
        except ValueError:
            raise SourceError(f"{self.session.servers.place}: {self.what}: the answer is no BSON") from None
        if not len(documents):
            self._there()
        return documents

    def _counted(self, stages: list[Stage]) -> int:
        found = self._decoded(
            self._batches(self._namespace.collection, [*self._namespace.before, *stages, {"$count": "n"}], 1)
        )
        if not found:
            self._there()
        return int(found[0]["n"]) if found else 0

    def _batches(self, collection: str, pipeline: list[Stage], most: int) -> list[bytes]:
        session, view = self.session, self.relation.name
        try:
            return session.batches(collection, pipeline, self.concern, most, view, self.intake)
        except NoSnapshot:
            session.servers.without_snapshot.add(self.collection)
            self.begin()
            return session.batches(collection, pipeline, self.concern, most, view, self.intake)

    def _decoded(self, batches: list[bytes]) -> list[dict[str, Any]]:
        return [document for batch in batches for document in bson.decode_all(batch)]

    def _there(self) -> None:
        """MongoDB answers for a collection that does not exist as for an empty one: nothing. Tell them apart."""
        if not self._exists and not self.session.collections(self.what, name=self._namespace.collection):
            raise ViewBroken(f"{self.session.servers.place}: {self.what} reads a collection that does not exist")
        self._exists = True
