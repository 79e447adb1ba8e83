"""The page about messages speaks of messages that the program has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "faq.md"
ANYTHING = "\0"  # where the program writes a name or a number


def said(node):
    """The text of a literal, with `ANYTHING` where it is filled in; a name in backticks as the page writes it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else ANYTHING for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def program():
    """Every text of the program, but for documentation."""
    texts = set()
    for file in (ROOT / "src").rglob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts |= {text for node in ast.walk(tree) if id(node) not in told and (text := said(node))}
    return texts


def messages():
    """The first column of the page's tables."""
    listed = PAGE.read_text("utf-8").partition("<!-- messages -->")[2].partition("<!-- /messages -->")[0]
    rows = [line.strip("| ").partition(" | ")[0] for line in listed.splitlines() if line.startswith("| `")]
    return [row.strip("`") for row in rows]


@pytest.fixture(scope="module")
def texts():
    return program()


def test_the_page_lists_messages():
    """No message stands there twice, and none is lost to a change of the page's form."""
    assert len(messages()) == len(set(messages())) > 40


@pytest.mark.parametrize("message", messages())
def test_the_program_has_a_message(message, texts):
    """Whoever changes a message changes the page, too."""
    parts = [re.escape(part.strip()) for part in message.split("…") if part.strip()]
    pattern = re.compile(rf".*{ANYTHING}.*".join(parts), re.DOTALL)
    assert any(pattern.search(text) for text in texts), message
