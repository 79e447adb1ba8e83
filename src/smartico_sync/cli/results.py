"""What `sync check` tried, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import click

from smartico_sync.errors import ExitCode

__all__ = ["Result", "show"]

MARKS = {"fine": ("✓", "green"), "advice": ("!", "yellow"), "wrong": ("✗", "red")}


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that was tried. `code` is the exit code it stands for."""

    mark: Literal["fine", "advice", "wrong"]
    subject: str
    message: str
    hint: str = ""
    code: ExitCode = ExitCode.FINE


def show(result: Result) -> None:
    """Print one result."""
    sign, colour = MARKS[result.mark]
    click.secho(f"{sign} ", fg=colour, nl=False)
    told = result.message.removeprefix(f"{result.subject}: ")
    click.echo(f"{result.subject}: {told}")
    if result.hint:
        click.echo(f"    next: {result.hint}")
