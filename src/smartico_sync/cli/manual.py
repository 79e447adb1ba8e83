"""The manual page, made from the commands: `python -m smartico_sync.cli.manual` says whether it is stale, `--write` writes it again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smartico_sync.cli import EPILOG, app

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["as_roff", "main"]

FILE = Path(__file__).resolve().parents[3] / "docs" / "man" / "smartico-sync.1"
PROGRAM = "smartico-sync"


def as_roff() -> str:
    """Give the page for man(1). No version and no date stand in it, so that it changes only with the commands."""
    lines = [
        f'.TH SMARTICO-SYNC 1 "" "{PROGRAM}" "User Commands"', ".SH NAME", f"{PROGRAM} \\- {escaped(sentence(app))}",
        ".SH SYNOPSIS", f".B {PROGRAM}", "COMMAND [OPTION]…", ".SH DESCRIPTION",
        *paragraphs(EPILOG), ".SH COMMANDS", *commands(app, click.Context(app, info_name=PROGRAM, **app.context_settings)), ".SH FILES", ".TP", "views.yaml",
        "What is watched, and where it goes; docs/configuration.md and the schema describe it.", ".SH ENVIRONMENT",
        ".TP", "SYNC_CONFIG", "The configuration, where \\-\\-config does not name one.", ".TP", "SYNC_DEBUG",
        "Show a traceback for an internal error.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def commands(group: click.Group, context: click.Context) -> Iterator[str]:
    """Each command with its arguments, what it does, and its options."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            continue
        inner = click.Context(command, parent=context, info_name=name)
        if isinstance(command, click.Group):
            yield from commands(command, inner)
            continue
        yield f".SS {escaped(' '.join((inner.command_path, *command.collect_usage_pieces(inner))))}"
        yield from paragraphs(command.help or "")
        for option in command.get_params(inner):
            # How help is asked for stands once for all, and click remembers it of the first context that asks.
            if (
                isinstance(option, click.Option)
                and "--help" not in option.opts
                and (record := option.get_help_record(inner))
            ):
                yield from (".TP", f".B {escaped(record[0])}", escaped(record[1]))


def paragraphs(text: str) -> Iterator[str]:
    """Text as paragraphs; what click is told to leave as it is stays so."""
    for part in text.strip().split("\n\n"):
        if part.lstrip().startswith("\b"):
            yield from (".PP", ".nf", *(escaped(line) for line in part.splitlines() if line.strip() != "\b"), ".fi")
        else:
            yield from (".PP", escaped(" ".join(part.split())))


def sentence(command: click.Command) -> str:
    """What a command does, in a line."""
    return " ".join((command.help or "").split()).rstrip(".")


def escaped(text: str) -> str:
    """Text that roff prints as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def main(arguments: list[str]) -> int:
    """Check or write; the exit code."""
    page = as_roff()
    if arguments == ["--write"]:
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(page, "utf-8")
        return 0
    if not FILE.exists() or FILE.read_text("utf-8") != page:
        sys.stderr.write(f"{FILE} is stale: make reference\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
