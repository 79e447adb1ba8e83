"""Texts from databases as a terminal may have them: what would move its cursor or hide a line is written out."""

from __future__ import annotations

import re

__all__ = ["printable", "printable_lines"]

# C0, DEL and C1, the separators of lines and paragraphs, and what turns the direction of writing: `\u001b` as in JSON.
ODD = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069"
CONTROLS = re.compile(f"[{ODD}]")
BETWEEN_LINES = re.compile(rf"(?![\n\t])[{ODD}]")


def printable(text: str) -> str:
    """One line of text, in which every control character is written out."""
    return CONTROLS.sub(written_out, text)


def printable_lines(text: str) -> str:
    """Lines of text of our own making, in which every other control character is written out. JSON stays the same JSON."""
    return BETWEEN_LINES.sub(written_out, text)


def written_out(found: re.Match[str]) -> str:
    """A character by its number."""
    return f"\\u{ord(found[0]):04x}"
