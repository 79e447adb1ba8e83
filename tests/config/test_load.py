"""What a good file becomes: substitution, secret files, text as written."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from smartico_sync.config.document import parse
from smartico_sync.config.load import load
from smartico_sync.errors import ConfigError

from .conftest import ENVIRON, KEY, MINIMAL, PASSWORD, TOKEN

ROOT = Path(__file__).resolve().parents[2]
DESIGN = """\
version: 1
smartico:
  url: https://apis6.smartico.ai/api/external/events/v2
  token: ${SMARTICO_TOKEN}          # or token_file: /run/secrets/smartico
  # max_in_flight: 12   requests_per_minute: 6000   batch_events: 1000   batch_bytes: 10MB   timeout: 30s   gzip: false
  # brands: {SuperCasino: {url: …, token: …}}       # overrides per ext_brand_id
state: ./state/sync.db
pii:
  mode: encrypt                      # encrypt | drop | plain
  key: ${SYNC_PII_KEY}               # 32 bytes, base64; `smartico-sync keys new` prints one.  encryptor: aes-256-gcm (default) | hpke | a plug-in's name
  properties: [user_email, user_phone]
health:
  listen: 127.0.0.1:8080
sources:
  casino:
    url: postgresql://reader:${DB_PASSWORD}@replica:5432/casino
    # timezone: UTC    statement_timeout: 30s    pool: 4
views:
  - name: users
    source: casino
    relation: crm.user_profile       # a view, table or collection; or  query: SELECT …
    kind: users                      # a kind of the catalogue, or custom with event_type:
    cursor: dt_update
    every: 5s
    # key: [ext_brand_id, user_ext_id]   payload: full | changed   columns: {view_column: property}   start_from: first
  - name: deposits
    source: casino
    relation: crm.deposits
    kind: deposits
    cursor: dt_finalized             # or an incrementing id
    key: transaction_id
    late_commit: auto                # auto | fence | gaps | lookback;  lookback: 10m
    every: 2s
  - name: casino
    source: casino
    relation: crm.casino_transactions
    kind: casino_bets_and_wins       # one view for both: type: {column: tx_type, bet: BET, win: WIN}
    type: {column: tx_type, bet: BET, win: WIN}
    cursor: id
    key: bet_id
    every: 1s
"""


def test_the_documented_contract_loads_as_it_is(desk):
    """The example of the documentation is valid, letter by letter."""
    found = desk.load(DESIGN)
    assert found.smartico.token.get_secret_value() == TOKEN
    assert found.sources["casino"].url.get_secret_value() == f"postgresql://reader:{PASSWORD}@replica:5432/casino"
    assert [view.every for view in found.views] == [5_000, 2_000, 1_000]
    assert found.views[1].key == ("transaction_id",)
    assert found.views[2].event_types() == {"bet": "casino_bet", "win": "casino_win"}
    assert found.state == str(desk.directory / "state" / "sync.db")
    assert desk.warnings == []


def test_a_state_in_a_database(desk):
    """Its URL is taken as it is, with the password's special characters percent-encoded, and never shown."""
    state = "state: postgresql://sync:${P}@pg1,pg2/sync?target_session_attrs=read-write\ncluster: {key_file: k}\n"
    found = desk.load(MINIMAL.replace("version: 1\n", f"version: 1\n{state}"), ENVIRON | {"P": "p@s/"})
    assert found.state == "postgresql://sync:p%40s%2F@pg1,pg2/sync?target_session_attrs=read-write"
    assert (found.cluster.lease, found.cluster.key_file) == (10_000, str(desk.directory / "k"))
    assert "p%40s" not in repr(found)


@pytest.mark.parametrize("name", ["views.yaml", "views.minimal.yaml"])
def test_the_examples_load(name):
    """What we publish to begin with is valid."""
    assert load(ROOT / "config" / name, ENVIRON).views[0].kind == "users"


def test_every_commented_line_of_the_example_is_valid(desk):
    """An operator may take away any comment sign of the example."""
    lines = (ROOT / "config" / "views.yaml").read_text("utf-8").splitlines()
    bare = "\n".join(re.sub(r"^(\s*)# (?=[a-z_]+:|  SuperCasino:)", r"\1", line) for line in lines)
    found = desk.load(bare, {**ENVIRON, "SUPER_TOKEN": "another"})
    assert found.smartico.brands["SuperCasino"].token.get_secret_value() == "another"
    assert found.views[0].targets == {"loyalty_level": "core_custom_level", "internal_note": None}
    assert found.views[1].max_age == 900_000
    assert found.reconcile.every is None


def test_text_is_taken_as_it_is_written(desk):
    """YAML's guesses about numbers, dates and booleans change nothing."""
    found = desk.load(
        MINIMAL.replace("version: 1", 'version: "1"')
        .replace("bet: BET, win: WIN", "bet: 01, win: no")
        .replace("pii:\n", "health: {listen: off}\npii:\n  key_id: 1e3\n")
        .replace("cursor: id", "cursor: id\n    start_from: 2026-01-01 00:00:00\n    brand: 007\n    key: [bet_id, on]")
    )
    bets = found.views[1]
    assert (bets.type.bet, bets.type.win, bets.start_from, bets.brand) == (
        ("01",),
        ("no",),
        "2026-01-01 00:00:00",
        "007",
    )
    assert bets.key == ("bet_id", "on")
    assert found.pii.key_id == "1e3"
    assert found.health.listen == "off"
    assert found.version == 1


def test_booleans_and_numbers_still_work(desk):
    """Where a number or a boolean is meant, every way to write it is understood."""
    found = desk.edited("pii:\n", "  gzip: on\n  max_in_flight: '4'\n  brands:\npii:\n")
    assert found.smartico.gzip is True
    assert found.smartico.max_in_flight == 4
    assert found.smartico.brands == {}


def test_empty_headings_mean_the_defaults(desk):
    """A heading whose lines are all commented out is as good as none."""
    assert desk.edited("sources:\n", "health:\nreconcile:\nsources:\n").health.listen == "127.0.0.1:8080"


def test_no_key_is_not_the_default_key(desk):
    """`key: []` says that there is none; without the line the kind decides."""
    assert desk.edited("cursor: id", "cursor: id\n    key: []").views[1].key == ()
    assert desk.load().views[1].key is None


def test_variables(desk):
    """Variables work inside text, with defaults for what is missing or empty, and `$$` is a `$`."""
    environ = {**ENVIRON, "HOST": "db", "EMPTY": ""}
    found = desk.edited(
        "cursor: dt_update", 'cursor: "${A:-dt}_${HOST}_${EMPTY:-x}$$${HOST}$"\n    start_from: $5', environ
    )
    assert found.views[0].cursor == "dt_db_x$db$"
    assert found.views[0].start_from == "$5"


@settings(max_examples=100)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20))
def test_escaping_keeps_any_text(text):
    """Any text survives with its `$` doubled, and no variable's value is read as a variable again."""
    quoted = "'" + text.replace("'", "''").replace("$", "$$") + "'"
    allowed = not yaml.reader.Reader.NON_PRINTABLE.search(text)
    if allowed and not re.search(r"[\x85\u2028\u2029\s]", text):
        assert parse(f"a: {quoted}", {}).data == {"a": text}
    assert parse("a: ${X}", {"X": text}).data == {"a": text}


def test_special_characters_of_a_password_are_encoded(desk):
    """A password from a variable cannot break the URL; one that is encoded already stays as it is."""
    environ = {**ENVIRON, "DB_PASSWORD": "p@ss/w:rd?#%41 %"}
    url = desk.load(MINIMAL, environ).sources["casino"].url.get_secret_value()
    assert url == "postgresql://reader:p%40ss%2Fw%3Ard%3F%23%41%20%25@replica:5432/casino"
    environ = {**ENVIRON, "URL": "sqlite:////tmp/a b.db"}
    found = desk.edited("mysql://reader@replica/casino", "${URL}", environ)
    assert found.sources["other"].url.get_secret_value() == "sqlite:////tmp/a b.db"


def test_secrets_from_files(desk):
    """Files relative to the configuration fill the secrets in; the newline at their end is no part of them."""
    for name, content in {"token": "from-file\n", "key": KEY + "\r\n", "password": "p@ss\n"}.items():
        (desk.directory / name).write_text(content)
        (desk.directory / name).chmod(0o600)
    found = desk.load(
        MINIMAL.replace("token: ${SMARTICO_TOKEN}", "token_file: token\n  brands: {B: {token_file: ./token}}")
        .replace("key: ${SYNC_PII_KEY}", "key_file: key")
        .replace(
            "url: mysql://reader@replica/casino", "url: mysql://reader@replica/casino\n    password_file: password"
        )
    )
    assert found.smartico.token.get_secret_value() == "from-file"
    assert found.smartico.token_file == str(desk.directory / "token")
    assert found.smartico.brands["B"].token.get_secret_value() == "from-file"
    assert found.pii.key.get_secret_value() == KEY
    assert found.sources["other"].url.get_secret_value() == "mysql://reader:p%40ss@replica/casino"
    assert desk.warnings == []


def test_a_world_readable_secret_is_a_warning(desk):
    """A secret that everybody can read still works, and is told."""
    (desk.directory / "token").write_text("abc")
    (desk.directory / "token").chmod(0o644)
    assert desk.edited("token: ${SMARTICO_TOKEN}", "token_file: token").smartico.token.get_secret_value() == "abc"
    assert len(desk.warnings) == 1
    assert "smartico.token_file" in desk.warnings[0]
    assert "chmod 600" in desk.warnings[0]
    assert "abc" not in desk.warnings[0]


def test_secrets_are_not_in_the_repr(desk):
    """A configuration that is printed by accident shows no secret."""
    found = desk.edited("pool: 4" if "pool: 4" in MINIMAL else "cursor: dt_update", "cursor: dt_update")
    assert not any(secret in repr(found) + str(found) for secret in (TOKEN, PASSWORD, KEY))


def test_anchors_and_merges(desk):
    """Defaults may be shared with `&`, `*` and `<<`; a view's own keys win."""
    found = desk.load(
        MINIMAL.replace("  - name: users\n", "  - &base\n    name: users\n    every: 3s\n")
        + "  - <<: *base\n    name: more\n    cursor: other\n"
    )
    assert (found.views[2].name, found.views[2].cursor, found.views[2].every) == ("more", "other", 3_000)


def test_there_must_be_a_file(tmp_path):
    """A missing or unreadable file is told, with what to do."""
    with pytest.raises(ConfigError, match="there is no configuration") as caught:
        load(tmp_path / "none.yaml", {})
    assert "--config" in caught.value.hint
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path, {})
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml:2:1: not UTF-8"):
        load(tmp_path / "latin.yaml", {})


def test_the_environment_is_the_default(desk, monkeypatch):
    """Without an argument the process's own variables are used."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    desk.path.write_text(MINIMAL)
    assert load(desk.path).smartico.token.get_secret_value() == os.environ["SMARTICO_TOKEN"]
