"""Durations on the command line, written as in views.yaml."""

from __future__ import annotations

import click

from smartico_sync.config.units import WAIT_MS, Milliseconds

__all__ = ["seconds_of"]


def seconds_of(duration: str | None) -> float | None:
    """What `--for` says, in seconds; None where it is not given."""
    if duration is None:
        return None
    try:
        return (Milliseconds(at_most=WAIT_MS).parse(duration) or 0) / 1000
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from None
