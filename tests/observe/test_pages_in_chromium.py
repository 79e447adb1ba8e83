"""The pages in a real browser: on a telephone and on a screen, by day and by night, while they refresh and while nobody answers."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from observe.scenes import BROKEN, HEALTHY, LONG_NAME, Scene
from servers import chromium
from waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(chromium.missing()), reason=chromium.missing()),
]
PAGES = ("/", "/views/deposits", f"/views/{LONG_NAME}")
WIDE = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 90))"
LETTERS = "[...document.querySelectorAll('th a, h1')].filter(e => e.scrollWidth > e.clientWidth + 1).length"


@pytest.fixture(scope="module")
def browser():
    with chromium.page() as tab:
        yield tab


@pytest.fixture
def scene():
    made = Scene(HEALTHY)
    yield made
    made.close()


def refreshed(browser):
    """How often the page has tried to bring itself up to date."""
    return int(browser.evaluate("document.documentElement.dataset.refreshed") or 0)


def after(browser, refreshes):
    """Let the page refresh so many times."""
    target = refreshed(browser) + refreshes
    until(lambda: refreshed(browser) >= target)


@pytest.mark.parametrize("width", [420, 800, 1280])
def test_a_page_fits_its_screen(browser, scene, width):
    """Nothing scrolls sideways and no name is cut, healthy or broken, on a telephone as on a screen."""
    browser.look(width)
    for shown in (HEALTHY, BROKEN):
        scene.show(shown)
        for path in PAGES:
            browser.open(scene.url + path)
            assert browser.evaluate("document.documentElement.scrollWidth") <= width, path
            assert browser.evaluate(WIDE) == []
            assert browser.evaluate(LETTERS) == 0


def test_day_and_night_differ(browser, scene):
    """A page follows the reader's colours."""
    shots, grounds = [], []
    scene.show(BROKEN)
    for scheme in ("light", "dark"):
        browser.look(1280, scheme=scheme)
        browser.open(scene.url)
        shots.append(browser.screenshot())
        grounds.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert shots[0] != shots[1]
    assert grounds == ["rgb(245, 247, 249)", "rgb(14, 19, 26)"]


def test_nothing_is_asked_of_anybody_else(browser, scene):
    """Every request goes to where the page is from, and the security policy has nothing to complain of."""
    browser.look(1280)
    browser.requested.clear()
    browser.complaints.clear()
    for path in PAGES:
        browser.open(scene.url + path)
        after(browser, 1)
    assert [url for url in browser.requested if not url.startswith((scene.url, "data:"))] == []
    assert len([url for url in browser.requested if url.startswith(scene.url)]) >= 3 * len(PAGES)
    assert browser.complaints == []


def test_a_selection_survives_refreshes(browser, scene):
    """What the reader has selected stays selected, and where he is on the page stays there, while all else goes on."""
    browser.look(420, 500)
    scene.show(BROKEN)
    browser.open(scene.url)
    browser.evaluate(
        "getSelection().selectAllChildren(document.querySelector('.finding .next code')); scrollTo(0, 300)"
    )
    selected = browser.evaluate("getSelection().toString()")
    assert selected == "smartico-sync check --config views.yaml"
    users = BROKEN[0][0]
    scene.show(((replace(users, counts={**users.counts, "delivered": 7_654_321}), *BROKEN[0][1:]), BROKEN[1]))
    after(browser, 3)
    assert browser.evaluate("getSelection().toString()") == selected
    assert browser.evaluate("scrollY") == 300
    assert "7,654,321" in browser.evaluate("document.body.textContent")


def test_what_is_selected_is_not_taken_away(browser, scene):
    """A finding that is over stays while it is selected, and goes when it is not."""
    browser.look(1280)
    scene.show(BROKEN)
    browser.open(scene.url)
    browser.evaluate("getSelection().selectAllChildren(document.querySelector('.finding .next code'))")
    scene.show(HEALTHY)
    after(browser, 2)
    assert browser.evaluate("getSelection().toString()") == "smartico-sync check --config views.yaml"
    assert "kept as it is" in browser.evaluate("document.getElementById('reach').textContent")
    browser.evaluate("getSelection().removeAllRanges()")
    until(lambda: browser.evaluate("document.querySelectorAll('.finding').length") == 0)
    assert browser.evaluate("document.getElementById('reach').hidden")


def test_a_page_comes_back_after_a_restart(browser, scene):
    """While nobody answers it says since when, and vouches for nothing; then it goes on by itself."""
    browser.look(1280)
    browser.open(scene.url)
    assert browser.evaluate("document.querySelector('h1').textContent") == "Everything is delivered"
    scene.close()
    until(lambda: not browser.evaluate("document.getElementById('reach').hidden"))
    assert "Not reachable since " in browser.evaluate("document.getElementById('reach').textContent")
    assert browser.evaluate("document.documentElement.classList.contains('stale')")
    assert browser.evaluate("document.title").startswith("Not reachable")
    scene.show(BROKEN)
    scene.open(scene.listen)
    until(lambda: browser.evaluate("document.getElementById('reach').hidden"))
    assert "need attention" in browser.evaluate("document.querySelector('h1').textContent")
    assert not browser.evaluate("document.title").startswith("Not reachable")


def test_a_page_works_without_javascript(browser, scene):
    """Everything is there, and the browser loads it again by itself."""
    browser.look(1280, script="off")
    browser.requested.clear()
    browser.open(scene.url)
    assert "Everything is delivered" in browser.evaluate("document.body.textContent")
    until(lambda: browser.evaluate("true") and browser.requested.count(f"{scene.url}/") >= 2)


def test_a_command_is_copied(browser, scene):
    """A button beside each puts it where the reader can paste it from."""
    browser.look(1280)
    scene.show(BROKEN)
    browser.open(scene.url)
    browser.call(
        "Browser.grantPermissions", origin=scene.url, permissions=["clipboardReadWrite", "clipboardSanitizedWrite"]
    )
    browser.evaluate("document.querySelector('.finding button.copy').click()")
    until(lambda: browser.evaluate("document.querySelector('.finding button.copy').textContent") == "Copied")
    assert browser.evaluate("navigator.clipboard.readText()") == "smartico-sync check --config views.yaml"
