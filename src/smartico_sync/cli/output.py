"""What commands print: whatever a database or an API put into it, the terminal gets text."""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from smartico_sync.core.printable import printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["echo", "echo_lines", "print_json", "secho", "suit_the_terminal"]

ESCAPED = "smartico-sync.escaped"  # the name of `escaped` among Python's ways with what cannot be encoded


def echo(line: object = "", **how: Any) -> None:
    """Print one line as `click.echo` does; control characters are written out, so that it stays one."""
    printed(click.echo, printable(str(line)), **how)


def secho(lines: object = "", **how: Any) -> None:
    """As `echo_lines`, in the style of `click.secho`."""
    printed(click.secho, printable_lines(str(lines)), **how)


def echo_lines(lines: str, **how: Any) -> None:
    """Print lines of our own making, JSON among them; all other control characters are written out."""
    printed(click.echo, printable_lines(lines), **how)


def printed(how_to: Callable[..., None], text: str, **how: Any) -> None:
    """Print, for as long as somebody reads: `… | head` has what it wanted, and the command ends with the code that it would have."""
    try:
        how_to(text, **how)
    except BrokenPipeError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2 if how.get("err") else 1)
        os.close(null)


def suit_the_terminal() -> None:
    """Have what the terminal's encoding lacks (✓, names in Greek) written out, where the locale is one of Latin letters."""
    codecs.register_error(ESCAPED, escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors=ESCAPED)


def escaped(error: UnicodeError) -> tuple[str, int]:
    """Characters as JSON may have them, so that JSON stays JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)), error.end


def print_json(value: Any) -> None:
    """Print for a program to read."""
    import orjson  # noqa: PLC0415 - `smartico-sync --help` prints no JSON

    echo_lines(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
