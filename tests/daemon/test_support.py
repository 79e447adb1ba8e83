"""What helps whoever helps: a bundle without secrets and persons, the schema, the kinds, completion, the manual page."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import PurePath

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from daemon.deposits import DEPOSITS
from smartico_sync.cli import app
from smartico_sync.cli.manual import MANUAL_FILE, as_roff
from smartico_sync.config.reference import as_schema

USERS = (
    """CREATE TABLE users (ext_brand_id text DEFAULT 'b', user_ext_id text PRIMARY KEY, user_email text,
        dt_update timestamptz DEFAULT now(), core_user_language text DEFAULT 'EN')""",
    "INSERT INTO users (user_ext_id, user_email) VALUES ('person-4711', 'someone@example.com')",
)
VIEWS = """\
  - {name: users, source: db, relation: users, kind: users, cursor: dt_update}
  - name: deposits
    source: db
    kind: deposits
    cursor: dt_finalized
    query: SELECT * FROM deposits WHERE user_ext_id::text <> 'secret-person'
"""


def parts(file):
    with tarfile.open(file) as bundle:
        return {PurePath(each.name).name: bundle.extractfile(each).read().decode() for each in bundle.getmembers()}


def test_the_bundle_for_support_holds_no_secret_and_no_person(operator, postgresql):
    """Versions, configuration, status, state and check; not the token, the key, the password, an address or a row's key."""
    postgresql.execute(
        *DEPOSITS,
        *USERS,
        "ALTER TABLE deposits ALTER deposit_amount TYPE text, ALTER transaction_id TYPE text",
        "INSERT INTO deposits (transaction_id, dt_finalized, deposit_amount) VALUES ('row-815', now(), 'someone@example.com')",
    )
    operator.configure(postgresql.url, VIEWS)
    ran = operator.sync("run", "--once")
    assert ran.returncode == 6, ran.stderr
    done = operator.sync("doctor", "--output", "bundle.tar.gz")
    assert done.returncode == 0, done.stderr
    found = parts(operator.home / "bundle.tar.gz")
    assert set(found) == {"machine.json", "configuration.json", "status.json", "state.json", "check.json"}
    assert {name: json.loads(text) for name, text in found.items() if '"error"' in text} == {}
    password = postgresql.url.partition("://")[2].partition("@")[0].rpartition(":")[2]
    for untold in (operator.key, "token: test", password, "someone", "row-815", "person-4711", "secret-person"):
        assert untold not in "".join(found.values()), untold
    assert json.loads(found["state.json"])["dead_letters"]["deposits"]
    assert (operator.home / "bundle.tar.gz").stat().st_mode & 0o077 == 0
    again = operator.sync("doctor", "--output", "bundle.tar.gz")
    assert again.returncode == 2


def test_a_bundle_is_made_of_what_is_there(operator):
    """A configuration that cannot be read and a state that is not there are told inside it."""
    operator.config.write_text("version: 7\n")
    assert operator.sync("doctor", "--output", "one.tar.gz").returncode == 0
    assert "version" in json.loads(parts(operator.home / "one.tar.gz")["configuration.json"])["error"]
    operator.configure("sqlite:///nowhere.db", VIEWS)
    assert operator.sync("doctor", "--offline", "--output", "two.tar.gz").returncode == 0
    assert "there is no state" in json.loads(parts(operator.home / "two.tar.gz")["state.json"])["error"]


def test_the_schema_is_that_of_the_models():
    """`smartico-sync config schema` prints what editors take, and it takes the example of this version."""
    printed = json.loads(CliRunner().invoke(app, ["config", "schema"]).stdout)
    assert printed == as_schema()
    example = yaml.safe_load((MANUAL_FILE.parents[2] / "config" / "views.minimal.yaml").read_text("utf-8"))
    jsonschema.validate(example, printed)


def test_kinds_are_listed_and_shown():
    """All of them with their events, one with its columns; an unknown one is refused with the nearest."""
    listed = CliRunner().invoke(app, ["kinds"]).stdout
    assert "casino_bets_and_wins" in listed
    shown = CliRunner().invoke(app, ["kinds", "deposits"]).stdout
    assert "acc_last_deposit_amount" in shown
    assert "|" not in shown
    assert "deposits" in json.loads(CliRunner().invoke(app, ["kinds", "deposits", "--json"]).stdout)
    wrong = subprocess.run(
        [sys.executable, "-m", "smartico_sync", "kinds", "deposit"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "did you mean deposits?" in wrong.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(shell):
    """The script asks the command by the variable that click looks at."""
    assert "_SMARTICO_SYNC_COMPLETE" in CliRunner().invoke(app, ["completion", shell]).stdout


def test_the_manual_page_is_that_of_the_commands():
    """`man smartico-sync` says what `--help` says: `make reference` writes it."""
    assert MANUAL_FILE.read_text("utf-8") == as_roff()
