"""Where the state is, and its secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.config.secret_files import read_secret
from smartico_sync.errors import ConfigError, SecretsMissing
from smartico_sync.pii.keys import parse_key

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.config.models import Configuration

__all__ = ["state_path", "state_secret"]


def state_path(configuration: Configuration, base: Path) -> Path:
    """The state file; relative to the configuration's directory."""
    return base / configuration.state


def state_secret(configuration: Configuration, base: Path) -> bytes | None:
    """The state's secret, where it is kept apart. ConfigError when its file is of no use."""
    if configuration.state_key_file is None:
        return None
    file = base / configuration.state_key_file
    found = read_secret(file, "text")
    if found.value is None:
        failure = SecretsMissing if found.absent else ConfigError
        raise failure(
            f"`state_key_file`: {found.problem}",
            hint="`smartico-sync state key FILE` writes the secret of the state there is",
        )
    try:
        return parse_key(found.value.get_secret_value())
    except ConfigError as error:
        raise ConfigError(f"`state_key_file` {file}: {error.message}", hint=error.hint) from None
