"""BigQuery's plans, judged by what a poll is billed for, and the rights it tells of."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from google.cloud.bigquery import SchemaField

from smartico_sync.core.relation import Column, Relation
from smartico_sync.sources.bigquery.plan import judge

BETS = Relation("bets", "id", ("id",), relation="bets")
pytestmark = [
    pytest.mark.slow,
    # The client's own way to read through the Storage API; what it shall become one day is another package.
    pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning"),
]


@pytest.mark.stand_in("bigquery")
def test_facts_warn_of_the_right_to_write(on_bigquery, project):
    """Permissions beyond reading are named, with the role that is enough."""
    on_bigquery.execute("CREATE TABLE bets (id INT64)")
    (warning,) = on_bigquery.source().facts().warnings
    assert "bigquery.tables.updateData" in warning
    assert "dataViewer" in warning


@pytest.mark.stand_in("bigquery")
def test_plan_estimates_the_poll(on_bigquery):
    """The exact page is estimated without running it; a table of a few megabytes is never a reason to worry."""
    on_bigquery.execute("CREATE TABLE bets (id INT64)", "INSERT INTO bets VALUES (1)")
    source = on_bigquery.source()
    plan = source.plan(source.describe(BETS), None, 10)
    assert (plan.uses_index, plan.advice) == (True, "")
    assert plan.summary.startswith("one poll is billed for 10 MB, 3 GB a day at `every: 5m`")
    assert plan.text.startswith(plan.summary)


COPY, OF_ALL = "CREATE TABLE `casino.crm.payment_partitioned`", "AS SELECT * FROM `casino.crm.payment`;"


def base(name="payment", fields=("id", "at"), partitioned=None, clustered=None, size=10**9):
    return SimpleNamespace(
        project="casino", dataset_id="crm", table_id=name, num_bytes=size, clustering_fields=clustered,
        schema=[SchemaField(field, "INTEGER") for field in fields], range_partitioning=None,
        time_partitioning=partitioned and SimpleNamespace(type_="DAY", field=partitioned),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("family", "poll", "whole", "tables", "uses", "advice"),
    [
        ("instant", 9e6, 9e6, [base()], True, ""),
        ("instant", 3e8, 5e10, [base(partitioned="at")], True, ""),
        ("instant", 5e10, 5e10, [base(partitioned="at", clustered=["id"])], None, ""),
        (
            "instant", 5e10, 5e10, [base()], False,
            f"{COPY} PARTITION BY TIMESTAMP_TRUNC(`at`, DAY) CLUSTER BY `at`, `id` {OF_ALL}",
        ),
        (
            "date", 5e10, 5e10, [base("small", size=1), base()], False,
            f"{COPY} PARTITION BY `at` CLUSTER BY `at`, `id` {OF_ALL}",
        ),
        (
            "timestamp", 5e10, 5e10, [base(fields=["id", "created"])], False,
            "partition crm.payment by the column that becomes at, and let the view pass that column through as it is",
        ),
        (
            "instant", 5e10, 5e10, [base(partitioned="other")], False,
            "partition crm.payment by the column that becomes at, and let the view pass that column through as it is",
        ),
        (
            "integer", 5e10, 5e10, [], False,
            "partition the base table by the column that becomes at, and let the view pass that column through as it is",
        ),
    ],
)  # fmt: skip
def test_plan_is_judged_by_what_a_poll_is_billed_for(family, poll, whole, tables, uses, advice):
    """Bytes of a poll at the head beside those of everything; the advice is a statement to paste where it can be one."""
    relation = Relation("v", "at", ("id",), relation="v", columns=(Column("at", family, family),))
    plan = judge(relation, int(poll), int(whole), tables)
    assert (plan.uses_index, plan.advice) == (uses, advice)
