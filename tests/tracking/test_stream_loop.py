"""The loop of a view of messages, on a broker in memory and with a delivery whose answers the test gives."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from unittest.mock import Mock

import pytest
from msgspec.structs import replace
from polars.exceptions import PanicException
from structlog.testing import capture_logs

from smartico_sync.config.load import load
from smartico_sync.core.backoff import Backoff
from smartico_sync.core.batches import encode
from smartico_sync.core.events import EID, KEY
from smartico_sync.core.outcome import revived
from smartico_sync.core.reason_codes import GONE, UNKNOWN_USER
from smartico_sync.core.records import Receipt, Refusal
from smartico_sync.daemon.wiring import protection_of
from smartico_sync.errors import DeliveryUnavailable, SourceUnreachable
from smartico_sync.observe.status_board import StatusBoard
from smartico_sync.pii.keys import new_key
from smartico_sync.sources.stream import Standing as Broker
from smartico_sync.state.store import Store
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.prepared_stream import never_seen
from smartico_sync.tracking.status_recorder import StatusRecorder
from smartico_sync.tracking.stream_loop import StreamLoop
from smartico_sync.tracking.stream_session import StreamEquipment
from waiting import until

from .memory_stream import MemoryStream, MemorySubscription

BETS = "{name: bets, source: bus, relation: bets, kind: casino_bets%s}"
CUSTOM = "{name: c, source: bus, relation: bets, kind: custom, event_type: client_action%s}"
USERS = "{name: users, source: bus, relation: bets, kind: users%s}"


class ScriptedDelivery:
    """Answers at once, but for events of held keys; `refuse` gives the code for a key."""

    def __init__(self):
        self.held, self.waiting, self.sent, self.refused, self.trouble = set(), [], [], {}, None

    def send(self, _view, events, *, priority="live", holds=None, **_requests):
        rows = events.frame.to_dicts()
        self.sent += rows
        receipt: Future[Receipt] = Future()
        refused = [Refusal(row["@row"], row[EID], *self.refused[row[KEY]]) for row in rows if row[KEY] in self.refused]
        if holds is not None:
            holds.own.update(row["@player"] for row in rows if row[KEY] in self.refused)
        answer = Receipt(len(rows) - len(refused), 0, tuple(refused), 1, 1)
        if self.held & {row[KEY] for row in rows}:
            self.waiting.append((receipt, answer))
        else:
            receipt.set_result(answer)
        return receipt

    def busy(self, _view):
        return True

    def problem(self):
        return self.trouble

    def let_go(self):
        self.held.clear()
        for receipt, answer in self.waiting:
            if not receipt.done():
                receipt.set_result(answer)

    @property
    def keys(self):
        return [row[KEY] for row in self.sent]


class Streamed:
    """One view of messages and its loop."""

    def __init__(self, home, view=BETS, more="", lanes=("bets/0",)):
        config = home / "views.yaml"
        config.write_text(
            f"version: 1\nsmartico: {{url: 'http://127.0.0.1:9/', token: t}}\nstate: ./sync.db\npii: {{key: {new_key()}}}\n"
            f"sources: {{bus: {{url: 'kafka://127.0.0.1:9'}}}}\nviews:\n  - {view % more}\n"
        )
        config.chmod(0o600)
        self.configuration = load(config)
        self.home, self.stream, self.delivery = home, MemoryStream(*lanes), ScriptedDelivery()
        self.store, self.board = Store.open(home / "sync.db"), StatusBoard()
        self.stopping = threading.Event()
        self.loops = []
        self.loop = self.made()

    def made(self):
        (view,) = self.configuration.views
        self.loops.append(
            StreamLoop(
                StreamEquipment(
                    self.configuration, view, self.stream, self.store, self.delivery, protection_of(self.configuration),
                    StatusRecorder(view, self.board),
                )
            )
        )  # fmt: skip
        return self.loops[-1]

    def counts(self):
        row = self.store.views()[0]
        found = dict(row.counts)
        assert 2 * found.get("read", 0) == sum(found.values()), found
        return {name: count for name, count in found.items() if count}

    def next(self, lane="bets/0"):
        return self.store.lanes(self.store.views()[0].view)[lane].next

    def poll(self):
        self.loop.poll(self.stopping)
        assert self.loop.standing.error is None, self.loop.standing.error

    def close(self):
        for loop in self.loops:
            loop.close()
        self.store.close()


@pytest.fixture
def streamed(tmp_path):
    """Make a view of messages; `poll` it by hand."""
    made = []

    def make(view=BETS, more="", lanes=("bets/0",)):
        made.append(Streamed(tmp_path, view, more, lanes))
        return made[-1]

    yield make
    for each in made:
        each.close()


def bet(number, player=1, **more):
    return {
        "bet_id": f"b{number}", "user_ext_id": player, "ext_brand_id": "b", "bet_amount": 1.5, "game_id": "g",
        "bet_date": "2026-01-01T00:00:00Z", **more,
    }  # fmt: skip


def test_messages_are_delivered_once_and_their_places_are_kept_with_them(streamed):
    """What was taken is counted, sent, and its position written in one transaction; the broker hears of it afterwards."""
    view = streamed()
    view.stream.put(bet(1), bet(2), bet(3))
    view.poll()
    assert view.delivery.keys == ["b1", "b2", "b3"]
    assert view.counts() == {"read": 3, "delivered": 3}
    assert view.next() == 3
    assert view.stream.subscriptions[0].committed == [["bets/0@0", "bets/0@1", "bets/0@2"]]
    view.stream.put(bet(4))
    view.loop.close()
    view.loop = view.made()
    view.poll()
    assert view.delivery.keys == ["b1", "b2", "b3", "b4"]


def test_numbers_keep_their_digits(streamed):
    """An amount reaches the wire as the operator's program wrote it."""
    view = streamed()
    view.stream.put(
        b'{"bet_id": 12345678901234567890123, "user_ext_id": 7, "ext_brand_id": "b", "game_id": 1, "bet_amount": 0.10000000000000000001,'
        b' "bet_date": 1767225600000}'
    )
    view.poll()
    (event,) = view.delivery.sent
    assert event["casino_last_bet_amount"] == "0.10000000000000000001"
    assert event[KEY] == "12345678901234567890123"
    assert event["@date"] == 1_767_225_600_000


def test_poison_is_a_dead_letter_and_the_view_goes_on(streamed):
    """Bytes that are no JSON, an unbounded number, a missing key: each is given up by itself, also as the first of a topic."""
    view = streamed()
    view.stream.put(b"\xff\xfe", b"{", b"[1]", b'{"bet_amount": 1E400}', {"user_ext_id": 1}, bet(1), None)
    view.poll()
    assert view.delivery.keys == ["b1"]
    assert view.counts() == {"read": 7, "delivered": 1, "dead_lettered": 5, "skipped": 1}
    letters = list(view.store.all_dead_letters())
    assert [letter.row.position.cursor for letter in letters] == [f"bets/0@{n}" for n in range(5)]
    assert "JSON" in letters[0].reason
    assert "bet_id" in letters[4].reason


def test_all_that_was_given_up_of_one_player_is_tried_again(streamed, monkeypatch):
    """At once, though the first of it is given up once more."""
    monkeypatch.setattr("smartico_sync.tracking.stream_loop.PARKED_S", 60.0)
    view = streamed()
    view.stream.put(*(bet(n, bet_date="soon") for n in range(3)), bet(3))
    view.poll()
    letters = list(view.store.all_dead_letters())
    view.store.revive("bets", [revived(letter, now_ms()) for letter in letters])
    assert view.counts()["parked"] == 3
    view.loop = view.made()
    view.poll()
    assert view.counts() == {"read": 4, "delivered": 1, "dead_lettered": 3}


def test_what_is_on_its_way_to_the_api_waits_too(streamed, monkeypatch):
    """In messages and in seconds since the first of them was written; the reasons to skip messages are told from the start."""
    monkeypatch.setattr("smartico_sync.tracking.stream_loop.LOOK_S", 0.0)
    view = streamed(lanes=("bets/0", "bets/1"))
    view.delivery.held |= {"b1"}
    view.stream.put(bet(1), bet(2))
    view.stream.put(bet(3, 2), lane="bets/1")
    view.loop._begun = "yes"
    for _ in range(3):
        view.loop._step()
    told = view.board.facts("bets").stream
    assert [(lane.name, lane.lag) for lane in told.lanes] == [("bets/0", 2), ("bets/1", 1)]
    assert min(lane.lag_ms for lane in told.lanes) > 1_000_000
    assert told.skipped == dict.fromkeys(("where", "tombstone", "deleted", "nothing"), 0)
    view.delivery.let_go()
    view.poll()
    view.loop._step()
    assert [(lane.lag, lane.lag_ms) for lane in view.board.facts("bets").stream.lanes] == [(0, 0), (0, 0)]


def test_what_a_broker_does_not_show_again_is_read_in_the_state(streamed, monkeypatch):
    """Parked and given up messages are kept as long as they are undelivered, and tried from there."""
    monkeypatch.setattr("smartico_sync.tracking.stream_loop.PARKED_S", 0.0)
    made = streamed(more=", dead_letters: broker")
    made.stream.keep = {"bets/0": "undelivered"}
    made.delivery.refused["b2"] = (UNKNOWN_USER, "unknown")
    made.stream.put(bet(1), bet(2, 2), b"{broken")
    made.poll()
    assert len(made.store.bodies("bets", ["bets/0@0", "bets/0@1", "bets/0@2"])) == 2
    assert made.stream.given_up == ["bets/0@2"]
    made.delivery.refused.clear()

    def delivered():
        made.poll()
        return made.counts().get("delivered") == 2

    until(delivered)
    assert made.counts() == {"read": 3, "delivered": 2, "dead_lettered": 1}
    assert len(made.store.bodies("bets", ["bets/0@0", "bets/0@1", "bets/0@2"])) == 1


def test_a_wrong_value_at_the_beginning_breaks_no_view(streamed):
    """An object where an amount should be costs its message, and not the topic."""
    view = streamed()
    view.stream.put(bet(1, bet_amount={"x": 1}))
    view.poll()
    view.stream.put(bet(2))
    view.poll()
    assert view.delivery.keys == ["b2"]


@pytest.mark.parametrize("first", [b"garbage", {"ping": 1}, {"bet_date": "2026-01-01T00:00:00Z"}])
def test_what_is_no_event_at_the_beginning_chooses_no_key(streamed, first):
    """The first message that brings a key of the kind does, also after a restart, and it stays."""
    view = streamed()
    view.stream.put(first)
    view.poll()
    view.loop = view.made()
    bets = [{**bet(n), "id": n} for n in (1, 2)]
    view.stream.put({name: value for name, value in bets[0].items() if name != "bet_id"})
    view.poll()
    assert view.delivery.keys == ["1"]
    view.loop = view.made()
    view.stream.put(bets[1])
    view.poll()
    assert view.delivery.keys == ["1", "2"]


@pytest.mark.parametrize("keep", [{}, {"bets/0": "given up"}])
def test_what_could_not_be_read_is_sent_whole_once_it_can_be(streamed, monkeypatch, keep):
    """With every column that it brings, though no message has brought one yet; the state remembers them."""
    monkeypatch.setattr("smartico_sync.tracking.stream_loop.PARKED_S", 0.0)
    view = streamed(USERS, more=", root: payload")
    view.stream.keep = keep
    view.stream.put(*({"data": {"user_ext_id": n, "ext_brand_id": "b", "core_username": f"u{n}"}} for n in (1, 2)))
    view.poll()
    assert view.counts() == {"read": 2, "dead_lettered": 2}
    (configured,) = view.configuration.views
    view.configuration = view.configuration.model_copy(
        update={"views": [configured.model_copy(update={"root": "data"})]}
    )
    view.loop = view.made()
    view.store.revive("users", [revived(letter, now_ms()) for letter in view.store.all_dead_letters()])

    def delivered():
        view.poll()
        return view.counts().get("delivered") == 2

    until(delivered)
    assert sorted(event["core_username"] for event in view.delivery.sent) == ["u1", "u2"]
    assert "core_username" in view.store.views()[0].late


def test_a_panic_is_told_and_tried_again(streamed, monkeypatch):
    """Of the library that holds the rows: no thread ends quietly."""
    view = streamed()
    view.stream.put(bet(1))
    with monkeypatch.context() as broken:
        broken.setattr(view.loop._reader, "read", Mock(side_effect=PanicException("out of range")))
        view.loop.poll(view.stopping)
    assert "internal error: PanicException" in view.loop.standing.error.message
    view.loop._resume_at = 0.0
    view.poll()
    assert view.delivery.keys == ["b1"]


def test_an_offset_that_repeats_is_not_taken_again(streamed):
    """After a rebalance messages may come once more; they are dealt with already."""
    view = streamed()
    view.stream.put(bet(1), bet(2))
    view.poll()
    view.loop._subscription.at["bets/0"] = 0
    view.stream.put(bet(3))
    view.poll()
    assert view.delivery.keys == ["b1", "b2", "b3"]
    assert view.counts()["read"] == 3


def test_who_waits_is_read_again_at_its_place(streamed, monkeypatch):
    """A bet of a player whom nobody knows waits, what comes after it too, and both go in their order."""
    view = streamed()
    view.delivery.refused["b1"] = (UNKNOWN_USER, "unknown")
    view.stream.put(bet(1, player=5), bet(2, player=6))
    view.poll()
    view.stream.put(bet(3, player=5))
    view.poll()
    assert view.counts() == {"read": 3, "delivered": 1, "parked": 2}
    assert view.loop._subscription.waiting == ["bets/0@0", "bets/0@2"]
    view.delivery.refused.clear()
    for module in ("stream_sender", "event_sender"):
        monkeypatch.setattr(f"smartico_sync.tracking.{module}.now_ms", lambda: 4_000_000_000_000)

    def settled():
        view.loop._parked_at = 0.0
        view.poll()
        return not view.store.parked_counts()

    until(settled, 0.01)
    assert [key for key in view.delivery.keys if key in ("b1", "b3")] == ["b1", "b1", "b3"]
    assert view.counts() == {"read": 3, "delivered": 3}
    assert view.loop._subscription.waiting == []


def tried_again(view):
    """Have all that was given up tried again, after a restart."""
    view.store.revive(
        view.store.views()[0].view, [revived(letter, now_ms()) for letter in view.store.all_dead_letters()]
    )
    view.loop.close()
    view.loop = view.made()
    view.poll()


def test_another_message_at_its_place_is_not_what_was_given_up(streamed):
    """The topic was made again, and what has its place now is delivered: what was given up before is gone, and said to be."""
    view = streamed()
    view.delivery.refused["b1"] = (7, "no")
    view.stream.put(bet(1), bet(2))
    view.poll()
    view.stream.lanes["bets/0"].clear()
    view.stream.epoch = "two"
    view.stream.put(bet(11), bet(12))
    view.store.rewind("bets", None, at_ms=now_ms(), lanes_at={"bets/0": 0})
    tried_again(view)
    assert sorted(view.delivery.keys) == ["b1", "b11", "b12", "b2"]
    assert view.counts() == {"read": 4, "delivered": 3, "dead_lettered": 1}
    (letter,) = view.store.all_dead_letters()
    assert (letter.row.key, letter.code) == ("b1", GONE)


def test_what_cannot_be_read_any_more_is_not_said_to_be_gone(streamed):
    """The view was changed, and its messages are still there: the dead letter says what is wrong with them."""
    view = streamed()
    view.delivery.refused["b1"] = (7, "no")
    view.stream.put(bet(1))
    view.poll()
    (configured,) = view.configuration.views
    view.configuration = view.configuration.model_copy(
        update={"views": [configured.model_copy(update={"root": "data"})]}
    )
    tried_again(view)
    (letter,) = view.store.all_dead_letters()
    assert "no object at data" in letter.reason


def test_a_profile_whose_message_was_deleted_is_not_taken_for_settled(streamed):
    """Nobody knows whether a later message said the same: it stays a dead letter, and says that it is gone."""
    view = streamed(USERS)
    view.delivery.refused["b,1"] = (7, "no")
    view.stream.put({"user_ext_id": 1, "ext_brand_id": "b", "level": 1})
    view.poll()
    view.delivery.refused.clear()
    view.stream.lanes["bets/0"][0] = view.stream.lanes["bets/0"][0]._replace(offset=-1)  # retention took it
    tried_again(view)
    assert view.counts() == {"read": 1, "dead_lettered": 1}
    (letter,) = view.store.all_dead_letters()
    assert letter.code == GONE


def test_a_lane_that_ends_behind_its_last_message_is_written_down(streamed):
    """What lies between is no message: when the broker deletes it nothing is lost. Not before all messages are committed."""
    view = streamed()
    view.stream.put(bet(1), bet(2))
    view.stream.passed = {"bets/0": (2, 4)}
    view.delivery.held |= {"b2"}
    view.loop._begun = "yes"
    for _ in range(3):
        view.loop._step()
    view.loop._drop_session()
    assert view.next() == 0
    view.delivery.let_go()
    view.poll()
    assert view.next() == 4
    view.stream.passed = {"bets/0": (2, 6)}
    view.poll()
    assert view.next() == 4  # now and then is enough
    view.loop.close()
    assert view.next() == 6
    view.stream.passed = {"bets/0": (7, 9)}  # a message before it was taken, and never committed
    view.loop = view.made()
    view.poll()
    view.loop.close()
    assert view.next() == 6
    assert view.delivery.keys == ["b1", "b2", "b1", "b2"]


def test_lanes_that_go_are_drained_first(streamed):
    """What is acknowledged in time is committed before another member may begin; nothing is sent twice."""
    view = streamed()
    view.delivery.held.add("b1")
    view.stream.put(bet(1))
    view.loop._begun = "yes"
    view.loop._step()
    view.loop._step()
    assert view.delivery.keys == ["b1"]
    threading.Timer(0.05, view.delivery.let_go).start()
    view.loop._subscription.next_event = lambda keeper: keeper.drain()
    view.poll()
    assert view.next() == 1
    assert view.counts() == {"read": 1, "delivered": 1}


def test_lanes_that_were_lost_commit_nothing(streamed):
    """What is in flight then is taken again, under the same ids."""
    view = streamed()
    view.delivery.held.add("b1")
    view.stream.put(bet(1))
    view.loop._begun = "yes"
    view.loop._step()
    view.loop._step()
    view.loop._subscription.next_event = lambda keeper: keeper.lost()
    view.delivery.held.clear()
    view.poll()
    first, second = view.delivery.sent
    assert first[EID] == second[EID]
    assert view.counts() == {"read": 1, "delivered": 1}


def test_a_view_that_was_moved_by_another_commits_nothing(streamed):
    """The position in the state fences a daemon that has been replaced: it begins where the state says."""
    view = streamed()
    view.stream.put(bet(1), bet(2))
    view.delivery.held.add("b1")
    view.loop._begun = "yes"
    view.loop._step()
    view.loop._step()
    (step,) = view.store.lanes("bets").values()
    from smartico_sync.core.records import Commit

    view.store.commit(Commit("bets", 1, lanes=(replace(step, next=2),)))
    view.delivery.let_go()
    view.loop.poll(view.stopping)
    assert "not at 0 any more" in view.loop.standing.error.message
    assert view.counts() == {}
    assert view.next() == 2


def test_an_api_that_takes_nothing_pauses_the_topic_and_keeps_the_membership(streamed, monkeypatch):
    """The broker is asked again and again though nothing is wanted, and goes on afterwards."""
    monkeypatch.setattr("smartico_sync.tracking.stream_loop.PAUSE_AFTER_S", 0.0)
    monkeypatch.setattr("smartico_sync.tracking.stream_loop.GLANCE_S", 0.01)
    monkeypatch.setattr("smartico_sync.tracking.stream_loop.MOST_BYTES", 1)
    view = streamed()
    view.delivery.held.add("b1")
    view.delivery.trouble = DeliveryUnavailable("the API is down")
    view.stream.put(bet(1))
    view.loop._begun = "yes"
    for _ in range(10):
        view.loop._step()
    subscription = view.loop._subscription
    assert subscription.paused
    assert subscription.takes > 3
    assert view.loop.standing.error.message == "the API is down"
    view.stream.put(bet(2))
    view.delivery.trouble = None
    view.delivery.let_go()
    view.poll()
    assert not subscription.paused
    assert view.delivery.keys == ["b1", "b2"]


def test_a_broker_that_is_gone_degrades_the_view_and_loses_nothing(streamed):
    """It says so, subscribes anew, and goes on behind what was committed."""
    view = streamed()
    view.stream.put(bet(1))
    view.poll()
    view.stream.failing.append(SourceUnreachable("nobody answers"))
    view.loop.poll(view.stopping)
    assert view.board.views()[0].state == "degraded"
    view.loop._resume_at = 0.0
    view.stream.put(bet(2))
    view.poll()
    assert view.delivery.keys == ["b1", "b2"]
    assert len(view.stream.subscriptions) == 2


def test_what_is_counted_is_counted_since_the_start(streamed, monkeypatch):
    """There from the beginning, with 0; and on through subscriptions that end."""
    monkeypatch.setattr("smartico_sync.tracking.stream_loop.LOOK_S", 0.0)
    monkeypatch.setattr("smartico_sync.tracking.stream_loop.StreamLoop.backoff", Backoff((0.0,)))
    monkeypatch.setattr(
        MemorySubscription, "standing", lambda _: Broker(rebalances=1, gap_messages=2, deliveries=3, notes=("gap",))
    )
    view = streamed()

    def told():
        found = view.board.facts("bets").stream
        return found.rebalances, found.reconnects, found.gap_messages, found.deliveries

    assert told() == (0, 0, 0, 0)
    view.poll()
    assert told() == (1, 0, 2, 3)
    view.stream.failing.append(SourceUnreachable("gone"))
    view.loop.poll(view.stopping)
    view.poll()
    assert told() == (2, 1, 4, 3)


def test_a_broker_is_asked_again_within_half_a_minute_however_long_it_is_away(streamed):
    """After 1 second, and each time after twice as long, up to 32."""
    view, pauses = streamed(), []
    for _ in range(8):
        view.stream.failing.append(SourceUnreachable("nobody answers"))
        view.loop._resume_at = 0.0
        view.loop.poll(view.stopping)
        pauses.append(round(view.loop.pause_s))
    assert pauses == [1, 2, 4, 8, 16, 32, 32, 32]


def test_a_profile_that_says_only_what_changed_clears_nothing(streamed):
    """What a message says nothing of stays; what it says is null is cleared; what changed is sent."""
    view = streamed(USERS)
    known = {"user_ext_id": 1, "ext_brand_id": "b"}
    view.stream.put({**known, "user_email": "a@b.c", "level": 1})
    view.poll()
    view.stream.put({**known, "balance": 5})
    view.poll()
    view.stream.put({**known, "user_email": None})
    view.poll()
    view.stream.put({**known, "balance": 6}, {**known, "user_email": None})
    view.poll()
    cleared = [row.get("!user_email") for row in view.delivery.sent]
    assert cleared == [None, None, "null", None, None]
    assert [row.get("balance") for row in view.delivery.sent] == [None, "5", None, "6", None]


@pytest.mark.parametrize("payload", ["full", "changed"])
@pytest.mark.parametrize("players", [1, 20])
@pytest.mark.parametrize(
    "told",
    [
        [{"a": 1, "c": 5}, {"a": 1}, {"a": 1, "c": None}],  # the message before said the same beside it
        [{"a": 1, "c": 5}, {"a": None}, {"a": None, "c": None}],  # it said nothing else
        [{"c": 5}, {"a": None}, {"c": None}],
        [{"a": 1, "c": 5}, {"a": 1, "new": 2}, {"c": None}],  # a further column was learnt since
    ],
)
@pytest.mark.parametrize("fields", ["", ", fields: {user_ext_id: user_ext_id, ext_brand_id: ext_brand_id, a: a, c: c}"])
def test_what_is_said_to_be_null_is_cleared_whatever_else_is_said(streamed, told, players, payload, fields):
    """Of profiles that say only what changed the one before is no measure: it may have said the same, and been silent on this."""
    view = streamed(USERS, f", payload: {payload}, on_null: clear{fields}")
    for members in told:
        view.stream.put(*({"user_ext_id": n, "ext_brand_id": "b", **members} for n in range(players)))
        view.poll()
    cleared = [row["@user"] for row in view.delivery.sent if row.get("!c") == "null"]
    assert sorted(cleared) == sorted(map(str, range(players)))


def test_what_became_null_is_cleared_in_doubt_too(streamed):
    """After a bad end nobody knows what Smartico has of a player: what he has no more is cleared with the first that is sent."""
    view = streamed(USERS)
    known = {"user_ext_id": 1, "ext_brand_id": "b", "level": 1}
    view.stream.put({**known, "user_phone": "+35612345678"})
    view.poll()
    view.loop.close()
    view.store.judge_fingerprints("users", "doubted")
    view.loop = view.made()
    view.stream.put({**known, "user_phone": None})
    view.poll()
    assert [row.get("!user_phone") for row in view.delivery.sent] == [None, "null"]


@pytest.mark.parametrize("unusable", [0, 1_767_225_600])  # not told, and told in seconds
@pytest.mark.parametrize(
    "more", ["", ", fields: {user_ext_id: u, ext_brand_id: b, level: level, dt: message.timestamp}"]
)
def test_a_message_without_a_time_is_dated_when_it_is_read(streamed, unusable, more):
    """A profile that nobody dates is no event of 1970, which the API refuses; the next one with a time is not older than it."""
    view, began = streamed(USERS, more), now_ms()
    known = {"user_ext_id": 1, "ext_brand_id": "b", "u": 1, "b": "b"}
    view.stream.put({**known, "level": 1}, time_ms=unusable)
    view.stream.put({**known, "level": 2})
    view.poll()
    view.stream.put({**known, "level": 3}, {**known, "level": 4}, time_ms=unusable)
    view.poll()
    assert [row["level"] for row in view.delivery.sent] == ["1", "2", "3", "4"]
    one, two, *others = (row["@date"] for row in view.delivery.sent)
    assert two == view.stream.lanes["bets/0"][1].time_ms
    assert began <= one <= min(others) <= max(others) <= now_ms()


def test_a_message_without_a_time_has_the_same_id_whenever_it_is_read(streamed):
    """What dates it is no part of what it is: read again, it counts once."""
    view = streamed(CUSTOM)
    view.stream.put({"user_ext_id": 1, "ext_brand_id": "b", "what": "x"}, time_ms=0)
    view.poll()
    view.store.rewind("c", None, at_ms=now_ms(), lanes_at={"bets/0": 0})
    view.loop.close()
    view.loop = view.made()
    view.poll()
    first, again = view.delivery.sent
    assert first[EID] == again[EID]
    assert first["@date"] > 0


def test_a_version_keeps_what_is_older_back(streamed):
    """A topic that is not keyed by player brings states out of their order: the older one is counted, and not sent."""
    view = streamed(USERS, ", version: dt", ("bets/0", "bets/1"))
    known = {"user_ext_id": 1, "ext_brand_id": "b"}
    view.stream.put({**known, "level": 2, "dt": "2026-01-01T00:00:02Z"}, lane="bets/0")
    view.stream.put({**known, "level": 1, "dt": "2026-01-01T00:00:01.5Z"}, lane="bets/1")
    view.poll()
    assert len(view.delivery.sent) == 1
    assert view.counts() == {"read": 2, "delivered": 1, "unchanged": 1}
    assert view.board.views()[0].stale == 1


def test_messages_that_are_not_meant_are_counted(streamed):
    """By a member or a header; the reason is told."""
    view = streamed(more=", where: {status: Approved, headers.type: [CASINO, GAME]}")
    view.stream.put(bet(1, status="Approved"), bet(2, status="Rollback"), headers={"type": b"CASINO"})
    view.stream.put(bet(3, status="Approved"), headers={"type": b"LOGIN"})
    view.poll()
    assert view.delivery.keys == ["b1"]
    assert view.counts() == {"read": 3, "delivered": 1, "skipped": 2}


@pytest.mark.parametrize(
    ("more", "levels", "told"),
    [("", [5, "gold", "6"], ["level", "vip"]), (", columns: {level: {type: number}}", [5, None, 6], ["vip"])],
)
def test_a_column_of_two_types_is_text_and_the_log_says_so(streamed, more, levels, told):
    """One odd value changes how a property of one's own is sent, for ever; unless the view says what it is."""
    view, bodies = streamed(CUSTOM, f", key: [id], event_date: dt{more}"), []
    view.delivery.send = lambda name, events, send=view.delivery.send, **how: (
        bodies.append(json.loads(encode(events))),
        send(name, events, **how),
    )[1]
    seen = {"user_ext_id": 1, "ext_brand_id": "b", "dt": "2026-01-01T00:00:00Z"}
    with capture_logs() as said:
        for number, more in enumerate(
            ({"level": 5, "vip": True}, {"level": "gold", "vip": "yes"}, {"level": 6, "note": "x"})
        ):
            view.stream.put({**seen, "id": number, **more})
            view.poll()
    assert [event["payload"].get("level") for (event,) in bodies] == levels
    assert [line["columns"] for line in said if line["event"] == "view.mixed"] == [told]


def test_fields_name_the_columns(streamed):
    """As in a SELECT: only they are read, wherever they are, and a number may be a time."""
    fields = (
        ", fields: {bet_id: activity_id, user_ext_id: player.id, ext_brand_id: headers.brand, bet_amount: amount, game_id: other,"
        " bet_date: {path: at, type: epoch_us}}"
    )
    view = streamed(more=fields)
    message = {"activity_id": 9, "player": {"id": 7}, "amount": 2.50, "at": 1_767_225_600_123_456, "other": 1}
    view.stream.put(message, headers={"brand": b"casino"})
    view.poll()
    (event,) = view.delivery.sent
    assert (event[KEY], event["@brand"], event["@user"], event["@date"]) == ("9", "casino", "7", 1_767_225_600_123)


def test_any_name_of_a_column_is_enough(streamed):
    """No other name of what is there is asked for."""
    view = streamed(more=", fields: {user_ext_id: u, ext_brand_id: b, bet_id: i, bet_date: d, game_name: g, amount: a}")
    (configured,) = view.configuration.views
    assert never_seen(configured, dict.fromkeys(configured.fields, "text")) == ()


def test_messages_without_a_key_are_known_by_their_place(streamed):
    """Two equal messages at two places are two events; the same one taken again has the same id."""
    view = streamed("{name: c, source: bus, relation: bets, kind: custom, event_type: client_action, key: []%s}")
    said = {"user_ext_id": 1, "ext_brand_id": "b", "event_date": "2026-01-01T00:00:00Z", "what": "x"}
    view.stream.put(said, said)
    view.poll()
    first, second = (row[EID] for row in view.delivery.sent)
    assert first != second


def test_a_view_begins_at_its_end_and_takes_what_comes_while_it_is_down(streamed):
    """`start_from: now` is written down before the first message is: what comes before the next start is not lost."""
    view = streamed(more=", start_from: now")
    view.stream.put(bet(1))
    view.poll()
    view.loop.close()
    view.stream.put(bet(2))
    view.loop = view.made()
    view.poll()
    assert view.delivery.keys == ["b2"]


def test_profiles_that_may_have_arrived_go_again_before_anything_is_taken(streamed):
    """The answer of a player's message never came, and the loop that sent it is gone: the next one sends it first, under its id."""
    view = streamed(USERS, ", version: v")

    def player(version, status):
        return {"user_ext_id": 1, "ext_brand_id": "b", "v": version, "core_account_status": status,
                "core_registration_date": "2026-01-01T00:00:00Z"}  # fmt: skip

    view.stream.put(player(1, "ACTIVE"))
    view.delivery.held.add("b,1")
    view.loop._begun = "yes"
    view.loop._step()
    view.loop.close()
    assert [page.events.frame.height for page in view.store.outbox("users")] == [1]
    view.delivery.held.clear()
    view.stream.put(player(2, "SELF_EXCLUDED"))
    takes = []
    view.delivery.send = lambda *arguments, send=view.delivery.send, **more: (
        takes.append(len(view.stream.subscriptions)),
        send(*arguments, **more),
    )[1]
    view.loop = view.made()
    view.poll()
    sent = [(row["core_account_status"], row[EID]) for row in view.delivery.sent]
    assert [status for status, _ in sent] == ["ACTIVE", "ACTIVE", "ACTIVE", "SELF_EXCLUDED"]
    assert sent[0] == sent[1] == sent[2]
    assert takes == [1, 2]
    assert view.store.outbox("users") == []
    assert view.counts() == {"read": 2, "delivered": 2}
