"""The documentation site: `make docs` builds it into site/, `make check` refuses a dead link or anchor in it.

Sphinx builds it because it is kept up, and because MyST reads the very Markdown that the repository shows: the same
lists, tables and anchors. Furo needs nothing from anybody else (no fonts, no icons, no scripts), has colours for day
and night, and fits a telephone. MkDocs 1 is kept up no more, and its theme Material ends in 2027.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from smartico_sync import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/smartico-sync/smartico-sync"
LINK = re.compile(r"(\]\()([^)\s]+)(\))")

project = "smartico-sync"
copyright = "the smartico-sync authors"  # noqa: A001 - Sphinx calls it so
release = version = __version__
extensions = ["myst_parser"]
root_doc = "index"
exclude_patterns = ["examples", "man"]
myst_heading_anchors = 4  # as the repository makes them
nitpicky = True
suppress_warnings = ["misc.highlighting_failure"]  # `…` stands in SQL for what is yours
html_theme = "furo"
html_title = f"smartico-sync {__version__}"
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_theme_options = {"footer_icons": [], "top_of_page_buttons": []}


def lead(app: Sphinx, name: str, source: list[str]) -> None:
    """Lead links of a page that leave docs/ to the repository; a target that is nowhere is left for the build to refuse."""
    page = Path(app.env.doc2path(name))

    def led(link: re.Match[str]) -> str:
        path, hash_, anchor = link[2].partition("#")
        target = Path(os.path.normpath(page.parent / path))
        if not path or "://" in path or not target.exists():
            return link[0]
        if target.is_relative_to(app.srcdir) and not target.is_dir() and not set(target.parts) & set(exclude_patterns):
            return link[0]
        kind = "tree" if target.is_dir() else "blob"
        return f"{link[1]}{REPOSITORY}/{kind}/main/{target.relative_to(ROOT).as_posix()}{hash_}{anchor}{link[3]}"

    source[0] = LINK.sub(led, source[0])


def setup(app: Sphinx) -> None:
    """Have Sphinx ask for the links."""
    app.connect("source-read", lead)
