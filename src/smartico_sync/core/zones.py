"""Time zones by their IANA name. UTC needs no zone data: a small image may have none."""

from __future__ import annotations

import io
from zoneinfo import ZoneInfo

__all__ = ["UTC", "time_zone"]

# RFC 8536: a header that counts one kind of local time and four letters; that kind, 0 s from UTC; and its name.
_TZIF = b"TZif" + bytes(16) + b"".join(count.to_bytes(4) for count in (0, 0, 0, 0, 1, 4)) + bytes(6) + b"UTC\0"
UTC = ZoneInfo.from_file(io.BytesIO(_TZIF), key="UTC")


def time_zone(name: str) -> ZoneInfo:
    """The zone of that name. Raises what ZoneInfo raises."""
    return UTC if name == "UTC" else ZoneInfo(name)
