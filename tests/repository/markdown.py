"""The pages that are written for users, as a reader's program sees them: their blocks of code, and code inside sentences."""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
MARKDOWN = MarkdownIt("commonmark").enable("table")
PAGES = sorted(page for pattern in ("*.md", "docs/**/*.md", ".github/**/*.md") for page in ROOT.glob(pattern))
HISTORY = ROOT / "CHANGELOG.md"  # speaks of what was


def place(page, token):
    """Where a block stands, as a reader finds it."""
    return f"{page.relative_to(ROOT)}:{token.map[0] + 1}"


def blocks(*languages):
    """Each block of code in these languages, with its place."""
    for page in PAGES:
        for token in MARKDOWN.parse(page.read_text("utf-8")):
            if token.type == "fence" and token.info in languages:
                yield place(page, token), token.content


def sentences():
    """Each piece of code inside a sentence or a cell, with its place; not of what was."""
    for page in PAGES:
        for token in () if page == HISTORY else MARKDOWN.parse(page.read_text("utf-8")):
            if token.type == "inline":
                yield from ((place(page, token), span.content) for span in token.children if span.type == "code_inline")
