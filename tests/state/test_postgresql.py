"""What the store does when its server, the network or another member is in its way."""

from __future__ import annotations

import sys
import time
from uuid import uuid4

import psycopg
import pytest
from msgspec.structs import replace

from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit, LaneStep
from smartico_sync.errors import (
    ConfigError,
    DriverMissing,
    PositionMoved,
    StateDamaged,
    StateError,
    StateHeld,
    StateLocked,
    StateLost,
    StateMissing,
    StateUnwritable,
)
from smartico_sync.state.group import Group
from smartico_sync.state.postgresql import connection
from smartico_sync.state.postgresql.dialect import translated
from smartico_sync.state.postgresql.tables import SCHEMA
from waiting import until


@pytest.fixture
def place(server_place):
    """What is promised of servers."""
    return server_place


@pytest.fixture
def cut(state_database):
    """Break every connection of a kind, as a restart of the server would."""

    def ended(kind="state"):
        state_database.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() "
            f"AND application_name = 'smartico-sync {kind}'"
        )

    return ended


def test_a_server_that_is_not_there(place):
    """It is told in a sentence without the password, and may pass."""
    with pytest.raises(StateUnwritable, match="refused") as caught:
        replace(place, url="postgresql://me:secret@127.0.0.1:1/state").open()
    assert "secret" not in caught.value.message + caught.value.hint


def test_a_url_that_is_none(place):
    """The password in it is not shown."""
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        replace(place, url="postgresql://me:secret@[host/state").open()
    assert "secret" not in caught.value.message


def test_a_missing_driver_is_told(place, monkeypatch):
    """The extra that brings it is named."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in [name for name in sys.modules if name.startswith("smartico_sync.state.postgresql.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(DriverMissing) as caught:
        place.open()
    assert caught.value.hint == "pip install 'smartico-sync[postgresql]'"


def test_a_server_that_nobody_may_write_to(place, store, page):
    """A standby, or a server set read-only, is told; nothing is written, and a later commit succeeds."""
    store.database._connection.execute("SET default_transaction_read_only = on")
    before = store.views()
    with pytest.raises(StateUnwritable, match="read-only") as caught:
        store.commit(page(1))
    assert "target_session_attrs=read-write" in caught.value.hint
    store.database._connection.execute("SET default_transaction_read_only = off")
    assert store.views() == before
    store.commit(page(1))
    store.close()
    with pytest.raises(StateUnwritable, match="standby"):
        replace(place, url=f"{place.url}&options=-c%20default_transaction_read_only%3Don").open()


def test_a_state_of_a_newer_version_is_refused(place, state_database):
    """An older program never touches newer tables."""
    place.open().close()
    state_database.execute("UPDATE smartico_sync.version SET number = 99")
    for access in ("read", "write"):
        with pytest.raises(StateError, match="newer smartico-sync"):
            place.open(access)


OLDER = (
    "DROP TABLE smartico_sync.member",
    "ALTER TABLE smartico_sync.lease DROP member_id, DROP wanted, DROP shares, DROP views",
    "ALTER TABLE smartico_sync.lane DROP owner, DROP level",
    "ALTER TABLE smartico_sync.outbox DROP lane",
    "DROP TABLE smartico_sync.budget",
    "UPDATE smartico_sync.version SET number = 1",
)


def test_older_tables_are_brought_up_while_nobody_works(place, store, state_database):
    """A member of the newer version waits until none of the older ones works, and loses nothing of theirs."""
    state_database.execute(*OLDER)
    with pytest.raises(StateLocked, match="newer version"):
        place.open()
    with pytest.raises(StateError, match="older smartico-sync"):
        place.open("read")
    store.close()
    with place.open() as other:
        assert {row.view for row in other.views()} == {"users", "bets"}
    assert place.seen().members == ()


def test_a_member_holds_the_groups_it_was_given(place, store, state_database):
    """Each group is apart: what becomes of one doubts no view of another, and whoever wants all of them is told what is held."""
    store.close()
    groups = (Group("lions", ("users",), "a"), Group("tigers", ("bets",), "b"))
    both = replace(place, groups=groups)
    lions, tigers = both.only("lions").open(), both.only("tigers").open()
    with pytest.raises(StateHeld, match="group lions of"):
        both.open()
    assert (lions.before, tigers.before) == ("well", "well")
    lions.close("badly")
    state_database.execute("UPDATE smartico_sync.lease SET expires = now() WHERE name = 'lions'")
    with both.only("lions").open() as taken:
        assert taken.before == "badly"
        assert {row.view: row.fingerprints for row in taken.views()} == {"users": "doubted", "bets": "trusted"}
    tigers.close()
    with both.open() as store:
        store.probe()
        assert {each.name for each in both.holders() if each.live} == {"lions", "tigers"}


def test_a_view_is_held_once_whatever_its_group_is_called(place, store, state_database, page):
    """A member that groups the views otherwise waits for the one that works with a view of its group; then that one writes
    nothing more, and what it may have sent is doubted, also of the views that it leaves to others."""
    cats, rest = (
        replace(place, groups=(Group(name, views, name),))
        for name, views in (("cats", ("bets",)), ("rest", ("users",)))
    )
    for access in (cats, rest):
        with pytest.raises(StateHeld, match="with other views"):
            access.open()
    state_database.execute("UPDATE smartico_sync.lease SET expires = now()")
    with cats.open() as taken:
        assert taken.before == "badly"
        assert {row.view: row.fingerprints for row in taken.views()} == {"users": "doubted", "bets": "doubted"}
        with pytest.raises(StateLost):
            store.commit(page(1))
        with pytest.raises(StateHeld, match="held by"):
            place.open()
        with rest.open() as other:
            assert other.before == "badly"
            other.probe()
        taken.commit(page(1))
    with place.open() as whole:
        assert whole.before == "well"
        assert {each.name for each in place.holders()} == {"default"}


def test_a_bad_end_stays_one_until_somebody_works(place, store, state_database):
    """Who takes the lease and then cannot begin leaves it as it was found."""
    store.close("badly")
    state_database.execute(
        "UPDATE smartico_sync.lease SET expires = now()", "UPDATE smartico_sync.view SET head = '[\"1\"]'"
    )
    with pytest.raises(StateDamaged, match="seal"):
        place.open()
    state_database.execute("UPDATE smartico_sync.view SET head = NULL")
    with place.open() as other:
        assert other.before == "badly"
        assert {row.fingerprints for row in other.views()} == {"doubted"}


def test_a_database_in_another_encoding(place, page):
    """Texts are texts, also where the clients of a database are to have bytes."""
    place = replace(place, url=f"{place.url}&options=-c%20client_encoding%3DSQL_ASCII")
    with place.open() as store:
        store.begin("bets", "d\u00e9finition", "first", 1)
        store.commit(page(1))
        assert store.view("bets").definition == "d\u00e9finition"


@pytest.mark.slow
def test_a_database_that_cannot_hold_every_text(place, postgresql_server, state_database):
    """It is refused at the first start; where a state is in one already the way out is told."""
    name = f"{state_database.name}_latin"
    postgresql_server.admin(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        with pytest.raises(ConfigError, match="is in LATIN1") as refused:
            replace(place, url=postgresql_server.admin_url(name)).open()
        assert "ENCODING 'UTF8'" in refused.value.hint
    finally:
        postgresql_server.admin(f"DROP DATABASE {name} WITH (FORCE)")
    with place.open() as store:
        store.database._connection.execute("SET client_encoding = LATIN1")
        with pytest.raises(StateUnwritable, match="has no equivalent"), store.database.reading() as reading:
            reading.execute("SELECT chr(9731)").fetchone()


def test_a_transaction_that_the_server_ended_may_be_tried_again(place, store, page):
    """As after a pause of the process in the middle of one: that is no damage."""
    store.database._connection.execute("SET idle_in_transaction_session_timeout = 10")
    with pytest.raises(StateUnwritable, match="idle-in-transaction"), store.database.writing():
        time.sleep(0.1)
    store.commit(page(1))
    assert store.view("bets").head == Position("1", ("k1",))


def test_another_installation_s_state_is_refused(place):
    """A member with another secret cannot read what the state holds, and does not try."""
    place.open().close()
    for access in ("read", "write"):
        with pytest.raises(StateDamaged, match="another secret"):
            replace(place, secret=bytes(32)).open(access)


def test_looking_makes_nothing(place):
    """Where no state is, who only looks says so."""
    assert not place.there
    with pytest.raises(StateMissing, match="no state"):
        place.open("read")
    place.open().close()
    assert place.there


def test_tables_that_are_gone_are_damage(place, store, state_database, page):
    """It is told, with the next command."""
    state_database.execute("DROP TABLE smartico_sync.ledger")
    with pytest.raises(StateDamaged) as caught:
        store.commit(page(1))
    assert "smartico-sync state new" in caught.value.hint


def test_a_pooler_of_transactions_is_thought_of(place, store):
    """Behind one a connection is now and then another, which does not know where the tables are; nothing is to be restored then."""
    store.database._connection.execute("SET search_path = public")
    for ask in (store.views, store.probe):
        with pytest.raises(StateDamaged) as caught:
            ask()
        assert "pool_mode = session" in caught.value.hint


def test_a_touched_position_is_damage(place, store, state_database):
    """A row that does not match its seal is never gone on from."""
    store.close()
    state_database.execute("UPDATE smartico_sync.view SET head = '[\"1\"]' WHERE name = 'bets'")
    with pytest.raises(StateDamaged, match="seal"):
        place.open()


def test_one_member_at_a_time(place, store):
    """The second is told who works, that it stands by, and whether it has the same views; after a clean end it goes on at once."""
    with pytest.raises(StateHeld, match="is held by") as caught:
        place.open()
    assert "stands by" in caught.value.hint
    with pytest.raises(StateHeld, match="other views"):
        replace(place, groups=(replace(place.groups[0], digest="others"),)).open()
    (holder,) = place.holders()
    assert (holder.live, holder.configuration) == (True, place.groups[0].digest)
    store.close()
    assert not place.holders()[0].live
    with place.open() as other:
        assert other.view("bets").fingerprints == "trusted"


def test_after_a_bad_end_the_views_are_doubted(place, store, state_database):
    """Who takes over from a member that did not end well compares with nothing that may be behind what was sent."""
    store.close("badly")
    with pytest.raises(StateLocked):
        place.open()
    state_database.execute("UPDATE smartico_sync.lease SET expires = now()")
    with place.open() as other:
        assert other.view("bets").fingerprints == "doubted"


def test_a_member_that_lost_the_lease_writes_nothing(place, store, state_database, page):
    """Whatever it was about to write, and however it was paused: the fence has another token."""
    state_database.execute("UPDATE smartico_sync.lease SET expires = now()")
    with place.open() as other:
        for write in (
            lambda: store.commit(page(1)),
            lambda: store.sending("bets", 5),
            lambda: store.reached("bets", 5),
            store.probe,
        ):
            with pytest.raises(StateLost):
                write()
        assert other.view("bets").head is None
        told = []
        store.when_lost(lambda: told.append(1))
        assert (told, store.holding) == ([1], False)
        other.commit(page(2))
        assert other.view("bets").head == Position("2", ("k2",))
        store.close()
        assert place.holders()[0].live, "who lost it does not release what is another's"


def test_a_lease_that_is_taken_is_noticed_without_a_write(place, state_database):
    """The thread that renews it tells, so that nothing is sent that cannot be remembered."""
    store = replace(place, lease_s=0.3).open()
    told = []
    store.when_lost(lambda: told.append(1))
    assert store.holding
    state_database.execute("UPDATE smartico_sync.lease SET holder = gen_random_uuid()")
    until(lambda: told, 0.02)
    assert not store.holding
    store.close()


def test_a_member_that_is_cut_off_stops_by_itself(place, state_database, monkeypatch):
    """Its own clock tells when the lease is over, also when the server never answers."""
    store = replace(place, lease_s=0.5).open()
    told = []
    store.when_lost(lambda: told.append(1))
    state_database.execute(
        "BEGIN; LOCK TABLE smartico_sync.lease IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(1.5); COMMIT"
    )
    until(lambda: told, 0.02)
    assert not store.holding
    with pytest.raises(StateLost):
        store.probe()
    store.close()


@pytest.mark.slow
def test_a_member_waits_for_no_answer_that_never_comes(place, state_database, proxied):
    """A server hangs, or what stands before it: whoever stands by finds out, connects anew, and could take over."""
    proxy = proxied(state_database.server.port)
    url = f"{place.url}&hostaddr=127.0.0.1&port={proxy.port}&password=admin"
    membership = replace(place, url=url, lease_s=0.3, id=uuid4()).membership()
    seen = membership.beat({})
    proxy.black_hole()
    for ask in (lambda: membership.beat({}), lambda: membership.moved(seen, ())):
        with pytest.raises(StateUnwritable):
            ask()
        proxy.mend()
        assert len(membership.beat({}).members) == 1
        proxy.black_hole()
    proxy.mend()
    membership.leave()


def test_what_need_not_wait_does_not(place, store):
    """psycopg has steps that ask the server for nothing, a commit outside of a transaction for instance."""
    store.database._connection.commit()
    store.probe()


@pytest.mark.slow
def test_nobody_waits_for_ever_for_an_answer_that_is_lost(place, state_database, page, proxied, monkeypatch):
    """While the lease is renewed by another connection, too: it may pass, and the next call goes its own way."""
    proxy = proxied(state_database.server.port)
    behind = replace(place, url=f"{place.url}&hostaddr=127.0.0.1&port={proxy.port}&password=admin")
    with monkeypatch.context() as hasty:
        hasty.setattr(connection, "PATIENCE", 0.005)
        proxy.hole_after = 2_000  # amid the first start
        with pytest.raises(StateUnwritable, match="no answer within"):
            behind.open()
    proxy.mend()
    state_database.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    with behind.open() as store:
        store.begin("bets", "definition", "now", 2)
        for ask in (store.sizes, lambda: store.commit(page(1))):
            store.probe()
            store.database._connection.patience_s = 0.05
            proxy.black_hole()
            with pytest.raises(StateUnwritable, match="no answer within"):
                ask()
            proxy.mend()
        store.commit(page(1))
        assert store.view("bets").head == Position("1", ("k1",))


def test_a_broken_connection_is_made_anew(place, store, cut, page):
    """What was committed stays, nothing is written twice, and the daemon goes on by itself."""
    store.commit(page(1))
    cut()
    with pytest.raises(StateUnwritable):
        store.commit(page(2))
    assert store.view("bets").head == Position("1", ("k1",))
    store.commit(page(2))
    assert store.view("bets").counts == {"delivered": 4}
    assert [seq for seq, _ in store.ledger_since("bets")] == [1, 2]


def test_a_commit_whose_answer_never_came_counts_once(place, store, cut, page, monkeypatch):
    """Whether it happened is seen when the position is read again; the broken connection cannot bring it later."""
    real = psycopg.ClientCursor.execute

    def gone(cursor, query, *given, **named):
        done = real(cursor, query, *given, **named)
        if b"INSERT INTO ledger" in (query if isinstance(query, bytes) else b""):
            cut()
            real(cursor, "SELECT 1")
        return done

    with monkeypatch.context() as broken:
        broken.setattr(psycopg.ClientCursor, "execute", gone)
        with pytest.raises(StateUnwritable):
            store.commit(page(1))
    assert store.view("bets").head == Position("1", ("k1",))
    store.commit(page(2))
    assert store.view("bets").counts == {"delivered": 4}


def test_a_lane_that_was_moved_takes_the_commit_with_it(place, store, page):
    """The commit is one: where a part of it is refused nothing of it is written."""
    store.commit(Commit("bets", 1, lanes=(LaneStep("topic/0", None, 5, "e"),)))
    moved = replace(page(1), lanes=(LaneStep("topic/0", 4, 6, "e"),))
    with pytest.raises(PositionMoved):
        store.commit(moved)
    assert store.view("bets").head is None
    store.commit(replace(page(1), lanes=(LaneStep("topic/0", 5, 6, "e"),)))
    assert store.lanes("bets")["topic/0"].next == 6


def test_a_commit_is_one_round_trip(place, store, page, profiles, monkeypatch):
    """Once a view is known a page costs one message to the server, whatever it holds."""
    store.commit(Commit("users", 1, head=Position("1"), profiles=profiles([1])))
    sent = []
    real = psycopg.ClientCursor.execute
    monkeypatch.setattr(
        psycopg.ClientCursor, "execute", lambda *given, **named: (sent.append(1), real(*given, **named))[1]
    )
    store.commit(
        Commit("users", 2, head=Position("2"), profiles=profiles([1, 2]), ledger=page(1).ledger, counts={"a": 1})
    )
    assert len(sent) == 1


def test_text_that_a_server_does_not_take(place, store, dead_letter):
    """A key may hold the character 0, which PostgreSQL has no place for: it is shown by its sign."""
    store.commit(Commit("bets", 1, dead_letters=(dead_letter("a\0b"),)))
    (found,) = store.dead_letters()
    assert found.row.key == "a\u2400b"


def test_statements_are_written_once():
    """What the tables' files say to SQLite is what PostgreSQL is told, with its own placeholders."""
    assert translated("SELECT a FROM b INDEXED BY c WHERE d = :e AND f = ? AND g::text LIKE '1%'") == (
        "SELECT a FROM b WHERE d = %(e)s AND f = %s AND g::text LIKE '1%%'"
    )


def test_a_state_that_a_member_has_seen_is_not_begun_anew(server_place, state_database):
    """Tables that vanish under a member are lost, and a new state would skip all that lies before `start_from`: it says so and begins none."""
    member = replace(server_place, id=uuid4()).membership()
    member.beat({})
    state_database.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
    with pytest.raises(StateError):
        member.beat({})
    with pytest.raises(StateMissing, match="it was there when this member started"):
        member.beat({})
    with pytest.raises(StateMissing, match="it was there when this member started"):
        replace(server_place, first="was there").open()
    member.leave()
    assert not server_place.there


def test_a_member_notices_what_was_let_go_or_promised(server_place):
    """Between two beats, by one statement; groups that it does not work with are nobody's news."""
    member = replace(server_place, id=uuid4()).membership()
    other = server_place.open()
    seen = member.beat({"default": "these views"})
    assert not member.moved(seen, ["default"])
    server_place.want("default", member.beat({"default": "these views"}).members[0].name)
    assert member.moved(seen, ["default"])
    assert not member.moved(member.beat({"default": "these views"}), ["default"])
    other.close()
    assert member.moved(seen, ["default"])
    assert not member.moved(seen, ["another"])
    member.leave()


def test_a_member_that_lost_the_lease_before_it_began_is_told_so(server_place, state_database, page):
    """Another one began the views meanwhile: its write is refused by the fence, and is no error of ours."""
    late = server_place.open()
    state_database.execute("UPDATE smartico_sync.lease SET expires = now()")
    with server_place.open() as other:
        other.begin("bets", "definition", "first", 1)
        other.commit(page(1))
        assert late.begin("bets", "definition", "first", 1).head is not None
        with pytest.raises(StateLost):
            late.commit(page(2))
    late.close()
