"""Logs: JSON lines for machines, plain ones for a terminal; no secrets, no personal data."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any, Literal

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["configure", "redacted"]

SECRET_KEYS = re.compile(r"token|password|secret|authorization|pii_key", re.IGNORECASE)
URL_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]+@")
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last line of defence: nothing that looks like a secret or an address passes."""
    for key, value in event.items():
        if SECRET_KEYS.search(key):
            event[key] = "…"
        elif isinstance(value, str):
            event[key] = redacted(value)
    return event


def redacted(text: str) -> str:
    """A text without passwords in URLs and without addresses."""
    return EMAIL.sub("…@…", URL_PASSWORD.sub(r"\1…@", text))


def configure(form: Literal["auto", "json", "console"]) -> None:
    """Send logs to standard error in that form; auto: console on a terminal, else JSON."""
    chosen = form if form != "auto" else ("console" if sys.stderr.isatty() else "json")
    renderer: Any = structlog.processors.JSONRenderer() if chosen == "json" else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    for name in ("httpx", "httpcore", "urllib3", "apscheduler"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
