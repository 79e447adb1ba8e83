"""What commands print: whatever a database or an API put into it, the terminal gets text."""

from __future__ import annotations

from typing import Any

import click

from smartico_sync.core.printable import printable, printable_lines

__all__ = ["echo", "echo_lines", "print_json", "secho"]


def echo(line: object = "", **how: Any) -> None:
    """Print one line as `click.echo` does; control characters are written out, so that it stays one."""
    click.echo(printable(str(line)), **how)


def secho(lines: object = "", **how: Any) -> None:
    """As `echo_lines`, in the style of `click.secho`."""
    click.secho(printable_lines(str(lines)), **how)


def echo_lines(lines: str, **how: Any) -> None:
    """Print lines of our own making, JSON among them; all other control characters are written out."""
    click.echo(printable_lines(lines), **how)


def print_json(value: Any) -> None:
    """Print for a program to read."""
    import orjson  # noqa: PLC0415 - `smartico-sync --help` prints no JSON

    echo_lines(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
