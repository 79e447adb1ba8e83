"""`query:` instead of `relation:`, from the written file to the API."""

from __future__ import annotations

import datetime as dt
import json

NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
VIEW = """
  - name: deposits
    source: db
    kind: deposits
    cursor: dt
    key: transaction_id
    columns: {_id: null, kind: null}
    query: |
      {"aggregate": "payments", "pipeline": [
        {"$match": {"kind": "DEPOSIT", "dt": {"$gte": {"$date": "2024-03-01T12:00:02Z"}}}},
        {"$addFields": {"deposit_method": "card"}}]}
"""


def payment(number):
    return {
        "kind": ("DEPOSIT", "BONUS")[number % 2], "transaction_id": number, "ext_brand_id": "b", "user_ext_id": number,
        "transaction_date": NOON, "deposit_amount": 5 + number, "dt": NOON + dt.timedelta(seconds=number),
    }  # fmt: skip


def test_an_aggregate_command_is_checked_previewed_and_delivered(operator, mongodb_database):
    """One form of a MongoDB query serves `smartico-sync check`, `smartico-sync preview` and `smartico-sync run`."""
    mongodb_database.here.payments.insert_many([payment(number) for number in range(10)])
    operator.configure(mongodb_database.url, VIEW)
    checked = operator.check()
    assert checked.returncode == 0, checked.stdout + checked.stderr
    preview = operator.sync("preview", "deposits")
    assert preview.returncode == 0, preview.stderr
    assert operator.accepted() == []
    done = operator.sync("run", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    sent = [event["payload"] for event in operator.accepted()]
    assert [each["acc_last_transaction_id"] for each in sent] == ["2", "4", "6", "8"]
    assert {json.dumps(each["acc_last_deposit_payment_method"]) for each in sent} == {'"card"'}


def test_a_pipeline_that_writes_is_told_with_its_place(operator, mongodb_database):
    """Refused by the configuration, with line and column, before anything is asked."""
    operator.configure(
        mongodb_database.url, VIEW.replace('{"$addFields": {"deposit_method": "card"}}', '{"$out": "x"}')
    )
    checked = operator.check()
    assert checked.returncode == 2
    assert "views[0].query: $out writes; the daemon only reads" in checked.stdout + checked.stderr
