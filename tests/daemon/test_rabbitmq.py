"""RabbitMQ from the command line: what an operator types, and what arrives. On a real broker."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import threading
import time
from collections import Counter, defaultdict

import pytest

from daemon.command import run
from daemon.conftest import Operator
from daemon.test_kafka_crashes import killed_at_work
from waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
VIEW = "  - {name: bets, source: db, relation: %s, kind: casino_bets%s}\n"
KILLS = int(os.environ.get("SYNC_TEST_KILLS", "12"))  # on each kind of queue; 50 are the long form, `make streams-long`
BREAKS = 8
FAULTS = ["503:0.08", "429=1s:0.02", "reset-before:0.08", "reset-after:0.08", "garbage:0.05", "latency=30ms"]
PLAYERS = 40
TWO_VIEWS = """
  - {name: users, source: db, relation: %s, kind: users, version: level}
  - {name: bets, source: db, relation: %s, kind: custom, event_type: bet, key: [id], event_date: at, page_rows: 300}
"""


class Queue:
    """One queue and an operator who reads it."""

    def __init__(self, operator, server, kind="classic", **arguments):
        self.operator, self.server = operator, server
        self.name = server.queue(kind, **arguments)

    def configure(self, more="", **parameters):
        self.operator.configure(self.server.url(**parameters), VIEW % (self.name, more), timeout="2s")

    def put(self, *bets, **properties):
        bodies = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in bets]
        self.server.put(self.name, *bodies, **properties)

    def sync(self, *words):
        return self.operator.sync(*words)

    def told(self, *words):
        return json.loads(self.sync(*words, "--json").stdout)


def bet(number, player=1, **more):
    return {
        "bet_id": f"b{number}", "user_ext_id": player, "ext_brand_id": "b", "bet_amount": 1.50, "game_id": "g",
        "bet_date": "2026-01-01T00:00:00Z", **more,
    }  # fmt: skip


@pytest.fixture(params=["classic", "quorum", "stream"])
def queue(operator, rabbitmq, request):
    """A queue of each kind, configured as bets."""
    made = Queue(operator, rabbitmq, request.param)
    made.kind = request.param
    made.configure()
    return made


def test_a_queue_reaches_the_api_once(queue):
    """`run --once` takes what is there and ends, what comes later is taken by the next; what cannot be read is kept sealed."""
    queue.put(*(bet(n, n % 5) for n in range(40)), b'{"secret": "hunter2"', bet(7, 2))
    done = queue.sync("run", "--once", "--log", "json")
    assert done.returncode == 6, done.stderr  # one dead letter
    assert len(queue.operator.accepted()) == 40
    queue.put(bet(40), bet(3, 3))
    assert queue.sync("run", "--once").returncode == 0
    events = queue.operator.accepted()
    assert len(events) == 41
    assert len({event["eid"] for event in events}) == 41
    counts = queue.told("watermark", "show")[0]["counts"]
    assert counts["read"] == 44
    assert (counts["delivered"], counts["duplicate"], counts["dead_lettered"]) == (41, 2, 1)
    if queue.kind != "stream":
        assert queue.server.waiting(queue.name) == 0
    state = queue.operator.home / "state"
    assert not any(b"hunter2" in file.read_bytes() for file in state.iterdir() if file.is_file())


def test_what_was_given_up_is_tried_again(queue):
    """From the copy that the state keeps, which is gone once it is delivered, or dropped."""
    queue.put(bet(1), bet(2, bet_date="soon"), bet(3, bet_date="later"))
    queue.sync("run", "--once")
    one, other = queue.told("dead-letters", "list")
    assert one["cursor"].startswith(f"{queue.name}@")
    queue.configure(", columns: {bet_date: null, placed: bet_date}")
    done = queue.sync("dead-letters", "retry", "--id", str(one["id"]))
    assert "1 dead letter is" in done.stdout, done.stderr
    done = queue.sync("run", "--once")
    assert len(queue.operator.accepted()) == 2, done.stderr
    queue.sync("dead-letters", "drop", "--id", str(other["id"]), "--yes")
    assert kept(queue.operator) == 0


def kept(operator):
    with sqlite3.connect(operator.home / "state" / "sync.db") as state:
        (count,) = state.execute("SELECT count(*) FROM body").fetchone()
    state.close()
    return count


def test_commands_say_what_they_can_and_cannot_do(queue):
    """`check`, `status` and `trace` do; what needs messages to be read again ends with 2, and says so."""
    queue.put(*(bet(n) for n in range(6)))
    until(lambda: queue.server.waiting(queue.name) == 6)
    done = queue.sync("check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"is a {queue.kind} queue with 6 messages" in done.stdout
    done = queue.sync("preview", "bets")
    if queue.kind == "stream":
        assert done.returncode == 0
        assert "casino_last_bet_amount" in done.stdout
    else:
        assert done.returncode == 2
        assert "shows no message" in done.stderr
    assert queue.sync("run", "--once").returncode == 0
    queue.put(bet(6), bet(7))

    def waits():
        return queue.told("status")["views"][0]["stream"]["lanes"][0]["lag"] == 2

    until(waits, 0.5)
    assert queue.told("trace", "bets", "b3")["rows"][0]["acknowledged"]
    for words in (("reconcile", "--view", "bets"), ("backfill", "bets", "--from", "2026-01-01T00:00:00")):
        done = queue.sync(*words)
        assert done.returncode == 2, words
        assert "messages" in done.stderr
    assert "a queue gives each message once" in queue.sync("reconcile").stdout
    done = queue.sync("watermark", "rewind", "bets", "--to", "first")
    if queue.kind != "stream":
        assert done.returncode == 2
        assert "messages" in done.stderr
        return
    assert f"view bets goes on at {queue.name}@0\n" in done.stdout
    assert queue.sync("run", "--once").returncode == 0
    assert queue.told("watermark", "show")[0]["counts"] == {"read": 14, "delivered": 8, "duplicate": 6}
    done = queue.sync("watermark", "rewind", "bets", "--to", f"{queue.name}@9")
    assert done.returncode == 2
    assert "has the offsets 0 to 8, and not 9" in done.stderr


def test_two_views_of_a_queue_are_refused_before_either_reads(operator, rabbitmq):
    """Each would pass over what is meant for the other; a stream gives all to both."""
    for kind, code in (("quorum", 2), ("stream", 0)):
        name = rabbitmq.queue(kind)
        rabbitmq.put(name, json.dumps(bet(1)).encode(), type="CASINO")
        rabbitmq.put(name, json.dumps(bet(2)).encode(), type="SPORT")
        views = (VIEW % (name, f", where: {{properties.type: {word}}}") for word in ("CASINO", "SPORT"))
        casino, sport = views
        operator.configure(rabbitmq.url(), casino + sport.replace("bets", "sport", 1), timeout="2s")
        assert operator.sync("check").returncode == code
        until(lambda name=name: rabbitmq.waiting(name) == 2)
        assert operator.sync("run", "--once").returncode == code
        assert len(operator.accepted()) == (0 if code else 2)
        assert code == 0 or rabbitmq.waiting(name) == 2


def test_a_first_configuration_is_written_from_what_can_be_looked_at(queue):
    """A stream is; of another queue it is said why not, and nothing of it is moved. Without the management API nobody tells its name."""
    server, home = queue.server, queue.operator.home
    name = server.queue(queue.kind, f"game.bets.{queue.name}")
    server.put(name, *(json.dumps(bet(n)).encode() for n in range(6)))

    until(lambda: server.waiting(name) == 6)

    def init(url):
        return run(["init", "--url", url, "--output", home / "first.yaml", "--force"], home, 60)

    done = init(server.url(management=server.management))
    if queue.kind == "stream":
        assert done.returncode == 0, done.stderr
        assert f"{name}: kind casino_bets" in done.stdout
    else:
        assert done.returncode == 2
        assert f"{name}: 6 messages wait in it, which cannot be looked at without taking them" in done.stderr
        assert "bind a stream queue to the same exchange" in done.stderr
        assert [each["bet_id"] for each in map(json.loads, server.bodies(name))] == [f"b{n}" for n in range(6)]
    server.owner().queue_delete(name)
    done = init(server.url())
    assert done.returncode == 2
    assert "?management=" in done.stderr


def test_a_player_who_is_not_known_yet_is_waited_for(queue):
    """His bets stay where they are over a restart, in order, and nothing is given up as gone."""
    queue.operator.sandbox.set_faults(["unknown-users"])
    queue.put(bet(1), bet(2))
    queue.sync("run", "--once")
    assert queue.operator.accepted() == []
    daemon = queue.operator.start("run")
    time.sleep(3)
    daemon.send_signal(signal.SIGTERM)
    daemon.wait()
    queue.operator.sandbox.set_faults([])
    daemon = queue.operator.start("run")
    until(lambda: len(queue.operator.accepted()) == 2)
    until(lambda: queue.kind == "stream" or queue.server.waiting(queue.name) == 0)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert [event["payload"]["casino_last_bet_id"] for event in queue.operator.accepted()] == ["b1", "b2"]
    counts = queue.told("watermark", "show")[0]["counts"]
    assert counts.get("dead_lettered", 0) == 0
    assert counts.get("parked", 0) == 0
    assert counts["read"] == counts["delivered"] + counts.get("duplicate", 0)


def test_who_waits_outlives_his_queue(operator, rabbitmq):
    """It was read, and is waited for: that the queue is deleted meanwhile, and declared anew, takes nothing of that away."""
    for kind in ("classic", "quorum"):
        made, arrived = Queue(operator, rabbitmq, kind), len(operator.accepted())
        made.configure()
        operator.sandbox.set_faults(["unknown-users"])
        daemon = operator.start("run")
        made.put(bet(f"{kind} 1"), bet(f"{kind} 2"))
        until(lambda made=made: made.told("status")["views"][0]["parked"], 0.2)
        rabbitmq.owner().queue_delete(made.name)
        until(lambda made=made: "no such queue" in made.sync("status", "--json").stdout, 0.2)
        rabbitmq.queue(kind, made.name)
        made.put(bet(f"{kind} 3"))
        operator.sandbox.set_faults([])
        until(lambda arrived=arrived: len(operator.accepted()) == arrived + 3, 0.2)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
        ids = [event["payload"]["casino_last_bet_id"] for event in operator.accepted()[arrived:]]
        assert ids == [f"b{kind} {number}" for number in (1, 2, 3)]
        counts = made.told("watermark", "show")[0]["counts"]
        assert {name: count for name, count in counts.items() if count} == {"read": 3, "delivered": 3}
        shutil.rmtree(operator.home / "state")


class Writer(threading.Thread):
    """Players who bet and change, until told to stop."""

    def __init__(self, server, users, bets):
        super().__init__()
        self.server, self.users, self.bets = server, users, bets
        self.stopping, self.number, self.dice = threading.Event(), 0, random.Random(1)
        self.wanted, self.levels = defaultdict(list), {}

    def run(self):
        while not self.stopping.wait(0.05):
            self.put_all(1)

    def put_all(self, rounds):
        """Some bets of some players, and a change of one of them, each time."""
        for _ in range(rounds):
            bodies = []
            for _ in range(self.dice.randrange(1, 30)):
                player = self.dice.randrange(PLAYERS)
                self.number += 1
                self.wanted[str(player)].append(self.number)
                said = {"id": self.number, "user_ext_id": player, "ext_brand_id": "b", "at": time.time_ns() // 1000000}
                bodies.append(json.dumps({**said, "number": self.number}).encode())
            self.server.put(self.bets, *bodies)
            self.levels[str(player)] = self.number
            said = {"user_ext_id": player, "ext_brand_id": "b", "level": self.number}
            self.server.put(self.users, json.dumps(said).encode())


def newest_of(operator):
    """Each player's profile as it arrived last."""
    return {
        event["user_ext_id"]: event["payload"]["level"] for event in operator.accepted() if event["event_type"] != "bet"
    }


def proved(operator, writer):
    """Every bet once and under one id, each player's in their order, and each player's newest profile."""
    events = operator.accepted()
    assert len({event["eid"] for event in events}) == len(events)
    arrived = defaultdict(list)
    for event in events:
        if event["event_type"] == "bet":
            arrived[event["user_ext_id"]].append(event["payload"]["number"])
    assert Counter(number for numbers in arrived.values() for number in numbers) == Counter(range(1, writer.number + 1))
    assert arrived == writer.wanted
    assert newest_of(operator) == writer.levels


@pytest.mark.parametrize("kind", ["classic", "quorum", "stream"])
def test_kills_lose_nothing_double_nothing_and_keep_the_order(operator, rabbitmq, kind):
    """Whatever moment the daemon dies in, and whatever the API answers."""
    users, bets = rabbitmq.queue(kind), rabbitmq.queue(kind)
    operator.configure(rabbitmq.url(), TWO_VIEWS % (users, bets), timeout="2s")
    operator.sandbox.set_faults(FAULTS)
    dice, writer = random.Random(1), Writer(rabbitmq, users, bets)
    writer.start()
    try:
        for _ in range(KILLS):
            killed_at_work(operator, dice)
    finally:
        writer.stopping.set()
        writer.join()
    operator.sandbox.set_faults([])
    done = operator.sync("run", "--once", timeout=500)
    assert done.returncode == 0, done.stderr
    proved(operator, writer)


def test_broken_connections_stay_below_a_delivery_limit(operator, rabbitmq, proxied):
    """Each counts as a delivery of all that was fetched: nothing is given up by the broker, and the view says how near it is."""
    users, bets = rabbitmq.queue("quorum", delivery_limit=20), rabbitmq.queue("quorum", delivery_limit=20)
    proxy = proxied(rabbitmq.port)
    operator.configure(rabbitmq.url(proxy.port, delivery_limit=20), TWO_VIEWS % (users, bets), timeout="2s")
    operator.sandbox.set_faults(FAULTS)
    writer = Writer(rabbitmq, users, bets)
    writer.start()
    daemon = operator.start("run")
    try:
        for _ in range(BREAKS):
            time.sleep(2)
            proxy.drop()
    finally:
        writer.stopping.set()
        writer.join()
    operator.sandbox.set_faults([])
    until(lambda: sum(event["event_type"] == "bet" for event in operator.accepted()) == writer.number, 0.5)
    until(lambda: rabbitmq.waiting(users) + rabbitmq.waiting(bets) == 0, 0.5)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert operator.sync("run", "--once").returncode == 0
    proved(operator, writer)


def bets_of(operator):
    return sum(event["event_type"] == "bet" for event in operator.accepted())


def follow(operator):
    """Do what the findings say, to the letter; returns whether there was one that says how to rewind."""
    said = operator.sync("status", "--json").stdout
    commands = {found[1] for found in re.finditer(r"smartico-sync (watermark rewind \w+ --to \S+Z)", said)}
    for command in commands:
        assert operator.sync(*command.split(), "--yes").returncode == 0
    return bool(commands)


def test_a_stream_that_lost_its_end_is_said_and_loses_nothing(operator, rabbitmq):
    """As after a restore: later messages take places that were read already. The view stops, and the finding's command reads them."""
    users, bets = rabbitmq.queue("stream"), rabbitmq.queue("stream")
    operator.configure(rabbitmq.url(), TWO_VIEWS % (users, bets), timeout="2s")
    writer = Writer(rabbitmq, users, bets)
    daemon = operator.start("run")
    writer.put_all(5)
    until(lambda: bets_of(operator) == writer.number and newest_of(operator) == writer.levels, 0.2)
    for queue in (users, bets):
        rabbitmq.owner().queue_delete(queue)
        rabbitmq.queue("stream", queue)
    writer.put_all(20)
    until(lambda: follow(operator), 0.5)
    until(lambda: follow(operator) or bets_of(operator) == writer.number, 0.5)
    until(
        lambda: bets_of(operator) == writer.number and (follow(operator) or newest_of(operator) == writer.levels), 0.5
    )
    until(lambda: newest_of(operator) == writer.levels, 0.5)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    proved(operator, writer)


@pytest.mark.parametrize("kind", ["classic", "quorum", "stream"])
def test_a_broker_that_is_killed_and_comes_back_loses_nothing(operator, private_rabbitmq, kind):
    """The daemon goes on by itself."""
    rabbitmq = private_rabbitmq
    users, bets = rabbitmq.queue(kind), rabbitmq.queue(kind)
    operator.configure(rabbitmq.url(), TWO_VIEWS % (users, bets), timeout="2s")
    first, second = Writer(rabbitmq, users, bets), Writer(rabbitmq, users, bets)
    daemon = operator.start("run")
    for writer in (first, second):
        writer.number = first.number
        writer.wanted, writer.levels = first.wanted, first.levels
        writer.start()
        time.sleep(4)
        writer.stopping.set()
        writer.join()
        if writer is first:
            rabbitmq.stop()
            rabbitmq.start()
    until(lambda: bets_of(operator) == second.number, 0.5)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert operator.sync("run", "--once").returncode == 0
    proved(operator, second)


def test_the_api_is_away_longer_than_a_consumer_may_take(operator, impatient_rabbitmq):
    """The broker closes the channel and says nothing: it is noticed, all comes again in its order, and arrives once."""
    rabbitmq = impatient_rabbitmq
    users, bets = rabbitmq.queue("quorum"), rabbitmq.queue("quorum")
    operator.configure(rabbitmq.url(), TWO_VIEWS % (users, bets), timeout="2s")
    operator.sandbox.set_faults(["503:1.0"])
    writer = Writer(rabbitmq, users, bets)
    with (operator.home / "said").open("wb") as said:
        daemon = operator.start("run", err=said)
    writer.start()
    until(lambda: "consumer_timeout" in (operator.home / "said").read_text(), 0.2)
    writer.stopping.set()
    writer.join()
    operator.sandbox.set_faults([])
    until(lambda: sum(event["event_type"] == "bet" for event in operator.accepted()) == writer.number, 0.2)
    until(lambda: rabbitmq.waiting(users) + rabbitmq.waiting(bets) == 0, 0.2)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    proved(operator, writer)


def test_each_player_s_order_survives_the_active_consumer_s_death(operator, rabbitmq, tmp_path):
    """A second daemon, with a state of its own, waits as a stand-by, and goes on with what the first had open."""
    users, bets = rabbitmq.queue("quorum"), rabbitmq.queue("quorum", single_active_consumer=True)
    view = TWO_VIEWS.splitlines()[2] % bets
    other = Operator(tmp_path / "other", operator.sandbox)
    other.home.mkdir()
    other.key = operator.key
    for each in (operator, other):
        each.configure(rabbitmq.url(), f"{view}\n", timeout="2s")
    writer = Writer(rabbitmq, users, bets)
    active = operator.start("run")
    writer.start()
    for waits in (other, operator):
        arrived = len(operator.accepted())
        until(lambda arrived=arrived: len(operator.accepted()) > arrived)
        standby = waits.start("run")
        time.sleep(3)
        active.kill()
        active.wait()
        active = standby
    writer.stopping.set()
    writer.join()
    until(lambda: len(operator.accepted()) == writer.number, 0.2)
    active.send_signal(signal.SIGTERM)
    assert active.wait() == 0
    arrived = defaultdict(list)
    for event in operator.accepted():
        arrived[event["user_ext_id"]].append(event["payload"]["number"])
    assert arrived == writer.wanted


def test_a_fast_track_like_queue_by_its_type(operator, rabbitmq):
    """The type is a property of the message: what is of another type is skipped, and not parsed."""
    name = rabbitmq.queue()
    view = (
        f"  - name: casino\n    source: db\n    relation: {name}\n    where: {{properties.type: CASINO, status: Approved}}\n"
        "    fields: {user_ext_id: user_id, ext_brand_id: origin, bet_id: activity_id, bet_date: timestamp, bet_amount: amount, "
        "win_amount: amount, type: type, game_id: game_id}\n"
        "    kind: casino_bets_and_wins\n    type: {column: type, bet: Bet, win: Win}\n"
    )
    operator.configure(rabbitmq.url(), view)
    said = {"user_id": 1, "origin": "b", "timestamp": "2026-01-01T00:00:00Z", "amount": 2.5, "game_id": "g"}
    body = json.dumps({**said, "activity_id": "a1", "type": "Bet", "status": "Approved"}).encode()
    other = json.dumps({**said, "activity_id": "a2", "type": "Win", "status": "Rollback"}).encode()
    win = json.dumps({**said, "activity_id": "a3", "type": "Win", "status": "Approved"}).encode()
    rabbitmq.put(name, body, other, win, type="CASINO")
    rabbitmq.put(name, b"not even JSON", type="LOGIN_V2")
    assert operator.sync("check").returncode == 0
    done = operator.sync("run", "--once")
    assert done.returncode == 0, done.stderr
    assert [event["event_type"] for event in operator.accepted()] == ["casino_bet", "casino_win"]
    counts = json.loads(operator.sync("watermark", "show", "--json").stdout)[0]["counts"]
    assert counts["skipped"] == 2


def test_dead_letters_go_to_the_broker_where_the_view_says_so(operator, rabbitmq):
    """That message, as it was."""
    dead = rabbitmq.queue()
    made = Queue(operator, rabbitmq, dead_letter_exchange="", dead_letter_routing_key=dead)
    made.configure(", dead_letters: broker")
    made.put(bet(1), b"{broken", bet(2))
    assert made.sync("run", "--once").returncode == 6
    assert rabbitmq.bodies(dead) == [b"{broken"]
    assert len(operator.accepted()) == 2


def test_metrics_tell_what_waits_and_how_often_it_came(operator, rabbitmq):
    """Queue by queue."""
    import httpx

    from servers.postgresql import free_port

    made, port = Queue(operator, rabbitmq, "quorum"), free_port()
    made.configure()
    text = operator.config.read_text().replace("listen: off", f"listen: 127.0.0.1:{port}")
    operator.config.write_text(text)
    made.put(bet(1))
    daemon = operator.start("run")
    until(lambda: len(operator.accepted()) == 1)

    def told():
        shown = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        return f'smartico_sync_stream_lag_messages{{lane="{made.name}",view="bets"}} 0.0' in shown and shown

    until(told, 0.2)
    assert 'smartico_sync_stream_deliveries{view="bets"} 1.0' in told()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
