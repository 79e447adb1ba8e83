"""`smartico-sync config`: the form of views.yaml."""

from __future__ import annotations

import click

from smartico_sync.cli.output import print_json
from smartico_sync.config.reference import as_schema

__all__ = ["config"]


@click.group()
def config() -> None:
    """The form of views.yaml, for editors and other programs."""


@config.command()
def schema() -> None:
    """Print the JSON schema of views.yaml, made from the models of this version.

    An editor completes and checks a file whose first line is: # yaml-language-server: $schema=FILE
    """
    print_json(as_schema())
