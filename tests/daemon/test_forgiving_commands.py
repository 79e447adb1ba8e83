"""Commands that forgive: what cannot be taken back says what it would do and asks; nonsense is refused whole, with code 2."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from typing import ClassVar

import pytest

from daemon.command import run
from daemon.deposits import DEPOSITS, VIEW, insert
from smartico_sync.cli.dead_letters import change
from smartico_sync.core.position import Position
from smartico_sync.core.records import DeadLetter, UndeliveredRow
from waiting import until


@pytest.fixture
def stopped(operator, postgresql):
    """Twenty delivered deposits of known seconds, and no daemon."""
    postgresql.execute(*DEPOSITS)
    for number in range(1, 21):
        insert(postgresql, number, at=f"'2026-01-31T12:00:{number:02}Z'")
    operator.configure(postgresql.url, f"  - {VIEW % ''}\n")
    assert operator.sync("run", "--once").returncode == 0
    return operator


def head(operator):
    return json.loads(operator.sync("watermark", "show", "--json").stdout)[0]["head"]


def test_a_rewind_that_would_lose_rows_says_how_many_and_asks(stopped, postgresql):
    """Forward over rows, or above the newest one: refused where nobody is there to say yes, done with `--yes`."""
    stood = head(stopped)
    insert(postgresql, *range(30, 41), at="'2026-01-31T13:00:00Z'")
    for to, told in (
        ("2026-01-31T14:00:00", ("above the newest row", "11 rows between")),
        ("2026-01-31T13:30:00", ("above the newest row", "11 rows between")),
    ):
        refused = stopped.sync("watermark", "rewind", "deposits", "--to", to)
        assert refused.returncode == 2, refused.stdout
        assert all(each in refused.stderr for each in told), refused.stderr
        assert "--yes" in refused.stderr
    assert head(stopped) == stood
    insert(postgresql, 50, at="'2026-01-31T15:00:00Z'")
    refused = stopped.sync("watermark", "rewind", "deposits", "--to", "2026-01-31T14:00:00")
    assert refused.returncode == 2
    assert "above the newest row" not in refused.stderr
    done = stopped.sync("watermark", "rewind", "deposits", "--to", "2026-01-31T14:00:00", "--yes")
    assert done.returncode == 0, done.stderr
    assert head(stopped).startswith("2026-01-31 14:00:00")


def test_a_rewind_that_loses_nothing_does_not_ask(stopped):
    """Back, also to the start, the same ids go again; new ones would count twice, and are asked for with their number."""
    done = stopped.sync("watermark", "rewind", "deposits", "--to", "2026-01-31T12:00:10")
    assert done.returncode == 0
    plan, result = done.stdout.splitlines()
    assert re.search(
        r"from 2026-01-31 12:00:20\S* to 2026-01-31 12:00:10\S*: up to 20 acknowledged rows are read again", plan
    )
    assert "goes on after" in result
    refused = stopped.sync("watermark", "rewind", "deposits", "--to", "first", "--new-ids")
    assert refused.returncode == 2
    assert "delivered rows get new event ids" in refused.stderr
    assert stopped.sync("watermark", "rewind", "deposits", "--to", "first").returncode == 0


def test_a_view_that_is_put_forward_reads_nothing_again(stopped):
    """Within the hour of its last rows, too: nobody is told that they are read again."""
    done = stopped.sync("watermark", "rewind", "deposits", "--to", "2026-01-31T12:30:00", "--yes")
    assert done.returncode == 0, done.stderr
    assert "12:30:00+00: no delivered row is read again\n" in done.stdout


@pytest.mark.slow
def test_a_new_state_after_a_rewind_says_what_was_delivered(stopped):
    """Also of a view that stands at its start again."""
    assert stopped.sync("watermark", "rewind", "deposits", "--to", "first").returncode == 0
    assert "deposits: 20 rows delivered, and it stands at its start" in stopped.sync("state", "new").stderr


def test_how_far_a_view_is_can_be_read(stopped):
    """A person sees places and counts; what the view was tracked as is for programs, and in `--json`."""
    shown = stopped.sync("watermark", "show").stdout
    assert re.search(r"counts +read 20, delivered 20$", shown, re.MULTILINE)
    assert "{" not in shown
    assert json.loads(stopped.sync("watermark", "show", "--json").stdout)[0]["definition"]


def test_a_new_state_asks_and_says_what_begins_where(stopped):
    """Nothing is put aside before somebody says yes."""
    refused = stopped.sync("state", "new", "--start-from", "now")
    assert refused.returncode == 2
    assert "deposits: 20 rows delivered, up to 2026-01-31 12:00:20" in refused.stderr
    assert "never sent" in refused.stderr
    assert not list((stopped.home / "state").glob("*.replaced-*"))
    assert stopped.sync("state", "new", "--yes").returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        ("watermark", "rewind", "deposits", "--to", "first"),
        ("dead-letters", "retry", "--all"),
        ("backfill", "deposits", "--from", "2026-01-01"),
        ("state", "backup", "copy.db"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_no_command_makes_a_state_that_is_not_there(operator, postgresql, words):
    """A first try that fails fixes nothing: only the daemon begins a state."""
    postgresql.execute(*DEPOSITS)
    operator.configure(postgresql.url, f"  - {VIEW % ''}\n")
    done = operator.sync(*words)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "there is no state" in done.stderr
    assert not (operator.home / "state").exists()


@pytest.fixture
def given_up(operator, postgresql):
    """Three rows that were given up, one of them under a key that would colour a terminal, and one that was delivered."""
    postgresql.execute(
        *(each.replace("transaction_id bigint", "transaction_id text") for each in DEPOSITS),
        "ALTER TABLE deposits ALTER deposit_amount TYPE text",
        "INSERT INTO deposits (transaction_id, dt_finalized, deposit_amount) VALUES "
        "('x1', now(), 'much'), ('x2', now(), 'much'), (E'\\x1b[31mred\\u202e', now(), 'much'), ('good', now(), '1')",
    )
    operator.configure(postgresql.url, f"  - {VIEW % ''}\n")
    done = operator.sync("run", "--once")
    assert done.returncode == 6, done.stderr
    return operator


def test_dead_letters_are_chosen_with_care(given_up):
    """What names no dead letter is refused; counts are those of the filter; nothing of a key reaches the terminal as a command."""
    listed = given_up.sync("dead-letters", "list")
    assert "deposits: 3 with code 0" in listed.stdout
    assert "\x1b" not in listed.stdout
    assert "[31mred" in listed.stdout
    assert "with code" not in given_up.sync("dead-letters", "list", "--code", "125").stdout
    ids = [each["id"] for each in json.loads(given_up.sync("dead-letters", "list", "--json").stdout)]
    assert given_up.sync("dead-letters", "show").returncode == 2
    unknown = given_up.sync("dead-letters", "retry", "--id", str(ids[0]), "--id", "4711")
    assert (unknown.returncode, "there is no dead letter 4711; nothing was done" in unknown.stderr) == (2, True)
    assert given_up.sync("dead-letters", "retry", "--key", "nowhere").returncode == 2
    refused = given_up.sync("dead-letters", "drop", "--all")
    assert refused.returncode == 2
    assert "deposits: 3 with code 0" in refused.stderr
    assert len(json.loads(given_up.sync("dead-letters", "list", "--json").stdout)) == 3
    assert (
        "2 dead letters are dropped"
        in given_up.sync("dead-letters", "drop", "--id", str(ids[0]), "--id", str(ids[1]), "--yes").stdout
    )


def test_dead_letters_of_a_view_that_nobody_reads_stay(given_up, postgresql):
    """Tried again they would wait for ever, and be shown nowhere. They can be looked at, and let go."""
    given_up.configure(
        postgresql.url, f"  - {(VIEW % '').replace('name: deposits', 'name: others, start_from: now')}\n"
    )
    refused = given_up.sync("dead-letters", "retry", "--all")
    assert refused.returncode == 2, refused.stdout
    assert "3 dead letters cannot be tried again" in refused.stderr
    assert "deposits: 3 with code 0" in refused.stderr
    assert given_up.sync("dead-letters", "retry", "--view", "deposits").returncode == 2
    listed = given_up.sync("dead-letters", "list", "--view", "deposits")
    assert listed.stdout.startswith("deposits: 3 with code 0")
    assert given_up.sync("dead-letters", "list", "--view", "nowhere").returncode == 2
    assert "3 dead letters are dropped" in given_up.sync("dead-letters", "drop", "--view", "deposits", "--yes").stdout


def test_many_dead_letters_are_tried_again_before_somebody_s_eyes(capsys):
    """In portions, with how many of them it was each time; a drop is done whole."""

    class Context:
        calls: ClassVar[list] = []

        def call(self, name, plan, ids):
            self.calls.append((name, len(ids), tuple(plan)))
            return len(ids)

    row = UndeliveredRow("deposits", "1", Position("1", ("1",)), "", "", "")
    found = [DeadLetter(row, 2, "refused", 0, number) for number in range(2_300)]
    change(Context(), "retry", found, "tried again")
    change(Context(), "drop", found, "dropped")
    assert [each[:2] for each in Context.calls] == [("retry", 1_000), ("retry", 1_000), ("retry", 300), ("drop", 2_300)]
    assert Context.calls[2][2] == ("deposits: 300 with code 2",)
    told = capsys.readouterr()
    assert told.err.splitlines()[1:] == ["1,000 of 2,300 dead letters", "2,000 of 2,300 dead letters"]
    assert told.out.splitlines() == ["2,300 dead letters are tried again", "2,300 dead letters are dropped"]


def test_a_trace_says_when_and_ends_with_a_code(stopped, postgresql):
    """When a row was acknowledged; 3 for one that is nowhere, 2 for a key of another type."""
    found = json.loads(stopped.sync("trace", "deposits", "7", "--json").stdout)["rows"][0]
    assert found["acknowledged_at"].startswith("20")
    assert f"acknowledged at {found['acknowledged_at']}" in stopped.sync("trace", "deposits", "7").stdout
    assert stopped.sync("trace", "deposits", "4711").returncode == 3
    wrong = stopped.sync("trace", "deposits", "x7")
    assert wrong.returncode == 2
    assert "'x7' is no transaction_id: the column's type is bigint" in wrong.stderr
    wide = stopped.sync("trace", "deposits", "9" * 20)
    assert wide.returncode == 2
    assert f"'{'9' * 20}' is no key of deposits: transaction_id bigint" in wide.stderr
    assert "rewind" not in wide.stderr


def test_a_row_that_was_sent_out_of_the_order_is_accounted_for(operator, postgresql):
    """Dated ahead of the clock, or without a cursor: it was acknowledged, though it has no place in the ledger yet."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, 1, at="now() + interval '1 day'")
    insert(postgresql, 2, at="NULL")
    operator.configure(postgresql.url, f"  - {VIEW % ', on_null_cursor: send'}\n")
    assert operator.sync("run", "--once").returncode == 0
    ahead, nowhere = (operator.sync("trace", "deposits", key) for key in ("1", "2"))
    assert (ahead.returncode, nowhere.returncode) == (0, 0)
    assert "acknowledged before its time" in ahead.stdout
    assert "without a cursor, and acknowledged" in nowhere.stdout
    assert "is compared when its time has come" in operator.sync("reconcile").stdout


def test_a_trace_of_a_row_that_was_given_up_says_since_when(given_up):
    """With the reason; it is accounted for, so the exit code is 0."""
    done = given_up.sync("trace", "deposits", "x1")
    assert done.returncode == 0
    assert "(code 0), since 20" in done.stdout


def test_a_comparison_says_why_there_is_nothing_to_compare(stopped):
    """Not tracked, the wrong way round, or above the watermark."""
    wrong = stopped.sync("reconcile", "--from", "2026-02-01T00:00:00", "--to", "2026-01-01T00:00:00")
    assert wrong.returncode == 2
    assert "is not before" in wrong.stderr
    done = stopped.sync("reconcile", "--from", "2027-02-01T00:00:00")
    assert "nothing of that lies at or below its watermark" in done.stdout
    stopped.config.write_text(stopped.config.read_text().replace("name: deposits", "name: others, identity: deposits"))
    assert "it was never tracked" in stopped.sync("reconcile").stdout


def test_missing_rows_are_told_in_ranges(stopped, postgresql):
    """Rows that follow one another are one line: first and last key, how many, and where."""
    insert(postgresql, *range(100, 140), at="'2026-01-31T12:00:05.5Z'")
    insert(postgresql, 200, at="'2026-01-31T12:00:06.5Z'")
    done = stopped.sync("reconcile")
    assert done.returncode == 6
    told = [line.strip() for line in done.stdout.splitlines() if "missing:" in line]
    assert len(told) == 2, done.stdout
    assert told[0].startswith("missing: 100 to 139, 40 rows, at 2026-01-31 12:00:05.5")
    assert told[1].startswith("missing: 200 at ")


@pytest.mark.slow
def test_a_trace_reads_a_key_as_a_person_writes_it(operator, postgresql):
    """A time in another form or zone, a number with zeros; what is no time at all is refused with its form."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, 1, at="'2026-01-31T12:00:00Z'")
    keyed = ", key: [transaction_id, dt_finalized]"
    operator.configure(postgresql.url, f"  - {VIEW % keyed}\n")
    assert operator.sync("run", "--once").returncode == 0
    for number, time in (
        ("1", "2026-01-31T12:00:00Z"),
        ("01", "2026-01-31 13:00+01:00"),
        ("1", "2026-01-31 12:00:00+00"),
    ):
        done = operator.sync("trace", "deposits", number, time)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "deposits 1 2026-01-31 12:00:00+00: in the source" in done.stdout
    wrong = operator.sync("trace", "deposits", "1", "yesterday")
    assert wrong.returncode == 2
    assert "is no dt_finalized" in wrong.stderr
    assert "next: write a time" in wrong.stderr


def test_what_is_for_profiles_is_refused_for_others(stopped):
    """`--profiles all` on deposits would be ignored; it is refused, and no backfill begins. So is `--resend-profiles`."""
    stood = head(stopped)
    refused = stopped.sync("watermark", "rewind", "deposits", "--to", "first", "--resend-profiles")
    assert (refused.returncode, "is for views of profiles" in refused.stderr) == (2, True)
    assert head(stopped) == stood
    refused = stopped.sync("backfill", "deposits", "--from", "2026-01-01", "--profiles", "all")
    assert refused.returncode == 2
    assert "kind deposits" in refused.stderr
    assert json.loads(stopped.sync("backfill", "--list", "--json").stdout) == []


def test_the_module_is_the_command():
    """`python -m smartico_sync`, where coreutils' `sync` comes first on the path, or no script does."""
    done = subprocess.run(
        [sys.executable, "-m", "smartico_sync", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("smartico-sync ")


def test_a_single_run_says_what_it_leaves_behind(operator, postgresql):
    """Rows that wait for their player are counted at its end, and told with the next command."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, 1, 2)
    operator.sandbox.set_faults(["unknown-users"])
    operator.configure(postgresql.url, f"  - {VIEW % ''}\n")
    done = operator.sync("run", "--once")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["waiting"] for line in lines if line["event"] == "view"] == [2]
    (told,) = [line for line in lines if line["event"] == "finding"]
    assert "2 rows wait" in told["reason"]


@pytest.mark.parametrize("broken", ["the login", "the view"])
def test_a_single_run_does_not_wait_for_a_person(operator, postgresql, broken):
    """What no retry heals ends it at once with code 3: it is tried once, and not for half a minute."""
    url = postgresql.url.replace("://", "://nobody:wrong@", 1) if broken == "the login" else postgresql.url
    operator.configure(url, f"  - {VIEW % ''}\n")
    done = operator.sync("run", "--once")
    assert done.returncode == 3, done.stderr
    assert done.stderr.count("view.trouble") == 1


def test_a_daemon_without_a_page_is_found(operator, postgresql):
    """With `health: off` status asks over the daemon's socket; stopped, it lists the views in the same order, by their names."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, 1, 2)
    views = f"  - {VIEW % ''}\n".replace("name: deposits", "name: zebra, identity: z") + f"  - {VIEW % ''}\n"
    operator.configure(postgresql.url, views)
    nothing = operator.sync("status")
    assert nothing.returncode == 1
    assert nothing.stdout.count("never started") == 2
    daemon = operator.start("run")
    try:
        until(lambda: operator.sync("status").returncode == 0)
        live = json.loads(operator.sync("status", "--json").stdout)
        assert operator.check().stdout.count("✗") == 0
    finally:
        daemon.terminate()
        daemon.wait()
    still = json.loads(operator.sync("status", "--json").stdout)
    assert (
        [each["name"] for each in live["views"]] == [each["name"] for each in still["views"]] == ["zebra", "deposits"]
    )
    assert still["ready"] == "not running"


@pytest.mark.parametrize("content", [None, "", "two\nlines\n"], ids=["no file", "empty", "two lines"])
def test_status_needs_no_secret(operator, content):
    """While a rotation went wrong it is asked most; what would send is still refused."""
    operator.configure("sqlite:///replica.db", f"  - {VIEW % ''}\n")
    operator.config.write_text(operator.config.read_text().replace("token: test", "token_file: token"))
    if content is not None:
        (operator.home / "token").write_text(content)
    told = operator.sync("status")
    assert "deposits" in told.stdout
    assert "never started" in told.stdout
    refused = operator.sync("preview", "deposits")
    assert refused.returncode == 2
    assert "token_file" in refused.stderr


def test_check_tries_the_state_and_the_port(operator, postgresql):
    """A directory that cannot be made and a port that is taken are told before the daemon meets them."""
    postgresql.execute(*DEPOSITS)
    operator.configure(postgresql.url, f"  - {VIEW % ''}\n")
    good = operator.config.read_text()
    fine = operator.check()
    assert "will be made at the first start" in fine.stdout
    assert not (operator.home / "state").exists()
    operator.config.write_text(good.replace("state: ./state/sync.db", "state: ./no/such/folder/sync.db"))
    done = operator.check()
    assert done.returncode == 5, done.stdout
    assert "mkdir -p" in done.stdout
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        operator.config.write_text(good.replace("listen: off", f"listen: 127.0.0.1:{other.getsockname()[1]}"))
        done = operator.check()
        assert done.returncode == 0, done.stdout
        assert "! health: cannot listen on" in done.stdout
        demo = run(["demo", "--listen", f"127.0.0.1:{other.getsockname()[1]}"], operator.home, 30)
    assert demo.returncode == 2
    assert "next: smartico-sync demo --listen" in demo.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("backfill", "deposits", "--from", "2026-02-01", "--to", "2026-01-01"), "lies behind"),
        (("backfill", "deposits", "--from", "2026-01-01", "--resume"), "different things to do"),
        (("backfill", "--list", "--cancel", "3"), "different things to do"),
        (("reconcile", "--from", "nonsense"), "is no cursor"),
        (("watermark", "rewind", "deposits", "--to", "nonsense"), "is no cursor"),
        (("preview", "nowhere"), "has no view nowhere"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_nonsense_is_refused_with_a_sentence(stopped, words, told):
    """Exit code 2, and nothing has changed."""
    before = stopped.sync("watermark", "show", "--json").stdout
    done = stopped.sync(*words)
    assert done.returncode == 2, done.stdout
    assert told in done.stderr
    assert "internal error" not in done.stderr
    assert stopped.sync("watermark", "show", "--json").stdout == before
    assert json.loads(stopped.sync("backfill", "--list", "--json").stdout) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("state", "restore", "nowhere"), "there is no backup nowhere"),
        (("state", "restore", "views.yaml"), "is no copy of a state"),
        (("state", "backup", "views.yaml"), "is no copy of a state"),
        (("state", "backup", "no/folder/copy.db"), "there is no directory"),
        (("state", "backup", "state/sync.db"), "would replace the state itself"),
        (("state", "move", "mysql://u:secret@h/d", "--key-file", "made.key"), "is no place of a state"),
        (("state", "move", ""), "is no place of a state"),
        (("state", "move", "postgresql://u:secret@127.0.0.1:1/d", "--key-file", "made.key"), "cannot be used"),
        (("forget", "", "1", "--yes"), "it is empty"),
        (("forget", "b", "\udcff\udcfe", "--yes"), "no text in UTF-8"),
        (("trace", "deposits", "\udcff"), "no text in UTF-8"),
    ],
    ids=lambda each: " ".join(map(ascii, each)) if isinstance(each, tuple) else "",
)
def test_nonsense_leaves_no_file_behind(stopped, words, told):
    """And replaces none: what makes no sense ends with 2, a server that is not there with 5."""
    before = {
        file: file.read_bytes() for file in stopped.home.rglob("*") if file.is_file() and "sync.db" not in file.name
    }
    done = stopped.sync(*words)
    assert done.returncode == (5 if told == "cannot be used" else 2), done.stdout
    assert told in done.stderr
    assert "secret" not in done.stderr.replace("the state's secret", "")
    after = {
        file: file.read_bytes() for file in stopped.home.rglob("*") if file.is_file() and "sync.db" not in file.name
    }
    assert after == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["status", "reload", "dead-letters list", "watermark show", "reconcile", "state compact"]
)
def test_commands_of_another_user_are_told_whose_they_are(stopped, command):
    """The service's directory is its user's alone: no command of somebody else ends in an internal error."""
    folder = stopped.home / "state"
    done = typed_by_another_user(folder, *command.split(), "--config", str(stopped.config))
    folder.chmod(0o700)
    assert done.returncode == 5, done.stderr
    assert "next: type the command as the daemon's user, or as root" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "told"), [(0o700, "is not for this user to look into"), (0o755, "where")])
def test_a_check_of_another_user_is_told_whose_the_state_is(stopped, mode, told):
    """It is there, and in order: no folder is to be made, nor another place named."""
    folder = stopped.home / "state"
    done = typed_by_another_user(folder, "check", "--config", str(stopped.config), mode=mode)
    folder.chmod(0o700)
    line = re.search(r"✗ state:(.*?)✓", done.stdout, re.DOTALL)
    assert line, done.stdout
    words = " ".join(line[1].split())
    assert told in words
    assert "next: type the command as the daemon's user, or as root" in words
    assert "mkdir" not in words


@pytest.mark.slow
def test_a_configuration_of_another_user_is_told_as_such(operator):
    """Only root reads what the service is given: whoever else types a command learns that."""
    operator.config.write_text("version: 1\n")
    done = typed_by_another_user(operator.config, "status", "--config", str(operator.config))
    assert done.returncode == 2, done.stderr
    assert f"cannot read {operator.config}: Permission denied" in done.stderr
    assert "next: type the command as root, or make" in done.stderr


def typed_by_another_user(theirs, *words, mode=0o700):
    """A command of somebody who may not use that file or folder, which is changed for it."""
    words = [sys.executable, "-m", "smartico_sync", *words]
    if os.geteuid() == 0:  # root without its privileges may do what others may
        os.chown(theirs, 65534, 65534)
        words = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *words]
    theirs.chmod(mode if os.geteuid() == 0 else mode & 0o055)
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=90)
