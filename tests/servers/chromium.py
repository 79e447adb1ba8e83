"""A real Chromium without a window, driven over its DevTools protocol by a pair of pipes."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager, suppress

import pytest

__all__ = ["missing", "page"]

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--remote-debugging-pipe",
)  # fmt: skip


def program():
    """Where the browser is; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def missing():
    """Why there is no browser; empty when there is one."""
    return "" if program() else "no Chromium; install it with: apt-get install chromium"


class Refused(Exception):
    """The browser did not do what it was asked."""


class Page:
    """One tab. `requested`: the URL of every request that it made, `complaints`: what it found wrong, the security policy's included."""

    def __init__(self, told, asked):
        self.told, self.asked = told, asked
        self.number, self.session = 0, None
        self.requested, self.complaints, self.answers, self.loaded = [], [], {}, set()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    def call(self, method, **parameters):
        """One command and its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.told.write(json.dumps(message).encode() + b"\0")
        self.told.flush()
        while self.number not in self.answers:
            self.listen()
        answer = self.answers.pop(self.number)
        if "error" in answer:
            raise Refused(answer["error"]["message"])
        return answer["result"]

    def listen(self):
        """Take the next message."""
        text = bytearray()
        while (byte := self.asked.read(1)) != b"\0":
            assert byte, "the browser has ended"
            text += byte
        message = json.loads(text)
        if "id" in message:
            self.answers[message["id"]] = message
            return
        what, given = message["method"], message["params"]
        if what == "Network.requestWillBeSent":
            self.requested.append(given["request"]["url"])
        elif what == "Page.lifecycleEvent" and given["name"] == "load":
            self.loaded.add(given["loaderId"])
        elif what == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.complaints.append(given["entry"]["text"])
        elif what == "Runtime.exceptionThrown":
            self.complaints.append(given["exceptionDetails"]["text"])

    def look(self, width=1280, height=900, scheme="light", script="on"):
        """How it is looked at from now on: the screen, the reader's colours, with or without JavaScript."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setScriptExecutionDisabled", value=script == "off")

    def open(self, url):
        """Go there, and wait until it is loaded."""
        loader = self.call("Page.navigate", url=url)["loaderId"]
        while loader not in self.loaded:
            self.listen()

    def evaluate(self, expression):
        """What an expression is in the page; a promise is waited for."""
        while True:
            try:
                result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
                break
            except Refused as refused:  # the page is being loaded again
                if "navigated" not in str(refused) and "context" not in str(refused):
                    raise
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def screenshot(self, file=None):
        """The page from top to bottom, as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        image = base64.b64decode(shot["data"])
        if file:
            file.write_bytes(image)
        return image


def high(ends):
    """Both ends of a pipe under numbers that are not in the way of what a program is given."""
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends]
    for end in ends:
        os.close(end)
    return moved


@contextmanager
def page():
    """A tab of a browser of its own, which ends with it."""
    home = tempfile.mkdtemp(prefix="chromium-")
    (there, told), (asked, here) = high(os.pipe()), high(os.pipe())
    start = f'exec "$0" "$@" 3<&{there} 4>&{here} {there}<&- {here}>&-'  # it reads from descriptor 3 and writes to 4
    running = subprocess.Popen(
        ["bash", "-c", start, program(), *FLAGS, f"--user-data-dir={home}"],
        pass_fds=(there, here),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(there)
    os.close(here)
    with os.fdopen(told, "wb") as out, os.fdopen(asked, "rb") as back:
        try:
            tab = Page(out, back)
        except (AssertionError, BrokenPipeError):
            running.kill()
            running.wait()
            pytest.skip("Chromium does not start here")
        try:
            yield tab
        finally:
            tab.session = None
            with suppress(Refused, AssertionError, OSError):
                tab.call("Browser.close")
    try:
        running.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    shutil.rmtree(home, ignore_errors=True)
