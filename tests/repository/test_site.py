"""The documentation as it is read: in a browser, on a telephone and on a screen, by day and by night."""

from __future__ import annotations

import subprocess
import sys

import pytest

from repository.markdown import ROOT
from servers import chromium

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(chromium.missing()), reason=chromium.missing()),
]
PAGES = ("index", "quickstart", "operations", "configuration", "databases/postgresql")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it."""
    home = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-d", str(home / "trees"), "docs", str(home / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return (home / "site").as_uri()


@pytest.fixture(scope="module")
def browser():
    with chromium.page() as tab:
        yield tab


@pytest.mark.parametrize("width", [420, 1200])
def test_a_page_fits_its_screen(browser, site, width):
    """What is wider than the screen, a table or code, scrolls in its own place."""
    browser.look(width)
    for page in PAGES:
        browser.open(f"{site}/{page}.html")
        assert browser.evaluate("document.documentElement.scrollWidth") <= width, page


def test_nothing_is_asked_of_anybody_else(browser, site):
    """No fonts, icons or scripts of strangers: the site can be read where there is no network."""
    browser.look(1200)
    browser.requested.clear()
    browser.complaints.clear()
    for page in PAGES:
        browser.open(f"{site}/{page}.html")
    assert [url for url in browser.requested if not url.startswith(("file:", "data:"))] == []
    assert browser.complaints == []


def test_day_and_night_differ(browser, site):
    """The site takes the reader's colours."""
    grounds = []
    for scheme in ("light", "dark"):
        browser.look(1200, scheme=scheme)
        browser.open(f"{site}/operations.html")
        grounds.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]
