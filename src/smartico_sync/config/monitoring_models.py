"""The models of `health:`, `alerts:` and `tracing:`: who learns how the daemon does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

from smartico_sync.config.base import Model, Text, Word, filled, listed

__all__ = ["AlertReceiver", "Health", "Tracing"]


class Health(Model):
    """The endpoint that monitoring scrapes."""

    listen: Text = "127.0.0.1:8080"
    """Address and port, or `off`; an IPv6 address in brackets: `[::1]:8080`."""
    hosts: Annotated[tuple[Word, ...], BeforeValidator(listed)] = ()
    """Names with a dot by which it may be called, besides addresses, `localhost` and names without one: `[sync.example.com]`."""
    token: SecretStr | None = None
    """A bearer token that whoever reads must send; without it `/healthz` and `/readyz` say yes or no, and nothing else answers."""
    token_file: str | None = None
    """A file that holds the token, relative to the configuration file; read again when it changes."""


class AlertReceiver(Model):
    """Who is told when something begins, becomes worse, and is over: a webhook."""

    url: SecretStr | None = None
    """Where alerts are posted, best as `${SLACK_WEBHOOK}`: whoever knows such a URL may post."""
    url_file: str | None = None
    """A file that holds the URL, relative to the configuration file."""
    format: Literal["slack", "json"] = "slack"
    """`slack`: a text, as Slack, Mattermost and Discord (with `/slack` behind its URL) take it. `json`: the findings as data."""
    severity: Literal["warning", "critical"] = "warning"
    """`critical`: only what keeps events from being delivered until somebody acts."""


class Tracing(Model):
    """OpenTelemetry traces of polls and their requests; needs the extra `otel`."""

    endpoint: str | None = None
    """Where spans are posted, OTLP over HTTP, such as `http://localhost:4318/v1/traces`. None: nothing is traced."""
    headers: Annotated[dict[str, SecretStr], BeforeValidator(filled), Field(repr=False)] = {}
    """Headers of each post, such as `Authorization`; best as `${OTEL_TOKEN}`."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of polls that is traced. A poll that finds nothing never is."""
