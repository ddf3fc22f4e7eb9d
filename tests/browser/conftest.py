"""Chromium against a demo network that ran to its end and was left running.

WEAL_TEST_DEMO names the folder of one that runs already (`weal demo --keep --data-dir FOLDER`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

playwright = pytest.importorskip("playwright.sync_api")

from bench.page.browser import CHROMIUM, READY, open_browser  # noqa: E402

WEAL = Path(sys.executable).with_name("weal")
CHECKOUT = Path(__file__).resolve().parents[2]
SCREENSHOTS = CHECKOUT / "screenshots"
ROUNDS = 3
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


def weal(*arguments: object, timeout: float = 500) -> subprocess.CompletedProcess[str]:
    command = [str(WEAL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


@dataclass(frozen=True)
class Demo:
    folder: Path
    url: str
    rpc: str

    @property
    def rounds(self) -> int:
        return int(self.get("/v1/jobs/1")["finalised_rounds"])

    def get(self, path: str) -> Any:
        response = httpx.get(self.url + path, trust_env=False, timeout=60)
        assert response.status_code == 200, response.text
        return response.json()

    def submit(self, job_file: Path) -> int:
        keys = self.folder / "keys"
        key = ["--keystore", keys / "requester.json"]
        key += ["--password-file", keys / "requester.password"]
        chain = ["--rpc", self.rpc, "--deployment", self.folder / "deployment.json"]
        run = weal("job", "submit", job_file, *key, *chain, "--url", self.url, "--json")
        assert run.returncode == 0, run.stderr
        return int(json.loads(run.stdout)["job"])


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH: the browser tests are left out")
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def demo(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    if kept := os.environ.get("WEAL_TEST_DEMO"):
        yield _read_note(Path(kept))
        return
    folder = tmp_path_factory.mktemp("demo")
    arguments = ("--json", "--rounds", ROUNDS, "--seed", 0, "--keep", "--data-dir", folder)
    run = weal("demo", *arguments)
    try:
        assert (folder / "network.json").exists(), run.stderr[-3000:]
        yield _read_note(folder)
    finally:
        weal("stop", "--data-dir", folder)


def _read_note(folder: Path) -> Demo:
    addresses = json.loads((folder / "network.json").read_text())["addresses"]
    return Demo(folder, addresses["coordinator"], addresses["rpc"])


@dataclass
class Watched:
    """A page; whatever it complains of fails the test, unless the test expects it."""

    page: Any
    url: str
    complaints: list[str]
    hosts: set[str]

    def open(self, path: str) -> None:
        self.page.goto(f"{self.url}/#{path}")
        self.page.wait_for_selector(READY, timeout=60_000)

    def follow(self, link: Any) -> None:
        link.click()
        self.page.wait_for_selector(READY, timeout=60_000)

    def table(self, caption: str) -> Any:
        return self.page.locator(f'.scroll[aria-label="{caption}, table"]')

    def text(self, selector: str) -> str:
        return " ".join(self.page.locator(selector).first.inner_text().split())


@pytest.fixture
def visit(browser: Any, demo: Demo) -> Iterator[Callable[..., Watched]]:
    """visit(path, **context options), each in a context of its own."""
    contexts: list[Any] = []
    watched: list[Watched] = []

    def open_page(path: str = "/", **options: Any) -> Watched:
        context = browser.new_context(**({"viewport": DESK, "color_scheme": "light"} | options))
        contexts.append(context)
        page = context.new_page()
        each = Watched(page, demo.url, [], set())
        page.on("pageerror", lambda error: each.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                each.complaints.append(message.text)
                if message.type in ("error", "warning")
                else None
            ),
        )
        page.on("request", lambda request: each.hosts.add("/".join(request.url.split("/")[:3])))
        each.open(path)
        watched.append(each)
        return each

    yield open_page
    complaints = [complaint for each in watched for complaint in each.complaints]
    hosts = set().union(*(each.hosts for each in watched))
    for context in contexts:
        context.close()
    assert complaints == []
    assert hosts <= {demo.url}
