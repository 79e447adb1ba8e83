"""E-mail addresses and phone numbers of known people, looked for in everything the daemon writes, says and sends."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
from base64 import b64encode
from contextlib import closing
from html import escape
from urllib.parse import quote

import httpx
import polars as pl
import psycopg
import pytest

from smartico_sync.pii.decryption import decrypt
from smartico_sync.pii.keys import new_key, new_pair, parse_key
from waiting import until

PEOPLE = 36
EMAILS = [f"N{number:02}.Anna.Known@Post-{number:02}.example" for number in range(PEOPLE)]
PHONES = [f"+35699{number:02}7003" for number in range(PEOPLE)]
# What these people wrote where nobody expects an address: sent in the clear, and no less secret inside.
LOGINS = [f"L{number:02}.Karl.Login@Mail-{number:02}.example" for number in range(PEOPLE)]
CALLERS = [f"+4477{number:02}009004" for number in range(PEOPLE)]
WALLETS = [f"W{number:02}.Wallet.Owner@Pay-{number:02}.example" for number in range(PEOPLE)]
PROTECTED, OPEN = EMAILS + PHONES, LOGINS + CALLERS + WALLETS

SCHEMA = (
    f"""CREATE TABLE people AS SELECT 'b' AS ext_brand_id, n AS user_ext_id, now() - interval '1 hour' + n * interval '1 s' AS dt_update,
        now() - interval '1 hour' + n * interval '1 s' AS dt,
        'ACTIVE' AS core_account_status, timestamptz '2020-01-01' AS core_registration_date, 'EN' AS core_user_language,
        'EUR' AS core_wallet_currency, (ARRAY{EMAILS})[n + 1] AS user_email, (ARRAY{PHONES})[n + 1] AS user_phone,
        (ARRAY{LOGINS})[n + 1] AS login, (ARRAY{CALLERS})[n + 1] AS caller, (ARRAY{WALLETS})[n + 1] AS wallet
        FROM generate_series(0, {PEOPLE - 1}) n""",
    "CREATE INDEX ON people (dt_update, ext_brand_id, user_ext_id)",
    # One address stands where a country belongs: whoever looks at it must not repeat it.
    """CREATE VIEW users AS SELECT ext_brand_id, user_ext_id, dt_update, core_account_status, core_registration_date,
        core_user_language, core_wallet_currency, user_email, user_phone, CASE WHEN user_ext_id = 3 THEN user_email ELSE 'MT' END
        AS user_country FROM people""",
    "CREATE VIEW logins AS SELECT user_ext_id AS id, ext_brand_id, user_ext_id, dt, login, caller FROM people",
    """CREATE VIEW deposits AS SELECT user_ext_id AS transaction_id, ext_brand_id, user_ext_id, dt AS dt_finalized,
        dt AS transaction_date, CASE WHEN user_ext_id % 9 = 4 THEN user_email ELSE '5' END AS deposit_amount,
        wallet AS deposit_method FROM people""",
    # Views that fail at some row, in words of the server that hold the row's value.
    "CREATE VIEW no_number AS SELECT user_ext_id AS id, ext_brand_id, user_ext_id, dt, user_email::int AS points FROM people",
    "CREATE VIEW no_phone AS SELECT user_ext_id AS id, ext_brand_id, user_ext_id, dt, user_phone::date AS points FROM people",
    "CREATE VIEW no_table AS SELECT user_ext_id AS id, ext_brand_id, user_ext_id, dt, user_email::regclass::text AS points FROM people",
    """CREATE FUNCTION guarded(told text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'nobody may see % or %', told, quote_literal(told) USING ERRCODE = 'insufficient_privilege'; END $$""",
    "CREATE VIEW no_right AS SELECT user_ext_id AS id, ext_brand_id, user_ext_id, dt, guarded(user_phone) AS points FROM people",
    """CREATE FUNCTION lost(told text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'no wallet of %', upper(told) USING ERRCODE = 'undefined_object'; END $$""",
    "CREATE VIEW no_wallet AS SELECT user_ext_id AS id, ext_brand_id, user_ext_id, dt, lost(wallet) AS points FROM people",
)
BROKEN = ("no_number", "no_phone", "no_table", "no_right", "no_wallet")
LITE = """
    CREATE TABLE people (id INTEGER PRIMARY KEY, ext_brand_id TEXT, user_ext_id INTEGER, dt TEXT, user_email TEXT);
    CREATE VIEW no_path AS SELECT id, ext_brand_id, user_ext_id, dt, json_extract('{}', user_email) AS points FROM people;
"""
CONFIGURATION = """
version: 1
smartico: {url: %(url)s, token: test, park: 1s}
pii: {encryptor: %(encryptor)s, key: %(key)s}
health: {listen: 127.0.0.1:%(port)s}
sources:
  db: {url: '%(source)s'}
  lite: {url: 'sqlite:///%(lite)s'}
views:
  - {name: users, source: db, relation: users, kind: users, cursor: dt_update, every: 100ms, on_invalid: dead_letter}
  - {name: logins, source: db, relation: logins, kind: custom, event_type: login_seen, cursor: dt, key: id, every: 100ms}
  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt_finalized, every: 100ms}
  - {name: no_path, source: lite, relation: no_path, kind: custom, event_type: points_seen, cursor: id, key: id, every: 100ms}
"""
BROKEN_VIEW = "  - {name: %s, source: db, relation: %s, kind: custom, event_type: points_seen, cursor: dt, key: id, every: 100ms}\n"
# The command, in a process in which every library says all that it can say.
TALKATIVE = """
import logging, sys, structlog
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
logging.Logger.setLevel = lambda *_: None
filtering = structlog.make_filtering_bound_logger
structlog.make_filtering_bound_logger = lambda _: filtering(logging.DEBUG)
from smartico_sync.cli import main
"""
# What an operator types one after the other, without starting Python anew each time.
TYPED = """
import contextlib, io, json
said = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["sync", *words]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), contextlib.suppress(SystemExit):
        main()
    said.append(out.getvalue())
print(json.dumps(said))
"""


def forms(value: str) -> set[bytes]:
    """What a value may look like to one who finds it."""
    local, at, _ = value.partition("@")
    found = set()
    for text in {value, value.upper(), value.lower(), *([local, local.upper(), local.lower()] if at else [value[1:]])}:
        found |= {text, quote(text), quote(text, safe=""), quote(text, safe="").replace("%40", "%2540"), escape(text)}
        found |= {json.dumps(text)[1:-1], text.replace("@", "\\u0040").replace("+", "\\u002b"), text.encode().hex()}
        for shift in range(3):  # inside a longer text base64 has one of three forms
            padded = b"\0" * shift + text.encode()
            found.add(b64encode(padded).decode()[(0, 2, 3)[shift] : len(padded) * 8 // 6])
    return {text.encode() for text in found} | {text.encode().replace(b"+", b"-").replace(b"/", b"_") for text in found}


def leaks(values: list[str], *places: bytes) -> set[str]:
    """Which of these people's values are in the places, in any form; phone numbers also when they are written apart."""
    together = b"\n".join(places)
    joined = re.sub(rb"[ ()./-]", b"", together)
    owners: dict[str, set[str]] = {}
    for value in values:
        for form in forms(value):
            owners.setdefault(form.decode("latin-1"), set()).add(value)
    # Thousands of forms in megabytes: all of them are looked for in one pass.
    found = pl.Series([together.decode("latin-1")]).str.extract_many(list(owners), overlapping=True)[0]
    return set().union(
        *(owners[form] for form in found.unique()),
        (value for value in values if value[0] == "+" and value[1:].encode() in joined),
    )


class Evening:
    """A daemon that says all it can, between a careless API and views that break, and everything it lets out."""

    def __init__(self, operator, database, port, encryptor):
        self.operator, self.database, self.port = operator, database, port
        self.bodies, self.answers, self.spoken = [], [], {}
        ingest = operator.sandbox.ingest
        honest = ingest.judge

        def listening(body, *more):
            answer = honest(body, *more)
            self.bodies.append(body)
            self.answers.append(answer.body)
            return answer

        ingest.judge = listening
        private, public = new_pair()
        secret = new_key()
        self.reader = parse_key(private if encryptor == "hpke" else secret)
        lite = operator.home / "replica.sqlite"
        with closing(sqlite3.connect(lite)) as connection, connection:
            connection.executescript(LITE)
            rows = [(number, "b", number, "2026-01-01", email) for number, email in enumerate(EMAILS)]
            connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?, ?)", rows)
        operator.config.write_text(
            CONFIGURATION.strip()
            % {
                "url": operator.sandbox.url, "encryptor": encryptor, "key": public if encryptor == "hpke" else secret,
                "port": port, "source": database.url, "lite": lite,
            }
            + "\n"
            + "".join(BROKEN_VIEW % (name, name) for name in BROKEN)
        )  # fmt: skip

    def start(self, *arguments):
        """Start the daemon; what it logs goes to a file."""
        self.log = self.operator.home / "daemon.log"
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                [sys.executable, "-c", TALKATIVE + "main()", "run", "--log", "json", "--config", self.operator.config],
                stdout=log, stderr=log, cwd=self.operator.home, env={**os.environ, "NO_COLOR": "1"},
            )  # fmt: skip

    def get(self, path):
        answer = httpx.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False)
        self.spoken[path] = self.spoken.get(path, b"") + answer.content
        return answer

    def sync(self, *commands):
        """What the commands say, each a line of words."""
        typed = [[*command.split(), "--config", str(self.operator.config)] for command in commands]
        done = subprocess.run(
            [sys.executable, "-c", TALKATIVE + TYPED, json.dumps(typed)],
            capture_output=True, text=True, check=True, cwd=self.operator.home, env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
        said = json.loads(done.stdout)
        self.spoken.update(
            {f"{name} ({len(self.spoken)})": text.encode() for name, text in zip(commands, said, strict=True)}
        )
        self.spoken[f"logs of {commands[0]} ({len(self.spoken)})"] = done.stderr.encode()
        return said

    def views(self):
        try:
            return {view["name"]: view for view in self.get("/status.json").json()["views"]}
        except httpx.HTTPError:
            return {}

    def settled(self):
        """Every row has its place, nothing is parked, and every broken view has said so."""
        views = self.views()
        return (
            bool(views)
            and all(views[name]["counts"].get("read", 0) >= PEOPLE for name in ("users", "logins", "deposits"))
            and not any(view["parked"] for view in views.values())
            and all(views[name]["error"] for name in (*BROKEN, "no_path"))
        )

    def ask_everything(self):
        """Every question an operator has."""
        for path in ("/", "/healthz", "/readyz", "/metrics", "/status.json"):
            assert self.get(path).content
        said = self.sync(
            "dead-letters list --limit 500 --json", "dead-letters list", "dead-letters show --view users",
            "dead-letters show --view deposits --json", "dead-letters show --view logins", "status", "status --json", "check",
            "watermark show", "watermark show --json", "reconcile --view logins", "preview users", "trace logins 5",
            "trace deposits 4", "trace deposits 5 --json", "trace users b 3", "trace no_number 3", "trace no_path 3",
            "trace no_table 3", "preview no_right",
        )  # fmt: skip
        assert all(said)
        return json.loads(said[0])

    def at_rest(self):
        """Every byte of the state, of its copies, and of the log."""
        state = list((self.operator.home / "state").iterdir())
        copies = list((self.operator.home / "backup").iterdir())
        assert {path.name for path in state} >= {"sync.db", "sync.db-wal", "sync.db.key"}
        assert {path.name for path in copies} >= {"sync.db", "sync.db.key"}
        return {str(path): path.read_bytes() for path in (*state, *copies, self.log) if path.is_file()}


@pytest.fixture
def evening(operator, postgresql):
    """An evening with an encryptor; the daemon has ended when it is over."""
    postgresql.execute(*SCHEMA)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = []

    def begin(encryptor):
        made.append(Evening(operator, postgresql, port, encryptor))
        (operator.home / "backup").mkdir()
        return made[-1]

    yield begin
    for each in made:
        each.daemon.kill()
        each.daemon.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encryptor", "dialect", "keys"),
    [("aes-256-gcm", "event_errors", "eid"), ("hpke", "failed_events", "user_ext_id")],
)
def test_no_address_and_no_number_rests_or_leaks(evening, encryptor, dialect, keys):
    """However often the API and the databases repeat what they were given: no state, copy, log, metric, page, command or
    request holds an e-mail address or a phone number in any form, but what a view sends under a name that is not personal."""
    it = evening(encryptor)
    ingest = it.operator.sandbox.ingest
    ingest.dialect, ingest.error_keys = dialect, keys
    it.operator.sandbox.set_faults(["quote=0.5", "unknown-users", "503:0.1"])
    it.start()
    until(it.settled)
    dead_letters = it.ask_everything()
    it.sync(f"state backup {it.operator.home}/backup/sync.db", "dead-letters retry --view logins")
    before = it.at_rest()
    it.database.execute(
        "UPDATE people SET user_email = lower(user_email), user_phone = '00' || substr(user_phone, 2), dt_update = now() WHERE user_ext_id % 2 = 0"
    )
    until(lambda: it.views()["users"]["counts"]["read"] >= PEOPLE * 3 // 2)
    it.ask_everything()
    after = it.at_rest()

    # It was a bad evening: all of it happened, in words that hold what is looked for.
    codes = {each["code"] for each in dead_letters}
    assert {0, 2} <= codes
    assert {each["view"] for each in dead_letters} == {"users", "logins", "deposits"}
    assert len(leaks(OPEN, *it.answers)) > len(OPEN) / 3
    assert b"DEBUG:" in it.log.read_bytes()
    accepted = [event for event in it.operator.accepted() if event["event_type"] == "update_profile"]
    assert accepted
    for event in accepted[:5]:
        number = int(event["user_ext_id"])
        email = decrypt(
            event["payload"]["user_email"],
            "user_email",
            {"1": it.reader},
            (event["ext_brand_id"], event["user_ext_id"]),
        )
        assert email.lower() == EMAILS[number].lower()
    assert leaks(OPEN, *it.bodies) >= set(LOGINS + CALLERS)

    places = [*before.items(), *after.items(), *it.spoken.items()]
    if leaks(PROTECTED + OPEN, *(said for _, said in places)):
        assert {name: found for name, said in places if (found := leaks(PROTECTED + OPEN, said))} == {}
    assert leaks(PROTECTED, *it.bodies) == set()


def test_the_search_finds_what_is_there(postgresql, tmp_path):
    """The same search finds every one of them in the source, in each form, and a single one in a state file."""
    postgresql.execute(*SCHEMA)
    with psycopg.connect(postgresql.admin_url) as connection, connection.cursor().copy("COPY people TO STDOUT") as out:
        copied = b"".join(bytes(part) for part in out)
    assert leaks(PROTECTED + OPEN, copied) == set(PROTECTED + OPEN)
    assert leaks(PROTECTED + OPEN, re.sub(rb"\d", b"7", copied)) == set()
    email, phone = EMAILS[7], PHONES[7]
    for said in (
        email.upper(), email.lower(), quote(email, safe=""), b64encode(email.encode()).decode(), email.replace("@", "\\u0040"),
        b64encode(f'{{"user_email":"{email}"}}'.encode()).decode(), b64encode(f" {email} ".encode()).decode(), "the mailbox " + email.split("@")[0],
    ):  # fmt: skip
        assert leaks(PROTECTED, said.encode()) == {email}, said
    for said in (
        phone[1:],
        "+356 9907-7003",
        "(356) 9907 70 03",
        quote(phone, safe=""),
        b64encode(phone.encode()).decode(),
    ):
        assert leaks(PROTECTED, said.encode()) == {phone}, said
    with closing(sqlite3.connect(tmp_path / "state.db")) as state:
        state.execute("PRAGMA journal_mode = WAL")
        state.execute("CREATE TABLE letter (reason TEXT)")
        state.execute("INSERT INTO letter VALUES (?)", (f"refused: {email}",))
        state.commit()
        assert leaks(PROTECTED, *(path.read_bytes() for path in tmp_path.iterdir())) == {email}
