"""A minimal valid configuration, and a way to load variations of it."""

from __future__ import annotations

import base64

import pytest

from smartico_sync.config.load import load
from smartico_sync.errors import ConfigError

KEY = base64.b64encode(bytes(range(32))).decode()
TOKEN = "tok-3c1f-do-not-show"
PASSWORD = "pw-8d2e-do-not-show"
ENVIRON = {"SMARTICO_TOKEN": TOKEN, "SYNC_PII_KEY": KEY, "DB_PASSWORD": PASSWORD}

MINIMAL = """\
version: 1
smartico:
  url: https://apis6.smartico.ai/api/external/events/v2
  token: ${SMARTICO_TOKEN}
pii:
  key: ${SYNC_PII_KEY}
sources:
  casino:
    url: postgresql://reader:${DB_PASSWORD}@replica:5432/casino
  other:
    url: mysql://reader@replica/casino
views:
  - name: users
    source: casino
    relation: crm.user_profile
    kind: users
    cursor: dt_update
  - name: bets
    source: other
    relation: bets
    kind: casino_bets_and_wins
    type: {column: tx_type, bet: BET, win: WIN}
    cursor: id
"""


class Operator:
    """Writes configurations into a directory and loads them."""

    def __init__(self, directory):
        self.directory = directory
        self.path = directory / "views.yaml"
        self.warnings = []

    def load(self, text=MINIMAL, environ=ENVIRON):
        self.path.write_text(text, "utf-8")
        return load(self.path, environ, warnings=self.warnings)

    def edited(self, old, new, environ=ENVIRON):
        assert MINIMAL.count(old) == 1, old
        return self.load(MINIMAL.replace(old, new), environ)

    def errors(self, text, environ=ENVIRON):
        """The problems, each without the file's path: `line:column: path: text`."""
        with pytest.raises(ConfigError) as caught:
            self.load(text, environ)
        error = caught.value
        assert error.exit_code == 2
        assert error.hint
        for secret in (TOKEN, PASSWORD, KEY):
            assert secret not in error.message + error.hint + repr(error)
        return [
            line.strip().removeprefix(f"{self.path}:") for line in error.message.splitlines() if f"{self.path}:" in line
        ]

    def error(self, old, new, environ=ENVIRON):
        """The one problem that an edit makes."""
        assert MINIMAL.count(old) == 1, old
        found = self.errors(MINIMAL.replace(old, new), environ)
        assert len(found) == 1, found
        return found[0]


@pytest.fixture
def desk(tmp_path):
    return Operator(tmp_path)
