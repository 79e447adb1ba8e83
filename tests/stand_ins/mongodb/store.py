"""Collections, views and their past: every write makes a new state, so a snapshot is an old one that was kept."""

from __future__ import annotations

import threading
import time
from copy import deepcopy
from dataclasses import dataclass, field, replace

from bson import Timestamp
from mongomock.aggregate import process_pipeline

from stand_ins.mongodb.values import MISSING, Unknown, matches, ordered, projected, reached, sort_key

KEPT = 2_000  # snapshots; a real server keeps those of five minutes
ONE_TO_ONE = ("$project", "$addFields", "$set", "$unset", "$lookup")


class Refused(Exception):
    """A command fails with this number and name."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.code, self.name = code, name


@dataclass(frozen=True)
class Collection:
    """A collection, or a view (`options` then holds viewOn and pipeline). `indexes` are key patterns."""

    documents: tuple[dict, ...] = ()
    options: dict = field(default_factory=dict)
    indexes: tuple[dict, ...] = ({"_id": 1},)

    @property
    def is_view(self) -> bool:
        return "viewOn" in self.options


State = dict[str, Collection]


class Store:
    """One data set, shared by the members of a set. A secondary may be held: it then shows the state of that moment."""

    def __init__(self) -> None:
        self.lock = threading.Condition(threading.RLock())
        self.state: State = {}
        self.held: tuple[State, Timestamp, float] | None = None
        self.past: dict[Timestamp, State] = {}
        self.stamp = Timestamp(int(time.time()), 1)
        self.past[self.stamp] = self.state
        self.written = time.time()

    def write(self, name: str, collection: Collection | None) -> None:
        """Put a collection in the place of the old one; None drops it."""
        with self.lock:
            state = {key: value for key, value in self.state.items() if key != name}
            self.state = state if collection is None else {**state, name: collection}
            self.written = time.time()
            now = int(self.written)
            self.stamp = Timestamp(now, 1) if now > self.stamp.time else Timestamp(self.stamp.time, self.stamp.inc + 1)
            while len(self.past) >= KEPT:
                self.past.pop(next(iter(self.past)))
            self.past[self.stamp] = self.state
            self.lock.notify_all()

    def seen(self, role: str) -> tuple[State, Timestamp, float]:
        """What a member shows, the time of its last write, and when that was."""
        with self.lock:
            if role == "secondary" and self.held:
                return self.held
            return self.state, self.stamp, self.written

    def snapshot(self, role: str, at: Timestamp | None, patience_s: float) -> tuple[State, Timestamp]:
        """The state of a moment, or the newest. A member that has not come so far waits until it has."""
        with self.lock:
            if at is None:
                state, stamp, _ = self.seen(role)
                return state, stamp
            if not self.lock.wait_for(lambda: self.seen(role)[1] >= at, patience_s):
                raise Refused(50, "MaxTimeMSExpired", "operation exceeded time limit")
            known = [stamp for stamp in self.past if stamp <= at]
            if not known:
                raise Refused(239, "SnapshotTooOld", "Read timestamp is older than the oldest available timestamp")
            return self.past[max(known)], at

    def hold(self, how: str) -> None:
        with self.lock:
            self.held = self.seen("primary") if how == "hold" else None
            self.lock.notify_all()


def insert(store: Store, name: str, documents: list[dict]) -> None:
    with store.lock:
        old = store.state.get(name, Collection())
        store.write(name, replace(old, documents=(*old.documents, *documents)))


def delete(store: Store, name: str, condition: dict) -> int:
    with store.lock:
        old = store.state.get(name, Collection())
        kept = tuple(document for document in old.documents if not matches(document, condition))
        store.write(name, replace(old, documents=kept))
        return len(old.documents) - len(kept)


def update(store: Store, name: str, condition: dict, change: dict) -> int:
    """`$set`, `$unset`, or a whole new document, on every match."""
    with store.lock:
        old = store.state.get(name, Collection())
        hit = [matches(document, condition) for document in old.documents]
        done = tuple(
            changed(document, change) if fits else document for document, fits in zip(old.documents, hit, strict=True)
        )
        store.write(name, replace(old, documents=done))
        return sum(hit)


def changed(document: dict, change: dict) -> dict:
    if not any(name.startswith("$") for name in change):
        return {"_id": document["_id"], **change}
    new = deepcopy(document)
    for name, value in change.get("$set", {}).items():
        *parents, last = name.split(".")
        place = new
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    for name in change.get("$unset", {}):
        new.pop(name, None)
    return new


def find(state: State, database: str, command: dict) -> list[dict]:
    """The documents of a find command, on a view too."""
    name = f"{database}.{command['find']}"
    stages = [{"$match": command.get("filter", {})}]
    sort, limit, projection = command.get("sort"), abs(command.get("limit", 0)), command.get("projection")
    if state.get(name, Collection()).is_view and sort and "$natural" in sort:
        raise Refused(2, "InvalidPipelineOperator", "$natural sort cannot be set to a view")
    stages += [{"$sort": sort}] if sort else []
    stages += [{"$limit": limit}] if limit else []
    stages += [{"$project": projection}] if projection else []
    return aggregate(state, database, command["find"], stages)


def aggregate(state: State, database: str, collection: str, stages: list[dict]) -> list[dict]:
    """The documents of a pipeline, on a view too."""
    found = state.get(f"{database}.{collection}", Collection())
    if found.is_view:
        return aggregate(state, database, found.options["viewOn"], [*found.options["pipeline"], *stages])
    documents = list(found.documents)
    for stage in stages:
        documents = staged(state, database, documents, stage)
    return documents


def staged(state: State, database: str, documents: list[dict], stage: dict) -> list[dict]:
    """What one stage makes of documents. Expressions are mongomock's, everything that compares is ours."""
    ((name, given),) = stage.items()
    match name:
        case "$match":
            return [document for document in documents if matches(document, given)] if given else documents
        case "$sort" if "$natural" in given:
            return documents[:: given["$natural"]]
        case "$sort":
            return sorted(documents, key=lambda document: sort_key(document, given))
        case "$limit":
            return documents[:given]
        case "$skip":
            return documents[given:]
        case "$count":
            return [{given: len(documents)}] if documents else []
        case "$project" if all(type(value) in (int, bool) for value in given.values()) and included(given):
            return [projected(document, given) for document in documents]
        case "$unset":
            gone = [given] if isinstance(given, str) else given
            return [{key: value for key, value in document.items() if key not in gone} for document in documents]
        case "$lookup" if "pipeline" not in given:
            other = aggregate(state, database, given["from"], [])
            return [looked_up(document, other, given) for document in documents]
    try:
        return list(process_pipeline(documents, None, [stage], None))
    except NotImplementedError as error:
        raise Unknown(str(error)) from None


def included(projection: dict) -> bool:
    return any(value for name, value in projection.items() if name != "_id")


def looked_up(document: dict, other: list[dict], given: dict) -> dict:
    wanted = [None if value is MISSING else value for value in reached(document, given["localField"])]
    keys = {ordered(value) for value in wanted}
    found = [
        each for each in other
        if any(ordered(None if value is MISSING else value) in keys for value in reached(each, given["foreignField"]))
    ]  # fmt: skip
    return {**document, given["as"]: found}
