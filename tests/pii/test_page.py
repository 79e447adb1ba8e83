"""The page about personal data says what is true."""

from __future__ import annotations

import re

from click.testing import CliRunner

from smartico_sync.cli.keys import keys
from smartico_sync.pii.aes_gcm import AesGcm
from smartico_sync.pii.hpke import Hpke
from smartico_sync.pii.keys import parse_key


def snippets(docs):
    return re.findall(r"```python\n(.*?)```", (docs / "pii.md").read_text(), re.DOTALL)


def run(*arguments):
    result = CliRunner().invoke(keys, ["new", *arguments])
    assert result.exit_code == 0
    return result


def test_ten_lines_decrypt_the_default(docs):
    """The page's ten lines read what the daemon wrote with a key of `smartico-sync keys new`."""
    key = run("--quiet").stdout.strip()
    (text,) = AesGcm(parse_key(key), "1").encrypt_for("user_email", ["josé@example.com"], [("Café", "4711")])
    code = snippets(docs)[0]
    assert len([line for line in code.splitlines() if line]) <= 10
    names = {}
    exec(code, names)
    assert names["decrypt"](text, "user_email", {"1": key}, "Café", "4711") == "josé@example.com"
    (first,) = AesGcm(parse_key(key), "1").encrypt("user_email", ["a@example.com"])
    assert names["decrypt"](first, "user_email", {"1": key}) == "a@example.com"


def test_ten_lines_decrypt_hpke(docs):
    """The same for a pair of `smartico-sync keys new --hpke`."""
    public, private = re.findall(r"^\w+: +(\S+)$", run("--hpke").stdout, re.MULTILINE)
    (text,) = Hpke(parse_key(public), "1").encrypt_for("user_email", ["a@example.com"], [("Café", "4711")])
    code = snippets(docs)[1]
    assert len([line for line in code.splitlines() if line]) <= 11
    names = {}
    exec(code, names)
    assert names["decrypt"](text, "user_email", {"1": private}, "Café", "4711") == "a@example.com"


def test_a_new_key_comes_with_what_to_do_with_it():
    """Standard output holds the key alone; what to do with it stands beside it, unless it should be quiet."""
    result = run()
    assert len(parse_key(result.stdout)) == 32
    assert "key_id" in result.stderr
    assert run("--quiet").stderr == ""
