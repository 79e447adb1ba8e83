"""What a service is given by systemd and by `secrets.env`: a change of it is taken up, or it is said what takes it up."""

from __future__ import annotations

import pytest

from daemon.deposits import DEPOSITS, VIEW, insert
from smartico_sync.config.environment_file import Variables
from smartico_sync.config.load import load
from smartico_sync.daemon.ending import Ending
from smartico_sync.daemon.reload import Reload
from smartico_sync.errors import ConfigError
from smartico_sync.pii.keys import new_key
from waiting import until

KEY = new_key()
FILE = """version: 1
smartico: {url: "http://127.0.0.1:9/", token: "${TOKEN}"}
pii: {key: "${KEY}"}
sources: {db: {url: "sqlite:///replica.db"}}
views:
  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: id}
"""


@pytest.fixture
def home(tmp_path):
    """A configuration, and `secrets.env` beside it."""
    (tmp_path / "views.yaml").write_text(FILE)
    secrets(tmp_path, "one")
    return tmp_path


def secrets(home, token):
    (home / "secrets.env").write_text(f"KEY={KEY}\nTOKEN={token}\n")
    (home / "secrets.env").chmod(0o600)


def at_work(home, environ):
    """A daemon that has loaded the configuration of this folder, as far as a reload is concerned."""
    variables = Variables(home / "views.yaml", environ)
    reload = Reload(home / "views.yaml", Ending(), variables)
    reload.begin(load(home / "views.yaml", variables.now()))
    return reload


def test_a_reload_reads_secrets_env_again(home):
    """As the hint about a refused token says: correct it, and reload; until then it is a finding that the file was changed."""
    reload = at_work(home, {})
    assert reload.findings() == ()
    secrets(home, "two")
    (finding,) = reload.findings()
    assert (finding.subject, finding.code) == ("secrets.env", "configuration")
    assert "changed since it was loaded" in finding.message
    assert reload.ask()["sections"] == ["smartico"]
    assert reload.following().smartico.token.get_secret_value() == "two"
    assert reload.findings() == ()


def test_a_line_of_secrets_env_that_cannot_be_read_is_refused(home):
    """The former values go on, and a finding names the file and the line."""
    reload = at_work(home, {})
    (home / "secrets.env").write_text("export TOKEN=two\n")
    with pytest.raises(ConfigError, match=r"secrets\.env:1:1: expected NAME=value"):
        reload.ask()
    (finding,) = reload.findings()
    assert finding.subject == "secrets.env"
    assert "it was refused, and the former one goes on" in finding.message


def test_what_the_process_was_started_with_goes_before_and_is_told(home):
    """Its environment cannot be changed from outside: a reload names what it could not take up."""
    reload = at_work(home, {"TOKEN": "one"})
    secrets(home, "two")
    told = reload.ask()
    assert (told["sections"], told["variables"]) == ([], ["TOKEN"])
    secrets(home, "one")
    assert reload.ask()["variables"] == []


def test_a_copy_of_systemd_is_not_said_to_be_up_to_date(home, monkeypatch):
    """The daemon of the unit reads the copy that was made at its start: only a restart takes up what was changed since."""
    reload = at_work(home, {})
    assert reload.ask()["restart"] == []
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(home))
    with pytest.raises(ConfigError, match=r"the copy of /etc/smartico-sync/views\.yaml that systemd made") as refused:
        reload.ask()
    assert refused.value.hint == "systemctl restart smartico-sync"


@pytest.mark.parametrize(
    ("old", "new", "step"),
    [
        ("cursor: id", "curser: id", "correct /etc/smartico-sync/views.yaml"),
        ("${TOKEN}", "${NONE}", "write NAME=value into /etc/smartico-sync/secrets.env, a line for each of them, or export them"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_copy_is_corrected_in_the_original(home, old, new, step):
    """The copy cannot be written, and is gone with the service; and a service that ended must be started."""
    (home / "views.yaml").write_text(FILE.replace(old, new))
    with pytest.raises(ConfigError) as wrong:
        load(home / "views.yaml", {"KEY": KEY, "TOKEN": "t", "CREDENTIALS_DIRECTORY": str(home)})
    assert "/etc/smartico-sync/views.yaml:" in wrong.value.message
    assert str(home) not in wrong.value.message
    check = "smartico-sync check --config /etc/smartico-sync/views.yaml"
    assert wrong.value.hint == f"{step}, then: {check}; then: systemctl restart smartico-sync"


def test_secrets_that_are_there_and_cannot_be_read_are_not_asked_for(home, monkeypatch):
    """They stand in the file already: who may read it, or what stands in its place, is the matter."""
    monkeypatch.setattr("os.access", lambda path, mode: mode == 0)
    with pytest.raises(ConfigError) as wrong:
        load(home / "views.yaml", {})
    assert "secrets.env is not for this user to read: type the command as root" in wrong.value.hint
    (home / "secrets.env").unlink()
    (home / "secrets.env").mkdir()
    with pytest.raises(ConfigError) as wrong:
        load(home / "views.yaml", {})
    assert "secrets.env is a folder: put a file in its place" in wrong.value.hint


@pytest.mark.slow
def test_a_token_that_is_corrected_in_secrets_env_needs_no_restart(operator, postgresql):
    """The quickstart's own way, with the real daemon: it stands with a refused token, and goes on after what its hint says."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, 1, 2)
    operator.configure(postgresql.url, f"  - {VIEW % ''}\n")
    operator.config.write_text(operator.config.read_text().replace("token: test", "token: ${TOKEN}"))
    (operator.home / "secrets.env").write_text("TOKEN=mistyped\n")
    operator.sandbox.set_faults(["denied"])
    running = operator.start("run")
    until(lambda: "then: smartico-sync reload" in operator.sync("status").stdout, 0.5)
    (operator.home / "secrets.env").write_text("TOKEN=correct\n")
    operator.sandbox.set_faults([])
    assert operator.sync("reload").stdout == "sections: smartico\n"
    until(lambda: len(operator.accepted()) == 2)
    running.terminate()
    assert running.wait() == 0
