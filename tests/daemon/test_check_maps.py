"""`smartico-sync check` maps the newest rows of each view: every fault that is planted in a casino is named, in text and in JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

import engines
from smartico_sync.cli.check import encryption_findings
from smartico_sync.config.models import SourceConfig
from smartico_sync.sources.protocol import ServerFacts
from smartico_sync.sources.registry import open_source

START = datetime(2026, 1, 1, 10, tzinfo=UTC)
SECRET = ("secret.example", "Annabella", "+3569900")
PLAYERS = {
    "dt_update": "instant", "ext_brand_id": "text", "player_id": "integer", "core_account_status": "text", "core_user_language": "text",
    "core_registration_date": "instant", "core_affiliate_id": "text", "user_birthdate": "text", "email": "text", "first_name": "text",
    "core_is_sms_disabled_by_platform": "text", "core_tags": "text", "vip_level": "integer",
}  # fmt: skip
BETS = {
    "id": "integer", "ext_brand_id": "text", "user_ext_id": "integer", "bet_id": "text", "tx_type": "text", "bet_date": "instant",
    "bet_amount": "decimal", "win_amount": "decimal", "game_id": "text", "note": "text",
}  # fmt: skip
DEPOSITS = {
    "transaction_id": "text", "ext_brand_id": "text", "user_ext_id": "integer", "dt_finalized": "instant", "transaction_date": "instant",
    "deposit_amount": "decimal",
}  # fmt: skip
VIEWS = """
  - {name: users, source: db, relation: players, kind: users, cursor: dt_update, columns: {player_id: user_ext_id, email: user_email}}
  - name: bets
    source: db
    relation: bets
    kind: casino_bets_and_wins
    cursor: id
    type: {column: tx_type, bet: BET, win: WIN, bet_rollback: CANCEL}
  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt_finalized}
  - {name: free, source: db, relation: bets, kind: custom, event_type: acc_deposit_aproved, event_date: bet_date, cursor: id, key: id}
"""


@pytest.fixture(params=["postgresql", "mariadb", "sqlite"])
def engine(request):
    yield from engines.serve(request.param, request)


@pytest.fixture
def lite(request):
    yield from engines.serve("sqlite", request)


def at(number, hours=0):
    return START + timedelta(seconds=number, hours=hours)


def planted(engine):
    """Sixty rows of each table, every few of them wrong in a way of its own."""
    engine.table("players", PLAYERS, [
        (at(n), "B", n, ("Active", "WEIRD", "ACTIVE")[n % 3], None if n % 7 == 0 else "en",
         datetime(1970, 1, 21, tzinfo=UTC) if n % 5 == 0 else at(-n), ("12", "", "john")[n % 3], "no date" if n % 6 == 0 else "1990-05-01",
         f"p{n}@secret.example", "Annabella", "perhaps" if n % 4 == 0 else "Y", "x", n)
        for n in range(1, 61)
    ])  # fmt: skip
    engine.index("players", "dt_update", "player_id")
    engine.table("bets", BETS, [
        (n, "B", n, f"r{n}", ("BET", "Bet", "WIN", None)[n % 4], at(n), None if n % 10 == 0 else 1.5, 2.5, "g", "+35699001122")
        for n in range(1, 61)
    ])  # fmt: skip
    engine.table("deposits", DEPOSITS, [
        (f"D{n // 2}", "B", n, at(n), at(n, hours=2), None if n % 9 == 0 else 5) for n in range(1, 61)
    ])  # fmt: skip


def by_name(report, name):
    return next(view for view in report["views"] if view["name"] == name)


def said(report, subject, *words):
    """The finding about that subject in which all of these words are."""
    found = [each for each in report["findings"] if each["subject"] == subject]
    matching = [each for each in found if all(word in each["message"] + each["hint"] for word in words)]
    assert matching, (words, [each["message"] for each in found])
    return matching[0]


def test_every_planted_fault_is_named(engine, operator):
    """Columns, types, required values, refused rows, broken rules, unreadable values, roles, event types, keys, moments."""
    planted(engine)
    operator.configure(engine.url, VIEWS)
    done = operator.sync("check", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == report["exit_code"] == 2  # the key that repeats
    assert operator.accepted() == []
    assert not (operator.home / "state").exists()

    users = by_name(report, "users")
    columns = {each["column"]: each for each in users["columns"]}
    assert columns["player_id"]["used_as"] == ["user_ext_id", "key"]
    assert columns["dt_update"]["status"] == "used"
    (email,) = columns["email"]["properties"]
    assert (email["property"], email["type"], email["status"], email["protection"]) == (
        "user_email", "string", "known", "encrypted",
    )  # fmt: skip
    assert columns["vip_level"]["status"] == "custom"
    assert columns["vip_level"]["properties"][0]["type"] == "number"
    assert columns["core_tags"]["status"] == "never sent"
    assert columns["core_user_language"]["null"] == 8
    assert users["empty"] == {"core_user_language": 8}
    assert users["unreadable"] == {"core_is_sms_disabled_by_platform": 15, "user_birthdate": 10}
    assert [(each["property"], each["rows"]) for each in users["invalid"]] == [("core_account_status", 20)]
    assert {"property": "core_registration_date", "what": "before 2000", "rows": 12, "by_ms": 0} in users["moments"]
    assert users["rows"] == {"read": 60, "sent": 60, "refused": 0, "skipped": 0, "same": 0}
    assert said(report, "view users", "core_user_language is NULL in 8 of 60 rows")["status"] == "advice"
    said(report, "view users", "user_birthdate: 10 values are no date")
    said(report, "view users", "core_account_status must be one of ACTIVE", "20 values are not")
    said(report, "view users", "core_registration_date lies before the year 2000")
    said(report, "view users", "first_name", "personal and would leave in the clear", "decide")
    said(report, "view users", "no column becomes core_wallet_currency")

    bets = by_name(report, "bets")
    assert bets["without_role"] == [{"value": "Bet", "rows": 15, "near": "BET"}]
    said(report, "view bets", "15 rows have a NULL in id or tx_type")
    assert bets["roles_without_rows"] == ["bet_rollback"]
    assert next(each for each in bets["columns"] if each["column"] == "note")["status"] == "unmapped"
    assert {each["reason"]: each["rows"] for each in bets["refused"]} == {
        "tx_type is none of the configured values": 15,
        "column bet_amount is NULL, and casino_bets_and_wins needs it as casino_last_bet_amount": 3,
    }
    assert said(report, "view bets", "'Bet' in 15", "did you mean 'Bet' where `type:` has 'BET'")["status"] == "advice"
    said(report, "view bets", "none of the newest", "bet_rollback", "CANCEL")
    said(report, "view bets", "3 of 45 rows would be refused: column bet_amount is NULL", "key 20,BET")

    deposits = by_name(report, "deposits")
    assert deposits["refused"][0]["keys"] == ["D4", "D9", "D13"]
    assert [(each["what"], each["by_ms"]) for each in deposits["moments"]] == [("after its cursor", 7_200_000)]
    said(report, "view deposits", "event_date (transaction_date) lies 2 h 0 min after", "timezone:")
    assert said(report, "view deposits", "the key is not unique", "write `key:")["status"] == "wrong"
    said(report, "view free", "acc_deposit_aproved", "did you mean acc_deposit_approved?")
    assert not any(word in done.stdout + done.stderr for word in SECRET)


@pytest.mark.parametrize(
    ("columns", "most"),
    [("60", 80), pytest.param("100", 100, marks=pytest.mark.slow), pytest.param("200", 120, marks=pytest.mark.slow)],
)
def test_a_view_is_one_screen_and_no_name_is_cut(lite, operator, columns, most):
    """Lines of the terminal's width, from 80 to 120 columns, names whole, nothing of a person's."""
    planted(lite)
    operator.configure(lite.url, VIEWS)
    done = subprocess.run(
        [sys.executable, "-c", "from smartico_sync.cli import main; main()", "check", "--config", "views.yaml"],
        env={**os.environ, "COLUMNS": columns}, cwd=operator.home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert most - 20 < max(map(len, lines)) <= most
    for name in (*PLAYERS, *BETS, *DEPOSITS, "acc_last_transaction_id", "casino_last_bet_game_name"):
        assert re.search(rf"(?<![\w]){name}(?![\w])", done.stdout), name
    starts = [number for number, line in enumerate(lines) if line.startswith("view ")]
    assert [lines[start].partition(":")[0] for start in starts] == [
        "view users",
        "view bets",
        "view deposits",
        "view free",
    ]
    assert all(after - start <= 60 for start, after in pairwise(starts))
    assert not any(word in done.stdout + done.stderr for word in SECRET)


def test_everything_that_is_missing_is_listed_with_what_mends_it(engine, operator):
    """All of it at once, each with the column that may be meant; no hint sends the reader to where he is."""
    engine.table(
        "pay", {"id": "integer", "brand": "text", "player": "integer", "deposit_amout": "decimal", "at": "instant"}
    )
    operator.configure(
        engine.url,
        "  - {name: pay, source: db, relation: pay, kind: deposits, cursor: id, event_date: att, columns: {brnd: ext_brand_id}}\n"
        "  - {name: none, source: db, relation: nowhere, kind: deposits, cursor: id}\n",
    )
    done = operator.sync("check", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 3
    missing = {each["what"]: each["hint"] for each in by_name(report, "pay")["missing"]}
    assert len(missing) == 6
    assert "columns: {deposit_amout: deposit_amount}" in next(
        hint for what, hint in missing.items() if "deposit_amount" in what
    )
    assert "brand" in next(hint for what, hint in missing.items() if "brnd" in what)
    assert "at" in next(hint for what, hint in missing.items() if "att" in what)
    for finding in report["findings"]:
        assert "`smartico-sync check`" not in finding["hint"]
        assert finding["status"] != "wrong" or finding["hint"], finding
    assert [each["column"] for each in by_name(report, "pay")["columns"]] == [
        "id",
        "brand",
        "player",
        "deposit_amout",
        "at",
    ]


def test_a_hint_is_whole_where_no_column_is_left(lite, operator):
    """A view whose every column has its use lacks one: nothing else is there to choose from, and nothing is promised."""
    rest = {name: type_ for name, type_ in DEPOSITS.items() if name not in {"deposit_amount", "dt_finalized"}}
    lite.table("deposits", rest)
    operator.configure(
        lite.url, "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: transaction_date}\n"
    )
    (missing,) = by_name(json.loads(operator.sync("check", "--json").stdout), "deposits")["missing"]
    assert missing["hint"].endswith("`columns: {YOUR_COLUMN: deposit_amount}`")


def test_one_wrong_row_in_a_good_view_stops_nothing(lite, operator):
    """What the daemon would deliver ends with 0, whatever single rows hold; where nearly all are refused it ends as the daemon would."""
    rows = [(f"D{n}", "B", n, at(n), at(n), None if n == 7 else 5) for n in range(1, 150)]
    lite.table("deposits", DEPOSITS, rows)
    view = "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt_finalized}\n"
    operator.configure(lite.url, view)
    done = operator.check()
    assert done.returncode == 0
    assert "! view deposits: 1 of 149 rows would be refused: column deposit_amount is NULL" in done.stdout
    lite.execute("UPDATE deposits SET deposit_amount = NULL")
    done = operator.check()
    assert done.returncode == 4
    assert "✗ view deposits: 149 of 149 rows would be refused" in done.stdout
    assert operator.sync("run", "--once").returncode == 4


def test_the_newest_thousand_are_looked_at(lite, operator):
    """What was wrong long ago says nothing about what comes."""
    rows = [(f"D{n}", "B", n, at(n), at(n), None if n <= 500 else 5) for n in range(1, 1501)]
    lite.table("deposits", DEPOSITS, rows)
    operator.configure(
        lite.url, "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt_finalized}\n"
    )
    report = json.loads(operator.sync("check", "--json").stdout)
    assert by_name(report, "deposits")["rows"]["read"] == 1000
    assert by_name(report, "deposits")["refused"] == []


def test_moments_that_cannot_be(lite, operator):
    """Before the year 2000, in the future, one for all, midnight."""
    later = datetime.now(UTC) + timedelta(days=400)
    columns = {
        "id": "integer",
        "ext_brand_id": "text",
        "user_ext_id": "integer",
        "old": "instant",
        "late": "instant",
        "same": "instant",
        "day": "instant",
    }
    lite.table("t", columns, [
        (n, "B", n, datetime(1970, 1, 21, 0, 0, n, tzinfo=UTC), later, START, START.replace(hour=0) + timedelta(days=n)) for n in range(1, 26)
    ])  # fmt: skip
    names = ("old", "late", "same", "day")
    operator.configure(lite.url, "".join(
        f"  - {{name: {name}, source: db, relation: t, kind: custom, event_type: client_action, event_date: {name}, cursor: id, key: id}}\n"
        for name in names
    ))  # fmt: skip
    report = json.loads(operator.sync("check", "--json").stdout)
    whats = [
        {each["what"] for each in by_name(report, name)["moments"] if each["property"] == "event_date"}
        for name in names
    ]
    assert whats == [{"before 2000"}, {"in the future", "all the same"}, {"all the same"}, {"midnight"}]


def test_the_json_is_as_the_manual_says(lite, operator):
    """Every field is on the page, and none is on the page that is not there."""
    planted(lite)
    operator.configure(lite.url, VIEWS)
    report = json.loads(operator.sync("check", "--json").stdout)
    manual = (Path(__file__).parents[2] / "docs" / "check.md").read_text("utf-8")
    fields = {*report, *report["findings"][0]}
    for view in report["views"]:
        fields |= {*view, *(view["rows"] or {})}
        for name in ("columns", "computed", "missing", "refused", "invalid", "without_role", "moments"):
            fields |= {field for each in view[name] for field in each}
        fields |= {field for column in view["columns"] for each in column["properties"] for field in each}
    assert [field for field in sorted(fields) if not re.search(rf"`{field}(\[\])?`", manual)] == []
    assert report["shape"] == 1


def test_a_required_id_that_is_left_out_is_told(operator, lite):
    """`columns: {transaction_id: null}` would send deposits without an id."""
    lite.table("deposits", DEPOSITS, [("D1", "B", 1, at(1), at(1), 5)])
    operator.configure(
        lite.url,
        "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt_finalized, columns: {transaction_id: null}}\n",
    )
    done = operator.check()
    assert done.returncode == 2
    assert "events have no acc_last_transaction_id" in done.stdout
    assert "events have no acc_last_transaction_id" in operator.sync("preview", "deposits").stderr.replace(
        "\n    ", " "
    )


def test_whether_others_can_read_along(operator, postgresql, mariadb):
    """Connections to this machine, to a database without TLS, and http to a remote API."""
    for database in (postgresql, mariadb):
        database.execute("CREATE TABLE t (id bigint primary key, ext_brand_id text, user_ext_id bigint)")
        view = "  - {name: t, source: db, relation: t, kind: custom, event_type: client_action, cursor: id, key: id, event_date: at}\n"
        operator.configure(database.url, view)
        assert "✓ source db: the connection does not leave this machine" in operator.check().stdout
    text = operator.config.read_text()
    operator.config.write_text(
        re.sub(r"url: http://\S+", "url: http://api.invalid/x\n  encryption: off", text, count=1)
    )
    said = operator.check().stdout
    assert "! API: `smartico.url` is http to api.invalid: the token and players' data travel in the clear" in said
    assert "write `smartico.url` with https://" in said


@pytest.mark.parametrize(
    ("host", "word", "encrypted", "mark", "words"),
    [
        ("replica", None, "yes", "fine", "the connection is encrypted and verified"),
        ("replica", "unverified", "yes", "advice", "the connection is encrypted, and the server is not verified"),
        ("replica", "off", "no", "advice", "not encrypted: who is on the network between can read players' data and the password"),
        ("10.0.0.7", "off", "no", "advice", "not encrypted"),
        ("10.0.0.7", "off", "unknown", "advice", "in the clear"),
        ("localhost", None, "no", "fine", "does not leave this machine; it is in the clear"),
        ("localhost", None, "yes", "fine", "does not leave this machine; it is encrypted"),
        ("127.0.0.1", "unverified", "yes", "fine", "does not leave this machine; it is encrypted"),
        ("replica", None, "none", "fine", "does not leave this machine"),
    ],
)  # fmt: skip
def test_a_connection_in_the_clear_is_told_where_it_leaves_the_machine(host, word, encrypted, mark, words):
    """By what the source promises, what the database says of the connection, and the host."""
    source = open_source("db", SourceConfig(url=f"postgresql://reader:x@{host}/casino", encryption=word))
    facts = ServerFacts("postgresql", "17", "primary", "", encrypted=encrypted)
    (finding,) = encryption_findings(source, "source db", facts)
    source.close()
    assert finding.mark == mark
    assert words in finding.message
    assert mark == "fine" or finding.hint


def test_a_configuration_that_is_refused_is_json_too(operator):
    """A program reads the same shape whatever is wrong."""
    operator.configure("sqlite:///x.db", "  - {name: t, source: db}\n")
    done = operator.sync("check", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == report["exit_code"] == 2
    assert report["views"] == []
    assert report["findings"][-1]["status"] == "wrong"
