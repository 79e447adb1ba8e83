"""A configuration and where its state is: all that a command needs which only asks the running daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.config.environment_file import add_environment_file
from smartico_sync.config.load import load
from smartico_sync.daemon.state_place import state_place

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.config.load import SecretFiles
    from smartico_sync.config.models import Configuration

__all__ = ["Configured"]


class Configured:
    """A configuration, and where its state is. ConfigError when one is of no use."""

    def __init__(self, path: Path, *, secrets: SecretFiles = "needed") -> None:
        self.path = path
        add_environment_file(path)
        self.configuration: Configuration = load(path, secrets=secrets)
        self.state = state_place(self.configuration, path.absolute().parent)
