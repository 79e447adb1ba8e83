"""`smartico-sync check`: everything is tried, nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from smartico_sync.catalogue.kinds import kind
from smartico_sync.cli.check_machine import machine_findings, tracing_findings
from smartico_sync.cli.check_report import ViewReport, show_report
from smartico_sync.cli.check_view import check_view
from smartico_sync.cli.findings import Finding, failed, show
from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo, print_json
from smartico_sync.cli.stream_check import check_messages
from smartico_sync.config.environment_file import add_environment_file
from smartico_sync.config.load import load
from smartico_sync.core.encryption import STANDING, WITHIN, is_loopback
from smartico_sync.daemon.wiring import protection_of, reads_messages
from smartico_sync.delivery.router import Router
from smartico_sync.errors import ConfigError, ExitCode, SyncError
from smartico_sync.sources.registry import open_source, open_stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from smartico_sync.config.models import Configuration
    from smartico_sync.sources.protocol import ServerFacts, Source
    from smartico_sync.sources.stream import Stream

__all__ = ["check"]

SHAPE = 1  # of the JSON: fields are added to it, and one that is renamed or taken away makes it 2


@click.command()
@config_option
@json_option
def check(path: Path, as_json: bool) -> int:
    """Try everything without sending: configuration, state, port, databases, columns, rows, indexes, late commits, the API.

    Maps the newest 1,000 rows of each view as the daemon would, and says what to change. Ends with 0 when the daemon would
    deliver, else with the code of the first thing that is wrong.
    """
    findings: list[Finding] = []
    reports: list[ViewReport] = []
    try:
        for each in everything(path):
            (reports if isinstance(each, ViewReport) else findings).append(each)  # type: ignore[arg-type]
            if not as_json:
                show_report(each) if isinstance(each, ViewReport) else show(each)
    except ConfigError as error:
        if not as_json:
            raise
        findings.append(failed(str(path), error))
    wrong = [finding for finding in findings if finding.mark == "wrong"]
    code = wrong[0].code if wrong else ExitCode.FINE
    if as_json:
        print_json(told(findings, reports, code))
    else:
        things = f"{len(wrong)} {'thing' if len(wrong) == 1 else 'things'} to mend; "
        echo(f"{things if wrong else ''}nothing was sent")
    return code


def told(findings: list[Finding], reports: list[ViewReport], code: ExitCode) -> dict[str, Any]:
    """Everything, for a program."""
    return {
        "shape": SHAPE,
        "exit_code": int(code),
        "findings": [finding.told() for finding in findings],
        "views": [report.told() for report in reports],
    }


def everything(path: Path) -> Iterator[Finding | ViewReport]:
    """The configuration, the machine, each source with its views, and the API."""
    about_file = add_environment_file(path)
    warnings = [about_file] if about_file else []
    configuration = load(path, warnings=warnings)
    protection_of(configuration)
    views, sources = len(configuration.views), len(configuration.sources)
    yield Finding("fine", str(path), f"{views} view{'s' * (views > 1)} of {sources} source{'s' * (sources > 1)}")
    for warning in warnings:
        yield Finding("advice", str(path), warning)
    reports: list[ViewReport] = []
    context = OperatorContext(path)
    yield from machine_findings(context.state, configuration.health.listen)
    yield from tracing_findings(configuration.tracing)
    for name in configuration.sources:
        opened = open_stream if reads_messages(configuration.sources[name]) else open_source
        try:
            source: Source | Stream = opened(name, configuration.sources[name])
        except SyncError as error:
            yield failed(f"source {name}", error)
            continue
        try:
            for each in check_source(context, name, source):
                reports += [each] if isinstance(each, ViewReport) else []
                yield each
        finally:
            source.close()
    yield from player_findings(configuration, reports)
    yield from api_findings(configuration, path.absolute().parent)


def check_source(context: OperatorContext, name: str, source: Source | Stream) -> Iterator[Finding | ViewReport]:
    """A source, then each of its views."""
    subject = f"source {name}"
    try:
        facts = source.facts()
    except SyncError as error:
        yield failed(subject, error)
        return
    lag = "" if facts.replay_lag_ms is None else f", replay lag {facts.replay_lag_ms} ms"
    yield Finding("fine", subject, f"{facts.engine} {facts.version}, {facts.role}{lag}")
    yield from encryption_findings(source, subject, facts)
    for warning in facts.warnings:
        yield Finding("advice", subject, warning)
    for view in context.configuration.views:
        if view.source == name:
            messages = context.is_broker(view)
            yield from check_messages(context, view, source) if messages else check_view(context, view, source)  # type: ignore[arg-type]


def encryption_findings(source: Source | Stream, subject: str, facts: ServerFacts) -> Iterator[Finding]:
    """What the source promises of its connections; a connection within this machine may be better than promised."""
    words = source.encryption
    if not words or facts.encrypted == "none":
        yield Finding("fine", subject, "the connection does not leave this machine")
    elif words.endswith(WITHIN):
        promised = words.removesuffix(WITHIN)
        better = STANDING["unverified"] if promised == STANDING["off"] and facts.encrypted == "yes" else promised
        yield Finding("fine", subject, f"the connection does not leave this machine; it is {better}")
    elif words == STANDING["verified"]:
        yield Finding("fine", subject, f"the connection is {words}")
    elif words == STANDING["off"] and facts.encrypted != "yes":
        yield Finding(
            "advice",
            subject,
            "the connection is in the clear, not encrypted: who is on the network between can read players' data and the password",
            "let the server offer TLS, and leave `encryption: off` out",
        )
    else:
        yield Finding(
            "advice",
            subject,
            "the connection is encrypted, and the server is not verified: who takes its place can read and answer",
            "name the authority of the server's certificate, and leave `encryption:` out",
        )


def player_findings(configuration: Configuration, reports: list[ViewReport]) -> Iterator[Finding]:
    """What a player needs, and no view tells."""
    profiles = [report for report in reports if kind(report.view.kind).role == "profile"]
    every = [view for view in configuration.views if kind(view.kind).role == "profile"]
    if not profiles or len(profiles) < len(every):
        return
    told_of = {known.name for report in profiles for known in report.mapping.properties}
    names = ", ".join(report.view.name for report in profiles)
    for name in kind(profiles[0].view.kind).expected:
        if name not in told_of:
            yield Finding(
                "advice",
                f"view {names}",
                f"no column becomes {name}, which a player needs",
                f"add it to one of the views of kind {profiles[0].view.kind}, or say which column it is: `columns: {{YOUR_COLUMN: {name}}}`",
            )


def api_findings(configuration: Configuration, base: Path) -> Iterator[Finding]:
    """Whether the API answers an empty request, and whether others can read along."""
    own = {
        f"smartico.brands.{name}.url": brand.url for name, brand in configuration.smartico.brands.items() if brand.url
    }
    for key, url in {"smartico.url": configuration.smartico.url, **own}.items():
        parts = urlsplit(url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            yield Finding(
                "advice",
                "API",
                f"`{key}` is http to {parts.hostname}: the token and players' data travel in the clear",
                f"write `{key}` with https://",
            )
    try:
        delivery = Router(configuration.smartico, base)
    except SyncError as error:
        yield failed("API", error)
        return
    try:
        for probe in delivery.probe():
            if probe.wrong:
                yield Finding("wrong", f"API {probe.name}", probe.wrong, probe.hint, ExitCode.API)
            else:
                yield Finding("fine", f"API {probe.name}", f"answers in {probe.seconds * 1000:.0f} ms")
    finally:
        delivery.close(0)
