"""`smartico-sync test-alerts`: whether those who are to be told can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from smartico_sync.cli.findings import Finding, show
from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import print_json
from smartico_sync.errors import ConfigError, ExitCode
from smartico_sync.observe.alerts import trial

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["test_alerts"]


@click.command("test-alerts")
@config_option
@json_option
def test_alerts(path: Path, as_json: bool) -> ExitCode:
    """Post a test to every receiver of `alerts:`.

    Ends with 0 when all of them took it, and with 2 when one did not.
    """
    receivers = OperatorContext(path).configuration.alerts
    if not receivers:
        raise ConfigError("`alerts:` names no receiver", hint="docs/alerts.md shows how one is configured")
    wrong = {name: trial(name, config) for name, config in receivers.items()}
    if as_json:
        print_json({"receivers": [{"name": name, "problem": problem} for name, problem in wrong.items()]})
    else:
        for name, problem in wrong.items():
            hint = f"correct `alerts.{name}` in {path}, then again: smartico-sync test-alerts"
            show(Finding("wrong", name, problem, hint) if problem else Finding("fine", name, "it took a test"))
    return ExitCode.CONFIGURATION if any(wrong.values()) else ExitCode.FINE
