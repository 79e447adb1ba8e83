"""What operators' databases do of their own, and what goes on all the same; on a real PostgreSQL."""

from __future__ import annotations

import uuid

import pytest

from daemon.deposits import VIEW, insert, polled_until
from smartico_sync.errors import ExitCode

BY_ID = VIEW.replace("cursor: dt_finalized", "cursor: transaction_id")
WIDE = 1_590  # PostgreSQL has no room for more than 1,600


@pytest.mark.slow
def test_a_view_may_have_as_many_columns_as_its_database_can(tracked, postgresql):
    """1,590 columns: they are described, read and sent as any other view's."""
    columns = [f"c{number} smallint DEFAULT {number % 7}" for number in range(WIDE - 6)]
    postgresql.execute(f"ALTER TABLE deposits ADD {', ADD '.join(columns)}")
    view = tracked(", unmapped: send")
    insert(postgresql, 1)
    assert view.poll().state == "live"
    (event,) = view.operator.accepted()
    assert len([name for name in event["payload"] if name.startswith("c")]) >= WIDE - 6


@pytest.mark.parametrize("kind", ["bigint", "numeric(38)"])
def test_ids_may_be_negative(tracked, postgresql, kind):
    """From below zero upwards every row is sent once, in order of the ids as numbers."""
    postgresql.execute(f"ALTER TABLE deposits ALTER transaction_id TYPE {kind}")
    view = tracked(view=BY_ID)
    insert(postgresql, -30, -4, 0, 5)
    view.poll()
    insert(postgresql, 17)
    assert view.poll().state == "live"
    assert view.sent() == ["-30", "-4", "0", "5", "17"]


def test_ids_may_have_31_digits(tracked, postgresql):
    """Wider than any number of the machine, they lose no digit, and none is taken for its neighbour."""
    postgresql.execute("ALTER TABLE deposits ALTER transaction_id TYPE numeric(31)")
    ids = [10**30 + number for number in range(5)]
    view = tracked(view=BY_ID)
    insert(postgresql, *ids[:4])
    view.poll()
    insert(postgresql, ids[4])
    assert view.poll().state == "live"
    assert view.sent() == [str(number) for number in ids]


@pytest.mark.slow
@pytest.mark.parametrize("largest", [2**63 - 1, 2**64 - 1, 10**30])
def test_ids_too_large_to_be_compared_are_told(tracked, postgresql, largest):
    """`smartico-sync reconcile` says that no range of such ids can be compared."""
    postgresql.execute("ALTER TABLE deposits ALTER transaction_id TYPE numeric(31)")
    view = tracked(", late_commit: lookback, lookback: 50ms", view=BY_ID)
    insert(postgresql, *(largest - number for number in range(4)))
    view.poll()
    polled_until(view, lambda _: (row := view.parts.store.view("deposits")) and row.watermark is not None)
    done = view.operator.sync("reconcile")
    assert done.returncode == ExitCode.CONFIGURATION
    assert "ids of more than 64 bits, of which no range can be compared" in done.stdout + done.stderr
    assert "internal error" not in done.stdout + done.stderr


def test_a_table_that_is_emptied_and_loaded_again_at_night(tracked, postgresql):
    """While it is empty nothing is sent and a person is told; loaded again, only what is new goes out."""
    view = tracked()
    insert(postgresql, *range(1, 8))
    view.poll()
    postgresql.execute("CREATE TABLE kept AS SELECT * FROM deposits", "TRUNCATE deposits")
    assert view.poll().state == "regressed"
    postgresql.execute("INSERT INTO deposits SELECT * FROM kept")
    insert(postgresql, 8)
    assert view.poll().state == "live"
    assert view.sent() == [str(number) for number in range(1, 9)]


def test_rights_may_be_withdrawn_and_granted_again(tracked, postgresql):
    """The view names the right it lacks, and goes on by itself as soon as it has it."""
    role = f"r_{uuid.uuid4().hex[:12]}"
    postgresql.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'", f"GRANT SELECT ON deposits TO {role}")
    try:
        login = postgresql.url.split("//")[1].split("@")[0]
        view = tracked(url=postgresql.url.replace(login, f"{role}:p"))
        insert(postgresql, 1)
        view.poll()
        postgresql.execute(f"REVOKE SELECT ON deposits FROM {role}")
        insert(postgresql, 2)
        status = view.poll()
        assert status.state == "degraded"
        assert "GRANT SELECT" in status.hint
        postgresql.execute(f"GRANT SELECT ON deposits TO {role}")
        assert view.poll().state == "live"
        assert view.sent() == ["1", "2"]
    finally:
        postgresql.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_an_infinite_cursor_is_told_and_hides_nothing(tracked, postgresql):
    """A row dated `infinity` is given up or waits with its reason; all others go out, before and after."""
    view = tracked()
    insert(postgresql, 1)
    insert(postgresql, 2, at="'infinity'")
    view.poll()
    insert(postgresql, 3)
    assert view.poll().state == "live"
    assert {"1", "3"} <= set(view.sent())
