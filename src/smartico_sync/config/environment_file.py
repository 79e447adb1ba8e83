"""`secrets.env` beside the configuration: what the service's environment holds, for whoever types a command.

A service has an environment of its own, which a shell has not. systemd reads the same file (`EnvironmentFile=`), and it is
read here as there.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from pathlib import Path

__all__ = ["NAME", "Variables", "add_environment_file", "variables"]

NAME = "secrets.env"
LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=[ \t]*(.*?)[ \t]*")
WHOLE = re.compile(r"""'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<plain>(?:[^'"\\]|\\.)*)""")
IN_DOUBLE = re.compile(r"""\\(["\\`$])""")
IN_PLAIN = re.compile(r"\\(.)")


def add_environment_file(path: Path, environ: MutableMapping[str, str] = os.environ) -> str:
    """Add what `secrets.env` in the configuration's folder holds, where the environment has no such variable.

    A file that is not there, or not for this user, adds nothing. Returns what is worth telling of it, empty for nothing.
    ConfigError names a line that cannot be read; it holds nothing of what is there.
    """
    file = path.absolute().with_name(NAME)
    for name, value in held(file).items():
        environ.setdefault(name, value)
    try:
        readable = file.stat().st_mode & stat.S_IROTH
    except OSError:
        return ""
    return f"{file} can be read by every user of this machine; chmod 600 it" if readable else ""


class Variables:
    """What a running daemon finds when it reads its configuration again.

    Made before `add_environment_file`: the variables that the process was started with go before those of the file, which may
    have changed since.
    """

    def __init__(self, path: Path, environ: Mapping[str, str] = os.environ) -> None:
        self.file = path.absolute().with_name(NAME)
        self.started_with = dict(environ)

    def now(self) -> dict[str, str]:
        """All variables. Raises ConfigError as `add_environment_file`."""
        return {**held(self.file), **self.started_with}

    def outdone(self) -> list[str]:
        """Those of which the file says something else than what the process was started with, and which that keeps from being taken up."""
        there = held(self.file)
        return [name for name, value in there.items() if self.started_with.get(name, value) != value]


def held(file: Path) -> dict[str, str]:
    """What the file holds; nothing where it is not there, or not for this user. Raises ConfigError."""
    try:
        text = file.read_text("utf-8-sig")
    except OSError:
        return {}
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{file}:{line}:1: not UTF-8", hint=f"save {file} as UTF-8") from None
    return variables(file, text)


def variables(file: Path, text: str) -> dict[str, str]:
    """Names and values of the text; of a name that is there twice the last. Raises ConfigError."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        written = line.strip()
        if not written or written[0] in "#;":
            continue
        named = LINE.fullmatch(written)
        value = named and WHOLE.fullmatch(named[2])
        if not named or not value:
            raise ConfigError(
                f"{file}:{number}:1: expected NAME=value, with the whole value in quotes where it holds one",
                hint=f"correct it; systemd reads {NAME} likewise, so no `export`, and nothing behind the value",
            )
        if value["single"] is not None:
            found[named[1]] = value["single"]
        elif value["double"] is not None:
            found[named[1]] = IN_DOUBLE.sub(r"\1", value["double"])
        else:
            found[named[1]] = IN_PLAIN.sub(r"\1", value["plain"])
    return found
