"""A state goes from a file into PostgreSQL and back, and nothing of it is lost or begun twice."""

from __future__ import annotations

import polars as pl
import pytest
from msgspec.structs import replace

from smartico_sync.core.events import Events
from smartico_sync.core.outbox import packed
from smartico_sync.core.position import Position
from smartico_sync.core.records import Anchor, Commit, LaneStep
from smartico_sync.errors import ConfigError, StateDamaged, StateHeld, StateMissing
from smartico_sync.state.group import Group
from smartico_sync.state.moving import move
from smartico_sync.state.place import FilePlace

IDS = pl.Series([1, 2**64 - 1], dtype=pl.UInt64)


@pytest.fixture
def filled(tmp_path, rows, profiles, parked, dead_letter):
    """A state file with something of everything, and what of it can be told."""
    place = FilePlace(tmp_path / "here" / "sync.db")
    with place.open() as store:
        store.begin("users", "definition", "first", 1)
        store.begin("bets", "definition", "first", 1)
        sets = profiles([1, 2**64 - 1], parts=b"p", cursor_at=7).with_columns(pl.Series("@tags", ['["vip"]', None]))
        store.commit(Commit("users", 2, head=Position("7"), profiles=sets))
        store.add_told_names("users", {"tags": {'"vip"'}})
        store.commit(
            Commit(
                "bets", 3, Position("9", ("ä",)), Position("8"), "{}", None, rows([1, 2**64 - 1], [5, 6]),
                counts={"read": 4, "parked": 1, "dead_lettered": 1}, parked=(parked("1", player=2**64 - 1),),
                dead_letters=(dead_letter("2"),), anchors=(Anchor(Position("9"), 9, -1, 2**63),), ahead=rows([3], [99]),
                lanes=(LaneStep("topic/0", None, 5, "e"),), bodies={"c": b"message"},
            )
        )  # fmt: skip
        store.add_backfill("bets", low="1", high="9", rate=10, profiles="all", total=5, at_ms=4)
        store.keep_outbox_page("users", packed(Events(pl.DataFrame({"tag": ["vip"]})), pl.DataFrame({"id": [1]})))
        store.rewind("users", Position("5"), at_ms=5, ids="new")
        return place, store.secret, told(store)


def told(store):
    """What a state says."""
    return {
        "views": store.views(), "profiles": sorted(store.profiles("users", IDS).rows()), "dead": store.dead_letters(),
        "parked": store.parked("bets", 1 << 61), "anchors": store.anchors("bets"), "ahead": list(store.ahead("bets")),
        "lanes": store.lanes("bets"), "bodies": store.bodies("bets", ["c"]), "backfills": store.backfills(),
        "outbox": [(each.id, each.events.frame.rows(), each.profiles.rows()) for each in store.outbox("users")],
        "ledger": [(seq, list(keys)) for seq, keys in store.ledger_since("bets")], "names": store.told_names("users"),
        "sets": store.told_sets("users", IDS, ["@tags"]).rows(), "id": store.state_id,
        "generations": dict(store.key.generations),
    }  # fmt: skip


def test_there_and_back_again(filled, server_place, tmp_path, rows):
    """Everything is there as it was, also what is encrypted; numbers go on; what was left behind is not begun with again."""
    here, secret, before = filled
    there, back = replace(server_place, secret=secret), FilePlace(tmp_path / "back" / "sync.db")
    counts = move(here, there)
    assert (counts["profile"], counts["letter"], counts["told_name"], counts["body"]) == (2, 2, 1, 1)
    assert counts["outbox"] == 1
    with pytest.raises(StateMissing, match="is gone") as left:
        here.open()
    assert "`smartico-sync state move` took it into a database" in left.value.message
    assert "state new" not in left.value.hint  # which would send everything again
    with there.open() as store:
        assert told(store) == before
        assert store.commit(Commit("bets", 6, ledger=rows([7], [7]))) == 2
        assert store.add_backfill("bets", low="1", high="9", rate=10, profiles="all", total=5, at_ms=4) == 2
        later = told(store)
    move(there, back)
    with pytest.raises(StateMissing, match=r"was moved to .*sync\.db"):
        there.open()
    with back.open() as store:
        assert told(store) == later
    move(back, there)
    with there.open() as store:
        assert told(store) == later


def test_a_state_that_is_lost_after_it_came_back_was_not_moved(filled, server_place):
    """What an earlier move left behind beside it leads nobody to a database that is not the state any more."""
    here, secret, _ = filled
    there = replace(server_place, secret=secret)
    move(here, there)
    here.path.with_name("sync.db.key").rename(here.path.with_name("kept.key"))
    move(there, here)
    with here.open():
        pass
    here.path.unlink()
    with pytest.raises(StateMissing, match="says that it was there"):
        here.open()


def test_a_move_never_mixes_two_states(filled, server_place):
    """A target that holds a state, or is kept under another secret, is refused, and the source goes on."""
    here, secret, before = filled
    with pytest.raises(StateDamaged, match="another secret"):
        move(here, server_place)
    there = replace(server_place, secret=secret)
    with there.open() as store:
        store.begin("theirs", "definition", "first", 1)
    with pytest.raises(ConfigError, match="there is a state"):
        move(here, there)
    with pytest.raises(ConfigError, match="there is a state"):
        move(there, here)
    with pytest.raises(ConfigError, match="of the same kind"):
        move(here, here)
    with here.open() as store:
        assert told(store) == before


def test_a_copy_of_a_database_is_brought_back(filled, server_place, tmp_path, page):
    """A copy taken while the daemon works is safe to go back to: the views are doubted, and what it replaces stays."""
    here, secret, _ = filled
    place = replace(server_place, secret=secret)
    move(here, place)
    with place.open() as store:
        store.backup(tmp_path / "copy.db", "apart")
        before = told(store)
        store.commit(page(12))
        store.rewind("bets", Position("3"), at_ms=9, ids="new")
    restored = place.restore(tmp_path / "copy.db")
    assert "smartico_sync_replaced_" in str(restored.aside)
    assert {each.view: (each.head, each.kept) for each in restored.views}["bets"] == (Position("9", ("ä",)), 1)
    with place.open() as store:
        assert {row.fingerprints for row in store.views()} == {"doubted"}
        assert store.view("bets").generation == 1
        after = told(store)
    assert after["outbox"] == []  # it has arrived since
    assert {**after, "views": 0, "generations": 0} == {**before, "views": 0, "generations": 0, "outbox": []}


def test_a_new_state_keeps_generations_and_names(filled, server_place):
    """What was sent before and is sent again has the event ids it had, and the names of sets are known."""
    here, secret, before = filled
    place = replace(server_place, secret=secret)
    move(here, place)
    assert "smartico_sync_replaced_" in str(place.renew({"users": "now"}))
    with place.open() as store:
        assert store.views() == ()
        assert store.start_of("users") == "now"
        assert store.key.generations == before["generations"]
        assert store.begin("users", "definition", "first", 1).generation == 1
        assert store.told_names("users") == before["names"]


def test_a_state_is_not_moved_from_under_a_member(filled, server_place, tmp_path):
    """Also where it works with views that are not configured here: what it writes would be left behind."""
    here, secret, _ = filled
    there, back = replace(server_place, secret=secret), FilePlace(tmp_path / "back.db")
    move(here, there)
    other = replace(there, groups=(Group("theirs", ("others",), "theirs"),))
    with other.open():
        with pytest.raises(StateHeld, match="group theirs of the state"):
            move(there, back)
        assert not back.there
    move(there, back)
