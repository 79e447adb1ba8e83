"""What the listener of Oracle's protocol carries between the driver and a desk, and what SQLite behind it answers."""

from __future__ import annotations

from decimal import Decimal

import oracledb
import pytest

from servers.oracle import OverSQLite
from stand_ins.oracle.tns import PASSWORD
from stand_ins.oracle.values import Answer, Field


def connected(heard):
    return oracledb.connect(user="reader", password=PASSWORD, host="127.0.0.1", port=heard.port, service_name="casino")


def test_a_desk_hears_the_statement_and_its_binds(listener):
    """With the type and the value of each, in the order in which they stand there; the answer is what the desk says."""
    fields = [Field("N", "NUMBER", 38, 0), Field("T", "VARCHAR2"), Field("C", "CLOB")]
    heard, desk = listener(lambda asked: Answer(fields, [(Decimal(7), "é🎲", "long"), (None, None, None)]))
    with connected(heard) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT n, t, c FROM v WHERE a = :a AND b = :b", ["日本", Decimal("1.5")], fetch_lobs=False)
        rows = cursor.fetchall()
    assert rows == [(7, "é🎲", "long"), (None, None, None)]
    (asked,) = [each for each in desk.asked if "FROM v" in each.text]
    assert asked.binds == (("VARCHAR2", "日本"), ("NUMBER", Decimal("1.5")))


def test_an_error_is_one_of_oracles(listener):
    """Its number, and the connection goes on."""
    answers = iter([Answer(error=942), Answer([Field("N", "NUMBER", 38, 0)], [(1,)])])
    heard, _ = listener(lambda asked: next(answers) if asked.text.startswith("SELECT") else None)
    with connected(heard) as connection, connection.cursor() as cursor:
        with pytest.raises(oracledb.DatabaseError, match="ORA-00942"):
            cursor.execute("SELECT 1 FROM nothing")
        assert cursor.execute("SELECT 1 FROM dual").fetchall() == [(1,)]


def test_a_wrong_password_is_refused(listener):
    """The proof of the password is Oracle's own."""
    heard, _ = listener()
    with pytest.raises(oracledb.DatabaseError, match="ORA-01017"):
        oracledb.connect(user="reader", password="wrong", host="127.0.0.1", port=heard.port, service_name="casino")


@pytest.fixture
def over_sqlite(oracle):
    """A database behind the listener, and a connection to it."""
    if not isinstance(oracle, OverSQLite):
        pytest.skip("a real server does not stand in")
    with connected(oracle.listener) as connection:
        yield oracle, connection.cursor()


def test_sqlite_answers_in_oracles_clothes(over_sqlite):
    """Columns are described by their declared types, ROWNUM cuts, an empty text is NULL."""
    database, cursor = over_sqlite
    database.execute('CREATE TABLE "BETS" ("ID" NUMBER(19), "NOTE" VARCHAR2(9))')
    database.insert('"BETS"', [(1, "a"), (2, ""), (3, "c")], ["integer", "text"])
    rows = cursor.execute(
        'SELECT * FROM (SELECT "ID", "NOTE" FROM "BETS" ORDER BY "ID") WHERE ROWNUM <= :n', n=2
    ).fetchall()
    assert rows == [(1, "a"), (2, None)]
    assert [column.type_code for column in cursor.description] == [oracledb.DB_TYPE_NUMBER, oracledb.DB_TYPE_VARCHAR]


def test_a_read_only_transaction_is_one_moment_and_nothing_writes(over_sqlite):
    """As SET TRANSACTION READ ONLY promises."""
    database, cursor = over_sqlite
    database.execute('CREATE TABLE "BETS" ("ID" NUMBER(19))')
    cursor.execute("SET TRANSACTION READ ONLY")
    database.insert('"BETS"', [(1,)], ["integer"])
    assert cursor.execute('SELECT count(*) FROM "BETS"').fetchall() == [(0,)]
    with pytest.raises(oracledb.DatabaseError, match="ORA-01456"):
        cursor.execute('DELETE FROM "BETS"')
