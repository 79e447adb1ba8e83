"""Every mistake is told with line and column, what was found, and what is expected."""

from __future__ import annotations

import base64
import json
import os

import pytest

from .conftest import ENVIRON, MINIMAL

USERS = "cursor: dt_update"
BETS = "cursor: id"
TYPE = "type: {column: tx_type, bet: BET, win: WIN}"

# (what the file holds, what is written instead, the place and the beginning of the message, words of the rest)
CASES = [
    ("version: 1", "version: 2", "1:10: version: found '2'", "expected 1"),
    ("version: 1\n", "", "1:1: version: missing", ""),
    ("version: 1\n", "version: 1\nstate: mysql://u:pw-7@h/s\n", "2:8: state: expected a path, or a postgresql:// URL", ""),
    ("version: 1\n", "version: 1\nstate: postgresql://h/s\n", "2:8: state: a database never holds the state's secret", "cluster: {key_file: …}"),
    ("version: 1\n", "version: 1\ncluster: {topics: shared}\n", "2:19: cluster.topics: members share topics over one state", "leased"),
    ("version: 1\n", "version: 1\ncluster: {key_file: k}\n", "2:21: cluster.key_file: is for a state in PostgreSQL", "state_key_file"),
    ("version: 1\n", "version: 1\nstate: postgresql://h/s\nstate_key_file: a\ncluster: {key_file: k}\n", "3:17: state_key_file: `cluster.key_file`", "one of the two"),
    ("version: 1\n", "version: 1\ncluster: {lease: 10ms}\n", "2:18: cluster.lease: found '10ms', expected at least", ""),
    ("  token: ${SMARTICO_TOKEN}\n", "  tokn: abc\n  token: x\n", "4:3: smartico.tokn: unknown key", "did you mean 'token'?"),
    ("pii:\n", "pii:\n  zzz: 1\n", "6:3: pii.zzz: unknown key; expected one of", "mode"),
    ("pii:\n", "  timeout: 5\npii:\n", "5:12: smartico.timeout: found '5', expected a duration", "200ms, 5s, 10m, 1h, 7d"),
    ("pii:\n", "  timeout: 5ms\npii:\n", "5:12: smartico.timeout: found '5ms', expected at least 100ms", ""),
    ("pii:\n", "  timeout: 999999999999999d\npii:\n", "5:12: smartico.timeout: found '999999999999999d', expected at most 100000d", ""),
    (USERS, USERS + "\n    every: 999999999999999d", "18:12: views[0].every: found '999999999999999d', expected at most 100000d", ""),
    (USERS, USERS + "\n    future_tolerance: 100001d", "18:23: views[0].future_tolerance: found '100001d', expected at most 100000d", ""),
    (USERS, USERS + "\n    max_age: 999999999999999d", "18:14: views[0].max_age: found '999999999999999d', expected at most 10000000d", ""),
    ("pii:\n", "  batch_bytes: 10\npii:\n", "5:16: smartico.batch_bytes: found '10', expected a size", "10MB"),
    ("pii:\n", "  gzip: perhaps\npii:\n", "5:9: smartico.gzip: found 'perhaps', expected true or false", ""),
    ("pii:\n", "  max_in_flight: 65\npii:\n", "5:18: smartico.max_in_flight: found '65', expected at most 64", ""),
    ("pii:\n", "  max_in_flight: many\npii:\n", "5:18: smartico.max_in_flight: found 'many', expected a whole number", ""),
    ("pii:\n", "  url: again\npii:\n", "5:3: smartico.url: the same key again; the first is in line 3", ""),
    ("pii:\n", "  brands: [a]\npii:\n", "5:11: smartico.brands: found a list, expected a mapping", ""),
    ("pii:\n", "pii:\n  mode: crypt\n", "6:9: pii.mode: found 'crypt', did you mean 'encrypt'?", "drop, plain"),
    ("  key: ${SYNC_PII_KEY}\n", "  mode: encrypt\n", "6:3: pii.key: missing", "keys new"),
    ("${SYNC_PII_KEY}", "${NOPE}", "6:8: pii.key: the environment has no variable NOPE", "${NOPE:-default}"),
    ("${SYNC_PII_KEY}", "${NO-PE}", "6:8: pii.key: expected ${NAME} or ${NAME:-default}", "$$"),
    ("${SYNC_PII_KEY}", "YWJj", "6:8: pii.key: the key has 3 bytes; expected 32 bytes in base64", "keys new"),
    ("${SYNC_PII_KEY}", "not base64!", "6:8: pii.key: the key is not base64", "keys new"),
    ("${SYNC_PII_KEY}", "${SYNC_PII_KEY}\n  key_file: y", "7:3: pii.key_file: key is there too", ""),
    ("${SMARTICO_TOKEN}", "x\n  token_file: y", "5:3: smartico.token_file: token is there too", ""),
    ("  token: ${SMARTICO_TOKEN}\n", "", "3:3: smartico.token: missing", "token_file"),
    ("  token: ${SMARTICO_TOKEN}\n", "  brands: {A: {token: x}, B: {alias: b}}\n", "3:3: smartico.token: missing", "every brand"),
    ("${SMARTICO_TOKEN}", "''", "4:10: smartico.token: found nothing", "empty"),
    ("${SMARTICO_TOKEN}", "[a]", "4:10: smartico.token: found a list, expected text", ""),
    ("${SMARTICO_TOKEN}", "two words", "4:10: smartico.token: the token holds white space in line 1, column 4", "letters"),
    ("${SMARTICO_TOKEN}", "t\u00f6k", "4:10: smartico.token: the token holds a character outside ASCII in line 1, column 2", ""),
    ("${SMARTICO_TOKEN}", '"be\\all"', "4:10: smartico.token: the token holds a character that cannot be seen in line 1, column 3", ""),
    ("${SMARTICO_TOKEN}", "x\n  brands: {A: {token: a b}}", "5:23: smartico.brands.A.token: the token holds white space", ""),
    ("token: ${SMARTICO_TOKEN}", "token_file: none", "4:15: smartico.token_file: the file ", "does not exist"),
    ("https://apis6", "ftp://apis6", "3:8: smartico.url: expected an http or https URL with a host", "such as https://"),
    ("https://apis6.smartico.ai/api/external/events/v2", "https://", "3:8: smartico.url: expected an http", ""),
    ("https://apis6.smartico.ai/api/external/events/v2", "http://a:x/", "3:8: smartico.url: not a URL", ""),
    ("https://apis6.smartico.ai/", "https://apis6..smartico.ai/", "3:8: smartico.url: no host can have this name", "two dots"),
    ("https://apis6.smartico.ai/", f"https://{'a' * 64}.smartico.ai/", "3:8: smartico.url: no host can have this name", "63"),
    ("https://apis6.smartico.ai/", f"https://{'a.' * 127}ai/", "3:8: smartico.url: no host can have this name", ""),
    ("https://apis6.smartico.ai/", "https://.smartico.ai/", "3:8: smartico.url: no host can have this name", ""),
    ("https://apis6.smartico.ai/", "https://apis6,smartico.ai/", "3:8: smartico.url: no host can have this name", ""),
    ("https://apis6.smartico.ai/", "https://u:p@apis6/", "3:8: smartico.url: expected no user or password", ""),
    ("mysql:", "postgrs:", "11:10: sources.other.url: unknown engine 'postgrs'", "did you mean 'postgres'?"),
    ("mysql:", "mysqll:", "11:10: sources.other.url: unknown engine 'mysqll'", "did you mean 'mysql'?"),
    ("mysql:", "postgresq+psycopg:", "11:10: sources.other.url: unknown engine 'postgresq+psycopg'", "did you mean 'postgresql'?"),
    ("mysql:", "sqlserv+pyodbc:", "11:10: sources.other.url: unknown engine 'sqlserv+pyodbc'", "did you mean 'sqlserver'?"),
    ("/casino\nviews", "/casino?ssl_mod=off\nviews", "11:10: sources.other.url: MySQL has no parameter `ssl_mod`; did you mean 'ssl_mode'?", "ssl_ca"),
    ("/casino\nviews", "/casino\n    options: {ssl_cb: x}\nviews", "12:15: sources.other.options.ssl_cb: MySQL has no parameter `ssl_cb`; did you mean", "ssl_mode"),
    ("mysql://reader@replica/casino", "replica", "11:10: sources.other.url: expected engine://", "mongodb"),
    ("reader@replica/casino", "reader@replica:x/casino", "11:10: sources.other.url: the port", "percent-encode"),
    ("reader@replica/casino", "r@h/c\n    timezone: Mars/X", "12:15: sources.other.timezone: no time zone 'Mars/X'", "Europe/Malta"),
    ("reader@replica/casino", "r:a@h/c\n    password_file: views.yaml", "11:10: sources.other.url: expected scheme://user@", ""),
    ("sources:\n", "health: {listen: 8080}\nsources:\n", "7:18: health.listen: expected address and port", "or off"),
    ("sources:\n", "reconcile: {every: 5}\nsources:\n", "7:20: reconcile.every: found '5', expected a duration", "or off"),
    ("source: casino", "source: casio", "14:13: views[0].source: no source 'casio'; did you mean 'casino'?", "other"),
    ("name: bets", "name: users", "18:11: views[1].name: the name 'users' is taken by views[0]", ""),
    ("name: bets", "name: 1 bet", "18:11: views[1].name: found '1 bet', expected a letter, then", ""),
    ("kind: users", "kind: user", "16:11: views[0].kind: found 'user', did you mean 'users'?", "deposits"),
    ("    relation: crm.user_profile\n", "", "13:5: views[0].relation: missing", "query"),
    (USERS, USERS + "\n    key: [user_email]", "18:10: views[0].key: user_email holds personal data", "the id of the row"),
    (USERS, "cursor: phone", "17:13: views[0].cursor: phone holds personal data", "rest in the state"),
    (USERS, USERS + "\n    query: SELECT 1", "18:5: views[0].query: relation is there too", ""),
    (USERS, USERS + "\n    type: {column: a, bet: b, win: c}", "18:5: views[0].type: type is for", "take it out"),
    (USERS, USERS + "\n    event_type: x", "18:5: views[0].event_type: the kind users fixes", ""),
    (USERS, USERS + "\n    columns: {a: core_tags}", "18:18: views[0].columns.a: Smartico computes core_tags", "null"),
    (USERS, USERS + "\n    columns: {a: 'x y'}", "18:18: views[0].columns.a: expected a property name", ""),
    (USERS, USERS + "\n    columns: {a: [b]}", "18:18: views[0].columns.a: found a list, expected text", ""),
    (USERS, USERS + "\n    max_refused: {share: 2}", "18:26: views[0].max_refused.share: found '2', expected at most 1", ""),
    (USERS, USERS + "\n    key: {a: b}", "18:10: views[0].key: found a mapping, expected a list", ""),
    (BETS, BETS + "\n    payload: changed", "24:5: views[1].payload: `payload` is for profiles", ""),
    (BETS, BETS + "\n    on_null: clear", "24:5: views[1].on_null: `on_null` is for profiles", ""),
    (BETS, BETS + "\n    late_commit: fence", "24:18: views[1].late_commit: fence needs PostgreSQL", "mysql"),
    (BETS, BETS + "\n    event_type: x", "24:5: views[1].event_type: the kind casino_bets_and_wins fixes", ""),
    (f"    {TYPE}\n", "", "18:5: views[1].type: missing", "casino_bets_and_wins"),
    ("win: WIN", "win: BET", "22:44: views[1].type.win: bet and win are the same", ""),
    ("win: WIN", "win: [WIN, BET]", "22:44: views[1].type.win: bet and win are the same value 'BET'", "each value in one role"),
    (", win: WIN", "", "22:11: views[1].type.win: missing", "a win"),
    ("win: WIN", "win: WIN, wins: J", "22:49: views[1].type.wins: unknown key", "did you mean 'win'?"),
    ("win: WIN", "win: WIN, deposit: J", "22:49: views[1].type.deposit: casino_bets_and_wins has no role 'deposit'", "bet_rollback"),
    ("win: WIN", "win: WIN, other: drop", "22:56: views[1].type.other: found 'drop'", "ignore"),
    ("win: WIN", "win: []", "22:44: views[1].type.win: found a list, expected at least one", ""),
    (f"kind: casino_bets_and_wins\n    {TYPE}", "kind: payments", "18:5: views[1].type: missing: `type: {column: …, deposit: …", "payments"),
    (f"kind: casino_bets_and_wins\n    {TYPE}", "kind: payments\n    type: {column: a}", "22:11: views[1].type: no role has a value", "withdrawal"),
    (f"kind: casino_bets_and_wins\n    {TYPE}", "kind: bonuses\n    event_type: x\n    type: {column: a, issued: 1}", "22:5: views[1].event_type: type says", "keep one"),
    (BETS, BETS + "\n    where: {a: []}", "24:16: views[1].where.a: found a list, expected at least one", ""),
    (BETS, BETS + "\n    where: [a]", "24:12: views[1].where: found a list, expected a mapping", ""),
    (BETS, BETS + "\n    arrays: {core_external_markers: add}", "24:5: views[1].arrays: `arrays` is for profiles", "take it out"),
    (BETS, BETS + "\n    unmapped: keep", "24:15: views[1].unmapped: found 'keep'", "send"),
    (BETS, BETS + "\n    timezone: Mars/X", "24:15: views[1].timezone: no time zone 'Mars/X'", "Europe/Malta"),
    (BETS, BETS + "\n    columns: {a: {property: bet_amount, scale: x}}", "24:48: views[1].columns.a.scale: found 'x', expected a whole number", ""),
    (BETS, BETS + "\n    columns: {a: {property: game_name, scale: 2}}", "24:40: views[1].columns.a.scale: scale is for numbers, and game_name is a string", ""),
    (BETS, BETS + "\n    columns: {a: {property: bet_amount, split: x}}", "24:41: views[1].columns.a.split: split is for arrays, and bet_amount is a number", ""),
    (BETS, BETS + "\n    columns: {a: {split: x}}", "24:19: views[1].columns.a.split: split is for arrays, and a is custom", "type: array"),
    (BETS, BETS + "\n    columns: {a: {type: number, property: game_id}}", "24:19: views[1].columns.a.type: game_id is a string to Smartico", "take it out"),
    (BETS, BETS + "\n    columns: {a: {typ: number}}", "24:19: views[1].columns.a.typ: unknown key; did you mean 'type'?", "split"),
    (BETS, BETS + "\n    columns: {a: user_ext_id, b: user_ext_id}", "24:34: views[1].columns.b: a is user_ext_id already", "keep one"),
    (BETS, BETS + "\n    columns: {a: bcat_x}", "24:18: views[1].columns.a: Smartico computes bcat_x itself", "null"),
    (USERS, USERS + "\n    arrays: {core_kyc_status: add}", "18:14: views[0].arrays.core_kyc_status: core_kyc_status is a string", "core_external_segment"),
    (USERS, USERS + "\n    arrays: {core_tags: add}", "18:14: views[0].arrays.core_tags: Smartico computes core_tags", "take it out"),
    (USERS, USERS + "\n    arrays: {tags: sync}\n    columns: {tags: {type: string}}", "19:28: views[0].columns.tags.type: `arrays` says that tags is a set", "array"),
    (USERS, USERS + "\n    arrays: {core_external_markers: remove}", "18:37: views[0].arrays.core_external_markers: found 'remove'", "replace"),
    (TYPE, "type: tx_type", "22:11: views[1].type: found text, expected a mapping", ""),
    (f"kind: casino_bets_and_wins\n    {TYPE}", "kind: custom", "18:5: views[1].event_type: missing", "custom"),
    (f"kind: casino_bets_and_wins\n    {TYPE}", "kind: custom\n    event_type: ach_x", "22:17: views[1].event_type: Smartico produces ach_x", "ach_*"),
    (f"kind: casino_bets_and_wins\n    {TYPE}", "kind: custom\n    event_type: update_profile", "22:17: views[1].event_type: update_profile needs `kind: users`", ""),
    ("relation: bets", "query: DELETE FROM a", "20:12: views[1].query: expected a query that starts with SELECT", ""),
    ("relation: bets", "query: SELECT 1;", "20:12: views[1].query: found a semicolon at the end", ""),
    ("relation: bets", "query: SELECT 1; SELECT 2", "20:12: views[1].query: found several statements", ""),
    ("relation: bets", "query: {aggregate: bets, pipeline: []}", "20:12: views[1].query: found a mapping, expected text", "as JSON"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "start", "rest"), CASES, ids=[case[2].split(": ")[1] + str(i) for i, case in enumerate(CASES)]
)
def test_a_mistake_is_told_at_its_place(desk, old, new, start, rest):
    """One mistake, one line: where, what was found, what is expected."""
    found = desk.error(old, new)
    assert found.startswith(start), found
    assert rest in found


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("", "1:1: the file is empty"),
        ("# nothing\n", "1:1: the file is empty"),
        ("just text", "1:1: found text, expected a mapping"),
        ("a: [1\nb: 2\n", "2:2: not YAML"),
        ("a: 1\n\tb: 2\n", "2:1: not YAML"),
        ("a: b: c\n", "1:5: not YAML"),
        ("a: 1\nb: *none\n", "2:4: not YAML: found undefined alias …"),
        ("a: 'x\n", "2:1: not YAML"),
        ("a: 1\nb: \x07\n", "2:4: a character that YAML does not allow"),
        ("a: 1\n---\nb: 2\n", "2:1: not YAML"),
    ],
)
def test_what_is_not_yaml_is_told_at_its_place(desk, text, start):
    """Syntax errors have line and column too, and show nothing that may be a secret."""
    assert desk.errors(text)[0].startswith(start)


def test_empty_lists_are_told(desk):
    """Without a view or a source there is nothing to do."""
    found = desk.errors(MINIMAL[: MINIMAL.index("sources:")] + "sources: {}\nviews: []\n")
    assert found == [
        "7:10: sources: found a mapping, expected at least one",
        "8:8: views: found a list, expected at least one",
    ]


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("a: &x [*x]", "an alias that repeats itself"),
        ("a: !secret x", "tags such as !name"),
        ("{a: b}: c", "expected plain text as key"),
    ],
)
def test_yaml_that_is_not_for_a_configuration(desk, new, expected):
    """Features that configurations do not need are refused, not followed."""
    assert any(expected in line for line in desk.errors(MINIMAL + new + "\n"))


def test_a_bomb_of_aliases_is_refused(desk):
    """A small file cannot fill the memory."""
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    assert any("repeats itself" in line for line in desk.errors(bomb))


def test_all_mistakes_are_told_together_in_the_order_of_the_file(desk):
    """An operator mends a file once: mistakes in one section hide none of another."""
    found = desk.errors(
        MINIMAL.replace("https:", "ftp:")
        .replace("${SYNC_PII_KEY}", "${NOPE}")
        .replace("mysql:", "postgrs:")
        .replace("source: casino", "source: casio")
        .replace("kind: users", "kind: user")
        .replace(BETS, BETS + "\n    payload: full\n    every: 5")
    )
    assert [line.split(": ")[0] for line in found] == ["3:8", "6:8", "11:10", "14:13", "16:11", "25:12"]


def test_a_missing_variable_is_told_once(desk):
    """What follows from a missing variable is not told as well."""
    assert len(desk.errors(MINIMAL, {})) == 3


def test_secrets_in_the_wrong_place_are_not_shown(desk):
    """A literal secret never appears in a message, wherever it was written by mistake."""
    secret = "hunter2hunter2"
    for old, new in [
        ("${SYNC_PII_KEY}", secret),
        ("mysql://reader@replica/casino", f"postgres://u:{secret}@h:x/db"),
        ("mysql://reader@replica/casino", f"{secret}://u"),
        ("mysql://reader@replica/casino", f"mysql://u:{secret}/x@h:{secret}/db"),
        ("  token: ${SMARTICO_TOKEN}\n", f"  tokem: {secret}\n"),
        ("${SMARTICO_TOKEN}", f"{{a: {secret}}}"),
        ("${SMARTICO_TOKEN}", f"*{secret}"),
        ("${SMARTICO_TOKEN}", f"!{secret} x"),
        ("${SMARTICO_TOKEN}", f"x\n  brands: {secret}"),
        ("https://apis6.smartico.ai/", f"https://u:{secret}@apis6/"),
        ("reader@replica/casino", f"r@h/d\n    options: {{password: [{secret}]}}"),
    ]:
        assert MINIMAL.count(old) == 1
        assert not any(secret in line for line in desk.errors(MINIMAL.replace(old, new))), old


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", "is empty"), (b"\n\n", "is empty"), (b"\xff\xfe", "is not text"), (b"a" * 70_000, "larger than")],
)
def test_secret_files_that_hold_no_secret(desk, content, expected):
    """A file without a secret is told at the line that names it."""
    (desk.directory / "token").write_bytes(content)
    found = desk.error("token: ${SMARTICO_TOKEN}", "token_file: token")
    assert found.startswith("4:15: smartico.token_file: the file ")
    assert expected in found


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"tok\xe4n", "is not text in UTF-8: line 1, column 4"),
        (b"a\nb\xe4", "is not text in UTF-8: line 2, column 2"),
        (b"\xef\xbb\xbf\n two words", "holds white space in line 2, column 5"),
        (b"two\nlines", "holds a line end in line 1, column 4"),
    ],
)
def test_what_is_odd_in_a_secret_file_has_a_place(desk, content, told):
    """Line and column within the file, and nothing of what stands there."""
    (desk.directory / "token").write_bytes(content)
    found = desk.error("token: ${SMARTICO_TOKEN}", "token_file: token")
    assert told in found
    assert found.startswith("4:15: smartico.token_file: the file ")


def test_a_password_file_holds_one_line(desk):
    """Of any text; a second line is a mistake."""
    (desk.directory / "password").write_bytes("pä ss\n".encode())
    edited = desk.edited("reader@replica/casino", "reader@replica/casino\n    password_file: password")
    assert edited.sources["other"].url.get_secret_value() == "mysql://reader:p%C3%A4%20ss@replica/casino"
    (desk.directory / "password").write_bytes(b"pass\nword\n")
    found = desk.error("reader@replica/casino", "reader@replica/casino\n    password_file: password")
    assert "holds a line end in line 1, column 5" in found


@pytest.mark.parametrize("token", [" padded \\n", "\\ufeffpadded"])
def test_white_space_around_a_token_does_not_belong_to_it(desk, token):
    """Environments and files hand it over with line ends."""
    assert desk.edited("${SMARTICO_TOKEN}", f'"{token}"').smartico.token.get_secret_value() == "padded"


@pytest.mark.parametrize(
    "host",
    ["apis6", "apis6.smartico.ai.", "10.0.0.1", "[fd00::1]:8080", "a_b-c.example", "b\u00fccher.example", "A" * 63],
)
def test_hosts_that_can_be(desk, host):
    """Names, addresses, names in other letters."""
    url = f"https://{host}/api"
    assert desk.edited("https://apis6.smartico.ai/api/external/events/v2", url).smartico.url == url


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_secret_file_without_permission(desk):
    """A file that this user may not read is told as such."""
    (desk.directory / "token").write_text("x")
    (desk.directory / "token").chmod(0)
    assert "permission denied" in desk.error("token: ${SMARTICO_TOKEN}", "token_file: token")


@pytest.mark.parametrize(
    "new",
    [
        "query: SELECT ';' AS a, \"x;y\" FROM t -- ; no end",
        "query: |\n      -- bets\n      WITH a AS (SELECT 1) /* ; */ SELECT * FROM a",
        "query: (select 1)",
        "query: SELECT 'it''s'",
    ],
)
def test_queries_that_only_read_are_fine(desk, new):
    """Comments and quotes may hold anything."""
    assert desk.edited("relation: bets", new)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('{"aggregate": "bets", "pipeline": [{"$match": {"a": 1}}]}', ""),
        ('{"aggregate": "bets", "pipeline": []}', ""),
        ('[{"$match": ', "not JSON"),
        ('[{"$match": {"a": 1}}]', 'a pipeline alone names no collection; write {"aggregate": "<collection>", "pipeline": […]}'),
        ('{"$match": 1}', "found `$match`"),
        ('{"aggregate": "bets"}', "`pipeline` is missing"),
        ('{"aggregate": "bets", "pipeline": [], "allowDiskUse": true}', "found `allowDiskUse`"),
        ('{"aggregate": 1, "pipeline": []}', "`aggregate` is a collection's name"),
        ('{"aggregate": "bets", "pipeline": {}}', "a list of stages"),
        ('{"aggregate": "bets", "pipeline": [{"$match": {}, "$limit": 1}]}', "each with one operator"),
        ('{"aggregate": "bets", "pipeline": [{"$out": "x"}]}', "$out writes"),
    ],
)  # fmt: skip
def test_mongodb_takes_an_aggregate_command(desk, query, expected):
    """A MongoDB source has a command in JSON instead of SQL, and only a reading one."""
    text = MINIMAL.replace("mysql:", "mongodb:").replace("relation: bets", f"query: '{query}'")
    if expected:
        (found,) = desk.errors(text)
        assert found.startswith("20:12: views[1].query: ")
        assert expected in found
    else:
        assert desk.load(text)


def test_a_query_in_several_lines_keeps_its_dollars(desk):
    """`$match` stays as it is, and `$$` is one `$`, as everywhere in the file."""
    query = 'query: |\n      {"aggregate": "bets",\n       "pipeline": [{"$addFields": {"at": "$$$$NOW"}}]}'
    text = MINIMAL.replace("mysql:", "mongodb:").replace("relation: bets", query)
    assert json.loads(desk.load(text).views[1].query)["pipeline"] == [{"$addFields": {"at": "$$NOW"}}]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///casino?host=/var/run/postgresql", "postgresql://r@h1:5432,h2:5433/c", "postgresql://r@[::1]:5432/c",
        "sqlite:///casino.db", "mongodb+srv://u:p@cluster/db", "oracle://u:p@h:1521/?service_name=X", "bigquery://project/set",
        "snowflake://u:p@account/db/schema?warehouse=w", "mssql://u:p%40@h:1433/db", "clickhouse://h:8123", "redshift://u@h:5439/d",
        "postgres://r@h/c", "postgresql+psycopg://r@h/c", "mysql+pymysql://r@h/c?charset=utf8mb4", "sqlserver://r@h/c",
        "mssql+pyodbc://r@h/c?driver=ODBC+Driver+18+for+SQL+Server&TrustServerCertificate=yes", "oracle+oracledb://r@h/?service_name=X",
        "mongodb+srv://r@h/c?retryWrites=true&w=majority&appName=x", "clickhouse+http://r@h:8123/c", "clickhousedb://r@h/c",
        "clickhouses://r@h/c", "redshift+redshift_connector://r@h/c", "bigquery://example.com:project/set",
        "sqlite+pysqlite:///casino.db",
    ],
)  # fmt: skip
def test_urls_as_operators_have_them(desk, url):
    """Every engine's usual forms pass."""
    assert desk.edited("mysql://reader@replica/casino", url).sources["other"].url.get_secret_value() == url


@pytest.mark.parametrize("listen", ["off", "0.0.0.0:80", "':8080'", "'[::1]:8080'", "localhost:1"])
def test_addresses_to_listen_on(desk, listen):
    """Host names, IPv4, IPv6, every interface, or not at all."""
    assert desk.edited("sources:\n", f"health: {{listen: {listen}}}\nsources:\n")


def test_keys_in_either_base64(desk):
    """URL-safe base64 is a key too."""
    key = base64.urlsafe_b64encode(b"\xff" * 32).decode()
    assert desk.load(MINIMAL, {**ENVIRON, "SYNC_PII_KEY": key})


def test_plugins_judge_their_own_keys(desk):
    """Only the built-in encryptor insists on 32 bytes."""
    assert desk.edited("key: ${SYNC_PII_KEY}", "key: some-public-key\n  encryptor: hpke").pii.encryptor == "hpke"


def test_tokens_of_brands_may_replace_the_common_one(desk):
    """With a token for every brand there need be none for all."""
    found = desk.edited("  token: ${SMARTICO_TOKEN}\n", "  brands: {A: {token: x}, 2: {token: y, alias: 7}}\n")
    assert found.smartico.token is None
    assert found.smartico.brands["2"].alias == "7"


def test_a_set_that_is_protected_can_only_be_told_as_a_whole(desk):
    """Its names would leave in the clear, one by one."""
    text = MINIMAL.replace("pii:\n", "pii:\n  properties: [core_external_markers]\n")
    found = desk.errors(text.replace(USERS, USERS + "\n    arrays: {core_external_markers: sync}"))
    assert found[0].startswith(
        "19:37: views[0].arrays.core_external_markers: core_external_markers is in `pii.properties`"
    )
    assert desk.load(text.replace(USERS, USERS + "\n    arrays: {core_external_markers: replace}"))
