"""Secrets: `token`, and those that live in files: `token_file`, `key_file`, `password_file`."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from msgspec import Struct
from pydantic import SecretStr

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Secret", "Shape", "cleaned", "password_of", "read_secret", "with_password", "without_password"]

MAX_BYTES = 65_536  # a key or a token; a larger file is another file
Shape = Literal[
    "token",  # travels in a header: visible ASCII; white space around it does not belong to it
    "line",  # a password: one line; its end does not belong to it
    "text",  # a key: its encryptor judges it; line ends around it do not belong to it
]
ODD = {"token": re.compile(r"[^!-~]"), "line": re.compile(r"[\x00-\x08\x0a-\x1f\x7f]"), "text": re.compile(r"\x00")}
EXPECTED = {
    "token": "a token is letters, digits and signs of ASCII, without spaces",
    "line": "a password is one line of text",
    "text": "a key is text",
}


class Secret(Struct, frozen=True):
    """What was read. `value` is None when there is a `problem`; a `warning` is worth telling and stops nothing.

    `absent`: the file is not there, or nothing is in it; both are so while it is being mounted or written.
    """

    value: SecretStr | None
    problem: str = ""
    warning: str = ""
    absent: bool = False


def cleaned(content: bytes, shape: Shape) -> Secret:
    """The secret in these bytes (UTF-8, with or without a byte order mark). A problem says where it is, and nothing of what is there."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8-sig", "replace")
        return Secret(None, f"is not text in UTF-8: {place(before)}")
    found = text.strip() if shape == "token" else text.strip("\r\n")
    if not found.strip():
        return Secret(None, "is empty")
    odd = ODD[shape].search(found)
    if odd is not None:
        seen = "a character outside ASCII" if odd[0].isprintable() else "a character that cannot be seen"
        what = "a line end" if odd[0] in "\r\n" else "white space" if odd[0].isspace() else seen
        before = text[: text.index(found) + odd.start()]
        return Secret(None, f"holds {what} in {place(before)}; {EXPECTED[shape]}")
    return Secret(SecretStr(found))


def place(before: str) -> str:
    """Where a text goes on."""
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def read_secret(path: Path, shape: Shape) -> Secret:
    """Read a file that holds a secret. Raises nothing."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a pipe may keep its reader for ever
            return Secret(None, f"{path} is a pipe or a device, and not a file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        told = f"the file {path} does not exist; a relative path starts at the configuration file"
        return Secret(None, told, absent=True)
    except OSError as error:
        return Secret(None, f"the file {path} cannot be read: {(error.strerror or 'unknown reason').lower()}")
    if len(content) > MAX_BYTES:
        return Secret(None, f"the file {path} is larger than any secret")
    found = cleaned(content, shape)
    if found.value is None:
        return Secret(None, f"the file {path} {found.problem}", absent=not content.strip())
    warning = f"{path} can be read by every user of this machine; chmod 600 it" if mode & stat.S_IROTH else ""
    return Secret(found.value, warning=warning)


def password_of(url: SecretStr) -> str:
    """The password of a URL as it is written there; empty without one."""
    login, at, _ = url.get_secret_value().partition("://")[2].rpartition("@")
    return login.partition(":")[2] if at else ""


def with_password(url: SecretStr, password: SecretStr) -> SecretStr:
    """Put a password behind the user of a URL. ValueError when the URL has no user, or a password already."""
    scheme, separator, rest = url.get_secret_value().partition("://")
    user, at, host = rest.rpartition("@")
    if not separator or not at or not user or ":" in user:
        raise ValueError("scheme://user@host/database, with a user and without a password")
    return SecretStr(f"{scheme}://{user}:{quote(password.get_secret_value(), safe='')}@{host}")


def without_password(url: SecretStr) -> SecretStr:
    """Take the password out of a URL."""
    scheme, separator, rest = url.get_secret_value().partition("://")
    user, at, host = rest.rpartition("@")
    return SecretStr(f"{scheme}{separator}{user.partition(':')[0]}{at}{host}")
