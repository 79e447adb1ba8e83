"""MongoDB: a set of one's own where SYNC_TEST_MONGODB_URL names it, else a stand-in of its protocol.

A `query:` is an aggregation pipeline there, not SQL. A database has no schemas: a dot belongs to a collection's name. Dates
count milliseconds. The stand-in knows no users, and every name is a database; the driver itself finds hosts, and asks again
when a connection breaks.
"""

from __future__ import annotations

import json
import re
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Context

from bson import Decimal128
from pymongo import MongoClient

from engines.engine import Engine
from smartico_sync.errors import SourceError
from waiting import until

WEIGHT = "light"
STAND_IN = "a server of our own over mongomock"
MOST_DIGITS = Context(prec=34)


class MongoDB(Engine):
    name = "mongodb"
    types = {
        "integer": ["int", "long"],
        "text": ["string"],
        "timestamp": ["date"],
        "instant": ["date"],
        "date": ["date"],
        "decimal": ["decimal"],
        "float": ["double"],
        "boolean": ["bool"],
    }
    lacks = frozenset(
        {"query", "schemas", "microseconds", "hosts", "users", "databases", "sleep", "resets", "refusals", "silence"}
    )
    silent = None
    left_out = ", columns: {_id: null}"

    def __init__(self, database):
        super().__init__(database.url)
        self.database = database.here
        self.families = {}

    def through(self, port):
        """The members of a set would be found by their own addresses."""
        return super().through(port).replace("replicaSet=rs0", "directConnection=true")

    def recovered(self, read):
        """The driver looks at a server again once in a while."""

        def reads():
            with suppress(SourceError):
                return read()

        until(reads)

    def stored(self, value, family):
        match family:
            case "decimal" if value is not None:
                return Decimal128(MOST_DIGITS.create_decimal(value))
            case "date" if value is not None:
                return datetime.fromisoformat(str(value)).replace(tzinfo=UTC)
            case "timestamp" if value is not None:
                return value.replace(tzinfo=UTC)
        return value

    def table(self, name, columns, rows=()):
        name = name.strip('"')
        schema = {
            "bsonType": "object",
            "properties": {column: {"bsonType": [*self.types[family], "null"]} for column, family in columns.items()},
        }
        self.families[name] = columns
        self.database.create_collection(name, validator={"$jsonSchema": schema})
        self.insert(name, rows)

    def insert(self, name, rows):
        columns = self.families[name]
        documents = [
            {column: self.stored(value, family) for (column, family), value in zip(columns.items(), row, strict=True)}
            for row in rows
        ]
        if documents:
            self.database[name].insert_many(documents)

    def view(self, name, relation, columns):
        shown = {column: f"${of}" for column, of in columns.items()}
        self.database.command("create", name, viewOn=relation, pipeline=[{"$project": shown}])

    def double(self, name, columns, column, by):
        rows = list(self.database[name].find({}, {"_id": 0}))
        self.database[name].insert_many([row | {column: row[column] + by} for row in rows])

    def everything(self, name):
        return json.dumps({"aggregate": name, "pipeline": [{"$project": {"_id": 0}}]})

    def index(self, relation, *columns):
        self.database[relation].create_index([(column, 1) for column in columns])

    def drop(self, name):
        self.database.drop_collection(name)

    def rename(self, name, to):
        self.database[name].rename(to)

    def count(self, name):
        return self.database[name].count_documents({})

    def execute(self, *statements):
        """The statement of mongosh that makes an index."""
        for statement in statements:
            name, fields = re.fullmatch(r"db\.getCollection\((.+?)\)\.createIndex\(\{(.+)\}\)", statement).groups()
            self.index(json.loads(name), *(field.partition(":")[0].strip() for field in fields.split(",")))

    def printed(self, number):
        """34 digits are what a Decimal128 holds."""
        return format(MOST_DIGITS.create_decimal(number), "f")


def serve(request):
    engine = MongoDB(request.getfixturevalue("mongodb_database"))
    yield engine
    engine.close()


def bare(url: str, query: str) -> int:
    """How many rows the driver alone fetches, as Arrow by PyMongoArrow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a pyarrow that is newer than the one it was built with
        from pymongoarrow.api import aggregate_arrow_all
    command = json.loads(query)
    with MongoClient(url) as client:
        return aggregate_arrow_all(client.get_default_database()[command["aggregate"]], command["pipeline"]).num_rows
