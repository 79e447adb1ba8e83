"""Text of a database on a terminal: what would move the cursor, change colours or hide something is shown and not obeyed."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """The text with control characters and others that cannot be seen written as their escapes."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
