"""The API token: a fixed text, or a file that is read again when it changes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from smartico_sync.config.secret_files import read_secret
from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Token"]

log = structlog.get_logger()


class Token:
    """Thread-safe. `key` is where the configuration has it.

    A file that cannot be used any more, or holds no token, leaves the token as it was, and `problem` says so, until it is mended. ConfigError
    when there is no token from the beginning.
    """

    def __init__(self, value: str | None, path: Path | None = None, *, key: str = "smartico.token") -> None:
        self.value, self.path, self.key = value, path, key
        self.problem = ""
        self.lock = threading.Lock()
        self.seen: tuple[int, ...] = ()
        if path is not None and not self.read():
            raise ConfigError(f"`{key}`: {self.problem}", hint=f"write the token into {path}")

    def __repr__(self) -> str:
        return "Token(…)"

    @property
    def way_out(self) -> str:
        """What an operator does when the API does not take it."""
        if self.path is not None:
            return f"write the token that is valid now into {self.path} (`{self.key}`): it is read again by itself; then: smartico-sync check"
        return f"correct `{self.key}`, try it with: smartico-sync check; then: smartico-sync reload, or a restart where the environment holds it"

    def read(self) -> str:
        """The token now."""
        if self.path is None:
            return self.value or ""
        with self.lock:
            seen = version(self.path)
            if seen != self.seen:
                self.seen = seen
                found = read_secret(self.path, "token")
                self.problem = found.problem
                if found.value is not None:
                    self.value = found.value.get_secret_value()
                elif self.value is not None:
                    self.problem += "; the token it held before is still used"
                    log.warning("token.unusable", key=self.key, reason=self.problem)
        return self.value or ""


def version(path: Path) -> tuple[int, ...]:
    """What changes when a file is written or replaced; empty when there is none."""
    try:
        found = path.stat()
    except OSError:
        return (0,)
    return found.st_mtime_ns, found.st_size, found.st_ino
