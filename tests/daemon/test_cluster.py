"""Two daemons with one state in PostgreSQL: one works, the other stands by, and takes over whatever becomes of the first."""

from __future__ import annotations

import json
import random
import re
import signal
import threading
import time
from collections import Counter

import pytest

from daemon.deposits import DEPOSITS, VIEW, insert
from daemon.test_crashes import SCHEMA, VIEWS, write
from smartico_sync.pii.keys import new_key
from waiting import until

LEASE_S = 2
ROUNDS = 12
HELD_ROUNDS = 3


@pytest.fixture
def shared(operator, postgresql):
    """An operator whose members share a state in PostgreSQL."""

    def made(views, lease_s=LEASE_S, **smartico):
        operator.configure(postgresql.url, views, **smartico)
        secret = operator.home / "state.key"
        secret.write_text(new_key())
        text = operator.config.read_text()
        there = f'state: "{postgresql.admin_url}"\ncluster: {{lease: {lease_s}s, key_file: {secret.name}}}'
        operator.config.write_text(text.replace("state: ./state/sync.db", there))
        return operator

    return made


def arrived(operator):
    return Counter(event["payload"]["acc_last_transaction_id"] for event in operator.accepted())


def test_a_member_takes_over(shared, postgresql):
    """The second stands by while the first works; when that is killed it goes on, and every row counts once."""
    postgresql.execute(*DEPOSITS)
    operator = shared(f"  - {VIEW % ''}\n")
    insert(postgresql, *range(20))
    first = operator.start("run")
    until(lambda: len(arrived(operator)) == 20)
    second = operator.start("run")
    shown = operator.sync("cluster", "show").stdout
    assert shown.startswith("default: ")
    assert "are left" in shown
    insert(postgresql, *range(20, 40))
    until(lambda: len(arrived(operator)) == 40)
    first.kill()
    first.wait()
    insert(postgresql, *range(40, 60))
    until(lambda: len(arrived(operator)) == 60)
    until(lambda: operator.sync("status").returncode == 0)
    second.terminate()
    assert second.wait() == 0
    assert "nobody; " in operator.sync("cluster", "show").stdout
    assert operator.sync("reconcile").returncode == 0
    assert set(arrived(operator).values()) == {1}


@pytest.mark.slow
def test_a_member_that_stands_by_is_asked_too(shared, postgresql):
    """It says that it stands by, takes up a changed file, and names who works to somebody who wants a change."""
    postgresql.execute(*DEPOSITS)
    operator = shared(f"  - {VIEW % ''}\n")
    operator.config.write_text(operator.config.read_text().replace("cluster: {", "cluster: {member: works, "))
    first = operator.start("run")
    insert(postgresql, 1)
    until(lambda: arrived(operator))
    operator.config.write_text(operator.config.read_text().replace("member: works", "member: waits"))
    second = operator.start("run")
    until(lambda: json.loads(operator.sync("status", "--json").stdout)["ready"] == "standing by")
    assert operator.sync("status").returncode == 0
    refused = operator.sync("watermark", "rewind", "deposits", "--to", "first")
    assert refused.returncode == 5
    assert "is held by works" in refused.stderr
    changed = operator.config.read_text()
    operator.config.write_text(changed.replace("every: 50ms", "every: 60ms"))
    assert "changed: deposits" in operator.sync("reload").stdout
    until(lambda: operator.sync("status").returncode == 0)
    until(lambda: "nothing differs" in operator.sync("reload").stdout)  # it begins anew, and cannot be asked meanwhile
    for member in (second, first):
        member.terminate()
        assert member.wait() == 0


@pytest.mark.slow
def test_commands_work_on_a_shared_state(shared, postgresql):
    """Whether a daemon runs or not: status, trace, watermark, reconcile, doctor, backup, check."""
    postgresql.execute(*DEPOSITS)
    operator = shared(f"  - {VIEW % ''}\n", 60)
    insert(postgresql, 1, 2, 3)
    done = operator.sync("run", "--once")
    assert done.returncode == 0, done.stderr
    assert re.search(r"deposits +not running +3 +0 +0\n", operator.sync("status").stdout)
    assert "it knows 1 view" in operator.check().stdout
    assert operator.sync("trace", "deposits", "2").returncode == 0
    assert operator.sync("state", "backup", "copy.db").returncode == 0
    assert operator.sync("doctor").returncode == 0
    assert operator.sync("watermark", "rewind", "deposits", "--to", "first", "--yes").returncode == 0
    assert operator.sync("run", "--once").returncode == 0
    assert set(arrived(operator).values()) == {1}


@pytest.mark.slow
def test_a_member_that_stands_by_answers_its_operator(shared, postgresql):
    """It says how it stands, takes up a changed file and writes down more; what changes the state it refuses with the name of who
    works. A machine without a daemon says who works, too."""
    postgresql.execute(*DEPOSITS)
    operator = shared(f"  - {VIEW % ''}\n", 10)
    named(operator, "one")
    works = operator.start("run")
    insert(postgresql, 1)
    until(lambda: arrived(operator))
    named(operator, "two")
    alone = operator.sync("status")
    assert alone.returncode == 1
    assert "no daemon answers here, and one works with the state" in alone.stdout
    assert re.search(r"deposits +elsewhere", alone.stdout)
    stands = operator.start("run")
    until(lambda: operator.sync("status").stdout.startswith("standing by"))
    assert operator.sync("status").returncode == 0
    assert "debug" in operator.sync("log-level", "debug").stdout
    reloaded = operator.sync("reload")
    assert reloaded.returncode == 0, reloaded.stderr
    for words in (
        ["cluster", "release"],
        ["watermark", "rewind", "deposits", "--to", "first", "--yes"],
        ["state", "backup", "x.db"],
    ):
        refused = operator.sync(*words)
        assert refused.returncode == 5
        assert "is held by one, and this member stands by" in refused.stderr
    works.kill()
    works.wait()
    named(operator, "one")
    refused = operator.sync("watermark", "rewind", "deposits", "--to", "first", "--yes")
    assert (
        "does not answer" not in refused.stderr
    )  # the daemon of this machine was killed: the lease is what is waited for
    named(operator, "two")
    until(lambda: operator.sync("status").stdout.startswith("delivering"))
    assert operator.sync("state", "backup", "x.db").returncode == 0
    stands.terminate()
    assert stands.wait() == 0


def named(operator, member):
    """Give the machine that commands are typed on another name."""
    text = re.sub(r", member: \w+|(?<=\.key)(?=\})", "", operator.config.read_text())
    operator.config.write_text(text.replace("state.key}", f"state.key, member: {member}}}"))


@pytest.mark.slow
def test_an_operator_moves_the_work(shared, postgresql):
    """`cluster release` lets the other member have it at once, and neither ends."""
    postgresql.execute(*DEPOSITS)
    operator = shared(f"  - {VIEW % ''}\n", 10)
    members = [operator.start("run")]
    insert(postgresql, 1)
    until(lambda: arrived(operator))
    members.append(operator.start("run"))
    (before,) = postgresql.execute("SELECT holder FROM smartico_sync.lease")
    released = operator.sync("cluster", "release")
    assert released.returncode == 0, released.stderr
    until(lambda: postgresql.execute("SELECT holder FROM smartico_sync.lease") not in ([before], [(None,)]))
    insert(postgresql, 2)
    until(lambda: len(arrived(operator)) == 2)
    for member in members:
        member.terminate()
        assert member.wait() == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_a_request_that_outlives_a_takeover_changes_nothing(shared, postgresql, end):
    """A profile hangs at the API, its sender is killed or stopped, the player excludes himself, the other member takes over and
    sends that. So it stays when the API comes to the first request, and when the stopped member wakes; then they change places."""
    postgresql.execute(*SCHEMA[:2], "INSERT INTO users VALUES ('b', 1, now(), 'ACTIVE', 0)")
    operator = shared(VIEWS.replace(VIEWS.splitlines()[-1], ""))
    sandbox, told = operator.sandbox, [("ACTIVE", "0")]

    def change(status, level):
        postgresql.execute(
            f"UPDATE users SET core_account_status = '{status}', level = {level}, dt_update = clock_timestamp()"
        )
        told.append((status, str(level)))

    def taken():
        payloads = [event["payload"] for event in operator.accepted()]
        return [(payload["core_account_status"], str(payload["level"])) for payload in payloads]

    members = [operator.start("run")]
    until(lambda: taken() == told)
    members.append(operator.start("run"))
    for number in range(1, HELD_ROUNDS + 1):
        working, standing_by = members
        sandbox.set_faults(["hold"])
        change("ACTIVE", number)
        until(lambda: sandbox.stats()["held"] == 1, 0.05)
        working.send_signal(signal.SIGKILL if end == "killed" else signal.SIGSTOP)
        sandbox.set_faults([])
        change("SELF_EXCLUDED", number)
        until(lambda: taken() == told)
        sandbox.release()
        until(lambda: sandbox.stats()["in_flight"] == 0, 0.05)
        if end == "killed":
            working.wait()
            working = operator.start("run")
        else:
            working.send_signal(signal.SIGCONT)
        members = [standing_by, working]
    for member in members:
        member.terminate()
        member.wait()  # one that is only just starting ends by the signal itself
    assert operator.sync("run", "--once").returncode == 0
    assert taken() == told
    # A request of a stopped sender is still there when its page goes again: nobody can take it back.
    assert set(sandbox.stats()["violations"]) <= {"a player in two requests at once"}
    assert operator.sync("reconcile").returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_and_stops_lose_nothing_and_double_nothing(shared, postgresql):
    """One of two members is killed, or stopped for longer than its lease, at any moment: every bet arrives under one id, and
    every player's newest profile too."""
    postgresql.execute(*SCHEMA)
    operator = shared(VIEWS, timeout="2s")
    dice, stopping = random.Random(7), threading.Event()
    writer = threading.Thread(target=write, args=(postgresql.admin_url, stopping))
    writer.start()
    members = [operator.start("run"), operator.start("run")]
    try:
        for number in range(ROUNDS):
            time.sleep(0.5 + dice.random())
            place = number % 2
            if dice.random() < 0.5:
                members[place].kill()
                members[place].wait()
                members[place] = operator.start("run")
            else:
                members[place].send_signal(signal.SIGSTOP)
                time.sleep(LEASE_S * (1.2 + dice.random()))
                members[place].send_signal(signal.SIGCONT)
    finally:
        stopping.set()
        writer.join()
    for member in members:
        member.terminate()
        member.wait()
    done = operator.sync("run", "--once", timeout=180)
    assert done.returncode == 0, done.stderr
    events = operator.accepted()
    bets = Counter(event["payload"]["number"] for event in events if event["event_type"] == "bet")
    assert set(bets) == {str(number) for (number,) in postgresql.execute("SELECT id FROM bets")}
    assert set(bets.values()) == {1}
    newest = {
        event["user_ext_id"]: event["payload"]["level"] for event in events if event["event_type"] == "update_profile"
    }
    assert newest == {
        str(player): level for player, level in postgresql.execute("SELECT user_ext_id, level FROM users")
    }
    assert operator.sync("reconcile").returncode == 0
