"""`secrets.env` beside the configuration: a command finds what the service's environment holds, in any shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from smartico_sync.cli import options
from smartico_sync.config.environment_file import add_environment_file, variables
from smartico_sync.errors import ConfigError


def beside(folder, text, mode=0o600):
    """A configuration with such a file beside it."""
    file = folder / "secrets.env"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return folder / "views.yaml"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=plain", "plain"), ("A=", ""), ("  A = x", None), ("A=  x  ", "x"), ('A="a b"', "a b"), ("A='a\"b'", 'a"b'),
        ('A="a\\"b\\$c\\n"', 'a"b$c\\n'), ("A=a\\b", "ab"), ("A=p@ss=w#rd;x", "p@ss=w#rd;x"), ("A='it''s'", None),
        ("export A=x", None), ("A", None), ("9A=x", None), ('A="open', None), ("A=ünï", "ünï"),
    ],
)  # fmt: skip
def test_a_line_is_read_as_systemd_reads_it(line, value):
    """Quotes and backslashes mean what they mean to the service; what it would drop is named by its place."""
    text = f"# the service's\n\n; too\n{line}\n"
    if value is None:
        with pytest.raises(ConfigError, match=r"secrets\.env:4:1: expected NAME=value, with"):
            variables(Path("secrets.env"), text)
    else:
        assert variables(Path("secrets.env"), text) == {"A": value}


def test_the_environment_goes_before_the_file(tmp_path):
    """Who exports a variable for one command gets it; of a name that is there twice the last counts."""
    environ = {"B": "exported"}
    assert add_environment_file(beside(tmp_path, "A=1\nB=2\nA=3\n"), environ) == ""
    assert environ == {"A": "3", "B": "exported"}


def test_no_file_adds_nothing(tmp_path):
    """Most installations have none."""
    environ = {}
    assert add_environment_file(tmp_path / "views.yaml", environ) == ""
    assert environ == {}


def test_a_file_that_everybody_reads_is_told(tmp_path):
    """It holds secrets."""
    assert "chmod 600" in add_environment_file(beside(tmp_path, "A=1\n", 0o644), {})


def test_a_file_of_another_code_is_refused(tmp_path):
    """The line is named, nothing of what is there."""
    with pytest.raises(ConfigError, match=r":2:1: not UTF-8"):
        add_environment_file(beside(tmp_path, b"A=1\nB=\xff\n"), {})


def test_a_command_means_the_installed_configuration_where_there_is_none_here(tmp_path, monkeypatch):
    """What an alert says to type works in any folder of the machine."""
    monkeypatch.chdir(tmp_path)
    installed = tmp_path / "etc" / "views.yaml"
    monkeypatch.setattr(options, "INSTALLED", installed)
    assert options.configuration_there() == Path("views.yaml")
    installed.parent.mkdir()
    installed.touch()
    assert options.configuration_there() == installed
    (tmp_path / "views.yaml").touch()
    assert options.configuration_there() == Path("views.yaml")
