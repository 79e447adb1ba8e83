"""Asking before something is done that cannot be taken back."""

from __future__ import annotations

import sys

import click

from smartico_sync.errors import ConfigError

__all__ = ["consent", "yes_option"]

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def consent(what: str, answered: bool, *consequences: str) -> None:
    """Say what would follow, and let a person agree, unless `--yes` did. ConfigError where nobody is there; nothing is done then."""
    for consequence in consequences:
        click.echo(consequence, err=True)
    if answered:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"nobody is there to say yes to this: {what}", hint="nothing was done; add --yes to do it")
    click.confirm(f"{what}?", abort=True, err=True)
