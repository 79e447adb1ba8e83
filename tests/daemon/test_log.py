"""The log of a real daemon: what it began with, trouble and its end, who changed what, and each request when somebody asks for it."""

from __future__ import annotations

import json
import re

import pytest

from daemon.deposits import DEPOSITS, VIEW, insert
from waiting import until


@pytest.fixture
def logged(operator, postgresql):
    """A daemon at work, and what it wrote: `lines(event)`."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, 1)
    operator.configure(postgresql.url, f"  - {VIEW % ''}\n")
    file = operator.home / "daemon.log"
    with file.open("wb") as err:
        daemon = operator.start("run", err=err)
        until(lambda: len(operator.accepted()) == 1)

        def lines(event):
            text = file.read_text("utf-8")
            found = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
            return [line for line in found if line["event"] == event]

        yield lines
        daemon.terminate()
        assert daemon.wait() == 0


def test_the_log_of_a_daemon_is_a_record(logged, operator, postgresql):
    """Begun with what, trouble and recovery, an operator's doing with his name; on request, each page with its requests and answers."""
    until(lambda: logged("configured"))
    (configured,) = logged("configured")
    assert configured["views"] == {"deposits": "deposits from db"}
    assert configured["sources"] == {"db": "postgresql"}
    assert configured["limits"]["requests_per_minute"] > 0
    assert configured["pii"] == "encrypt"
    postgresql.execute("ALTER TABLE deposits RENAME TO elsewhere")
    until(lambda: logged("view.trouble"))
    postgresql.execute("ALTER TABLE elsewhere RENAME TO deposits")
    until(lambda: logged("view.recovered"))
    (recovered,) = logged("view.recovered")
    assert recovered["reason"] == logged("view.trouble")[-1]["reason"]
    assert recovered["after_s"] > 0
    assert operator.sync("log-level").stdout.strip() == "info"
    assert operator.sync("log-level", "debug", "--for", "1h").stdout.strip() == "debug, was info"
    insert(postgresql, 2)
    until(lambda: [line for line in logged("commit") if line.get("delivered")])
    (commit,) = [line for line in logged("commit") if line.get("delivered")]
    (page,) = [line for line in logged("page") if line["page"] == commit["page"]]
    (send,) = [line for line in logged("send") if line.get("page") == commit["page"]]
    (request,) = [line for line in logged("request") if line["send"] == send["send"]]
    (answer,) = [line for line in logged("answer") if line["request"] == request["request"]]
    assert (page["rows"], send["events"], answer["status"], commit["delivered"]) == (1, 1, 200, 1)
    assert operator.sync("log-level", "info").returncode == 0
    assert operator.sync("log-level", "loud").returncode == 2
    assert operator.sync("log-level", "--for", "1h").returncode == 2
    assert operator.sync("log-level", "debug", "--for", "200000d").returncode == 2
    assert operator.sync("watermark", "rewind", "deposits", "--to", "2126-01-01T00:00:00", "--yes").returncode == 0
    until(lambda: len(logged("operator")) == 4)
    assert "to 2126-01-01" in logged("operator")[3]["plan"]
    assert "are never sent" in logged("operator")[3]["plan"]
    assert "level=debug" in logged("operator")[1]["what"]
    assert "process" in logged("operator")[1]["who"]


def test_an_error_before_the_start_is_a_line_of_json_too(operator):
    """Where the log is JSON, nothing else is on standard error; on a console it is for people."""
    operator.config.write_text("version: 7\n")
    for words in (["run"], ["run", "--once"]):
        ended = operator.sync(*words)
        assert ended.returncode == 2
        (line,) = [json.loads(line) for line in ended.stderr.splitlines()]
        assert (line["event"], line["code"], line["level"]) == ("failed", 2, "error")
        assert "smartico-sync check" in line["hint"]
    told = operator.sync("run", "--log", "console").stderr
    assert told.startswith("error: ")
    assert "\x1b" not in told


def test_several_mistakes_are_one_line_of_the_log(operator):
    """One follows the other, each with its place: no line break has to be written out in the middle of them."""
    operator.config.write_text("version: 7\nsmartico: 5\n")
    (line,) = [json.loads(each) for each in operator.sync("run").stderr.splitlines()]
    assert re.search(r"problems: \S+:1:1: .*; \S+:1:10: version: .*; \S+:2:11: smartico: ", line["reason"]), line[
        "reason"
    ]
    assert "000a" not in line["reason"]


def test_nobody_to_ask_for_a_level_is_told(operator):
    """The next command is named."""
    operator.configure("sqlite:///replica.db", f"  - {VIEW % ''}\n")
    done = operator.sync("log-level", "debug")
    assert done.returncode == 2
    assert "next: smartico-sync run" in done.stderr


@pytest.mark.slow  # the daemon tries again after five seconds
def test_a_view_that_is_halted_by_the_api_is_told_as_any_other(logged, operator, postgresql):
    """Also where it waited for the answer already: that it stands once, however often it tries, and that it goes on."""
    operator.sandbox.set_faults(["denied"])
    insert(postgresql, 2)
    until(lambda: logged("view.trouble"))
    (told,) = logged("view.trouble")
    assert "rejected the token" in told["reason"]
    operator.sandbox.set_faults([])
    until(lambda: logged("view.recovered"))
    (recovered,) = logged("view.recovered")
    assert recovered["reason"] == told["reason"]
    assert len(logged("view.trouble")) == len(logged("delivery.halted")) == 1
