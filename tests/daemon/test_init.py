"""`smartico-sync init`: from a database that nobody has described to events at the API. `SYNC_GOLDEN=write` writes the golden file anew."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
from pathlib import Path

import pytest

import engines
from casino.platform import ENGINES, build, statements
from daemon.command import run
from smartico_sync.pii.decryption import decrypt
from smartico_sync.pii.keys import parse_key

GOLDEN = Path(__file__).parent.parent / "casino" / "events.json"


@pytest.fixture(params=[*ENGINES, pytest.param("mysql56", marks=pytest.mark.slow)])
def casino(request):
    """The casino's database, full."""
    for database in engines.serve(request.param, request):
        build(database)
        yield database


class Newcomer:
    """An operator with a database and no configuration yet."""

    def __init__(self, operator, database):
        self.operator, self.database = operator, database
        self.config, self.script = operator.config, operator.config.with_suffix(".sql")

    def init(self, *more):
        return run(
            ["init", "--url", self.database.url, "--output", self.config, "--api", self.operator.sandbox.url, *more],
            self.operator.home,
            60,
        )

    def fill_in(self):
        """What the environment would: secrets, each where its variable stands."""
        password = self.database.url.partition("://")[2].rpartition("@")[0].partition(":")[2]
        text = self.config.read_text("utf-8")
        for name, value in (("SMARTICO_TOKEN", "test"), ("SYNC_PII_KEY", self.operator.key), ("DB_PASSWORD", password)):
            text = text.replace(f"${{{name}}}", value)
        self.config.write_text(f"{text}health: {{listen: off}}\n", "utf-8")


@pytest.fixture
def newcomer(operator, casino):
    return Newcomer(operator, casino)


def told(operator):
    """What the API took, in an order of its own; what is enciphered is deciphered."""
    events = []
    for event in operator.accepted():
        payload = event["payload"]
        for name in ("user_email", "user_phone"):
            if name in payload:
                player = (event["ext_brand_id"], event["user_ext_id"])
                payload[name] = decrypt(payload[name], name, {"1": parse_key(operator.key)}, player)
        who = {"brand": event["ext_brand_id"], "user": event["user_ext_id"]}
        events.append({"event": event["event_type"], **who, "at": event["event_date"], "payload": payload})
    return sorted(
        events, key=lambda each: (each["event"], each["brand"], each["user"], each["at"], json.dumps(each["payload"]))
    )


def test_from_twelve_tables_to_accepted_events(newcomer, operator):
    """What `smartico-sync init` writes needs its DDL run and its secrets set, nothing else: `smartico-sync check` finds nothing wrong, and each
    event at the API is what happened in the casino, whatever the database."""
    made = newcomer.init()
    assert made.returncode == 0, made.stderr
    newcomer.database.execute(*statements(newcomer.script.read_text("utf-8")))
    newcomer.fill_in()
    checked = operator.sync("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "no index serves" not in checked.stdout
    done = operator.sync("run", "--once")
    assert done.returncode == 0, operator.sync("dead-letters", "list").stdout
    events = told(operator)
    if os.environ.get("SYNC_GOLDEN") == "write" and newcomer.database.name == "postgresql":
        lines = ",\n".join(json.dumps(event, ensure_ascii=False) for event in events)
        GOLDEN.write_text(f"[\n{lines}\n]\n", "utf-8")
    assert events == json.loads(GOLDEN.read_text("utf-8"))


def test_secrets_are_never_written(newcomer):
    """A password in the URL becomes `${DB_PASSWORD}`; the configuration loads once the variables are set, and says which."""
    made = newcomer.init()
    password = newcomer.database.url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    text = newcomer.config.read_text("utf-8")
    assert "DB_PASSWORD" in made.stdout or not password
    assert bool(password) == ("${DB_PASSWORD}" in text)
    if password:
        assert not any(
            f":{password}@" in said for said in (text, newcomer.script.read_text("utf-8"), made.stdout, made.stderr)
        )


def test_a_second_time_what_is_there_is_taken_as_it_is(newcomer, operator):
    """Once its views are made, `smartico-sync init` has nothing more to ask for, and sends no column twice."""
    newcomer.init()
    newcomer.database.execute(*statements(newcomer.script.read_text("utf-8")))
    names = re.findall(r"^  - name: (\w+)", newcomer.config.read_text("utf-8"), re.MULTILINE)
    again = newcomer.init("--force")
    assert again.returncode == 0, again.stderr
    text, script = newcomer.config.read_text("utf-8"), newcomer.script.read_text("utf-8")
    assert re.findall(r"^  - name: (\w+)", text, re.MULTILINE) == names
    assert statements(script) == []
    assert text.count("as it is") == len(names)


@pytest.mark.parametrize("which", ["config", "script"])
def test_what_is_there_is_not_written_over(operator, tmp_path, which):
    """Without `--force` neither of the two files is touched, nothing is asked, and the message says what to do."""
    newcomer = Newcomer(operator, None)
    kept = getattr(newcomer, which)
    kept.write_text("mine", "utf-8")
    refused = run(["init", "--url", "sqlite:///nowhere.db", "--output", newcomer.config], operator.home, 60)
    assert (refused.returncode, kept.read_text("utf-8")) == (2, "mine")
    assert "--force" in refused.stderr
    assert sorted(tmp_path.glob("views.*")) == [kept]


def test_without_a_brand_it_is_asked_for(operator, tmp_path):
    """Where no column says the brand, the configuration asks the environment, or holds what `--brand` said."""
    file = tmp_path / "one.db"
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, e_mail TEXT, updated_at TIMESTAMP)")
    for brand, written in (((), "brand: ${EXT_BRAND_ID}"), (("--brand", "GoldenReef"), "brand: GoldenReef")):
        made = run(
            ["init", "--url", f"sqlite:///{file}", "--output", operator.config, "--force", *brand], operator.home, 60
        )
        assert made.returncode == 0, made.stderr
        assert written in operator.config.read_text("utf-8")
        assert ("EXT_BRAND_ID" in made.stdout) == (not brand)


def test_a_script_that_is_no_longer_needed_goes(operator, tmp_path):
    """With `--force` no statements of an earlier run stay behind for somebody to run."""
    file = tmp_path / "two.db"
    operator.config.with_suffix(".sql").write_text("DROP TABLE users;", "utf-8")
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE raw (id INTEGER PRIMARY KEY, updated_at TIMESTAMP)")
        db.execute(
            "CREATE VIEW crm_users AS SELECT 'b' AS ext_brand_id, id AS user_ext_id, updated_at AS dt_update FROM raw"
        )
    made = run(["init", "--url", f"sqlite:///{file}", "--output", operator.config, "--force"], operator.home, 60)
    assert made.returncode == 0, made.stderr
    assert statements(operator.config.with_suffix(".sql").read_text("utf-8")) == []


def test_a_database_of_something_else_is_told(operator, tmp_path):
    """Nothing is written where nothing is found; the message says what was seen."""
    file = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE weather (at TIMESTAMP, degrees REAL)")
        db.execute(
            "CREATE TABLE logins (id INTEGER PRIMARY KEY, player_id INTEGER, at TIMESTAMP)"
        )  # never more than a comment
    refused = run(["init", "--url", f"sqlite:///{file}", "--output", operator.config], operator.home, 60)
    assert refused.returncode == 2
    assert "weather" in refused.stderr
    assert not operator.config.exists()
