"""Secrets that live in files: `token_file`, `key_file`, `password_file`."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic import SecretStr

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Secret", "read_secret", "with_password"]

MAX_BYTES = 65_536  # a key or a token; a larger file is another file


@dataclass(frozen=True, slots=True)
class Secret:
    """What a file held. `value` is None when there is a `problem`; a `warning` is worth telling and stops nothing."""

    value: SecretStr | None
    problem: str = ""
    warning: str = ""


def read_secret(path: Path) -> Secret:
    """Read a secret; trailing line ends do not belong to it. Raises nothing."""
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8").rstrip("\r\n")
    except FileNotFoundError:
        return Secret(None, f"the file {path} does not exist; a relative path starts at the configuration file")
    except OSError as error:
        return Secret(None, f"the file {path} cannot be read: {(error.strerror or 'unknown reason').lower()}")
    except ValueError:
        return Secret(None, f"the file {path} is not text")
    if len(content) > MAX_BYTES:
        return Secret(None, f"the file {path} is larger than any secret")
    if not text.strip():
        return Secret(None, f"the file {path} is empty")
    warning = f"{path} can be read by every user of this machine; chmod 600 it" if mode & stat.S_IROTH else ""
    return Secret(SecretStr(text), warning=warning)


def with_password(url: SecretStr, password: SecretStr) -> SecretStr:
    """Put a password behind the user of a URL. ValueError when the URL has no user, or a password already."""
    scheme, separator, rest = url.get_secret_value().partition("://")
    user, at, host = rest.rpartition("@")
    if not separator or not at or not user or ":" in user:
        raise ValueError("scheme://user@host/database, with a user and without a password")
    return SecretStr(f"{scheme}://{user}:{quote(password.get_secret_value(), safe='')}@{host}")
