"""The head of an answer that says nothing odd, as almost all do: read at once, where http.client takes it for a mail."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

__all__ = ["UsualHead", "usual_head"]

# A final answer of HTTP/1.1, each of whose headers is one line of printable letters without blanks at its ends.
USUAL_HEAD = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9][0-9])((?: [ -~]*)?)\r\n((?:[!#-'*+.0-9A-Z^-z|~-]+: [!-~](?:[ -~]*[!-~])?\r\n)*)"
)
LENGTH = re.compile(r"[0-9]{1,9}")
KEPT = "keep-alive"  # what is said of a connection that stays, if anything is
WITHOUT_BODY = (b"204", b"304")  # whatever length is said
MOST_HEAD_BYTES = 4096  # what is longer is not usual


class UsualHead(NamedTuple):
    """What a head says that needs no care, see `usual_head`."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    length: int


def usual_head(stream: Any) -> UsualHead | None:
    """Read a head that came whole and says nothing odd; None of any other, of which nothing is read then.

    http.client takes a head for a mail, and as long for it as all else of an exchange.
    """
    there: bytes = stream.peek()
    end = there.find(b"\r\n\r\n") + 2
    found = USUAL_HEAD.fullmatch(there, 0, end) if 2 <= end <= MOST_HEAD_BYTES else None
    if found is None:
        return None
    headers = [
        (name, value) for name, _, value in (line.partition(": ") for line in found[3].decode("ascii").splitlines())
    ]
    said = {name.lower(): value for name, value in headers}
    length = said.get("content-length", "")
    odd = "transfer-encoding" in said or said.get("connection", KEPT).lower() != KEPT or found[1] in WITHOUT_BODY
    if odd or len(said) < len(headers) or not LENGTH.fullmatch(length):
        return None
    stream.read(end + 2)
    return UsualHead(int(found[1]), found[2].decode("ascii").strip(), headers, int(length))
