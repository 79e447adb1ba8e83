"""`smartico-sync check` and the daemon say the same of the API."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from servers.plain import always
from smartico_sync.cli.check import api_findings
from smartico_sync.config.models import Smartico
from smartico_sync.errors import ExitCode


def results(url, **more):
    """What `smartico-sync check` says of the API."""
    smartico = Smartico.model_validate({"url": url, "token": "x", "timeout": 300, **more})
    return list(api_findings(SimpleNamespace(smartico=smartico), Path()))


@pytest.mark.parametrize(
    ("status", "body", "told", "hint"),
    [
        ("404 Not Found", b"", "no ingest API is at the URL: HTTP 404", "correct `smartico.url`"),
        ("302 Found", b"", "no ingest API is at the URL: HTTP 302", "correct `smartico.url`"),
        ("401 No", b"", "rejected the token", "correct `smartico.token`"),
        ("200 OK", b'{"errCode": 4}', "rejected the token", "correct `smartico.token`"),
        ("407 Login", b"", "the proxy does not let us through: HTTP 407", "HTTPS_PROXY"),
        ("503 Busy", b"", "HTTP 503", "wait until the API is back"),
        ("200 OK", b"<html>hello", "nobody can read", "correct `smartico.url`"),
    ],
)
def test_what_is_wrong_is_told_with_its_remedy(plain_server, status, body, told, hint):
    """The key to correct is named."""
    (result,) = results(plain_server(always(status, body)).url)
    assert (result.mark, result.code) == ("wrong", ExitCode.API)
    assert told in result.message
    assert hint in result.hint


def test_what_works_is_told(plain_server):
    """With the time it took."""
    (result,) = results(plain_server(always()).url)
    assert (result.mark, result.code) == ("fine", ExitCode.FINE)
    assert "answers in" in result.message


def test_what_keeps_the_daemon_from_starting_is_told(monkeypatch):
    """A proxy that is none: as a result among the others."""
    monkeypatch.setenv("HTTPS_PROXY", "ftp://nowhere")
    (result,) = results("https://apis6.smartico.ai/")
    assert (result.mark, result.code) == ("wrong", ExitCode.CONFIGURATION)
    assert "HTTPS_PROXY" in result.message
