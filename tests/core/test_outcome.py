"""What becomes of rows once the API has answered: every row has one fate, on every way through the pipeline."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import cache

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from smartico_sync.catalogue.kinds import kind
from smartico_sync.core.diff import nothing_known
from smartico_sync.core.events import EID, PLAYER, POSITION
from smartico_sync.core.mapping import events, keys_of
from smartico_sync.core.outcome import (
    PARK_BACKOFF,
    Retried,
    build_commit,
    due_at_once,
    given_up,
    parked,
    parked_again,
    revived,
)
from smartico_sync.core.pipeline import PipelineOptions, positions_of, prepare
from smartico_sync.core.planning import plan
from smartico_sync.core.position import Position
from smartico_sync.core.reason_codes import (
    GONE,
    INVALID_ROW,
    MUTATED,
    UNACKNOWLEDGED,
    UNKNOWN_USER,
    WAITS_BEHIND,
)
from smartico_sync.core.records import ParkedRow, Receipt, Refusal, UndeliveredRow
from smartico_sync.core.relation import Column, Relation
from smartico_sync.core.view_mapping import Options
from smartico_sync.errors import ExitCode, SyncError, Unaccounted

SECRET = bytes(range(32))
NOW = 1_800_000_000_000
DAY = 86_400_000
COLUMNS = {"ext_brand_id": "text", "user_ext_id": "integer", "dt": "instant", "transaction_id": "integer",
           "core_user_language": "text"}  # fmt: skip
SCHEMA = {"ext_brand_id": pl.String, "user_ext_id": pl.Int64, "dt": pl.Datetime("us", "UTC"),
          "transaction_id": pl.Int64, "core_user_language": pl.String}  # fmt: skip


@cache
def mapping_of(name):
    columns = tuple(Column(column, family, family) for column, family in COLUMNS.items())
    relation = Relation(name, "dt", keys_of(kind(name), None, columns, ""), relation=name, columns=columns)
    return plan(name, kind(name), relation, Options())


def options(name="deposits", *, park_ms=DAY, on_invalid="report"):
    return PipelineOptions(mapping=mapping_of(name), secret=SECRET, on_invalid=on_invalid, park_ms=park_ms)


def page(name, rows):
    """Rows (player or None, language), as a source hands them over."""
    frame = pl.DataFrame(
        [("b", player, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=place), place, language)
         for place, (player, language) in enumerate(rows)],
        schema=SCHEMA, orient="row",
    )  # fmt: skip
    keys = mapping_of(name).relation.key
    return frame.with_columns(
        pl.col("dt").cast(pl.String).alias("@cursor"),
        *(pl.col(key).cast(pl.String).alias(f"@key.{place}") for place, key in enumerate(keys)),
    )


def player_of(number):
    """The hash of a player."""
    return events(mapping_of("deposits"), page("deposits", [(number, None)])).events.frame.get_column(PLAYER)[0]


def prepared(rows, *, name="deposits", waiting=(), **more):
    """The rows as a batch, and its options."""
    chosen = options(name, **more)
    behind = {player_of(number) for number in waiting}
    return prepare(page(name, rows), chosen, lambda _: nothing_known(), NOW, behind), chosen


def answered(batch, fates):
    """A receipt: each event that was sent is "delivered", a "duplicate", or refused with a code."""
    sent = list(batch.send.frame.select(POSITION, EID).iter_rows())
    told = list(zip(sent, fates, strict=False))
    refused = tuple(Refusal(row, eid, fate, "refused") for (row, eid), fate in told if isinstance(fate, int))
    duplicates = sum(fate == "duplicate" for _, fate in told)
    return Receipt(len(sent) - duplicates - len(refused), duplicates, refused, 1, 1)


def tried(batch, name="deposits", *, gone=0, deadlines=(NOW + DAY,), codes=(UNKNOWN_USER,)):
    """The batch as a retry: a parked row for each of its rows, and some whose rows are gone. Ids begin at 1."""
    positions = [*positions_of(batch.places), *(Position(f"gone {number}", ("0",)) for number in range(gone))]
    rows = [
        ParkedRow(
            UndeliveredRow(name, "k", position, "eid", "type", "00"),
            codes[place % len(codes)], "waits", 1, 2, deadlines[place % len(deadlines)], tries=1, id=place + 1,
        )
        for place, position in enumerate(positions)
    ]  # fmt: skip
    return Retried(tuple(rows[: batch.rows]), tuple(rows[batch.rows :]))


def adds_up(commit):
    """Whether read = unchanged + duplicate + delivered + dead_lettered + parked."""
    return 2 * commit.counts.get("read", 0) == sum(commit.counts.values())


NAMES = st.sampled_from(["deposits", "users"])
ROWS = st.lists(
    st.tuples(st.sampled_from([None, 1, 2, 3]), st.sampled_from([None, "EN", "DE", "english"])), max_size=12
)
FATES = st.lists(st.sampled_from(["delivered", "duplicate", UNKNOWN_USER, 7]), min_size=12, max_size=12)
PLAYERS = st.sets(st.sampled_from([1, 2, 3]))
POLICIES = st.sampled_from(["report", "omit", "dead_letter"])
PARKS = st.sampled_from([0, DAY])


@given(NAMES, ROWS, FATES, PLAYERS, POLICIES, PARKS)
def test_every_row_of_a_page_has_one_fate(name, rows, fates, waiting, policy, park_ms):
    """Whatever is rejected, waits or is refused, the counts add up, and no row is both parked and a dead letter."""
    batch, chosen = prepared(rows, name=name, waiting=waiting, on_invalid=policy, park_ms=park_ms)
    receipt = answered(batch, fates)
    commit = build_commit(batch, receipt, chosen, NOW)
    assert adds_up(commit)
    assert commit.counts.get("read", 0) == len(rows)
    assert commit.counts.get("dead_lettered", 0) == len(commit.dead_letters)
    assert commit.counts.get("parked", 0) == len(commit.parked)
    assert commit.resolved == ()
    undelivered = [each.row for each in (*commit.dead_letters, *commit.parked)]
    places = [row.position for row in undelivered]
    assert len(set(places)) == len(places) == batch.rejects.height + batch.behind.height + len(receipt.refused)
    assert all(each.code in (UNKNOWN_USER, WAITS_BEHIND) for each in commit.parked)
    if commit.profiles is not None:
        sent = set(batch.send.frame.get_column(EID)) - {refusal.eid for refusal in receipt.refused}
        kept = commit.profiles.join(batch.profiles, on=["id", "whole", "cursor_at"])
        assert set(kept.get_column("eid")) <= sent
        assert set(commit.profiles.get_column("id")) == set(kept.get_column("id"))


@given(
    NAMES, ROWS, FATES, PLAYERS, POLICIES, st.integers(0, 3), st.lists(st.sampled_from([NOW, NOW + DAY]), min_size=1)
)
def test_every_parked_row_that_is_tried_has_one_fate(name, rows, fates, waiting, policy, gone, deadlines):
    """Whatever a retry brings, each row is resolved, parked again or dead, once; nothing counts as read a second time."""
    batch, chosen = prepared(rows, name=name, waiting=waiting, on_invalid=policy)
    retried = tried(batch, name, gone=gone, deadlines=deadlines)
    commit = build_commit(batch, answered(batch, fates), chosen, NOW, retried)
    told = [*commit.resolved, *(each.id for each in commit.parked), *(each.id for each in commit.dead_letters)]
    assert sorted(told) == [each.id for each in (*retried.found, *retried.gone)]
    assert adds_up(commit)
    assert "read" not in commit.counts
    assert commit.counts.get("parked", 0) == len(commit.parked) - len(retried)
    assert commit.anchors == ()
    assert commit.ledger is None or not retried


WRONG = {
    "one more is delivered": lambda receipt: replace(receipt, delivered=receipt.delivered + 1),
    "one less is delivered": lambda receipt: replace(receipt, delivered=receipt.delivered - 1),
    "one more is a duplicate": lambda receipt: replace(receipt, duplicates=receipt.duplicates + 1),
    "a row is refused twice": lambda receipt: replace(
        receipt, delivered=receipt.delivered - 1, refused=(*receipt.refused, receipt.refused[0])
    ),
    "a row is refused that was not sent": lambda receipt: replace(
        receipt, delivered=receipt.delivered - 1, refused=(*receipt.refused, Refusal(1, "other", 7, "refused"))
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("door", ["page", "retry"])
@pytest.mark.parametrize("name", ["deposits", "users"])
def test_a_receipt_that_does_not_add_up_is_told_and_commits_nothing(name, door, wrong):
    """The error is an internal one; it names the view and the counts, and holds no value of a row."""
    batch, chosen = prepared([(1, "EN"), (None, "EN"), (2, "DE"), (3, "FR")], name=name)
    retried = tried(batch, name, gone=1) if door == "retry" else Retried()
    right = answered(batch, [7, "duplicate", "delivered"])
    assert adds_up(build_commit(batch, right, chosen, NOW, retried))
    with pytest.raises(Unaccounted, match=rf"view {name}: the rows do not add up: .*delivered -?\d") as caught:
        build_commit(batch, wrong(right), chosen, NOW, retried)
    assert caught.value.exit_code == ExitCode.INTERNAL
    assert isinstance(caught.value, SyncError)
    assert caught.value.hint
    assert not any(value in str(caught.value) for value in ("EN", "DE", "FR", "2026"))


def test_parked_rows_without_a_row_of_the_batch_are_not_taken_for_delivered():
    """A retry that names more parked rows than the batch has rows does not add up, whatever the receipt says."""
    batch, chosen = prepared([(1, None), (2, None)])
    retried = tried(batch)
    more = replace(retried, found=(*retried.found, replace(retried.found[0], id=9)))
    with pytest.raises(Unaccounted, match="tried 3, resolved 2, parked 0, dead_lettered 0"):
        build_commit(batch, answered(batch, []), chosen, NOW, more)


@pytest.mark.parametrize("flag", ["-O", pytest.param("-OO", marks=pytest.mark.slow)])
def test_python_without_asserts_checks_all_the_same(flag):
    """With `python -O` a page or a retry that does not add up is told too."""
    code = (
        "from core.test_outcome import *\n"
        "assert False, 'asserts are removed'\n"
        "batch, chosen = prepared([(1, None), (2, None)])\n"
        "for retried in (Retried(), tried(batch)):\n"
        "    try:\n"
        "        build_commit(batch, Receipt(1, 0, (), 1, 1), chosen, NOW, retried)\n"
        "    except Unaccounted as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, flag, "-c", code],
        capture_output=True,
        text=True,
        cwd=__file__.rpartition("core")[0],
        check=False,
    )
    assert done.stdout.count("view deposits: the rows do not add up") == 2, done.stderr


def test_an_unknown_player_is_waited_for_until_the_deadline():
    """A refused event waits `park` from the moment it was read, longer from try to try, and is then given up."""
    batch, chosen = prepared([(1, None)])
    receipt = answered(batch, [UNKNOWN_USER])
    (first,) = build_commit(batch, receipt, chosen, NOW).parked
    assert (first.next_try_ms, first.deadline_ms, first.tries) == (NOW + PARK_BACKOFF.pause_ms(0), NOW + DAY, 0)
    assert (first.row.view, first.row.key, first.row.event_type) == ("deposits", "0", "acc_deposit_approved")
    later = NOW + DAY - 1
    (again,) = build_commit(batch, receipt, chosen, later, Retried((replace(first, id=5),))).parked
    assert again == replace(first, id=5, tries=1, next_try_ms=later + PARK_BACKOFF.pause_ms(1))
    (dead,) = build_commit(batch, receipt, chosen, NOW + DAY, Retried((again,))).dead_letters
    assert (dead.row, dead.code, dead.reason, dead.at_ms, dead.id) == (first.row, UNKNOWN_USER, "refused", NOW + DAY, 5)


@pytest.mark.parametrize("door", ["page", "retry"])
def test_what_is_refused_for_good_does_not_wait(door):
    """Another code than unknown player, a profile, and a row that cannot be an event are dead letters at once."""
    for name, fates in (("deposits", [7]), ("users", [UNKNOWN_USER])):
        batch, chosen = prepared([(1, None), (None, None)], name=name)
        retried = tried(batch, name) if door == "retry" else Retried()
        commit = build_commit(batch, answered(batch, fates), chosen, NOW, retried)
        assert [each.code for each in commit.dead_letters] == [INVALID_ROW, fates[0]]
        assert commit.parked == ()


def test_with_no_time_to_park_an_unknown_player_is_given_up():
    """`park: 0` gives an event up at once, but one that waits behind another waits."""
    batch, chosen = prepared([(1, None), (2, None)], park_ms=0, waiting=[2])
    commit = build_commit(batch, answered(batch, [UNKNOWN_USER]), chosen, NOW)
    assert [each.code for each in commit.dead_letters] == [UNKNOWN_USER]
    assert [each.code for each in commit.parked] == [WAITS_BEHIND]


def test_a_refused_profile_is_not_remembered():
    """What Smartico does not have must go out in full when it changes next."""
    batch, chosen = prepared([(1, "EN"), (2, "DE")], name="users")
    commit = build_commit(batch, answered(batch, [7, "delivered"]), chosen, NOW)
    assert commit.profiles.columns == ["id", "whole", "parts", "cursor_at"]
    assert commit.profiles.get_column("id").to_list() == [batch.send.frame.get_column(PLAYER)[1]]


def test_a_row_that_is_gone_is_given_up_but_a_profile_went_with_its_newer_state():
    """A transaction that the source lost is told; a profile moves up when it changes, which is nothing to mend."""
    batch, chosen = prepared([])
    (dead,) = build_commit(batch, answered(batch, []), chosen, NOW, tried(batch, gone=1)).dead_letters
    assert (dead.code, dead.id) == (GONE, 1)
    batch, chosen = prepared([], name="users")
    commit = build_commit(batch, answered(batch, []), chosen, NOW, tried(batch, "users", gone=1))
    assert (commit.dead_letters, commit.resolved, commit.counts) == ((), (1,), {"unchanged": 1, "parked": -1})


def test_only_rows_that_a_comparison_found_enter_the_ledger_when_they_are_tried():
    """Other parked rows are in the ledger since they were read."""
    batch, chosen = prepared([(1, None), (2, None), (3, None)])
    retried = tried(batch, codes=(UNKNOWN_USER, UNACKNOWLEDGED, MUTATED))
    commit = build_commit(batch, answered(batch, []), chosen, NOW, retried)
    assert commit.ledger.equals(batch.ledger[1:2])


def test_later_events_wait_behind_a_row_that_was_asked_for_and_whose_player_is_unknown():
    """Once a requested row has been read, its player is known by hash, and holds back what comes after it."""
    batch, chosen = prepared([(1, None)])
    asked = due_at_once(
        UndeliveredRow("deposits", "0", positions_of(batch.places)[0], "", "", ""), UNACKNOWLEDGED, "", NOW
    )
    (again,) = build_commit(batch, answered(batch, [UNKNOWN_USER]), chosen, NOW, Retried((asked,))).parked
    assert again.row == replace(asked.row, player=player_of(1), eid=batch.send.frame[EID][0])


def test_a_row_keeps_what_is_known_of_it_from_stage_to_stage():
    """Parked, tried, given up, revived: the row is the same, a revived one is due at once and has a day."""
    row = UndeliveredRow("deposits", "7", Position("c", ("7",)), "eid", "type", "00ff", 3)
    waiting = replace(parked(row, UNKNOWN_USER, "unknown", 5, 99), id=4)
    again = parked_again(waiting, WAITS_BEHIND, "behind", 50, row)
    assert (again.code, again.at_ms, again.deadline_ms, again.tries, again.id) == (WAITS_BEHIND, 5, 99, 1, 4)
    dead = given_up(again, GONE, "gone", 60)
    alive = revived(dead, 70)
    assert (alive.next_try_ms, alive.deadline_ms, alive.tries) == (70, 70 + DAY, 0)
    assert (alive.code, alive.reason, alive.at_ms, alive.id) == (GONE, "gone", 60, 4)
    assert waiting.row == again.row == dead.row == alive.row == row
