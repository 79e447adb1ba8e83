"""Encryptors by name, found by entry point."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from smartico_sync.pii.protocol import Encryptor

__all__ = ["GROUP", "create", "installed"]

GROUP = "smartico_sync.encryptors"


def installed() -> tuple[str, ...]:
    """Return the names that `encryptor:` may have, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def create(name: str, key: bytes, key_id: str) -> Encryptor:
    """Make the encryptor of that name with that key.

    Raises ConfigError when nothing of that name is installed, when the plug-in cannot be loaded, when it refuses the key
    and when what it makes is no encryptor.
    """
    point = find(name)
    try:
        factory = point.load()
    except Exception as error:
        raise ConfigError(
            f"the encryptor {name!r} ({point.value}) cannot be loaded: {type(error).__name__}",
            hint=f'see why: python -c "import {point.module}"',
        ) from error
    try:
        encryptor = factory(key, key_id)
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; its text may hold the key, so only its class is told
        raise ConfigError(
            f"the encryptor {name!r} ({point.value}) does not take the key: {type(error).__name__}",
            hint="look into its documentation for the key that it expects under pii.key",
        ) from None
    if not callable(getattr(encryptor, "encrypt", None)):
        raise ConfigError(
            f"the encryptor {name!r} ({point.value}) has no method encrypt(prop, values)",
            hint="docs/pii.md shows how to write one",
        )
    made: Encryptor = encryptor
    return made


def find(name: str) -> EntryPoint:
    """Find the one entry point of that name."""
    found = {point.value: point for point in entry_points(group=GROUP) if point.name == name}
    if not found:
        raise ConfigError(
            f"there is no encryptor {name!r}; installed are: {', '.join(installed()) or 'none'}",
            hint="set pii.encryptor to one of these, or install the plug-in's package beside smartico-sync",
        )
    if len(found) > 1:
        raise ConfigError(
            f"several packages bring an encryptor {name!r}: {', '.join(sorted(found))}",
            hint="uninstall all but one",
        )
    return next(iter(found.values()))
