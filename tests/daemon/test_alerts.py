"""Alerts of a real daemon: somebody is told what to type, typing it mends it, and he is told that, too."""

from __future__ import annotations

import json

import pytest

from daemon.deposits import DEPOSITS, VIEW, insert
from servers.webhook import SECRET
from waiting import until


def configured(operator, postgresql, webhook):
    """A view, and somebody to be told."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, 1)
    operator.configure(postgresql.url, f"  - {VIEW % ''}\n")
    alerts = f"alerts:\n  on_call: {{url: '{webhook.url}', format: json}}\n"
    operator.config.write_text(operator.config.read_text() + alerts)


def test_a_test_reaches_every_receiver(operator, postgresql, webhook):
    """Exit code 0, and 2 for one that does not take it; its URL is in no output."""
    configured(operator, postgresql, webhook)
    done = operator.sync("test-alerts")
    assert (done.returncode, done.stdout.strip()) == (0, "✓ on_call: it took a test")
    assert [change["subject"] for change in webhook.bodies[0]["changes"]] == ["test"]
    webhook.status = 404
    failed = operator.sync("test-alerts", "--json")
    assert failed.returncode == 2
    assert json.loads(failed.stdout) == {"receivers": [{"name": "on_call", "problem": "HTTP 404"}]}
    told = operator.sync("test-alerts")
    assert "HTTP 404" in told.stdout
    assert "next: correct `alerts.on_call`" in told.stdout
    assert SECRET not in told.stdout + told.stderr + failed.stdout


@pytest.mark.slow
def test_an_outage_is_told_to_a_webhook(operator, postgresql, webhook):
    """With cause, since and next command; and the log says that it was told, not where. Its end is told likewise, a minute later."""
    configured(operator, postgresql, webhook)
    file = operator.home / "daemon.log"
    with file.open("wb") as err:
        daemon = operator.start("run", err=err)
        until(operator.accepted)
        postgresql.execute("ALTER TABLE deposits RENAME TO elsewhere")
        until(lambda: webhook.bodies)
        (change,) = webhook.bodies[0]["changes"]
        assert (change["change"], change["code"], change["subject"]) == ("began", "trouble", "deposits")
        assert "deposits" in change["message"]
        assert change["next"]
        assert change["since"]
        daemon.terminate()
        assert daemon.wait() == 0
    assert webhook.bodies[0]["ready"] == "not delivering"
    told = file.read_text()
    assert [json.loads(line)["event"] for line in told.splitlines()].count("alert") == 1
    assert SECRET not in told
