"""The pages: what they say, that they say it to everybody, and that they hold nothing from elsewhere."""

from __future__ import annotations

import re

import httpx
import pytest
from msgspec.structs import replace

from observe.scenes import BROKEN, HEALTHY, LONG_NAME, NOW, Scene, facts, letters
from smartico_sync.observe.health import Finding, assess
from smartico_sync.observe.page_frame import asset, finding_list
from smartico_sync.observe.page_words import commands_marked, seconds
from smartico_sync.observe.status_page import page
from smartico_sync.observe.view_page import view_page
from smartico_sync.observe.view_status import derived


def seen(scene, name="deposits"):
    """The overview and the page of one view."""
    known, destinations = scene
    views = [derived(each, NOW) for each in known]
    overview = page(views, assess(views, destinations), destinations, "1", NOW.wall_ms)
    view = next(each for each in views if each.name == name)
    return overview, view_page(view, assess([view], destinations), destinations, letters(name), "1", NOW.wall_ms)


def colours(css):
    """The colours of each scheme by name."""
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    found = [dict(re.findall(r"--(\w+): #(\w{6})", block)) for block in (light, dark)]
    return {"light": found[0], "dark": found[1]}


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(scheme):
    """Each colour of text against each ground it stands on: 4.5 to 1, which is WCAG's level AA."""
    known = colours(asset("page.css")[1].decode())[scheme]
    for text in ("ink", "soft", "good", "note", "warn", "bad"):
        for ground in ("ground", "card", *(["sunk"] if text in ("ink", "soft") else [])):
            lower, higher = sorted((luminance(known[text]), luminance(known[ground])))
            assert (higher + 0.05) / (lower + 0.05) >= 4.5, (scheme, text, ground)


def test_nothing_comes_from_elsewhere_and_nothing_is_inline():
    """The policy lets in what the endpoint itself serves, and the pages need no more."""
    scene = Scene(BROKEN)
    try:
        for path in ("/", "/views/deposits", "/views/nobody"):
            answer = httpx.get(scene.url + path, trust_env=False)
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", answer.text)
            links = re.findall(r'(?:src|href)="([^"]*)"', answer.text)
            assert [link for link in links if not link.startswith("data:") and ":" in link] == []
            for link in (link for link in links if link.endswith((".css", ".js"))):
                found = httpx.get(str(answer.url.join(link)), trust_env=False)
                assert (found.status_code, found.headers["X-Content-Type-Options"]) == (200, "nosniff")
    finally:
        scene.close()


def test_a_view_that_is_not_there_leads_back():
    """A name that is not configured, or not any more, is no dead end."""
    scene = Scene(HEALTHY)
    try:
        answer = httpx.get(f"{scene.url}/views/%3Cscript%3E", trust_env=False)
        assert answer.status_code == 404
        assert '<a href="../">All views</a>' in answer.text
        assert "<script>" not in answer.text
        assert httpx.get(f"{scene.url}/views/{LONG_NAME}", trust_env=False).status_code == 200
    finally:
        scene.close()


def test_what_comes_from_outside_stays_text():
    """Messages of a database and of the API, cursors and names of columns."""
    nasty = "<img src=x onerror=alert(1)>"
    odd = replace(
        facts("deposits", trouble=(nasty, nasty), invalid={nasty: 1}), head=nasty, late_commit=f"fence: {nasty}",
        properties=(replace(facts("x").properties[0], columns=(nasty,)),), server_role=nasty,
    )  # fmt: skip
    destination = replace(BROKEN[1][1], name=nasty, last_error=nasty)
    for text in seen(((odd,), (destination,))):
        assert "<img" not in text
        assert "&lt;img" in text


def test_the_overview_says_of_each_view_what_is_not_well():
    """Rows that wait and since when, invalid values, late ones, history on its way, and how far the replica is behind."""
    overview, _ = seen(BROKEN)
    for told in (
        "522", "first for 1 h 05 min", "4,164", "183", "backfill: 1,200,000 of 3,400,000 rows", "live rows go first", "0.8 s",
        "1,999,000", "20 known before",
    ):  # fmt: skip
        assert told in overview, told
    assert 'href="views/deposits"' in overview


def test_the_overview_says_when_each_destination_is_tried_again():
    """By destination and by brand: whether requests start, why not, and from when on."""
    overview, _ = seen(BROKEN)
    assert "open: none starts before the next try" in overview
    assert len(re.findall(r"in (1 h 00|\d\d) min( \d\d s)?, at ", overview)) == 2
    assert "Refused: SuperCasino" in overview


def test_a_finding_has_all_that_is_known_of_it():
    """Severity in words, since when, when it was well last, and the command to copy."""
    text = finding_list(
        [Finding("critical", "users", "gone", "start it; then: smartico-sync check", NOW.wall_ms - 90_000, 1)],
        NOW.wall_ms,
    )
    assert "critical" in text
    assert "for 90 s" in text
    assert "well last at 1970-01-01 00:00:00" in text
    assert "then: <code>smartico-sync check</code><button" in text


def test_a_finding_whose_numbers_grow_is_the_same_one():
    """So the browser keeps it, and with it what the reader has selected."""
    keys = [
        re.findall('data-key="(.*?)"', finding_list([Finding("warning", "deposits", f"{n:,} rows wait", "look")], 0))
        for n in (7, 1_234)
    ]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("hint", "commands"),
    [
        ("smartico-sync status: whether it delivers", ["smartico-sync status"]),
        ("set `key` as it was; or smartico-sync forget bonuses", ["key", "smartico-sync forget bonuses"]),
        ("smartico-sync check says why; smartico-sync preview x shows it", ["smartico-sync check", "smartico-sync preview x"]),
        ("see `smartico-sync reload`, or wait", ["smartico-sync reload"]),
        ("start the database", []),
    ],
)  # fmt: skip
def test_a_command_in_a_hint_is_marked(hint, commands):
    """Each command as a whole, and none of the words around it."""
    marked = commands_marked(hint)
    assert re.findall("<code>(.*?)</code>", marked) == commands
    assert marked.count("<button") == sum(each.startswith("smartico-sync") for each in commands)


def test_a_view_has_a_page_of_its_own():
    """Its properties with their columns and protection, late rows by how late they were, dead letters and requests."""
    _, text = seen(BROKEN)
    for told in (
        "registered_at", "core_registration_date", "encrypted", "not sent", "internal_note", "up to 2 s", "up to 10 s", "901",
        "acc_last_deposit_amount is not a number", "tried again", "503", "taken", "120 ms", "120.0 kB", "physical standby",
        "smartico-sync dead-letters list --view deposits --code 20001",
    ):  # fmt: skip
        assert told in text, told
    assert text.count('class="bar"') == 3


def test_the_page_of_a_view_holds_no_personal_data():
    """A dead letter is shown by its number; whose it is, a command tells."""
    _, text = seen(BROKEN)
    assert "player-4711" not in text


def test_durations_are_read_at_a_glance():
    """Tenths while they are short, then seconds, then minutes, hours and days."""
    told = [seconds(ms) for ms in (0, 400, 9_999, 28_000, 119_000, 400_000, 3_900_000, 200_000_000)]
    assert told == ["0.0 s", "0.4 s", "10.0 s", "28 s", "119 s", "6 min 40 s", "1 h 05 min", "2 days"]
