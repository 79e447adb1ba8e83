"""Databases: one seam, one contract, a small room for each engine."""

from __future__ import annotations

from smartico_sync.sources.registry import open_source

__all__ = ["open_source"]
