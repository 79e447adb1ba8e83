"""Encryptors are found by name, and a bad one is a configuration error."""

from __future__ import annotations

import tomllib

import pytest

from smartico_sync.errors import ConfigError
from smartico_sync.pii.aes_gcm import AesGcm
from smartico_sync.pii.registry import GROUP, create, installed


def test_the_default_is_installed():
    """`encryptor: aes-256-gcm` works without any further package."""
    assert "aes-256-gcm" in installed()
    assert isinstance(create("aes-256-gcm", bytes(32), "1"), AesGcm)


def test_an_unknown_name_lists_what_is_installed():
    """A misspelt encryptor is answered with the names that there are."""
    with pytest.raises(ConfigError, match="aes-256-gcm"):
        create("rot13", bytes(32), "1")


def test_the_example_of_the_documentation_works(plugin, docs):
    """The example package is found by its entry point and encrypts."""
    folder = docs / "examples" / "encryptor-plugin"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    ((name, target),) = project["entry-points"][GROUP].items()
    plugin(f"{name} = {target}", folder)
    encryptor = create(name, bytes(32), "1")
    first, second = encryptor.encrypt("user_email", ["a@example.com"] * 2)
    assert encryptor.name == name
    assert first.startswith("1:")
    assert first != second


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, "cannot be loaded: ModuleNotFoundError"),
        ("def make(:", "cannot be loaded: SyntaxError"),
        ("other = 1", "cannot be loaded: AttributeError"),
        ("make = 1", "does not take the key: TypeError"),
        ("def make(key, key_id): raise ValueError(key)", "does not take the key: ValueError"),
        ("def make(key, key_id): return object()", "no method encrypt"),
    ],
)
def test_a_broken_plug_in_is_a_configuration_error(plugin, tmp_path, source, says):
    """However a plug-in fails, the operator reads which one and why, never the key."""
    module = f"broken_{abs(hash((source, says)))}"
    if source is not None:
        (tmp_path / f"{module}.py").write_text(source)
    plugin(f"broken = {module}:make")
    with pytest.raises(ConfigError, match=says) as caught:
        create("broken", b"k" * 32, "1")
    assert "kkkk" not in caught.value.message


def test_a_name_that_two_packages_bring_is_refused(plugin):
    """Which of two encryptors is meant is not guessed."""
    plugin("aes-256-gcm = somewhere:Else")
    with pytest.raises(ConfigError, match="several packages"):
        create("aes-256-gcm", bytes(32), "1")
