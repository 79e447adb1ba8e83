"""JSON over several lines, every number and text as it stands: what is shown is what is sent."""

from __future__ import annotations

import re

__all__ = ["indented"]

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
STEP = "  "


def indented(body: str) -> str:
    """The same JSON, a line for each value; what is empty stays on its line."""
    pieces: list[str] = []
    depth, before = 0, ""
    for piece in TOKEN.findall(body):
        if piece in "]}":
            depth -= 1
            pieces.append("" if before in "[{" else "\n" + STEP * depth)
        elif before and before in "[{,":
            pieces.append("\n" + STEP * depth)
        depth += piece in "[{"
        pieces.append(": " if piece == ":" else piece)
        before = piece
    return "".join(pieces)
