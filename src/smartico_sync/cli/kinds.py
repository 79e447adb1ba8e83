"""`smartico-sync kinds`: what a view's rows can become."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

import click
import orjson
from msgspec import Struct
from msgspec.structs import asdict

from smartico_sync.catalogue.kinds import KINDS
from smartico_sync.cli.findings import wrapped
from smartico_sync.cli.options import json_option
from smartico_sync.cli.output import echo, echo_lines
from smartico_sync.config.kind_reference import section
from smartico_sync.errors import ConfigError

__all__ = ["kinds"]

MARKUP = re.compile(r"`|^\||\|$")


@click.command()
@click.argument("name", metavar="[KIND]", required=False)
@json_option
def kinds(name: str | None, as_json: bool) -> None:
    """List the kinds of views with their event types, or show the columns of one KIND: what each becomes, and what is needed."""
    if name is not None and name not in KINDS:
        near = get_close_matches(name, KINDS, 1)
        raise ConfigError(
            f"there is no kind {name}",
            hint=f"did you mean {near[0]}? smartico-sync kinds {near[0]}" if near else "smartico-sync kinds",
        )
    chosen = KINDS if name is None else {name: KINDS[name]}
    if as_json:
        echo_lines(orjson.dumps(chosen, option=orjson.OPT_INDENT_2, default=as_data).decode())
        return
    if name is not None:
        for line in section(KINDS[name]).splitlines():
            if not line.startswith("|--"):
                echo(plain(line))
        return
    longest = max(map(len, KINDS))
    for each, known in KINDS.items():
        told = ", ".join(dict.fromkeys(known.event_types.values())) or "the `event_type:` of the view"
        echo_lines(wrapped(told, f"{each:<{longest}}  ", " " * (longest + 2)))
    echo("next: smartico-sync kinds KIND shows its columns")


def plain(line: str) -> str:
    """A line of the manual for a terminal."""
    if line.startswith("#"):
        return line.lstrip("# ")
    if not line.startswith("|"):
        return MARKUP.sub("", line)
    column, becomes, *rest = [MARKUP.sub("", cell).strip() for cell in line.strip("|").split(" | ")]
    return f"  {column:<36} {becomes:<36} {'  '.join(each for each in rest if each)}".rstrip()


def as_data(part: Struct | frozenset[str]) -> dict[str, Any] | list[str]:
    """A part of a kind for a program; names in order."""
    return asdict(part) if isinstance(part, Struct) else sorted(part)
