"""Secrets that anybody can read are told, or refused."""

from __future__ import annotations

import pytest

from smartico_sync.config.load import load
from smartico_sync.errors import ConfigError

PUBLIC = "ZGVtby1rZXktbm90LWEtc2VjcmV0LTMyLWJ5dGVzISE="
OWN = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
TEXT = """\
version: 1
smartico: {{url: "{url}", token: "{token}", encryption: off}}
pii: {{key: "{key}"}}
sources: {{db: {{url: "postgresql://reader{password}@127.0.0.1/casino"}}}}
views: [{{name: users, source: db, relation: users, kind: users, cursor: dt}}]
"""
ENVIRON = {"TOKEN": "the-token", "KEY": OWN, "PASSWORD": "sesame"}


@pytest.fixture
def loaded(tmp_path):
    """Load a file of that mode, and give its warnings."""

    def make(
        mode=0o644, *, url="https://apis6.smartico.ai/events", token="${TOKEN}", key="${KEY}", password=":${PASSWORD}"
    ):
        path = tmp_path / "views.yaml"
        path.write_text(TEXT.format(url=url, token=token, key=key, password=password))
        path.chmod(mode)
        warnings = []
        load(path, ENVIRON, warnings=warnings)
        return warnings

    return make


@pytest.mark.parametrize(
    "inline", [{"token": "the-token"}, {"key": OWN}, {"password": ":sesame"}], ids=["token", "key", "password"]
)
def test_a_readable_file_with_secrets_in_it_is_told(loaded, inline):
    """With what to do about it, and without the secret; a private file, and one that only names variables, is fine."""
    (warning,) = loaded(0o644, **inline)
    assert "chmod 600" in warning
    assert not any(secret in warning for secret in ENVIRON.values())
    assert loaded(0o640, **inline) == []
    assert loaded(0o644) == []


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_key_of_the_example_goes_nowhere_real(loaded, mode):
    """To another machine it is refused with the command for a new one; on this machine and at the sandbox it may be used."""
    with pytest.raises(ConfigError, match=r"pii\.key: this is the key of the example") as told:
        loaded(mode, key=PUBLIC)
    assert "smartico-sync keys new" in told.value.message
    for url in ("http://127.0.0.1:9000/e", "http://localhost/e", "http://sandbox:9000/api/external/events/v2"):
        loaded(mode, key=PUBLIC, url=url)
