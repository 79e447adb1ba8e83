"""A message as bytes and back, for the state to keep where a broker gives each message only once."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from smartico_sync.core.messages.message import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["packed", "unpacked"]

BINARY = "base64"  # the one member of what was bytes


def packed(message: Message) -> bytes:
    """The whole message as JSON. What its headers hold beside text, numbers and bytes is written as text."""
    return json.dumps(
        [
            *message[:3],
            *(None if part is None else _text(part) for part in (message.key, message.value)),
            *(dict(part) for part in (message.headers, message.properties)),
        ],
        default=_written,
    ).encode()


def unpacked(data: bytes) -> Message:
    """The message that `packed` made this of. ValueError for anything else."""
    lane, offset, time_ms, key, value, headers, properties = json.loads(data)
    return Message(lane, offset, time_ms, _bytes(key), _bytes(value), _read(headers), _read(properties))


def _text(part: bytes) -> str:
    return base64.b64encode(part).decode("ascii")


def _bytes(part: str | None) -> bytes | None:
    return None if part is None else base64.b64decode(part)


def _written(value: object) -> object:
    return {BINARY: _text(value)} if isinstance(value, bytes) else str(value)


def _read(part: Mapping[str, Any]) -> dict[str, object]:
    return {
        name: base64.b64decode(value[BINARY]) if isinstance(value, dict) and set(value) == {BINARY} else value
        for name, value in part.items()
    }
