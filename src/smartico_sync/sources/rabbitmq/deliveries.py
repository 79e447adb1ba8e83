"""Deliveries are read off the connection without an object for each of their frames, which costs the client most of its time.

The client does all the rest: connecting, channels, heartbeats, acknowledgements, and every frame that belongs to no delivery
of ours. What a delivery holds is what the client would have made of it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from pika import BasicProperties
from pika import data as fields
from pika.adapters.select_connection import SelectConnection
from pika.exceptions import BodyTooLongError, InvalidFrameError
from pika.frame import decode_frame
from pika.spec import FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_METHOD, Basic

from smartico_sync.core.messages.message import LATEST_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    Taker = Callable[[int, int, BasicProperties, bytes], None]  # delivery tag, redelivered, properties, body

__all__ = ["Deliveries", "DeliveryConnection"]

AROUND = 8  # bytes of a frame beside its payload: seven before it, and a mark behind it
FRAME = struct.Struct(">BHI")  # type, channel, bytes of the payload
TAG = struct.Struct(">QB")  # delivery tag, redelivered
BODY_SIZE = struct.Struct(">Q")
DELIVER = Basic.Deliver.INDEX.to_bytes(4, "big")
RECEIVE_BYTES = 65_536  # at once; the client's 4 KB are ten messages
TIME = struct.Struct(">cQ")  # a header's value that is a timestamp: its kind, seconds since 1970
KNOWN = 1000  # properties: those of one program are mostly the same, but for a timestamp of whole seconds


client_s_value = fields.decode_value


def value_of(encoded: bytes, offset: int) -> tuple[Any, int]:
    """A header's value as the client reads it, with where the next begins; a time beyond all calendars is a number.

    The client raises for that, amid the deliveries: the connection ends for one message, again each time that it comes.
    """
    if encoded[offset : offset + 1] == b"T":
        _, seconds = TIME.unpack_from(encoded, offset)
        if 1000 * seconds > LATEST_MS:
            return seconds, offset + TIME.size
    value, behind = client_s_value(encoded, offset)
    return value, behind


fields.decode_value = value_of  # it has no other way


class Foreign(Exception):
    """Between the frames of a delivery is one that is no part of it, from one place to another."""


class Incomplete(Exception):
    """The rest is on its way."""


class Deliveries:
    """Cuts what comes into deliveries for `takers` (by channel and consumer tag), and other frames, which go to `others`."""

    def __init__(self, others: Callable[[bytes], None]) -> None:
        self._others = others
        self._rest = b""
        self._known: dict[bytes, BasicProperties] = {}
        self.takers: dict[tuple[int, bytes], Taker] = {}

    def feed(self, data: bytes) -> int:
        """Take bytes as they come. Returns how many deliveries were taken. Raises the client's exceptions for what is no AMQP."""
        data = self._rest + data
        self._rest, at, taken = b"", 0, 0
        while True:
            try:
                at, one = self._step(data, at)
            except Incomplete:
                break
            except Foreign as found:
                begin, end = found.args
                self._others(data[begin:end])
                data = data[:begin] + data[end:]
                continue
            taken += one
        self._rest = data[at:]
        return taken

    def _step(self, data: bytes, at: int) -> tuple[int, int]:
        """Deal with a delivery or another frame. Returns where the next begins, and how many deliveries it was."""
        kind, channel, end = frame_at(data, at)
        taker = None
        if kind == FRAME_METHOD and data[at + 7 : at + 11] == DELIVER:
            behind = at + 12 + data[at + 11]
            taker = self.takers.get((channel, data[at + 12 : behind]))
        if taker is None:
            self._others(data[at:end])
            return end, 0
        tag, redelivered = TAG.unpack_from(data, behind)
        begin = end
        kind, where, end = frame_at(data, begin)
        if kind != FRAME_HEADER or where != channel:
            raise Foreign(begin, end)
        (left,) = BODY_SIZE.unpack_from(data, begin + 11)
        told = data[begin + 19 : end - 1]
        parts = []
        while left > 0:
            begin = end
            kind, where, end = frame_at(data, begin)
            if kind != FRAME_BODY or where != channel:
                raise Foreign(begin, end)
            parts.append(data[begin + 7 : end - 1])
            left -= end - begin - AROUND
        if left < 0:
            raise BodyTooLongError(-left, 0)
        properties = self._known.get(told)
        if properties is None:
            properties = self._read(told)
        taker(tag, redelivered & 1, properties, parts[0] if len(parts) == 1 else b"".join(parts))
        return end, 1

    def _read(self, told: bytes) -> BasicProperties:
        """Properties that were not seen lately."""
        if len(self._known) >= KNOWN:
            self._known.clear()
        properties = self._known[told] = BasicProperties()
        properties.decode(told)
        return properties


def frame_at(data: bytes, at: int) -> tuple[int, int, int]:
    """Type and channel of the frame that begins at a place, and where it ends."""
    if len(data) < at + AROUND:
        raise Incomplete
    kind, channel, size = FRAME.unpack_from(data, at)
    end = at + size + AROUND
    if len(data) < end:
        raise Incomplete
    if data[end - 1] != FRAME_END:
        raise InvalidFrameError("Invalid FRAME_END marker")
    return kind, channel, end


class DeliveryConnection(SelectConnection):  # type: ignore[misc]  # the client tells no types
    """The client's connection, with `deliveries` where some are taken."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.deliveries = Deliveries(self._other)
        self.came: Callable[[], None] = lambda: None
        super().__init__(*arguments, **named)

    def _proto_connection_made(self, transport: Any) -> None:
        transport._MAX_RECV_BYTES = RECEIVE_BYTES  # noqa: SLF001 - the client has no other way
        super()._proto_connection_made(transport)

    def _on_data_available(self, data_in: bytes) -> None:
        if not self.deliveries.takers:
            super()._on_data_available(data_in)
            return
        self.bytes_received += len(data_in)  # what heartbeats go by
        before: bytes = self._frame_buffer  # type: ignore[has-type]  # the client sets it as it connects
        self._frame_buffer = b""
        if self.deliveries.feed(before + data_in):
            self.came()

    def _other(self, frame: bytes) -> None:
        """A frame for the client."""
        _, value = decode_frame(frame)
        self._process_frame(value)
