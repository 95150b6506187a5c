# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report page in a real browser: no complaint in its console, no request, phone and desktop, light and dark, by keyboard.

Chromium is spoken to over its own pipe (DevTools protocol), so no driver and no package is needed beside it.
"""
from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from vljepa_ros.cli.main import main

pytestmark = pytest.mark.browser


class Chromium:
    """A headless browser with one page. `events` are what it reported since the last `open`."""

    def __init__(self, command: str, profile: Path) -> None:
        down, up = os.pipe(), os.pipe()  # it reads from 3 and writes to 4

        def wire() -> None:
            read, write = os.dup(down[0]), os.dup(up[1])  # out of the way of 3 and 4
            os.dup2(read, 3)
            os.dup2(write, 4)

        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--remote-debugging-pipe", f"--user-data-dir={profile}"]  # fmt: skip
        self.process = subprocess.Popen([command, *flags], preexec_fn=wire, pass_fds=(3, 4), stderr=subprocess.DEVNULL)
        os.close(down[0])
        os.close(up[1])
        self._to, self._from = os.fdopen(down[1], "wb", 0), os.fdopen(up[0], "rb", 0)
        self._rest, self._number, self._session = b"", 0, None
        self.events: list[dict] = []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **params) -> dict:
        """One command and its answer."""
        self._number += 1
        said = {"id": self._number, "method": method, "params": params} | ({"sessionId": self._session} if self._session else {})
        self._to.write(json.dumps(said).encode() + b"\0")
        while (heard := self._hear()).get("id") != self._number:
            self.events.append(heard)
        assert "error" not in heard, f"{method}: {heard['error']}"
        return heard["result"]

    def open(self, path: Path, width: int, scheme: str) -> None:
        """Load a page at this width (CSS pixels) and colour scheme, to its end."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.do("Page.navigate", url="about:blank")
        self.events.clear()
        self.do("Page.navigate", url=path.as_uri())
        deadline = time.monotonic() + 60
        while self.value("location.protocol + document.readyState") != "file:complete":
            assert time.monotonic() < deadline, "the page did not load"

    def value(self, expression: str):
        """What a JavaScript expression gives."""
        answer = self.do("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def key(self, name: str, code: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            self.do("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)

    def picture(self, path: Path) -> None:
        shot = self.do("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(shot))

    def complaints(self) -> list:
        """Whatever its console shows."""
        of = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [event["params"] for event in self.events if event.get("method") in of]

    def requests(self) -> list[str]:
        sent = (event["params"]["request"]["url"] for event in self.events if event.get("method") == "Network.requestWillBeSent")
        return [url for url in sent if not url.startswith("data:")]

    def close(self) -> None:
        self._to.close()
        self._from.close()
        self.process.kill()
        self.process.wait()

    def _hear(self) -> dict:
        while b"\0" not in self._rest:
            more = self._from.read(1 << 16)
            assert more, "the browser ended"
            self._rest += more
        one, self._rest = self._rest.split(b"\0", 1)
        return json.loads(one)


@pytest.fixture(scope="module")
def browser(chromium_command, tmp_path_factory):
    one = Chromium(chromium_command, tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


@pytest.fixture(scope="module")
def page(make_bag, tiny_checkpoint, tmp_path_factory) -> Path:
    """A report of two cameras, with truth, texts, and a note."""
    folder = tmp_path_factory.mktemp("page")
    bag = make_bag(folder / "drive", seconds=50.0, fps=5.0, topics=("/left", "/right"))
    (bag / "metadata.yaml").unlink()
    options = ["--texts", "The lamp is on.", "The drawer is open.", "--topic", "/left", "/right"]
    assert main(["replay", str(bag), "--checkpoint", str(tiny_checkpoint), "--out", str(folder / "out"), *options]) == 0
    return folder / "out/report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_opens_without_a_word_fits_and_asks_for_nothing(browser, page, tmp_path, width, scheme):
    browser.open(page, width, scheme)
    assert browser.complaints() == [] and browser.requests() == [page.as_uri()]
    assert browser.value("document.documentElement.scrollWidth") <= width, "wider than the screen"
    assert browser.value("[...document.images].every(one => one.complete && one.naturalWidth && one.alt)")
    assert browser.value("document.images.length") > 10
    paper = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3)"
    light = browser.value(f"{paper}.reduce((a, b) => a + +b, 0)")
    assert (light > 600) == (scheme == "light")
    words = "[...document.querySelectorAll('p, td, th, dd, dt, span, li, a')]"
    smallest = f"Math.min(...{words}.map(one => parseFloat(getComputedStyle(one).fontSize)))"
    assert browser.value(smallest) >= 11, "too small to read"
    browser.picture(tmp_path / f"{width}_{scheme}.png")
    assert (tmp_path / f"{width}_{scheme}.png").stat().st_size > 10_000


CONTRAST = """
(() => {
  const part = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const luminance = c => .2126 * part(c[0]) + .7152 * part(c[1]) + .0722 * part(c[2]);
  const colour = s => s.match(/[\\d.]+/g).map(Number);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = colour(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  let worst = [99, ''];
  const kinds = 'p, td, th, dd, dt, span, li, a, em, h1, h2, h3, h4, small, b, code, summary, caption';
  for (const e of document.querySelectorAll(kinds)) {
    if (!e.textContent.trim() || !e.getClientRects().length) continue;
    const [a, b] = [luminance(colour(getComputedStyle(e).color)), luminance(ground(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < worst[0]) worst = [ratio, e.className + ' ' + e.textContent.slice(0, 40)];
  }
  return worst;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(browser, page, scheme):
    browser.open(page, 1280, scheme)
    ratio, where = browser.value(CONTRAST)
    assert ratio >= 4.5, f"contrast {ratio:.2f} at {where!r}"


def test_the_keyboard_reaches_the_timeline_and_moves_it(browser, page):
    browser.open(page, 390, "light")
    browser.value("document.documentElement.style.scrollBehavior = 'auto'")
    browser.value("document.querySelectorAll('.scroll').forEach(one => one.style.scrollBehavior = 'auto')")
    for _ in range(12):
        browser.key("Tab", 9)
        if browser.value("document.activeElement.className") == "scroll":
            break
    assert browser.value("document.activeElement.className") == "scroll", "Tab leads to the timeline"
    assert "arrow keys" in browser.value("document.activeElement.getAttribute('aria-label')")
    for _ in range(5):
        browser.key("ArrowRight", 39)
    deadline = time.monotonic() + 10
    while not browser.value("document.activeElement.scrollLeft"):
        assert time.monotonic() < deadline, "the arrow keys do not move it"
    browser.key("Tab", 9)
    assert browser.value("document.activeElement.getAttribute('href')").startswith("#c0-"), "then come its segments"


def test_a_segment_on_the_timeline_leads_to_its_card_and_back(browser, page):
    browser.open(page, 1280, "light")
    browser.value("document.querySelector('.lane.said a').click()")
    assert browser.value("document.querySelector('.cards li:target') !== null")
    browser.value("document.querySelector('.cards li:target .when a').click()")
    assert browser.value("document.querySelector('.lane a:target') !== null")
    assert browser.complaints() == []


def test_without_pictures_and_style_it_still_tells_the_story(browser, page):
    browser.open(page, 1280, "light")
    assert browser.value("document.querySelectorAll('h1').length") == 1
    drawn = "[...document.querySelectorAll('[role=img], [role=region]')]"
    names = browser.value(f"{drawn}.map(one => one.getAttribute('aria-label'))")
    assert all(names) and any("Selective" in one for one in names) and any("Cosine similarity" in one for one in names)
