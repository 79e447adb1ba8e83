"""`smartico-sync completion`: completion for shells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from click.shell_completion import ShellComplete

__all__ = ["completion"]

PROGRAM = "smartico-sync"  # `sync` is coreutils' name too, and keeps its own completion
VARIABLE = "_SMARTICO_SYNC_COMPLETE"  # that click looks at, by the program's name


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print completion of commands, options and files for SHELL.

    \b
    bash:  smartico-sync completion bash > /etc/bash_completion.d/smartico-sync
    zsh:   smartico-sync completion zsh > "${fpath[1]}/_smartico-sync"
    fish:  smartico-sync completion fish > ~/.config/fish/completions/smartico-sync.fish
    """  # noqa: D301 - click reads the backspace
    made: type[ShellComplete] | None = get_completion_class(shell)
    if made is None:
        raise ConfigError(f"no completion is known for {shell}", hint="use bash, zsh or fish")
    # What click would ask bash for its version is known: 4.4 is of 2016.
    template = made(context.find_root().command, {}, PROGRAM, VARIABLE)
    click.echo(template.source_template % template.source_vars())
