"""Logins of owners, whose statements may take their time."""

from __future__ import annotations

from smartico_sync.config.models import SourceConfig

__all__ = ["patient"]


def patient(url: str) -> SourceConfig:
    """A source that waits two minutes for each answer."""
    return SourceConfig.model_validate({"url": url, "statement_timeout": "2m"})
