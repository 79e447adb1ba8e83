"""`alerts:` names webhooks; their URLs are secrets, which no message shows."""

from __future__ import annotations

import pytest

from smartico_sync.config.load import load
from smartico_sync.errors import ConfigError

FILE = """\
version: 1
smartico: {url: "https://apis6.smartico.ai/api/external/events/v2", token: t}
pii: {mode: drop}
sources: {db: {url: "sqlite:///replica.db"}}
views:
  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: id}
alerts:
  on_call: %s
"""
HOOK = "https://hooks.slack.com/services/T0/very-secret"


def loaded(tmp_path, receiver):
    file = tmp_path / "views.yaml"
    file.write_text(FILE % receiver)
    file.chmod(0o600)
    return load(file, {"HOOK": HOOK})


def test_the_url_comes_from_the_environment_or_a_file(tmp_path):
    """A file is read beside the configuration; Slack's form and all findings are what is told when nothing is said."""
    (tmp_path / "hook").write_text(f"{HOOK}\n")
    (tmp_path / "hook").chmod(0o600)
    for receiver in ("{url: '${HOOK}'}", "{url_file: hook}"):
        (one,) = loaded(tmp_path, receiver).alerts.values()
        assert one.url.get_secret_value() == HOOK
        assert (one.format, one.severity) == ("slack", "warning")


@pytest.mark.parametrize(
    ("receiver", "told"),
    [
        ("{format: json}", "alerts.on_call.url: missing: `url` or `url_file`"),
        ("{url: '${HOOK}', url_file: hook}", "alerts.on_call.url_file: url is there too; keep one of them"),
        ("{url: 'ftp://very-secret/x'}", "alerts.on_call.url: expected an http or https URL"),
        ("{url: 'https://host:very-secret/x'}", "alerts.on_call.url: expected an http or https URL"),
        ("{url_file: very-secret-word}", "alerts.on_call.url_file: expected a file that holds an http or https URL"),
        ("{url: '${HOOK}', format: teams}", "expected one of: slack, json"),
    ],
)
def test_what_is_no_receiver_is_a_mistake_of_the_file(tmp_path, receiver, told):
    """With line and column, and without the URL."""
    (tmp_path / "very-secret-word").write_text("very-secret\n")
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, receiver)
    assert told in refused.value.message
    assert "views.yaml:8:" in refused.value.message
    if "url_file: very" not in receiver:
        assert "very-secret" not in refused.value.message
