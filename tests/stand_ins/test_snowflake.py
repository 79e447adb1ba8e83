"""What the wrapper around fakesnow adds, asked by the bare driver."""

from __future__ import annotations

import datetime as dt

import pytest
from snowflake.connector.errors import Error

pytestmark = pytest.mark.slow


@pytest.fixture
def ask(snowflake_schema):
    """The rows of a statement."""
    if not snowflake_schema.account.port:
        pytest.skip("a real account does not stand in")
    return snowflake_schema.execute


def test_a_dollar_in_a_text_is_a_text(ask):
    """Session variables are nobody's here; what looks like one stays as it is."""
    assert ask("SELECT '$A' AS x, '$1 and $b' AS y") == [("$A", "$1 and $b")]


def test_times_have_nine_digits_and_numbers_thirty_eight(ask):
    """As they travel from Snowflake."""
    shown = "TO_CHAR('2024-02-29 10:00:00.123456789'::TIMESTAMP_NTZ(9))"
    ((text, number, moment),) = ask(
        f"SELECT {shown} AS s, 12345678901234567890123456789012345678::NUMBER(38,0) AS n, '2024-02-29 10:00:00.123456789'::TIMESTAMP_NTZ(9) AS t"
    )
    assert text.endswith(".123456789")
    assert number == 12345678901234567890123456789012345678
    assert moment == dt.datetime(2024, 2, 29, 10, 0, 0, 123456)  # noqa: DTZ001 - a wall clock


def test_a_statement_that_lasts_too_long_is_ended(snowflake_schema, ask):
    """By the session's own limit, with Snowflake's number."""
    with snowflake_schema.account.owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT SYSTEM$WAIT(0) AS x")
        assert cursor.fetchall() == [(1,)]
    from smartico_sync.config.models import SourceConfig
    from smartico_sync.sources.snowflake.login import Login

    login = Login(SourceConfig(url=snowflake_schema.account.text(), statement_timeout="1s"))
    import snowflake.connector

    with snowflake.connector.connect(**login.arguments()) as connection, connection.cursor() as cursor:
        with pytest.raises(Error) as ended:
            cursor.execute("SELECT SYSTEM$WAIT(3) AS x")
        assert ended.value.errno == 630
