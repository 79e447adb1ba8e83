"""The token's file: read again when it changes; what is broken in it never replaces what works."""

from __future__ import annotations

import itertools
import os

import pytest

from delivery.conftest import some_events
from servers.plain import answer
from smartico_sync.delivery.token import Token
from smartico_sync.errors import ConfigError
from smartico_sync.observe.health import assess

BROKEN = [
    (b"", "is empty"),
    (b"\r\n \n", "is empty"),
    (b"\xff\xfet\x00o\x00", "is not text in UTF-8: line 1, column 1"),
    (b"good\nb\xe4d", "is not text in UTF-8: line 2, column 2"),
    ("\ufefftök".encode(), "a character outside ASCII in line 1, column 2"),
    (b"two words", "white space in line 1, column 4"),
    (b"two\nlines", "a line end in line 1, column 4"),
    (b"be\x07ll", "a character that cannot be seen in line 1, column 3"),
    (b"a" * 70_000, "larger than any secret"),
]
numbers = itertools.count(1)


def written(file, content):
    """Write a file so that the change is seen, however coarse the clock."""
    file.write_bytes(content)
    os.utime(file, ns=(0, next(numbers) * 10**9))


@pytest.mark.parametrize("content", [b"new", b"new\n", b"\xef\xbb\xbfnew\r\n", b" \t new \n\n"])
def test_a_new_token_is_used_from_then_on(tmp_path, content):
    """With or without a byte order mark and white space around it."""
    file = tmp_path / "token"
    written(file, b"old\n")
    token = Token(None, file)
    assert token.read() == "old"
    written(file, content)
    assert (token.read(), token.problem) == ("new", "")


@pytest.mark.parametrize(("content", "problem"), BROKEN)
def test_a_broken_one_keeps_the_old_and_is_told_once(tmp_path, capsys, content, problem):
    """With line and column, and nothing of what stands there; it is told until it is mended."""
    file = tmp_path / "token"
    written(file, b"old")
    token = Token(None, file, key="smartico.token_file")
    written(file, content)
    assert [token.read() for _ in range(3)] == ["old"] * 3
    assert problem in token.problem
    assert str(file) in token.problem
    told = capsys.readouterr().out
    assert told.count("token.unusable") == 1
    assert "smartico.token_file" in told
    written(file, b"new")
    assert (token.read(), token.problem) == ("new", "")


def test_a_file_that_is_gone_keeps_the_token(tmp_path):
    """As when it is replaced in two steps."""
    file = tmp_path / "token"
    written(file, b"old")
    token = Token(None, file)
    file.unlink()
    assert token.read() == "old"
    assert "does not exist" in token.problem
    written(file, b"new")
    assert (token.read(), token.problem) == ("new", "")


def test_a_pipe_in_its_place_keeps_nobody_waiting(tmp_path):
    """To read one may take for ever: neither a delivery nor a command may wait for who writes into it."""
    file = tmp_path / "token"
    written(file, b"old")
    token = Token(None, file)
    file.unlink()
    os.mkfifo(file)
    assert token.read() == "old"
    assert "is a pipe or a device, and not a file" in token.problem
    with pytest.raises(ConfigError, match="not a file"):
        Token(None, file)


@pytest.mark.parametrize(("content", "problem"), BROKEN)
def test_from_the_beginning_it_is_a_mistake_of_the_configuration(tmp_path, content, problem):
    """There is nothing to go on with."""
    file = tmp_path / "token"
    written(file, content)
    with pytest.raises(ConfigError, match=problem) as caught:
        Token(None, file)
    assert "before" not in caught.value.message


def test_delivery_goes_on_with_the_old_token_and_health_says_so(plain_server, router, tmp_path):
    """A warning with the key to mend, until it is mended; no thread ends."""
    used = []

    def serve(peer):
        while peer.read() is not None:
            used.append(peer.head.lower().split(b"authorization: ")[1].split(b"\r\n")[0])
            peer.write(answer())

    file = tmp_path / "token"
    written(file, b"old")
    delivery = router(plain_server(serve).url, token_file=str(file))
    for number, content in enumerate([b"old", b"\xff", b"new"]):
        written(file, content)
        assert delivery.send("deposits", some_events(10, start=10 * number)).result(30).delivered == 10
        findings = assess([], delivery.status()).findings
        assert [finding.severity for finding in findings] == ["warning"] * (content == b"\xff")
        assert not findings or (str(file) in findings[0].message and "smartico.token_file" in findings[0].hint)
    assert used == [b"old", b"old", b"new"]
