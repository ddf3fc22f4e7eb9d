"""Chromium, driven to load the page once with nothing cached, and what that took."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, CDPSession, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
READY = "main[data-ready=true]"
# Long frames while the matrix is scrolled from end to end; the browser's own clock.
_SCROLL = """async () => {
  const view = document.querySelector(".matrix"), frames = [];
  let before = performance.now();
  for (let step = 0; step <= 60; step++) {
    view.scrollLeft = (view.scrollWidth - view.clientWidth) * step / 60;
    view.scrollTop = (view.scrollHeight - view.clientHeight) * step / 60;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - before);
    before = now;
  }
  return frames.sort((a, b) => a - b);
}"""


@dataclass(frozen=True, slots=True)
class Load:
    """One first load: from the request of the page until everything on it is drawn."""

    seconds: float
    wire_bytes: int  # headers and bodies as they came
    requests: int
    frames_ms: tuple[float, ...] = ()  # ascending, while the matrix is scrolled

    @property
    def median_frame_ms(self) -> float:
        return self.frames_ms[len(self.frames_ms) // 2]


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Needs the system's chromium, see CHROMIUM."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def measure_load(browser: Browser, url: str, *, scroll: bool = False) -> Load:
    """In a context of its own, so that nothing is cached."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    counter = _count_bytes(context.new_cdp_session(page))
    page.goto(url)
    page.wait_for_selector(READY, timeout=60_000)
    seconds = page.evaluate("() => new Promise(r => requestAnimationFrame(r)) && performance.now()")
    page.wait_for_timeout(500)
    sizes = list(counter)
    frames = tuple(page.evaluate(_SCROLL)) if scroll else ()
    context.close()
    return Load(seconds / 1000, sum(sizes), len(sizes), frames)


def _count_bytes(session: CDPSession) -> list[int]:
    """Grows with every answer that is complete."""
    sizes: list[int] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    session.send("Network.enable")
    return sizes
