"""What is around ClickHouse's engine: the HTTP interface, users and settings, asked by the bare client."""

from __future__ import annotations

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

pytestmark = pytest.mark.slow


@pytest.fixture
def connected(clickhouse_server):
    """A client of one of the users: `connected("reader")`."""
    if not clickhouse_server.port:
        pytest.skip("a real server does not stand in")
    clients = []

    def make(user="default", password=None):
        secret = clickhouse_server.url.password if password is None else password
        clients.append(
            clickhouse_connect.get_client(host="127.0.0.1", port=clickhouse_server.port, username=user, password=secret)
        )
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_a_wrong_password_is_refused(connected):
    """As ClickHouse does, by its number."""
    with pytest.raises(DatabaseError, match="516"):
        connected("reader", "wrong")


def test_a_profile_that_locks_its_settings_is_the_engines_own(connected):
    """`readonly = 1` takes questions, and no setting at all."""
    client = connected("locked")
    assert client.query("SELECT 1").result_rows == [(1,)]
    with pytest.raises(DatabaseError, match="readonly"):
        client.command("CREATE TABLE default.x (a Int8) ENGINE = Memory")


def test_parameters_have_the_types_they_say(connected):
    """They travel beside the query, in a form where they are long."""
    long = "é\t'" * 20_000
    rows = connected().query("SELECT {a:UInt64}, {b:String}", parameters={"a": 2**64 - 1, "b": long}).result_rows
    assert rows == [(2**64 - 1, long)]


def test_it_tells_what_it_was_told(connected, clickhouse_server):
    """The last requests, with the settings they carried."""
    connected().query("SELECT 17", settings={"max_threads": 2})
    last = clickhouse_server.told()[-1]
    assert "SELECT 17" in last["query"]
    assert last["given"]["max_threads"] == "2"
