"""Several tokens and several members: each has its share, and every row counts once whoever works with its view."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections import Counter
from contextlib import ExitStack

import psycopg
import pytest
from msgspec.structs import replace

from daemon.deposits import DEPOSITS
from smartico_sync.config.load import load
from smartico_sync.daemon.member import Member
from smartico_sync.daemon.operations import Operations
from smartico_sync.daemon.state_place import state_place
from smartico_sync.daemon.wiring import board_of
from smartico_sync.errors import StateHeld, StateUnwritable
from smartico_sync.observe.cluster_status import with_cluster
from smartico_sync.observe.health import Health
from smartico_sync.pii.keys import new_key
from waiting import until

TOKENS = ("lions", "tigers", "bears", "wolves")
VIEW = "  - {{name: {0}, source: db, relation: {0}, kind: deposits, cursor: dt_finalized, every: 50ms, brand: {0}, settle: 50ms}}\n"
HOLDERS = "SELECT name, member FROM smartico_sync.lease WHERE holder IS NOT NULL AND expires > clock_timestamp()"


class Cluster:
    """Members with names of their own that share a state and the views of several brands, each with a token."""

    def __init__(self, operator, postgresql, tokens, lease_s):
        self.operator, self.postgresql, self.tokens = operator, postgresql, tokens
        for name in tokens:
            postgresql.execute(*(each.replace("deposits", name) for each in DEPOSITS))
        brands = ", ".join(f"{name}: {{token: {name}}}" for name in tokens)
        views = "".join(VIEW.format(name) for name in tokens)
        operator.configure(postgresql.url, views, brands=f"{{{brands}}}", timeout="3s")
        (operator.home / "state.key").write_text(new_key())
        there = f'state: "{postgresql.admin_url}"\ncluster: {{lease: {lease_s}s, key_file: state.key, member: NAME}}'
        self.text = operator.config.read_text().replace("state: ./state/sync.db", there)
        self.at_work = {}

    def config(self, member):
        file = self.operator.home / f"{member}.yaml"
        file.write_text(self.text.replace("NAME", member))
        return file

    def start(self, member):
        self.operator.config = self.config(member)
        with (self.operator.home / f"{member}.log").open("wb") as log:
            self.at_work[member] = self.operator.start("run", err=log)

    def sync(self, member, *words):
        self.operator.config = self.config(member)
        return self.operator.sync(*words)

    def holders(self):
        if self.postgresql.execute("SELECT to_regclass('smartico_sync.lease')") == [(None,)]:
            return {}
        return dict(self.postgresql.execute(HOLDERS))

    def shares(self):
        return sorted(Counter(self.holders().values()).values())

    def insert(self, table, *numbers):
        with psycopg.connect(self.postgresql.admin_url) as connection:
            connection.cursor().executemany(
                f"INSERT INTO {table} (transaction_id, ext_brand_id, dt_finalized) VALUES (%s, %s, clock_timestamp())",
                [(number, table) for number in numbers],
            )

    def arrived(self):
        return Counter(
            (event["ext_brand_id"], int(event["payload"]["acc_last_transaction_id"]))
            for event in self.operator.accepted()
        )

    def end(self):
        for member in self.at_work.values():
            member.terminate()
        return [member.wait() for member in self.at_work.values()]


@pytest.fixture
def cluster(operator, postgresql):
    return lambda tokens, lease_s: Cluster(operator, postgresql, tokens, lease_s)


@pytest.fixture
def members():
    """Members in this process, that look when they are told to; they end with the test."""
    with ExitStack() as stack:

        def made(cluster, name):
            config = cluster.config(name)
            configuration = load(config)
            home, stopping = config.parent, threading.Event()
            place = state_place(configuration, home)
            member = Member.join(configuration, home, place, board_of(configuration), stopping)

            def end():
                stopping.set()
                member.forever()  # it is to end already: it lets everything go

            stack.callback(end)
            return member

        yield made


def looked(members, happened):
    """Have members look, as they do again and again, until it is so."""

    def once():
        for member in members:
            member.look()
        return happened()

    until(once)


def test_groups_go_to_members_that_come_and_from_those_that_go(cluster, members):
    """Each has its share; what is let go another takes, and every row counts once."""
    pair = cluster(TOKENS[:2], 60)
    one = members(pair, "one")
    looked([one], lambda: pair.shares() == [2] and len(one.parts()) == 2)
    two = members(pair, "two")
    looked([one, two], lambda: pair.shares() == [1, 1] and len(two.parts()) == 1)
    (mine,) = [group for group, member in pair.holders().items() if member == "one"]
    (other,) = pair.holders().keys() - {mine}
    one.release(mine)
    looked([one, two], lambda: pair.holders() == {mine: "two", other: "one"} and one.parts())  # shares are even again
    for name in pair.tokens:
        pair.insert(name, 1, 2)
    until(lambda: len(pair.arrived()) == 4)
    one.look()
    with pytest.raises(StateHeld, match="worked with by two"):
        one.store_of(mine)
    assert set(pair.arrived().values()) == {1}


def test_a_member_with_other_views_takes_nothing(cluster, members):
    """Of the group that differs, until the member that was there before is gone."""
    pair = cluster(TOKENS[:1], 60)
    one = members(pair, "one")
    looked([one], lambda: pair.holders() == {"lions": "one"} and one.parts())
    pair.text = pair.text.replace("every: 50ms", "every: 60ms")
    two = members(pair, "two")
    one.release("")
    looked([one, two], lambda: not pair.holders())
    two.look()
    assert not two.at_work()
    assert "one was there before, with other views" in two.status().findings[0].message
    one.stopping.set()
    one.forever()
    looked([two], lambda: pair.holders() == {"lions": "two"})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: re.sub(r"(pii:\n  key: ).*", rf"\g<1>{new_key()}", text), True),
        (lambda text: text.replace("pii:\n", "pii:\n  properties: [user_email]\n"), True),
        (lambda text: text.replace("sources:\n  db:\n", "sources:\n  db:\n    timezone: Europe/Malta\n"), True),
        (
            lambda text: text.replace(
                "sources:\n  db:\n", "sources:\n  db:\n    options: {options: -csearch_path=other}\n"
            ),
            True,
        ),
        (
            lambda text: re.sub(r"postgresql://reader:[^@]*@127.0.0.1", "postgresql://other:secret@replica-2", text),
            False,
        ),
    ],
    ids=["key", "properties", "timezone", "options", "its own replica and login"],
)
def test_a_member_that_makes_other_events_of_a_view_takes_nothing(operator, change, told):
    """By another `pii:` or `sources:` alone, too; each may have a replica and a login of its own. No secret is in what they compare."""
    operator.configure(
        "postgresql://reader:hush@127.0.0.1:5432/casino", VIEW.format("deposits"), brands="{deposits: {token: t}}"
    )
    (operator.home / "state.key").write_text(new_key())
    there = "state: postgresql://a@b/c\ncluster: {key_file: state.key}"
    text = operator.config.read_text().replace("state: ./state/sync.db", there)
    digests = []
    for each in (text, change(text)):
        operator.config.write_text(each)
        digests.append([group.digest for group in state_place(load(operator.config), operator.home).groups])
    assert (digests[0] != digests[1]) == told


def test_a_member_that_groups_the_views_otherwise_takes_none_of_them(cluster, members):
    """Whatever it calls them: until the member that was there before is gone no view is worked with twice, and it says so."""
    pair = cluster(TOKENS[:2], 60)
    one = members(pair, "one")
    looked([one], lambda: pair.shares() == [2] and len(one.parts()) == 2)
    pair.text = pair.text.replace("settle: 50ms", "settle: 50ms, group: cats")
    two = members(pair, "two")
    two.look()
    assert set(pair.holders()) == {"lions", "tigers"}
    assert not two.at_work()
    status = two.status()
    assert "group cats: one was there before, with other views" in status.findings[0].message
    assert with_cluster(Health("alive", "delivering", ()), status).ready == "standing by"
    with pytest.raises(StateHeld, match="worked with by one"):
        two.store_of("lions")
    one.stopping.set()
    one.forever()
    looked([two], lambda: pair.holders() == {"cats": "two"})


def test_a_member_that_sees_nothing_says_so(cluster, members, monkeypatch):
    """Also while it still waits for the answer: its readiness is never without a reason."""
    pair = cluster(TOKENS[:1], 60)
    one = members(pair, "one")
    monkeypatch.setattr(one, "place", replace(one.place, lease_s=0.0))
    assert not one.status().findings  # it asks for nothing now
    told = []

    def waits(*_):
        told.append(one.status())
        raise StateUnwritable("no answer", hint="")

    monkeypatch.setattr(one._membership, "beat", waits)
    one.look()
    (finding,) = told[0].findings
    assert (finding.severity, finding.subject) == ("critical", "state")
    assert "does not answer" in finding.message
    assert with_cluster(Health("alive", "delivering", ()), told[0]).ready == "not delivering"
    assert one.status().findings[0].message == "no answer"
    monkeypatch.undo()


def test_a_state_that_hangs_is_told_at_once(cluster, members, monkeypatch):
    """Not only when the lease is over: whoever looks learns within seconds what this member waits for."""
    one = members(cluster(TOKENS[:1], 60), "one")
    monkeypatch.setattr("smartico_sync.daemon.member.SILENT_S", 0.0)
    told = []
    monkeypatch.setattr(one._membership, "moved", lambda *_: told.append(one.status()))
    one._moved()
    (finding,) = told[0].findings
    assert (finding.severity, finding.subject) == ("warning", "state")
    assert "does not answer for now" in finding.message
    assert with_cluster(Health("alive", "delivering", ()), told[0]).findings == (finding,)
    assert not one.status().findings
    monkeypatch.undo()


def test_a_player_is_forgotten_by_a_member_that_has_every_group(cluster, members):
    """Where others have views of it nothing is begun, and what is said leads there."""
    pair = cluster(TOKENS[:2], 60)
    one, two = members(pair, "one"), members(pair, "two")
    looked([one, two], lambda: pair.shares() == [1, 1] and one.parts() and two.parts())
    until(lambda: len(one.parts()[0].store.views()) == 2)

    def forget():
        return Operations(one.parts()[0].store, store_of=one.store_of).forget("lions", "1", {})

    with pytest.raises(StateHeld) as refused:
        forget()
    assert "`smartico-sync cluster move GROUP MEMBER` for every group" in refused.value.hint
    for group in pair.tokens:
        one.place.want(group, "one")
    looked([one, two], lambda: pair.shares() == [2] and len(one.parts()) == 2)
    assert forget().keys() == {*pair.tokens}


@pytest.mark.slow
def test_dead_letters_are_tried_again_on_each_machine_for_its_views(cluster):
    """What another member works with keeps nothing from being done that is worked with here."""
    pair = cluster(TOKENS[:2], 2)
    pair.start("one")
    pair.start("two")
    until(lambda: pair.shares() == [1, 1])
    pair.operator.sandbox.set_faults(["refuse"])
    for name in pair.tokens:
        pair.insert(name, 1)

    def given_up():
        listed = pair.sync("one", "dead-letters", "list", "--json")
        return listed.returncode == 0 and len(json.loads(listed.stdout)) == 2

    until(given_up)
    pair.operator.sandbox.set_faults([])
    for member in ("one", "two"):
        tried = pair.sync(member, "dead-letters", "retry", "--all")
        assert tried.returncode in (0, 5), tried.stderr
    until(lambda: len(pair.arrived()) == 2)
    assert pair.end() == [0, 0]
    assert set(pair.arrived().values()) == {1}


@pytest.mark.slow
def test_members_share_groups(cluster):
    """One that joins gets its share, an operator moves a group, one that ends leaves its groups to the others; each row counts once."""
    pair = cluster(TOKENS[:2], 2)
    pair.start("one")
    until(lambda: pair.shares() == [2])
    for name in pair.tokens:
        pair.insert(name, 1)
    until(lambda: len(pair.arrived()) == 2)
    pair.start("two")
    until(lambda: pair.shares() == [1, 1])
    here = pair.holders()
    (mine,) = [group for group, member in here.items() if member == "one"]
    (other,) = [group for group, member in here.items() if member == "two"]
    until(lambda: pair.sync("two", "status", "--json").returncode == 0)
    told = json.loads(pair.sync("two", "status", "--json").stdout)
    assert [view["name"] for view in told["views"]] == [other]
    assert {group["name"]: group["member"] for group in told["cluster"]["groups"]} == here
    assert [each["name"] for each in told["destinations"]] == [other]
    refused = pair.sync("two", "watermark", "rewind", mine, "--to", "first", "--yes")
    assert "worked with by one" in refused.stderr
    assert "cluster show" in refused.stderr
    moved = pair.sync("one", "cluster", "move", other, "one")
    assert moved.returncode == 0, moved.stderr
    until(lambda: pair.holders() == {other: "one", mine: "two"})  # and the shares are even again
    assert f"{other}: one since" in pair.sync("one", "cluster", "show").stdout
    pair.at_work["one"].terminate()
    assert pair.at_work["one"].wait() == 0
    until(lambda: set(pair.holders().values()) == {"two"})
    for name in pair.tokens:
        pair.insert(name, 2)
    until(lambda: len(pair.arrived()) == 4)
    assert pair.end() == [0, 0]
    assert set(pair.arrived().values()) == {1}


@pytest.mark.slow
def test_a_member_with_other_views_stands_by(cluster):
    """For the group that differs, which it says; and takes over the day the other member is gone."""
    pair = cluster(TOKENS[:1], 1)
    pair.start("one")
    until(lambda: pair.holders() == {"lions": "one"})
    pair.text = pair.text.replace("every: 50ms", "every: 60ms")
    pair.start("two")
    until(lambda: "one was there before, with other views" in (pair.operator.home / "two.log").read_text())
    assert pair.holders() == {"lions": "one"}
    pair.at_work["one"].terminate()
    pair.at_work["one"].wait()
    until(lambda: pair.holders() == {"lions": "two"})
    pair.end()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_members_come_and_go(cluster):
    """Three members and four tokens; one is killed or ends every few seconds, and comes back: no row is lost, none counts twice."""
    three, dice, stopping = cluster(TOKENS, 2), random.Random(11), threading.Event()
    written = Counter()

    def write():
        while not stopping.wait(0.02):
            name = TOKENS[sum(written.values()) % 4]
            written[name] += 1
            three.insert(name, written[name])

    for name in ("one", "two", "three"):
        three.start(name)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        until(lambda: three.shares() == [1, 1, 2])
        for _ in range(4):
            name = dice.choice(["one", "two", "three"])
            member = three.at_work[name]
            member.kill() if dice.random() < 0.5 else member.terminate()
            member.wait()
            until(lambda: sum(three.shares()) == 4 and len(three.shares()) == 2)
            time.sleep(dice.random())
            three.start(name)
            until(lambda: three.shares() == [1, 1, 2])
    finally:
        stopping.set()
        writer.join()
    expected = {(name, number + 1) for name in TOKENS for number in range(written[name])}
    until(lambda: set(three.arrived()) == expected)
    three.end()
    assert set(three.arrived().values()) == {1}
