"""What the gate makes of PostgreSQL for Redshift's driver."""

from __future__ import annotations

import struct

from stand_ins.redshift.__main__ import rewritten
from stand_ins.redshift.sort_keys import in_postgresql


def test_the_greeting_loses_what_postgresql_does_not_know():
    """And nothing else: user and database stay, the length fits, the protocol's version is PostgreSQL's."""
    words = [b"user", b"reader", b"database", b"casino", b"driver_version", b"Redshift 2", b"os_version", b"Linux", b""]
    body = struct.pack("!i", 196609) + b"\0".join(words) + b"\0"
    told = rewritten(struct.pack("!i", len(body) + 4) + body)
    assert struct.unpack("!ii", told[:8]) == (len(told), 196608)
    assert told[8:] == b"user\0reader\0database\0casino\0\0"


def test_a_sort_key_is_an_index():
    """Any other statement stays as it is."""
    advised = 'ALTER TABLE public."Users" ALTER COMPOUND SORTKEY (touched, uid);'
    assert in_postgresql(advised) == 'CREATE INDEX ON public."Users" (touched, uid)'
    assert in_postgresql("ALTER TABLE bets ADD x int") == "ALTER TABLE bets ADD x int"


def test_the_server_says_that_it_is_redshift(redshift):
    """The version of the greeting is what the driver goes by; sort keys are listed where Redshift lists them."""
    import redshift_connector

    from servers.patient import patient
    from smartico_sync.sources.redshift.login import Login

    redshift.execute("CREATE TABLE bets (at timestamp, id int)", "ALTER TABLE bets ALTER COMPOUND SORTKEY (at, id)")
    login = Login(patient(redshift.url))
    with redshift_connector.connect(**login.arguments(login.hosts()[0])) as connection:
        assert dict(connection.parameter_statuses)[b"server_version"] == b"8.0.2"
        cursor = connection.cursor()
        cursor.execute("SELECT column_name, sortkey FROM svv_redshift_columns WHERE table_name = 'bets' ORDER BY 2")
        assert [tuple(row) for row in cursor.fetchall()] == [("at", 1), ("id", 2)]
