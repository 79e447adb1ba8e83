"""The configuration: `views.yaml` as models, loaded with errors that name line and column."""

from __future__ import annotations

from smartico_sync.config.load import load
from smartico_sync.config.models import Configuration
from smartico_sync.config.personal import unprotected_pii

__all__ = ["Configuration", "load", "unprotected_pii"]
