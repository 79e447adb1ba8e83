"""Redshift: a real one where SYNC_TEST_REDSHIFT_URL names it, else PostgreSQL behind a gate that the real driver likes."""

from __future__ import annotations

from engines.engine import Engine

WEIGHT = "light"
STAND_IN = "PostgreSQL behind Redshift's greeting"
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"


class Redshift(Engine):
    name = "redshift"
    types = {
        "integer": "bigint",
        "text": "varchar(65535)",
        "timestamp": "timestamp",
        "instant": "timestamptz",
        "decimal": "numeric(38,10)",
        "float": "double precision",
        "boolean": "boolean",
        "date": "date",
    }
    lacks = frozenset({"long texts"})  # a VARCHAR has at most 65,535 bytes

    def __init__(self, database):
        super().__init__(database.url)
        self.execute = database.execute

    def sleeping(self, seconds):
        return f"SELECT 1 AS id, pg_sleep({seconds})::text AS slept"

    def asleep(self, seconds):
        return self.execute(ASLEEP) == [(1,)]

    def index(self, relation, *columns):
        """A sort key, which is what Redshift has instead."""
        listed = ", ".join(self.quoted(column) for column in columns)
        self.execute(f"ALTER TABLE {self.place(relation)} ALTER COMPOUND SORTKEY ({listed})")


def bare(url: str, query: str) -> int:
    """Rows of a query by the driver's documented path; its data frames and arrays are made of the same rows."""
    import redshift_connector

    from servers.patient import patient
    from smartico_sync.sources.redshift.login import Login

    login = Login(patient(url))
    with redshift_connector.connect(**login.arguments(login.hosts()[0])) as connection:
        return len(connection.cursor().execute(query).fetchall())


def serve(request):
    engine = Redshift(request.getfixturevalue("redshift"))
    yield engine
    engine.close()
