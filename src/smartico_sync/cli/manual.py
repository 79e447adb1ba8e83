"""The manual page and docs/cli.md, made from the commands: `python -m smartico_sync.cli.manual` says whether they are stale, `--write` writes them again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smartico_sync.cli import EPILOG, app

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["as_markdown", "as_roff", "main"]

DOCS = Path(__file__).resolve().parents[3] / "docs"
MANUAL_FILE = DOCS / "man" / "smartico-sync.1"
MARKDOWN_FILE = DOCS / "cli.md"
PROGRAM = "smartico-sync"
INTRODUCTION = """# Command line

Generated from the commands by `python -m smartico_sync.cli.manual --write`; do not edit.

What to type when is on the page of [operations](operations.md). `smartico-sync COMMAND --help` and `man smartico-sync`
say what stands here. `$SYNC_CONFIG` names the configuration where `--config` does not; with `SYNC_DEBUG=1` an internal
error shows its traceback. [Exit codes](operations.md#it-does-not-start-or-does-not-end) are the same for all.
"""


def as_roff() -> str:
    """Give the page for man(1). No version and no date stand in it, so that it changes only with the commands."""
    lines = [
        f'.TH SMARTICO-SYNC 1 "" "{PROGRAM}" "User Commands"', ".SH NAME", f"{PROGRAM} \\- {escaped(sentence(app))}",
        ".SH SYNOPSIS", f".B {PROGRAM}", "COMMAND [OPTION]…", ".SH DESCRIPTION",
        *paragraphs(EPILOG), ".SH COMMANDS", *commands(app, click.Context(app, info_name=PROGRAM, **app.context_settings)), ".SH FILES", ".TP", "views.yaml",
        "What is watched, and where it goes; docs/configuration.md and the schema describe it.", ".TP", "secrets.env",
        "Beside it: lines NAME=value for variables that the environment lacks.", ".SH ENVIRONMENT",
        ".TP", "SYNC_CONFIG", "The configuration, where \\-\\-config does not name one.", ".TP", "SYNC_DEBUG",
        "Show a traceback for an internal error.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def as_markdown() -> str:
    """Give the same for the documentation: a section for each command, a table for its options."""
    parts = [INTRODUCTION]
    for command, inner in leaves(app, click.Context(app, info_name=PROGRAM, **app.context_settings)):
        usage = " ".join((inner.command_path, *command.collect_usage_pieces(inner)))
        parts += [f"## {inner.command_path}\n", f"```text\n{usage}\n```\n", "\n\n".join(prose(command.help or ""))]
        rows = [f"| {cell(names)} | {one_line(told)} |" for names, told in options(command, inner)]
        if rows:
            parts += ["", "| option | does |", "|---|---|", *rows]
        parts.append("")
    return "\n".join(parts)


def commands(group: click.Group, context: click.Context) -> Iterator[str]:
    """Each command with its arguments, what it does, and its options, for man(1)."""
    for command, inner in leaves(group, context):
        yield f".SS {escaped(' '.join((inner.command_path, *command.collect_usage_pieces(inner))))}"
        yield from paragraphs(command.help or "")
        for names, told in options(command, inner):
            yield from (".TP", f".B {escaped(names)}", escaped(told))


def leaves(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Each command that does something, groups gone into, with the context that knows its whole name."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            continue
        inner = click.Context(command, parent=context, info_name=name)
        if isinstance(command, click.Group):
            yield from leaves(command, inner)
        else:
            yield command, inner


def options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """Each option and what it does."""
    for option in command.get_params(context):
        # How help is asked for stands once for all, and click remembers it of the first context that asks.
        if (
            isinstance(option, click.Option)
            and "--help" not in option.opts
            and (record := option.get_help_record(context))
        ):
            yield record


def prose(text: str) -> Iterator[str]:
    """Paragraphs as Markdown; what click is told to leave as it is becomes code."""
    for part in text.strip().split("\n\n"):
        if part.lstrip().startswith("\b"):
            kept = "\n".join(line for line in part.splitlines() if line.strip() != "\b")
            yield f"```text\n{kept}\n```"
        else:
            yield one_line(part)


def cell(names: str) -> str:
    """An option's names and what it takes, as code in a cell."""
    return f"`{names}`".replace("|", "\\|")


def one_line(text: str) -> str:
    """Text without its line breaks, whose signs mean nothing in a cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")


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
    pages = {MANUAL_FILE: as_roff(), MARKDOWN_FILE: as_markdown()}
    if arguments == ["--write"]:
        for file, page in pages.items():
            file.parent.mkdir(exist_ok=True)
            file.write_text(page, "utf-8")
        return 0
    stale = [file for file, page in pages.items() if not file.exists() or file.read_text("utf-8") != page]
    for file in stale:
        sys.stderr.write(f"{file} is stale: make reference\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
