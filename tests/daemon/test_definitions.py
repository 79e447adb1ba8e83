"""A view that is another one than it was tracked as: what stops it, what is only told, and what goes on as before."""

from __future__ import annotations

import json

import pytest

from daemon.test_tracking import DEPOSITS, VIEW, insert

MORE = (
    "CREATE VIEW same AS SELECT * FROM deposits",
    "CREATE TABLE other (LIKE deposits)",
    (
        "INSERT INTO other (transaction_id, ext_brand_id, user_ext_id, dt_finalized, transaction_date, deposit_amount) "
        "SELECT g + 900, 'b', 7, now() + g * interval '1 millisecond', now(), 1 FROM generate_series(1, 30) g"
    ),
    "ALTER TABLE deposits ADD COLUMN version bigint GENERATED ALWAYS AS IDENTITY, ADD COLUMN at timestamp DEFAULT now()",
    "ALTER TABLE other ADD COLUMN version bigint GENERATED ALWAYS AS IDENTITY, ADD COLUMN at timestamp DEFAULT now()",
)


class Configured:
    """A view of deposits that was tracked, to be configured otherwise."""

    def __init__(self, operator, url):
        self.operator, self.url = operator, url

    def configure(self, more="", **changed):
        view = VIEW % more
        for old, new in changed.items():
            view = view.replace(*{"relation": ("relation: deposits", new), "kind": ("kind: deposits", new),
                                  "cursor": ("cursor: dt_finalized", new)}[old])  # fmt: skip
        self.operator.configure(self.url, f"  - {view}\n")

    def run(self, more="", **changed):
        self.configure(more, **changed)
        return self.operator.sync("run", "--once")

    def check(self):
        return self.operator.check()

    def sent(self):
        return [event["payload"]["acc_last_transaction_id"] for event in self.operator.accepted()]


@pytest.fixture
def view(operator, postgresql):
    postgresql.execute(*DEPOSITS, *MORE)
    insert(postgresql, *range(1, 21))
    made = Configured(operator, postgresql.url)
    assert made.run().returncode == 0
    assert len(made.sent()) == 20
    return made


@pytest.mark.parametrize(
    ("more", "changed", "told", "command"),
    [
        ("", {"cursor": "cursor: transaction_date"}, "cursor=dt_finalized", "smartico-sync watermark rewind deposits"),
        (", key: [transaction_id, version]", {}, "key=transaction_id", "start_from: now"),
        ("", {"kind": "kind: withdrawals, columns: {deposit_amount: withdrawal_amount}"}, "kind=deposits", "start_from: now"),
        (", brand: other", {}, "brand=", "smartico-sync watermark accept deposits"),
        (", event_type: deposit_seen", {}, "event_types=", "smartico-sync watermark accept deposits"),
    ],
)  # fmt: skip
def test_what_watermark_or_ids_depend_on_stops_the_view(view, postgresql, more, changed, told, command):
    """Another cursor, key, kind, brand or event type: exit code 2, what it was, what follows, and what to type; check says it too."""
    insert(postgresql, 30)
    done = view.run(more, **changed)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "was tracked as" in done.stderr
    assert told in done.stderr
    assert command in done.stderr
    assert len(view.sent()) == 20
    checked = view.check()
    assert checked.returncode == 2, checked.stdout
    assert told in checked.stdout
    assert view.run().returncode == 0
    assert view.sent()[20:] == ["30"]


@pytest.mark.parametrize("more", [", brand: other", ", event_type: deposit_seen"])
def test_another_brand_or_type_is_accepted_in_words(view, postgresql, more):
    """`smartico-sync watermark accept` lets what comes from now on go the new way; nothing is sent again."""
    insert(postgresql, 30)
    view.configure(more)
    done = view.operator.sync("watermark", "accept", "deposits")
    assert done.returncode == 0, done.stderr
    assert view.run(more).returncode == 0
    assert view.sent()[20:] == ["30"]


def test_another_cursor_is_accepted_by_a_rewind_only(view, postgresql):
    """Accepting is refused where the watermark means nothing; placed under the new cursor the view goes on."""
    view.configure(cursor="cursor: transaction_date")
    done = view.operator.sync("watermark", "accept", "deposits")
    assert done.returncode == 2
    assert "smartico-sync watermark rewind deposits" in done.stderr
    assert view.operator.sync("watermark", "rewind", "deposits", "--to", "2026-01-15T00:00:00", "--yes").returncode == 0
    postgresql.execute(
        "INSERT INTO deposits (transaction_id, dt_finalized, transaction_date) VALUES (40, now(), '2026-02-01')"
    )
    assert view.run(cursor="cursor: transaction_date").returncode == 0
    assert view.sent()[20:] == ["40"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed", [{"relation": "relation: same"}, {"relation": 'query: "SELECT * FROM deposits"'}], ids=["relation", "query"]
)  # fmt: skip
def test_another_relation_with_the_same_rows_is_told_and_goes_on(view, postgresql, changed):
    """Where the rows delivered last are there the view goes on, says what changed, and remembers it."""
    view.configure(**changed)
    checked = view.check()
    assert checked.returncode == 0, checked.stdout
    assert "rows delivered last are there" in checked.stdout
    insert(postgresql, 30)
    done = view.run(**changed)
    assert done.returncode == 0, done.stderr
    assert "rows delivered last are there" in done.stderr + done.stdout
    assert view.sent()[20:] == ["30"]
    done = view.run(**changed)
    assert "rows delivered last are there" not in done.stderr + done.stdout
    assert "rows delivered last are there" not in view.check().stdout


def test_another_relation_with_other_rows_stops_the_view(view, postgresql):
    """Where none of the rows delivered last is there it is another source: exit code 2, and nothing is sent."""
    for _ in range(2):
        done = view.run(relation="relation: other")
        assert done.returncode == 2, done.stdout + done.stderr
        assert "none of the" in done.stderr
        assert "`relation:`" in done.stderr
    assert view.check().returncode == 2
    assert len(view.sent()) == 20


def test_another_database_stops_the_view_and_other_parameters_do_not(view, postgresql):
    """Host and database behind the URL are part of what a view is; user, password and parameters are not."""
    first = view.url
    view.url = f"{first}?application_name=another"
    insert(postgresql, 30)
    done = view.run()
    assert done.returncode == 0, done.stderr
    assert "rows delivered last" not in done.stderr + done.stdout
    assert view.sent()[20:] == ["30"]
    other = f"{postgresql.name}_other"
    postgresql.execute(f"CREATE DATABASE {other}")
    postgresql.server.admin(*DEPOSITS, "INSERT INTO deposits (transaction_id, user_ext_id, dt_finalized) VALUES (77, 9, now())",
                            database=other)  # fmt: skip
    view.url = postgresql.server.url(other)
    done = view.run()
    assert done.returncode == 2, done.stderr
    assert "database of the source's `url:`" in done.stderr
    assert "none of the" in done.stderr
    assert len(view.sent()) == 21


def test_a_column_that_would_be_the_key_halts_nothing(operator, postgresql):
    """A view without a key goes on as it was when a key becomes possible; check says so, and names what to set."""
    postgresql.execute(*DEPOSITS, "CREATE VIEW plain AS SELECT ext_brand_id, user_ext_id, dt_finalized, deposit_amount, "
                       "transaction_date, transaction_id AS number FROM deposits")  # fmt: skip
    view = Configured(operator, postgresql.url)
    insert(postgresql, 1, 2)
    plain = {"relation": "relation: plain, columns: {number: acc_last_transaction_id}"}
    assert view.run(**plain).returncode == 0
    postgresql.execute("CREATE OR REPLACE VIEW plain AS SELECT ext_brand_id, user_ext_id, dt_finalized, deposit_amount, "
                       "transaction_date, transaction_id AS number, transaction_id FROM deposits")  # fmt: skip
    insert(postgresql, 3)
    done = view.run(**plain)
    assert done.returncode == 0, done.stderr
    assert len(operator.accepted()) == 3
    checked = view.check()
    assert checked.returncode == 0
    assert "is tracked without a key" in checked.stdout
    shown = json.loads(operator.sync("watermark", "show", "--json").stdout)[0]
    assert json.loads(shown["definition"])["key"] == []


@pytest.mark.slow
def test_a_view_that_was_put_back_to_its_start_is_still_that_view(operator, postgresql):
    """Its rows are read again under the same event ids: a key that is possible now changes none, and another key stops it."""
    postgresql.execute(*DEPOSITS, "CREATE VIEW plain AS SELECT transaction_id AS id, ext_brand_id, user_ext_id, dt_finalized, "
                       "transaction_date, deposit_amount FROM deposits")  # fmt: skip
    view = Configured(operator, postgresql.url)
    insert(postgresql, 1, 2, 3)
    plain = {"relation": "relation: plain, columns: {id: acc_last_transaction_id}"}
    assert view.run(**plain).returncode == 0
    postgresql.execute("CREATE OR REPLACE VIEW plain AS SELECT transaction_id AS id, ext_brand_id, user_ext_id, dt_finalized, "
                       "transaction_date, deposit_amount, transaction_id + 100 AS transaction_id FROM deposits")  # fmt: skip
    for place in ("first", "2026-01-01T00:00:00"):
        assert operator.sync("watermark", "rewind", "deposits", "--to", place, "--yes").returncode == 0
        assert view.run(**plain).returncode == 0
        assert len(operator.accepted()) == 3
    view.configure(", key: transaction_id", **plain)
    told = operator.sync("watermark", "rewind", "deposits", "--to", "2026-01-01T00:00:00", "--yes")
    assert told.returncode == 2
    assert "was tracked as key=id" in told.stderr
    assert operator.sync("watermark", "rewind", "deposits", "--to", "first", "--yes").returncode == 0
    done = operator.sync("run", "--once")
    assert done.returncode == 2
    assert "was tracked as key=id" in done.stderr
    assert view.check().returncode == 2
    assert len(operator.accepted()) == 3
    by_id = {"relation": plain["relation"], "cursor": "cursor: id"}
    assert view.run(**by_id).returncode == 0, "without a place another cursor means nothing wrong"
    assert len(operator.accepted()) == 3
